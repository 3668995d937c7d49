"""How the ensembles are wired, for mask heads that read everything and for those that do not."""

from collections.abc import Collection
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.repository.tensors import Tensor
from peopleseg.repository.triton_config import CONFIG_FILE
from peopleseg.systems.known import ENSEMBLES, STEPS
from peopleseg.systems.people.contract import HIERARCHICAL_HEAD
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.shared.contract import IMAGE
from peopleseg.systems.wiring import (
    Wired,
    config_text,
    pinned,
    reads_in,
    served,
    serving_versions,
    steps_of,
    wiring,
)

HEAD = HIERARCHICAL_HEAD.name

RGB, LOGIT, FEATURES = "roi_rgb", "roi_logit", "roi_features"
READS = [(RGB, LOGIT, FEATURES), (RGB, LOGIT), (RGB, FEATURES), (RGB,)]
VERSIONS = {step: number for number, step in enumerate(STEPS, start=1)}


def wired(ensemble: str, reads: Collection[str]) -> tuple[Wired, ...]:
    """Of an ensemble whose mask head reads these inputs."""
    return wiring(ENSEMBLES[ensemble], {HEAD: reads})


def names_of(ensemble: str, reads: Collection[str]) -> tuple[str, ...]:
    return steps_of(ENSEMBLES[ensemble], {HEAD: reads})


every_head = pytest.mark.parametrize("reads", READS, ids="+".join)
every_ensemble = pytest.mark.parametrize("ensemble", ENSEMBLES)


@pytest.mark.parametrize("ensemble", served(MODEL_REPOSITORY, [PEOPLE]))
def test_the_committed_config_is_what_its_pinned_versions_and_its_head_make(ensemble: str) -> None:
    text = (MODEL_REPOSITORY / ensemble / CONFIG_FILE).read_text()
    versions = serving_versions(MODEL_REPOSITORY, PEOPLE)
    reads = reads_in(MODEL_REPOSITORY, PEOPLE, versions)
    assert text == config_text(ENSEMBLES[ensemble], versions, reads)


@every_ensemble
@every_head
def test_every_tensor_is_made_once_and_before_it_is_read(
    ensemble: str, reads: Collection[str]
) -> None:
    made = {tensor.name: tensor for tensor in ENSEMBLES[ensemble].model.inputs}
    read: set[str] = set()
    for step in wired(ensemble, reads):
        by_name = {tensor.name: tensor for tensor in step.model.inputs + step.model.outputs}
        for own, shared in step.inputs.items():
            assert fits(made[shared], by_name[own]), (step.model.name, own)
            read.add(shared)
        for own, shared in step.outputs.items():
            assert shared not in made, f"{shared} is made twice"
            made[shared] = by_name[own]
    response = {tensor.name: tensor for tensor in ENSEMBLES[ensemble].model.outputs}
    assert all(fits(made[name], tensor) for name, tensor in response.items())
    # Triton loads no ensemble with a tensor that nobody reads.
    assert set(made) == read | set(response)


@every_ensemble
@every_head
def test_no_step_can_fail_while_another_reads_the_image(
    ensemble: str, reads: Collection[str]
) -> None:
    first, *others = wired(ensemble, reads)
    assert IMAGE.name in first.inputs.values()
    later = set(first.outputs.values())
    for step in others:
        assert IMAGE.name not in step.inputs.values()
        assert later & set(step.inputs.values()), f"{step.model.name} waits for nothing"
        later |= set(step.outputs.values())


def fits(source: Tensor, target: Tensor) -> bool:
    """Of one type and shape, but for a leading axis that a batching model leaves out."""
    longer, shorter = sorted((source.shape, target.shape), key=len, reverse=True)
    whole = longer[len(longer) - len(shorter) :]
    same = all(-1 in pair or len(set(pair)) == 1 for pair in zip(shorter, whole, strict=True))
    return source.dtype == target.dtype and same and len(longer) - len(shorter) <= 1


@every_ensemble
@every_head
def test_every_input_of_a_step_is_wired_but_those_that_it_can_do_without(
    ensemble: str, reads: Collection[str]
) -> None:
    for step in wired(ensemble, reads):
        needed = {tensor.name for tensor in step.model.inputs if not tensor.optional}
        assert needed <= set(step.inputs) <= {tensor.name for tensor in step.model.inputs}


@every_ensemble
def test_a_head_that_reads_everything_has_all_steps(ensemble: str) -> None:
    assert names_of(ensemble, READS[0]) == ENSEMBLES[ensemble].steps


def test_what_the_head_does_not_read_is_not_made() -> None:
    def left_out(ensemble: str, reads: Collection[str]) -> set[str]:
        return set(ENSEMBLES[ensemble].steps) - set(names_of(ensemble, reads))

    assert left_out("person_segmentation", (RGB, LOGIT)) == set()  # the detector finds the people
    assert left_out("person_segmentation", (RGB, FEATURES)) == {"people_unet"}
    assert left_out("person_segmentation", (RGB,)) == {"people_unet"}
    assert left_out("person_segmentation_from_boxes", (RGB, LOGIT)) == {"yolov9"}
    assert left_out("person_segmentation_from_boxes", (RGB,)) == {"yolov9", "people_unet"}
    outputs = {step.model.name: set(step.outputs) for step in wired("person_segmentation", (RGB,))}
    assert outputs["yolov9"] == {"predictions"}


def test_the_ensemble_on_features_needs_neither_unet_nor_pixels_of_the_rois() -> None:
    steps = {step.model.name: step for step in wired("person_segmentation_features", ())}
    assert "people_unet" not in steps and "roi_align" not in steps
    assert steps["roi_align_features"].inputs == {"features": "features", "rois": "rois"}


@every_ensemble
@every_head
def test_a_config_says_what_the_contract_says_and_pins_its_steps(
    ensemble: str, reads: Collection[str]
) -> None:
    text = config_text(ENSEMBLES[ensemble], VERSIONS, {HEAD: reads})
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.name == ensemble and config.platform == "ensemble"
    assert [tensor.name for tensor in config.input] == [
        t.name for t in ENSEMBLES[ensemble].model.inputs
    ]
    assert {tensor.name: tuple(tensor.dims) for tensor in config.output} == {
        tensor.name: tensor.shape for tensor in ENSEMBLES[ensemble].model.outputs
    }
    expected = {step: VERSIONS[step] for step in names_of(ensemble, reads)}
    assert pinned(text) == pinned(config) == expected
    assert [
        (dict(step.input_map), dict(step.output_map)) for step in config.ensemble_scheduling.step
    ] == [(step.inputs, step.outputs) for step in wired(ensemble, reads)]


def test_a_step_without_a_version_is_named() -> None:
    versions = VERSIONS | {}
    del versions["people_unet"]
    with pytest.raises(ValueError, match="people_foreground needs a version of people_unet"):
        config_text(ENSEMBLES["people_foreground"], versions, {})


def test_text_that_is_no_config_is_refused() -> None:
    with pytest.raises(ValueError, match="not a Triton model config.*colour"):
        pinned('name: "x" colour: "red"')


def test_the_ensembles_of_a_repository_pin_one_version_of_each_step(tmp_path: Path) -> None:
    def write(ensemble: str, versions: dict[str, int]) -> None:
        (tmp_path / ensemble).mkdir(exist_ok=True)
        text = config_text(ENSEMBLES[ensemble], versions, {HEAD: READS[0]})
        (tmp_path / ensemble / CONFIG_FILE).write_text(text)

    assert served(tmp_path, [PEOPLE]) == () and serving_versions(tmp_path, PEOPLE) == {}
    write("people_foreground", VERSIONS)
    write("person_segmentation", VERSIONS)
    assert served(tmp_path, [PEOPLE]) == ("person_segmentation", "people_foreground")
    steps = ENSEMBLES["people_foreground"].steps + ENSEMBLES["person_segmentation"].steps
    assert serving_versions(tmp_path, PEOPLE) == {step: VERSIONS[step] for step in steps}
    write("people_foreground", VERSIONS | {"people_unet": 77})
    with pytest.raises(ValueError, match=f"77 of people_unet.*version {VERSIONS['people_unet']}"):
        serving_versions(tmp_path, PEOPLE)
