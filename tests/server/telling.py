"""A model repository whose responses tell which version of every step made them.

The steps are those of the contract, by name, tensors and ensembles, but each only passes on a list
of versions and adds its own: in the first numbers of every tensor that has room for them. So an
answer made by steps of two releases shows that it was.
"""

import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from conversion.release.examiner import Judgement
from conversion.release.operations import Place, release, rollback
from conversion.release.server import ModelControl
from peopleseg.repository.manifest import Manifest
from peopleseg.repository.tensors import Model, Tensor
from peopleseg.systems.known import ENSEMBLES, STEPS
from peopleseg.systems.people.contract import PIXELS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.system import Response
from peopleseg.systems.wiring import config_text, steps_of
from serving.embedded import EmbeddedServer
from serving.ports import free_ports

ENSEMBLES_SERVED = ("person_segmentation", "person_segmentation_from_boxes", "people_foreground")
OTHER_CONFIG = "configs/other.pbtxt"  # that `add_variant` makes
HEAD_READS = ("roi_rgb", "roi_logit", "roi_features")
IMAGE: bytes = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()

MODEL = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils

STEPS = @STEPS@
DTYPES = {"TYPE_UINT8": np.uint8, "TYPE_FP16": np.float16, "TYPE_FP32": np.float32}


class TritonPythonModel:
    def initialize(self, args):
        self.config = json.loads(args["model_config"])
        self.place = STEPS.index(args["model_name"])
        self.version = int(args["model_version"])

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        told = np.zeros(len(STEPS), np.int64)
        for tensor in request.inputs():
            values = tensor.as_numpy().reshape(-1)
            if tensor.name() not in ("image", "boxes") and len(values) >= len(STEPS):
                told = np.maximum(told, values[: len(STEPS)].astype(np.int64))
        told[self.place] = self.version
        return pb_utils.InferenceResponse(
            [self.tell(output, told) for output in self.config["output"]]
        )

    def tell(self, output, told):
        if output["name"] == "rles":
            versions = json.dumps(told.tolist()).encode()
            return pb_utils.Tensor("rles", np.array([versions], dtype=object))
        shape = self.shape([int(length) for length in output["dims"]])
        values = np.zeros(shape, DTYPES[output["data_type"]])
        if values.size >= len(STEPS):
            values.reshape(-1)[: len(STEPS)] = told
        return pb_utils.Tensor(output["name"], values)

    def shape(self, dims):
        if int(self.config["max_batch_size"]) > 0:
            dims = [3 if self.config["name"].endswith("head") else 1, *dims]
        return [len(STEPS) if length == -1 else length for length in dims]
""".replace("@STEPS@", repr(tuple(STEPS)))


def make_repository(repository: Path) -> None:
    """Version 1 of every step, and the ensembles around them."""
    for name, step in STEPS.items():
        (repository / name).mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(_step_config(step))
        new_version(repository, name)
    versions = {name: 1 for name in STEPS if name not in ("feature_head", "roi_align_features")}
    for name in ENSEMBLES_SERVED:
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(
            config_text(ENSEMBLES[name], versions, {"hierarchical_head": HEAD_READS})
        )


def server_of(
    repository: Path, extra_arguments: Sequence[str] = (), models: Sequence[str] | None = None
) -> EmbeddedServer:
    """A server of a repository's ensembles, all or these, not started, with its log beside."""
    http_port, grpc_port, metrics_port = free_ports(3)
    return EmbeddedServer(
        model_repository=repository,
        log_file=repository.parent / "triton.log",
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        models=models,
        extra_arguments=extra_arguments,
    )


def new_version(repository: Path, step: str, model: str = MODEL) -> int:
    """The next version of a step; model: the text of its model.py."""
    version = max((int(path.name) for path in (repository / step).glob("[0-9]*")), default=0) + 1
    folder = repository / f".{step}.{version}"
    folder.mkdir()
    (folder / "model.py").write_text(model)
    _manifest(step).write(folder)
    os.rename(folder, repository / step / str(version))
    return version


def add_variant(repository: Path, step: str) -> None:
    """For `--model-config-name=other`."""
    text = (repository / step / "config.pbtxt").read_text()
    parameter = 'parameters [ { key: "other" value { string_value: "yes" } } ]\n'
    (repository / step / OTHER_CONFIG).parent.mkdir()
    (repository / step / OTHER_CONFIG).write_text(text + parameter)


def told(ensemble: str, response: Response) -> dict[str, int]:
    """The version of every step that made a response."""
    if ensemble == "people_foreground":
        numbers = response["foreground"].reshape(-1)[: len(STEPS)].tolist()
    else:
        numbers = json.loads(response["rles"][0])
    return {step: number for step, number in zip(STEPS, numbers, strict=True) if number}


def expected(ensemble: str, versions: Mapping[str, int]) -> dict[str, int]:
    """What `told` is when all steps are of one release."""
    return {
        step: versions[step]
        for step in steps_of(ENSEMBLES[ensemble], {"hierarchical_head": HEAD_READS})
    }


@dataclass
class TellingExaminer:
    """Finds no fault, so that the server has to, and wants answers that tell the right versions."""

    images: Sequence[bytes] = (IMAGE,)
    judgement: Judgement = field(default_factory=lambda: Judgement({"mask_ap50": 0.5}))
    found_faults: list[str] = field(default_factory=list)

    def faults(self, versions: Mapping[str, int]) -> list[str]:
        return self.found_faults

    def judge(self, serving: Mapping[str, int], candidate: Mapping[str, int]) -> Judgement:
        return self.judgement

    def responses(self, versions: Mapping[str, int], ensemble: str) -> Sequence[Response]:
        return [_Versions(expected(ensemble, versions)) for _ in self.images]

    def difference(
        self, versions: Mapping[str, int], found: Response, expected: Response
    ) -> str | None:
        made_by = _told_by(found)
        wanted = expected if isinstance(expected, _Versions) else _told_by(expected)
        return None if made_by == wanted else f"told {made_by}, expected {wanted}"


class _Versions(dict):
    """A response, as far as anybody looks at it."""


def _told_by(response: Any) -> dict[str, int]:
    return told(
        "people_foreground" if "foreground" in response else "person_segmentation", response
    )


def _step_config(step: Model) -> str:
    # As the project's own: the server completes it, and so what it answers is not what it read.
    queue = "dynamic_batching { default_queue_policy { default_timeout_microseconds: 10000000 } }"
    return f"""
name: "{step.name}"
backend: "python"
max_batch_size: {step.max_batch_size}
input [ {_listed(step.inputs)} ]
output [ {_listed(map(_of_people, step.outputs))} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
{queue if step.max_batch_size else ""}
version_policy {{ specific {{ versions: [ 1 ] }} }}
"""


def _of_people(tensor: Tensor) -> Tensor:
    """As people's networks read it, where several systems do."""
    return PIXELS if tensor.name == PIXELS.name else tensor


def _listed(tensors: Iterable[Tensor]) -> str:
    return ", ".join(
        f'{{ name: "{tensor.name}" '
        f"data_type: TYPE_{'STRING' if tensor.dtype == 'BYTES' else tensor.dtype} "
        f"dims: {list(tensor.shape)} {'optional: true' if tensor.optional else ''} }}"
        for tensor in tensors
    )


def _manifest(step: str) -> Manifest:
    """Of which a release reads only what the head reads."""
    texts: dict[str, Any] = dict.fromkeys(
        ("sha256", "precision", "weights", "checkpoint_sha256", "commit"), ""
    )
    texts |= dict.fromkeys(("accuracy_data", "data_licence"), "")
    return Manifest(
        model=step,
        artifact="model.py",
        bytes=0,
        variant={},
        opset=0,
        ir_version=0,
        tools={},
        parity={},
        accuracy={},
        reads=list(HEAD_READS) if step.endswith("head") else [],
        **texts,
    )


def main(arguments: Sequence[str]) -> int:
    """Release or roll back, and kill this process at the end of a stage.

    python -m tests.server.telling REPOSITORY URL STAGE release NAME STEP=VERSION ...
    python -m tests.server.telling REPOSITORY URL STAGE rollback
    """
    repository, url, last_stage, action, *rest = arguments

    def on_stage(stage: str) -> None:
        print(stage, flush=True)
        if stage == last_stage:
            os.kill(os.getpid(), signal.SIGKILL)

    with ModelControl(url) as control:
        place = Place(PEOPLE, Path(repository), control, TellingExaminer(), on_stage)
        if action == "rollback":
            rollback(place)
        else:
            changes = dict(part.split("=") for part in rest[1:])
            release(place, rest[0], {step: int(number) for step, number in changes.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
