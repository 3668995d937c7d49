"""From images to a served network in one command: train, validate, export, gate, release.

  peopleseg retrain training/configs/people_unet_b0.yaml --data data/people
  peopleseg retrain training/configs/yolov9_t.yaml --data data/people --offline
  peopleseg retrain training/configs/deeplab_optimised.yaml --data data/VOC2012
  peopleseg retrain training/configs/hierarchical_fused.yaml --data data/people \\
      --out runs/head_2 --name better-head --why "more night images" \\
      -- --model.detector runs/yolov9_t/best.ckpt \\
      --model.people_unet runs/people_unet_b0/best.ckpt

--data is a folder with train/, val/, person_train.json and person_val.json, or of the semantic
system Pascal VOC's own. Stopped anywhere, by
Ctrl-C, an error or kill -9, the same command goes on: a training from its last checkpoint, and a
stage that is done is skipped, as the files say. The gate measures what serves and what is new on
the validation images; a network that is worse by more than --margin is not released, but with
--force.

Exit code 0 when the release serves, 1 when a stage failed or the release was refused, 2 for wrong
usage, 130 when it was stopped.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from conversion.release.options import GateOptions, ServerOptions, WaitOption
from peopleseg.cli.options import (
    POSITIONAL,
    FolderToWrite,
    Help,
    LimitOption,
    WrittenRepositoryOption,
)
from peopleseg.errors import PeoplesegError, WrongUsage
from peopleseg.labels.files import write_atomically
from peopleseg.releases import journal
from peopleseg.releases.errors import ReleaseError
from peopleseg.releases.journal import Journal
from peopleseg.repository.manifest import ArtifactError, Manifest, sha256
from peopleseg.repository.model_folder import versions_in
from peopleseg.systems.known import SYSTEMS, systems_with
from peopleseg.systems.wiring import serving_versions

BEST, LAST = "best.ckpt", "last.ckpt"
STATE = "retrain.json"  # in the run's folder: what was asked for, and what the training ended with


@dataclass(frozen=True, kw_only=True)
class Options(GateOptions, WaitOption, ServerOptions, WrittenRepositoryOption, LimitOption):
    config: Annotated[Path, POSITIONAL, Help("a network's YAML, of training/configs")]
    train_arguments: Annotated[
        tuple[str, ...], POSITIONAL, Help("after --, for `peopleseg train fit`")
    ] = ()
    data: Annotated[Path, Help("folder of images and annotations")]
    out: Annotated[
        FolderToWrite | None, Help("folder of the run (runs/ and the name of CONFIG)")
    ] = None
    name: Annotated[
        str | None, Help("of the release (model and version, such as people_unet-2)")
    ] = None
    why: Annotated[str, Help("a reason, for the record")] = ""
    data_licence: Annotated[str, Help("of the training data, for the manifest")] = ""
    skip_pinned_runtime: Annotated[
        bool,
        Help("export without running the result under the server image's ONNX Runtime"),
    ] = False
    offline: Annotated[
        bool,
        Help("release into the model repository alone, for a server that is not running"),
    ] = False


def run(args: Options) -> int:
    """Every stage that is not done yet, one after the other. Raises RetrainError, WrongUsage."""
    if not args.config.is_file():
        raise WrongUsage(f"there is no file {args.config}; name a training's YAML")
    return Retraining(args).run()


def validation_in(data: Path) -> tuple[Path, Path]:
    """Images and annotations to validate on, where some system has them. Raises WrongUsage."""
    places = dict.fromkeys(one.accuracy.place_in(data) for one in SYSTEMS if one.accuracy)
    for images, annotations in places:
        if annotations.is_file():
            return images, annotations
    expected = " or ".join(str(annotations.relative_to(data)) for _, annotations in places)
    raise WrongUsage(f"--data {data} has no {expected} to validate on; name a data set's folder")


def asked_for(args: Options) -> dict[str, Any]:
    """What the training depends on, as a run's folder notes it."""
    return {
        "config": args.config.read_text(),
        "data": str(args.data.resolve()),
        "train_arguments": list(args.train_arguments),
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

    def __init__(self, args: Options) -> None:
        self._args = args
        self.out: Path = args.out or Path("runs") / args.config.stem
        self.best = self.out / BEST
        self.images, self.annotations = validation_in(args.data)

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
            pins = [serving_versions(repository, system) for system in systems_with(model)]
            serves = any(pinned.get(model) == version for pinned in pins)
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
        code = _run("training.command", arguments=tuple(fit), tells_next=False)
        if code == 0:
            self._write_state(self._state() | {"trained": sha256(self.best)})
        return code

    def _validate(self) -> int:
        return _run(
            "training.validation.command",
            checkpoints=[str(self.best)],
            json=self._metrics_file,
            **self._reference(),
        )

    def _export(self) -> int:
        return _run(
            "conversion.export.command",
            checkpoint=self.best,
            model_repository=self._args.model_repository,
            examples=self.images,
            # with its sum, as every data set has a file of this name
            accuracy_data=f"{self.annotations.name} {sha256(self.annotations)[:12]}",
            data_licence=self._args.data_licence,
            skip_pinned_runtime=self._args.skip_pinned_runtime,
        )

    def _release(self) -> int:
        folder = self._version_folder()
        assert folder is not None  # the stage before is done
        model, version = folder.parent.name, folder.name
        args = self._args
        return _run(
            "conversion.release.release_command",
            name=args.name or f"{model}-{version}",
            changes=(f"{model}={version}",),
            **self._reference(),
            why=args.why or f"retrained by {args.config.name}",
            margin=args.margin,
            model_repository=args.model_repository,
            url=args.url,
            admin_key=args.admin_key,
            offline=args.offline,
            force=args.force,
            wait=args.wait,
        )

    def _reference(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "annotations": self.annotations,
            "limit": self._args.limit,
        }

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


def _run(module: str, **options: Any) -> int:
    """Run a command by its module; the exit code."""
    command = import_module(module)
    return int(command.run(command.Options(**options)))


def _say(stage: str, text: str) -> None:
    print(f"{stage:9} {text}", flush=True)
