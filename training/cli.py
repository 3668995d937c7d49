"""The trainer: Lightning's command line, with errors in sentences."""

import logging
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from peopleseg.networks.torchvision_ops import declare_missing_ops

declare_missing_ops()

import lightning  # noqa: E402  (it imports torchvision, after declare_missing_ops)
import yaml  # noqa: E402
from lightning.fabric.utilities.exceptions import MisconfigurationException  # noqa: E402
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint  # noqa: E402
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI  # noqa: E402
from lightning.pytorch.loggers import TensorBoardLogger  # noqa: E402

from peopleseg.cli.application import EXIT_INTERRUPTED, EXIT_USAGE  # noqa: E402
from peopleseg.cli.output import folder_fault  # noqa: E402
from peopleseg.errors import PeoplesegError  # noqa: E402
from peopleseg.networks.checkpoint import CheckpointError, read_checkpoint  # noqa: E402
from peopleseg.networks.checkpoint_io import WholeCheckpoints  # noqa: E402
from training.callbacks.stop_on_signal import StopOnSignal, Stopped  # noqa: E402
from training.callbacks.throughput import Throughput  # noqa: E402
from training.callbacks.validation_images import ValidationImages  # noqa: E402
from training.data.loading import TrainingData  # noqa: E402
from training.tasks.base import Task  # noqa: E402

BEST, LAST = "best.ckpt", "last.ckpt"
MENDABLE = (PeoplesegError, FloatingPointError, OSError)
# What jsonargparse says of a wrong value beside what is wrong with it.
_ABOUT_TYPES = (
    "Does not validate against",
    "Subtypes:",
    "Errors:",
    "Expected a <class 'NoneType'>",
    "Problem with given class_path",
    "Given value",
)


_KEYS = (
    "`peopleseg train fit --help` has the trainer's keys, `--model.help CLASS` and "
    "`--data.help CLASS` those of the network and the data (CLASS: the class_path in the YAML)"
)


class SentenceParser(LightningArgumentParser):
    """Says what is wrong in a sentence, where jsonargparse prints the usage and every type."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
        told = " ".join(line for line in lines if line and not line.startswith(_ABOUT_TYPES))
        told = re.sub(r'Parser key "([\w.]+)"', r"--\1", told)
        print(f"peopleseg train: {told}; {_KEYS}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)


_SETTINGS: dict[str, Any] = {
    "parser_class": SentenceParser,
    "model_class": Task,
    "datamodule_class": TrainingData,
    "subclass_mode_model": True,
    "subclass_mode_data": True,
    "seed_everything_default": 0,
    "auto_configure_optimizers": False,
    "load_from_checkpoint_support": False,  # a checkpoint says itself what it holds
}


class TrainCLI(LightningCLI):
    """Lightning's command line with an output folder, checkpoints by metric and safe resumes."""

    model: Task

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Only `fit`: `peopleseg validate` measures checkpoints."""
        return {"fit": LightningCLI.subcommands()["fit"]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--out", type=Path, default=None, help="folder of the run")
        parser.add_argument(
            "--further_epochs", type=int, help="with --ckpt_path: so many after those it has"
        )
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def _parse_ckpt_path(self) -> None:
        """Lightning would look for hyperparameters in the checkpoint; ours have none."""

    def before_instantiate_classes(self) -> None:
        self.mendable: Exception | None = None
        # Both are abstract, what is constructed are their subclasses.
        self.parser.add_instantiator(self._construct, Task, subclasses=True)  # type: ignore[type-abstract]
        self.parser.add_instantiator(self._construct, TrainingData, subclasses=True)  # type: ignore[type-abstract]

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise (self.mendable or error) from None

    def _construct(self, class_type: type[Any], *args: Any, **kwargs: Any) -> Any:
        """Keep what a constructor raises: jsonargparse makes a ValueError of pages of it."""
        try:
            return class_type(*args, **kwargs)
        except MENDABLE as error:
            self.mendable = error
            raise

    def instantiate_trainer(self, **kwargs: Any) -> lightning.Trainer:
        """The trainer with the callbacks that every run has."""
        out = self.out()
        if fault := folder_fault(out):
            raise CheckpointError(f"--out: {fault}")
        configured = self._get(self.config_init, "trainer").get("callbacks") or []
        callbacks = [
            ValidationImages(),
            *configured,
            LearningRateMonitor("step"),
            Throughput(),
            ModelCheckpoint(
                dirpath=out,
                filename=Path(BEST).stem,
                monitor=self.model.monitor,
                mode="max",
                enable_version_counter=False,
            ),
            # Of its own: with the other's `save_last` it would be of the last better metric. Of
            # every epoch: not all are validated.
            ModelCheckpoint(
                out,
                Path(LAST).stem,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
            StopOnSignal(out / LAST),
        ]
        self.save_config_kwargs["overwrite"] = True
        return super().instantiate_trainer(
            callbacks=callbacks,
            logger=TensorBoardLogger(out, name="", version=""),
            plugins=[WholeCheckpoints()],
            use_distributed_sampler=False,  # EpochSampler shares the images itself
            **kwargs,
        )

    def out(self) -> Path:
        config = self.config["fit"]
        if config.out is not None:
            return Path(config.out)
        names = [Path(str(path)).stem for path in config.get("config") or ()]
        return Path("runs") / ("-".join(names) or type(self.model).__name__)

    def before_fit(self) -> None:
        config, last = self.config_init["fit"], self.out() / LAST
        if config.ckpt_path is None and last.exists():
            raise CheckpointError(
                f"{self.out()} holds a training already; go on with it by --ckpt_path last, or "
                "name another folder with --out"
            )
        config.weights_only = True  # a checkpoint cannot run code
        if config.ckpt_path == "last":
            config.ckpt_path = str(last)
        if config.ckpt_path is not None and not Path(config.ckpt_path).is_file():
            raise CheckpointError(f"{config.ckpt_path} is not there; leave out --ckpt_path")
        if config.further_epochs:
            if config.ckpt_path is None:
                raise CheckpointError("--further_epochs needs --ckpt_path, for example last")
            done = read_checkpoint(Path(config.ckpt_path))["epoch"] + 1
            self.trainer.fit_loop.max_epochs = done + config.further_epochs


def build(arguments: Sequence[str]) -> tuple[Task, TrainingData]:
    """What `peopleseg train` of these arguments would train, and on what."""
    _quieten()
    cli = _BuildOnly(args=configs_first(arguments), **_SETTINGS)
    return cli.model, cli.datamodule


class _BuildOnly(TrainCLI):
    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""


def run(arguments: Sequence[str], *, tells_next: bool = False) -> int:
    """Exit code 0 trained, 1 failed, 2 wrong usage, 130 stopped (a checkpoint is left)."""
    _quieten()
    try:
        cli = TrainCLI(args=configs_first(arguments), **_SETTINGS)
        best = cli.out() / BEST
        if tells_next and cli.trainer.is_global_zero and best.is_file():
            print(f"the best weights are in {best}; next: peopleseg export {best}")
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return EXIT_INTERRUPTED
    except (*MENDABLE, MisconfigurationException) as error:
        print(f"peopleseg train: {error}", file=sys.stderr)
        return 1
    except SystemExit as stop:  # --help, wrong usage
        return int(stop.code or 0)
    return 0


def configs_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with variants before recipes before all else, as what comes later counts more.

    A recipe is a YAML file that changes a network's settings and does not say which network it is.
    """
    subcommand, further = list(arguments[:1]), arguments[1:]
    configs: list[str] = []
    others: list[str] = []
    rest = iter(further)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name not in ("--config", "-c"):
            others.append(argument)
        elif (file := value if equals else next(rest, None)) is not None:
            configs.append(file)
        else:
            others.append(argument)  # without its file, which the parser says
    configs.sort(key=_is_recipe)
    return [*subcommand, *(f"--config={file}" for file in configs), *others]


def _is_recipe(file: str) -> bool:
    try:
        settings = yaml.safe_load(Path(file).read_text())
        return "class_path" not in (settings.get("model") or {})
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
        return False  # the parser says what is wrong with it


def _quieten() -> None:
    """Leave out what is no news to anybody here."""
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    warnings.filterwarnings("ignore", message="Found .* eval mode at the start")  # the frozen ones
    warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated")  # Lightning with torch 2.13
    # of a batch of broken images, which are named
    warnings.filterwarnings("ignore", message="`training_step` returned `None`")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_tip)


def _is_no_tip(record: logging.LogRecord) -> bool:
    return "Tip:" not in record.getMessage()
