"""From images to a served network in one command: train, validate, export, gate, release.

  peopleseg retrain training/configs/people_unet_b0.yaml --data data/people
  peopleseg retrain training/configs/yolov9_t.yaml --data data/people --offline
  peopleseg retrain training/configs/hierarchical_fused.yaml --data data/people \\
      --out runs/head_2 --name better-head --why "more night images" \\
      --train --model.detector runs/yolov9_t/best.ckpt \\
      --model.people_unet runs/people_unet_b0/best.ckpt

--data is a folder with train/, val/, person_train.json and person_val.json. Stopped anywhere, by
Ctrl-C, an error or kill -9, the same command goes on: a training from its last checkpoint, and a
stage that is done is skipped, as the files say. The gate measures what serves and what is new on
the validation images; a network that is worse by more than --margin is not released, but with
--force.

Exit code 0 when the release serves, 1 when a stage failed or the release was refused, 2 for wrong
usage, 130 when it was stopped.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from conversion.release.options import add_gate_options, add_server_options, add_wait_option
from peopleseg.cli.options import add_repository_option, positive
from peopleseg.cli.output import folder_to_write
from peopleseg.errors import PeoplesegError, WrongUsage
from peopleseg.labels.files import write_atomically
from peopleseg.releases import journal
from peopleseg.releases.errors import ReleaseError
from peopleseg.releases.journal import Journal
from peopleseg.repository.manifest import ArtifactError, Manifest, sha256
from peopleseg.repository.model_folder import versions_in
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions

BEST, LAST = "best.ckpt", "last.ckpt"
STATE = "retrain.json"  # in the run's folder: what was asked for, and what the training ended with


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `peopleseg retrain`."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML of training/configs")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="images and annotations"
    )
    parser.add_argument(
        "--out",
        type=folder_to_write,
        metavar="DIR",
        help="folder of the run (runs/ and the name of CONFIG)",
    )
    parser.add_argument("--name", help="of the release (model and version, such as people_unet-2)")
    parser.add_argument("--why", default="", metavar="TEXT", help="a reason, for the record")
    parser.add_argument(
        "--data-licence", default="", metavar="TEXT", help="of the training data, for the manifest"
    )
    parser.add_argument(
        "--skip-pinned-runtime",
        action="store_true",
        help="export without running the result under the server image's ONNX Runtime",
    )
    add_gate_options(parser)
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="validate and measure on the first N images"
    )
    add_repository_option(parser, writes=True)
    add_server_options(parser)
    add_wait_option(parser)
    parser.add_argument(
        "--offline",
        action="store_true",
        help="release into the model repository alone, for a server that is not running",
    )
    parser.add_argument(
        "--train",
        dest="train_arguments",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="--KEY VALUE",
        help="comes last; what follows is for `peopleseg train fit`",
    )


def run(args: argparse.Namespace) -> int:
    """Every stage that is not done yet, one after the other. Raises RetrainError, WrongUsage."""
    if not args.config.is_file():
        raise WrongUsage(f"there is no file {args.config}; name a training's YAML")
    return Retraining(args).run()


def asked_for(args: argparse.Namespace) -> dict[str, Any]:
    """What the training depends on, as a run's folder notes it."""
    return {
        "config": args.config.read_text(),
        "data": str(args.data.resolve()),
        "train_arguments": args.train_arguments,
    }


class RetrainError(PeoplesegError):
    """A folder holds something else than this retraining, or a stage left nothing."""


@dataclass(frozen=True)
class Stage:
    """One step of the way. result: what it left, in words, or None when it is not done."""

    name: str
    result: Callable[[], str | None]
    work: Callable[[], int]  # the exit code


class Retraining:
    """The stages of one run's folder; what is done is read from the files, at each call."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self.out: Path = args.out or Path("runs") / args.config.stem
        self.best = self.out / BEST
        self.images = args.data / "val"
        self.annotations = args.data / "person_val.json"

    def run(self) -> int:
        """The exit code of the stage that failed, 0 when the release serves."""
        self._claim()
        for stage in (
            Stage("train", self.trained, self._train),
            Stage("validate", self.validated, self._validate),
            Stage("export", self.exported, self._export),
            Stage("release", self.released, self._release),
        ):
            before = stage.result()
            if before:
                _say(stage.name, f"done before: {before}")
                continue
            _say(stage.name, "...")
            if code := _done(stage):
                return code
            after = stage.result()
            if not after:
                raise RetrainError(f"{stage.name} ended without an error, but left nothing")
            _say(stage.name, after)
        return 0

    def trained(self) -> str | None:
        """Whether the training came to its end, with the checkpoint that is there."""
        ended_with = self._state().get("trained")
        if not self.best.is_file() or ended_with != sha256(self.best):
            return None
        return f"{self.best}"

    def validated(self) -> str | None:
        """The metrics of the checkpoint that is there."""
        if not self._metrics_file.is_file():
            return None
        report = json.loads(self._metrics_file.read_text())
        if not report["checkpoints"]:
            return None
        metrics = report["checkpoints"][0]["metrics"]
        shown = [f"{name} {value:.4f}" for name, value in metrics.items() if value is not None]
        return f"{', '.join(shown)} ({self._metrics_file})"

    def exported(self) -> str | None:
        """The version folder that was made of the checkpoint that is there."""
        folder = self._version_folder()
        return str(folder) if folder else None

    def released(self) -> str | None:
        """The release that served the version, also when another one serves by now."""
        folder = self._version_folder()
        if folder is None:
            return None
        model, version = folder.parent.name, int(folder.name)
        repository = self._args.model_repository
        try:
            attempts = Journal(repository).attempts()
            for record in journal.releases(attempts):
                if record.versions.get(model) == version:
                    return f"release {record.number} {record.name} of {record.at}"
            if attempts and attempts[-1].result not in (journal.SERVING, journal.REFUSED):
                return None  # killed: what the configs say is not what serves until it is finished
            serves = serving_versions(repository, PEOPLE).get(model) == version
        except (ReleaseError, ValueError) as error:
            raise RetrainError(str(error)) from error
        return f"in {repository}" if serves else None

    def _claim(self) -> None:
        """Note what was asked for, so that a run is never finished with other settings."""
        asked = asked_for(self._args)
        state = self._state()
        if state and state["asked"] != asked:
            differing = ", ".join(key for key in asked if state["asked"][key] != asked[key])
            raise RetrainError(
                f"{self.out} holds a retraining with another {differing}; name another folder "
                "with --out"
            )
        if not state:
            self._write_state({"asked": asked})

    def _train(self) -> int:
        fit = ["fit", "--config", str(self._args.config), "--data.root", str(self._args.data)]
        fit += ["--out", str(self.out), *self._args.train_arguments]
        if (self.out / LAST).is_file():
            fit += ["--ckpt_path", "last"]
        code = _command("training.command", fit, tells_next=False)
        if code == 0:
            self._write_state(self._state() | {"trained": sha256(self.best)})
        return code

    def _validate(self) -> int:
        return _command(
            "training.validation.command",
            [str(self.best), *self._reference(), "--json", str(self._metrics_file)],
        )

    def _export(self) -> int:
        return _command(
            "conversion.export.command",
            [
                str(self.best),
                *("--model-repository", str(self._args.model_repository)),
                *("--examples", str(self.images)),
                # with its sum, as every data set has a file of this name
                *("--accuracy-data", f"{self.annotations.name} {sha256(self.annotations)[:12]}"),
                *("--data-licence", self._args.data_licence),
            ],
            skip_pinned_runtime=self._args.skip_pinned_runtime,
        )

    def _release(self) -> int:
        folder = self._version_folder()
        assert folder is not None  # the stage before is done
        model, version = folder.parent.name, folder.name
        return _command(
            "conversion.release.release_command",
            [
                self._args.name or f"{model}-{version}",
                f"{model}={version}",
                *self._reference(),
                *("--why", self._args.why or f"retrained by {self._args.config.name}"),
                *("--margin", str(self._args.margin)),
            ],
            model_repository=self._args.model_repository,
            url=self._args.url,
            admin_key=self._args.admin_key,
            offline=self._args.offline,
            force=self._args.force,
            wait=self._args.wait,
        )

    def _reference(self) -> list[str]:
        limit = [] if self._args.limit is None else ["--limit", str(self._args.limit)]
        return ["--images", str(self.images), "--annotations", str(self.annotations), *limit]

    @property
    def _metrics_file(self) -> Path:
        limit = "" if self._args.limit is None else f"-first-{self._args.limit}"
        return self.out / f"metrics-{sha256(self.best)[:12]}{limit}.json"

    def _version_folder(self) -> Path | None:
        """The newest version that was made of the best checkpoint."""
        from peopleseg.networks.checkpoint import read_checkpoint  # torch takes seconds to import

        checkpoint = sha256(self.best)
        family = read_checkpoint(self.best)["network"]["family"]
        found = []
        models = self._args.model_repository / family
        for folder in (models / str(version) for version in versions_in(models)):
            try:
                manifest = Manifest.read(folder)
            except ArtifactError:
                continue  # of another making; `peopleseg check` names it
            if manifest.checkpoint_sha256 == checkpoint:
                found.append(folder)
        return found[-1] if found else None

    def _state(self) -> dict[str, Any]:
        path = self.out / STATE
        return json.loads(path.read_text()) if path.is_file() else {}

    def _write_state(self, state: dict[str, Any]) -> None:
        write_atomically(self.out / STATE, (json.dumps(state, indent=1) + "\n").encode())


def _done(stage: "Stage") -> int:
    """The exit code of a stage's work. Raises what that raises."""
    code = 1
    try:
        code = stage.work()
    finally:
        if code:
            _say(stage.name, "not done; the same command goes on from here")
    return code


def _command(module: str, arguments: Sequence[str], **values: Any) -> int:
    """Run a subcommand by its module. values: options that are parsed already."""
    command = import_module(module)
    parser = argparse.ArgumentParser(prog=f"peopleseg ({module})")
    command.add_arguments(parser)
    args = parser.parse_args(arguments, argparse.Namespace(**values))
    return int(command.run(args))


def _say(stage: str, text: str) -> None:
    print(f"{stage:9} {text}", flush=True)
