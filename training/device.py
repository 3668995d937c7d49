"""Where torch computes."""

import argparse

from peopleseg.errors import WrongUsage


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device; `device_of` says which is meant."""
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="(cuda, where torch finds a GPU, else cpu)"
    )


def device_of(args: argparse.Namespace) -> str:
    """Raises WrongUsage for a GPU that there is not."""
    import torch  # takes seconds, and --help does not need it

    if args.device == "cuda" and not torch.cuda.is_available():
        raise WrongUsage("this machine has no GPU for torch; use --device cpu")
    return str(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
