"""Where torch computes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from peopleseg.cli.options import Help
from peopleseg.errors import WrongUsage


@dataclass(frozen=True, kw_only=True)
class DeviceOption:
    """`device_of` says which device is meant."""

    device: Annotated[
        Literal["cpu", "cuda"] | None, Help("(cuda, where torch finds a GPU, else cpu)")
    ] = None


def device_of(args: DeviceOption) -> str:
    """Raises WrongUsage for a GPU that there is not."""
    import torch  # takes seconds, and --help does not need it

    if args.device == "cuda" and not torch.cuda.is_available():
        raise WrongUsage("this machine has no GPU for torch; use --device cpu")
    return str(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
