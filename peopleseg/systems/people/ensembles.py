"""The ensembles: which steps they chain, how these are wired, and their config.pbtxt.

A release pins one version of every step. The config of an ensemble follows from these versions and
from what the mask head reads: a tensor that it does not read is not made, and a step that makes
nothing else is left out.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from peopleseg.repository.tensors import Model, Tensor
from peopleseg.repository.triton_config import CONFIG_FILE, ConfigError, parse_config
from peopleseg.systems.people.contract import ENSEMBLES, STEPS

HEAD = "hierarchical_head"  # whose `reads` decide about the tensors that it may do without

_MASKS = ("roi_align", HEAD, "postprocess")
ENSEMBLE_STEPS: dict[str, tuple[str, ...]] = {
    "person_segmentation": ("preprocess", "yolov9", "people_unet", "select_people", *_MASKS),
    "person_segmentation_from_boxes": (
        *("preprocess", "yolov9", "people_unet", "boxes_to_rois"),
        *_MASKS,
    ),
    "person_segmentation_features": (
        *("preprocess", "yolov9", "select_people"),
        *("roi_align_features", "feature_head", "postprocess"),
    ),
    "people_foreground": ("preprocess", "people_unet", "postprocess_foreground"),
}

_DESCRIPTIONS = {
    "person_segmentation": "Every person of a picture: box, score, mask.",
    "person_segmentation_from_boxes": "One mask for each box that the caller brings, in their "
    "order; `boxes` comes back as it was sent.",
    "person_segmentation_features": "Every person of a picture, by the mask head that reads the "
    "detector's features alone.",
    "people_foreground": "Which pixels of a picture are people.",
}
# The optional inputs of roi_align, and what it makes of each.
_MADE_OF = {"person_logit": "roi_logit", "features": "roi_features"}
# Scores of the rois, the dummy roi's too; `scores` are those of the answer.
_ROI_SCORES = "roi_scores"


class Step(NamedTuple):
    """One step of an ensemble: its model, and the ensemble's tensors by the model's own names."""

    model: Model
    inputs: dict[str, str]
    outputs: dict[str, str]


def wiring(ensemble: str, reads: Collection[str]) -> tuple[Step, ...]:
    """The steps of an ensemble whose mask head computes with the inputs `reads`.

    Every input of the head is wired, because the server wants it there; for one that it does not
    read, roi_align makes zeros of one cell.
    """
    needed = {tensor.name for tensor in ENSEMBLES[ensemble].outputs}
    given = {tensor.name for tensor in ENSEMBLES[ensemble].inputs}
    steps: list[Step] = []
    for name in reversed(ENSEMBLE_STEPS[ensemble]):
        model = STEPS[name]
        made = {tensor.name: _in_ensemble(name, tensor, "output") for tensor in model.outputs}
        outputs = {own: shared for own, shared in made.items() if shared in needed - given}
        if outputs:
            inputs = {
                tensor.name: _in_ensemble(name, tensor, "input")
                for tensor in model.inputs
                if not tensor.optional or _is_of_use(tensor, ensemble, reads)
            }
            needed |= set(inputs.values())
            steps.append(Step(model, inputs, outputs))
    return tuple(reversed(steps))


def _is_of_use(optional: Tensor, ensemble: str, reads: Collection[str]) -> bool:
    """Whether some step makes an optional input, and the head reads what is made of it."""
    names = {output.name for step in ENSEMBLE_STEPS[ensemble] for output in STEPS[step].outputs}
    return optional.name in names and _MADE_OF.get(optional.name) in (None, *reads)


def steps_of(ensemble: str, reads: Collection[str]) -> tuple[str, ...]:
    """Names of the steps of an ensemble whose mask head reads these inputs, in their order."""
    return tuple(step.model.name for step in wiring(ensemble, reads))


def config_text(ensemble: str, versions: Mapping[str, int], reads: Collection[str]) -> str:
    """The config.pbtxt of an ensemble that pins these versions of its steps.

    reads: the inputs that its mask head computes with. Raises ValueError for a step without a
    version.
    """
    steps = wiring(ensemble, reads)
    for step in steps:
        if step.model.name not in versions:
            raise ValueError(f"{ensemble} needs a version of {step.model.name}; none was named")
    model = ENSEMBLES[ensemble]
    return f"""\
# {_DESCRIPTIONS[ensemble]}
# One request is one picture. Written by `peopleseg release`, which changes the pinned versions, and
# with them all steps at once.
name: "{ensemble}"
platform: "ensemble"
max_batch_size: 0
input [
{_listed(_tensor_text(tensor) for tensor in model.inputs)}
]
output [
{_listed(_tensor_text(tensor) for tensor in model.outputs)}
]
ensemble_scheduling {{
  step [
{_listed(_step_text(step, versions[step.model.name]) for step in steps)}
  ]
}}
"""


def pinned(config: Any) -> dict[str, int]:
    """Step to version of an ensemble's config, as text or as tritonclient's ModelConfig.

    Raises ValueError for text that is not a config.
    """
    if isinstance(config, str):
        config = _parsed(config)
    return {step.model_name: step.model_version for step in config.ensemble_scheduling.step}


def served(repository: Path) -> tuple[str, ...]:
    """The ensembles that a model repository has, in the order of the contract."""
    return tuple(name for name in ENSEMBLES if (repository / name / CONFIG_FILE).is_file())


def serving_versions(repository: Path) -> dict[str, int]:
    """Step to version, as the ensembles of a repository pin them together.

    Raises ValueError when two ensembles pin different versions of one step.
    """
    versions: dict[str, int] = {}
    for ensemble in served(repository):
        for step, version in pinned((repository / ensemble / CONFIG_FILE).read_text()).items():
            if versions.setdefault(step, version) != version:
                raise ValueError(
                    f"{repository / ensemble / CONFIG_FILE} pins version {version} of {step}, "
                    f"another ensemble version {versions[step]}; repeat the release, or roll back"
                )
    return versions


def _in_ensemble(step: str, tensor: Tensor, role: str) -> str:
    if tensor.name != "scores" or (step == "postprocess" and role == "output"):
        return tensor.name
    return _ROI_SCORES


def _parsed(text: str) -> Any:
    try:
        return parse_config(text)
    except ConfigError as error:
        raise ValueError(f"not a Triton model config: {error}") from error


def _tensor_text(tensor: Tensor) -> str:
    dtype = "STRING" if tensor.dtype == "BYTES" else tensor.dtype
    dims = ", ".join(str(length) for length in tensor.shape)
    return f'  {{ name: "{tensor.name}" data_type: TYPE_{dtype} dims: [ {dims} ] }}'


def _step_text(step: Step, version: int) -> str:
    maps = [("input_map", *pair) for pair in step.inputs.items()]
    maps += [("output_map", *pair) for pair in step.outputs.items()]
    lines = [f'{field} {{ key: "{own}" value: "{shared}" }}' for field, own, shared in maps]
    lines = [f'model_name: "{step.model.name}"', f"model_version: {version}", *lines]
    return "\n".join(["    {", *(f"      {line}" for line in lines), "    }"])


def _listed(entries: Any) -> str:
    return ",\n".join(entries)
