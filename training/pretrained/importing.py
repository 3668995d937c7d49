"""Published weights as a checkpoint."""

from collections.abc import Callable

from peopleseg.networks.checkpoint import save_network
from peopleseg.systems.known import parts
from training.pretrained.import_command import Options
from training.pretrained.imported import Imported
from training.pretrained.kinds import KINDS
from training.pretrained.state_dict import WeightsError

_IMPORTERS: dict[str, Callable[[Options], Imported]] = {
    kind: importer
    for system in parts("training.pretrained.{}.importers")
    for kind, importer in system.IMPORTERS.items()
}


def run(args: Options) -> int:
    """Import one file. Writes nothing when it does not fit: raises WeightsError."""
    _refuse_misplaced_options(args)
    imported = _IMPORTERS[args.kind](args)
    network = imported.network
    save_network(
        args.out,
        args.kind,
        network,
        dims=network.dims,
        metrics=imported.metrics,
        companions={name: (one, one.dims) for name, one in imported.companions.items()},
    )
    described = ", ".join(f"{name} {value}" for name, value in network.dims.items())
    print(f"{args.out}: {args.kind} with {described}")
    return 0


def _refuse_misplaced_options(args: Options) -> None:
    for kind, options in KINDS.items():
        for option in options:
            if getattr(args, option) is not None and args.kind != kind:
                raise WeightsError(
                    f"--{option.replace('_', '-')} is for {kind}, not for {args.kind}; leave it out"
                )
