"""`peopleseg check` finds each planted fault, names its place, and says nothing of a good one."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from peopleseg.checks.check import faults, planned_faults
from peopleseg.cli import check_command as check
from peopleseg.cli.render_configs_command import render
from peopleseg.repository.manifest import Manifest, StepManifest, sha256
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.rendered import files_of_other_lengths
from tests.data.small_repository import (
    write_detector,
    write_feature_head,
    write_head,
    write_small_repository,
)

REPOSITORY = Path(__file__).parents[4] / "model_repository"
FEATURES_ENSEMBLE = {"feature_head": 1, "roi_align_features": 1}
CHANNELS_OF_NO_DETECTOR = 5


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_repository(tmp_path_factory.mktemp("good") / "repository")


@pytest.fixture
def repository(good: Path, tmp_path: Path) -> Iterator[Path]:
    yield shutil.copytree(good, tmp_path / "repository")


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first `old`, which has to be there."""
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def rewrite(folder: Path, **changes: object) -> None:
    replace(Manifest.read(folder), **changes).write(folder)  # type: ignore[arg-type]


def change_graph(folder: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    """Another graph with a manifest that is right about its sha256."""
    artifact = folder / "model.onnx"
    model = onnx.load(artifact)
    change(model)
    onnx.save(model, artifact)
    rewrite(folder, sha256=sha256(artifact))


def add_version(folder: Path, version: int) -> Path:
    return shutil.copytree(folder / "1", folder / str(version))


def test_the_committed_repository_has_no_faults() -> None:
    assert faults(REPOSITORY) == []


def test_a_good_repository_has_no_faults(good: Path) -> None:
    assert faults(good) == []


CONFIG_FAULTS = {
    "unknown field": (
        ("yolov9/config.pbtxt", "max_batch_size: 8", "max_batch_size: 8 max_batch: 8"),
        r'yolov9/config.pbtxt: .*no field named "max_batch"',
    ),
    "unknown field of a variant": (
        ("people_unet/configs/cuda.pbtxt", "instance_group", "instance_groups"),
        r'people_unet/configs/cuda.pbtxt: .*no field named "instance_groups"',
    ),
    "no text format": (
        ("roi_align/config.pbtxt", "input [", "input ["[:-1]),
        r"roi_align/config.pbtxt: not a Triton model config: \d+:\d+",
    ),
    "name": (
        ("preprocess/config.pbtxt", '"preprocess"', '"preprocessing"'),
        r'preprocess/config.pbtxt: name is "preprocessing"; .*"preprocess"',
    ),
    "dtype": (
        ("postprocess/config.pbtxt", "TYPE_UINT8", "TYPE_FP32"),
        r"postprocess/config.pbtxt: output masks is FP32; the contract says UINT8",
    ),
    "dim": (
        ("preprocess/config.pbtxt", "3, -1, -1", "3, 320, -1"),
        r"preprocess/config.pbtxt: output pixels has dims \[3, 320, -1\]; .*\[3, -1, -1\]",
    ),
    "dim of a variant": (
        ("yolov9/configs/cuda.pbtxt", "640, 640", "512, 512"),
        r"yolov9/configs/cuda.pbtxt: input pixels has dims \[3, 512, 512\]",
    ),
    "missing tensor": (
        ("select_people/config.pbtxt", '{ name: "letterbox" data_type: TYPE_FP32', "{"),
        r"select_people/config.pbtxt: input letterbox is missing",
    ),
    "unknown tensor": (
        ("select_people/config.pbtxt", 'name: "rois"', 'name: "regions"'),
        r"select_people/config.pbtxt: output regions is not in the contract, .*rois",
    ),
    "not optional": (
        ("roi_align/config.pbtxt", "optional: true", ""),
        r"roi_align/config.pbtxt: input person_logit has optional: false; .*true",
    ),
    "batch limit": (
        ("hierarchical_head/config.pbtxt", "max_batch_size: 64", "max_batch_size: 32"),
        r"hierarchical_head/config.pbtxt: max_batch_size is 32; the contract says 64",
    ),
    "queue length": (
        (
            "people_unet/config.pbtxt",
            "timeout_action: REJECT",
            "timeout_action: REJECT max_queue_size: 16",
        ),
        r"people_unet/config.pbtxt: max_queue_size is 16; .*crashes",
    ),
    "policy": (
        ("yolov9/config.pbtxt", "specific { versions: [ 1 ] }", "all { }"),
        r"yolov9/config.pbtxt: version_policy must be specific",
    ),
    "policy of a version that is not there": (
        ("roi_align/config.pbtxt", "versions: [ 1 ]", "versions: [ 1, 7 ]"),
        r"roi_align/config.pbtxt: version_policy names version 7 of roi_align.*there are: 1",
    ),
    "policy of a variant": (
        ("yolov9/configs/cuda.pbtxt", "versions: [ 1 ]", "versions: [ 3 ]"),
        r"yolov9/configs/cuda.pbtxt: version_policy names version 3 of yolov9",
    ),
    "platform": (
        ("people_foreground/config.pbtxt", 'platform: "ensemble"', 'backend: "python"'),
        r'people_foreground/config.pbtxt: platform is ""; it must be "ensemble"',
    ),
    "pinned version that is not there": (
        (
            "person_segmentation/config.pbtxt",
            'model_name: "yolov9"\n      model_version: 1',
            'model_name: "yolov9"\n      model_version: 9',
        ),
        r"person_segmentation: pins version 9 of yolov9, which is not there \(there are: 1\)",
    ),
    "version that is not pinned": (
        (
            "person_segmentation/config.pbtxt",
            'model_name: "yolov9"\n      model_version: 1',
            'model_name: "yolov9"\n      model_version: -1',
        ),
        r"person_segmentation: step yolov9 has model_version -1; pin the version",
    ),
    "unmapped input": (
        (
            "person_segmentation/config.pbtxt",
            'input_map { key: "letterbox" value: "letterbox" }',
            "",
        ),
        r"person_segmentation: step select_people: its input letterbox is not mapped",
    ),
    "unknown key": (
        (
            "person_segmentation/config.pbtxt",
            'input_map { key: "predictions" value',
            'input_map { key: "boxes" value',
        ),
        r"person_segmentation: step select_people: input_map has the key boxes; .*predictions",
    ),
    "step that is not there": (
        ("people_foreground/config.pbtxt", 'model_name: "preprocess"', 'model_name: "prepare"'),
        r"people_foreground: step prepare is not a model of this repository",
    ),
    "tensor that no step makes": (
        (
            "person_segmentation/config.pbtxt",
            'input_map { key: "rois" value: "rois" }',
            'input_map { key: "rois" value: "regions" }',
        ),
        r"person_segmentation: roi_align reads regions, which no step makes",
    ),
    "tensor made twice": (
        (
            "people_foreground/config.pbtxt",
            'output_map { key: "letterbox" value: "letterbox" }',
            'output_map { key: "letterbox" value: "pixels" }',
        ),
        r"people_foreground: tensor pixels is made twice, by preprocess and by preprocess",
    ),
    "tensor that nobody reads": (
        (
            "person_segmentation/config.pbtxt",
            'input_map { key: "features" value: "features" }',
            "",
        ),
        r"person_segmentation: tensor features of yolov9 is read by nobody",
    ),
    "tensors of two dtypes": (
        (
            "people_foreground/config.pbtxt",
            'input_map { key: "person_logit" value: "person_logit" }',
            'input_map { key: "person_logit" value: "pixels" }',
        ),
        r"people_foreground: tensor pixels is UINT8 from preprocess, FP32 for postprocess_fore",
    ),
    "tensors of two shapes": (
        (
            "people_foreground/config.pbtxt",
            'input_map { key: "person_logit" value: "person_logit" }',
            'input_map { key: "person_logit" value: "letterbox" }',
        ),
        r"people_foreground: tensor letterbox has dims \[-1, 6\] from preprocess, "
        r"\[1, 1, 640, 640\] for postprocess_foreground",
    ),
    "answer that no step makes": (
        (
            "people_foreground/config.pbtxt",
            'output_map { key: "foreground" value: "foreground" }',
            'output_map { key: "foreground" value: "map" }',
        ),
        r"people_foreground: the response reads foreground, which no step makes",
    ),
}


@pytest.mark.parametrize("kind", CONFIG_FAULTS)
def test_a_fault_in_a_config_is_found_and_named(repository: Path, kind: str) -> None:
    (file, old, new), expected = CONFIG_FAULTS[kind]
    edit(repository / file, old, new)
    found = faults(repository)
    assert any(re.search(expected, fault) for fault in found), found


def test_two_ensembles_that_pin_different_versions_are_found(repository: Path) -> None:
    add_version(repository / "preprocess", 2)
    edit(repository / "preprocess" / "config.pbtxt", "versions: [ 1 ]", "versions: [ 1, 2 ]")
    file = repository / "people_foreground" / "config.pbtxt"
    edit(file, "model_version: 1", "model_version: 2")
    found = faults(repository)
    assert len(found) == 1
    assert found[0].startswith("people_foreground: pins version 2 of preprocess, person_segment")


def test_a_pinned_version_that_no_server_would_load_is_found(repository: Path) -> None:
    add_version(repository / "yolov9", 2)
    for name in ("person_segmentation", "person_segmentation_from_boxes"):
        edit(
            repository / name / "config.pbtxt",
            'model_name: "yolov9"\n      model_version: 1',
            'model_name: "yolov9"\n      model_version: 2',
        )
    found = faults(repository)
    assert len(found) == 1
    both = "person_segmentation, person_segmentation_from_boxes"
    assert found[0].startswith(f"{both}: pins version 2 of yolov9, which no version_policy names")
    # As a release into a server on a GPU leaves it.
    edit(repository / "yolov9" / "configs" / "cuda.pbtxt", "versions: [ 1 ]", "versions: [ 1, 2 ]")
    assert faults(repository) == []


def an_edited_artifact(repository: Path) -> str:
    artifact = repository / "people_unet" / "1" / "model.onnx"
    artifact.write_bytes(artifact.read_bytes() + b"\0")
    return r"people_unet/1: .*model.onnx has sha256 .* its manifest says"


def an_edited_step(repository: Path) -> str:
    with (repository / "roi_align" / "1" / "model.py").open("a") as file:
        file.write("# a quick fix\n")
    return r"roi_align/1: .*model.py has sha256"


def a_missing_artifact(repository: Path) -> str:
    (repository / "hierarchical_head" / "1" / "model.onnx").unlink()
    return r"hierarchical_head/1: .*model.onnx is missing"


def a_missing_manifest(repository: Path) -> str:
    (repository / "preprocess" / "1" / "manifest.json").unlink()
    return r"preprocess/1: .*manifest.json is not a manifest .*No such file"


def a_manifest_of_another_model(repository: Path) -> str:
    rewrite(repository / "yolov9" / "1", model="yolov8")
    return r'yolov9/1/manifest.json: model is "yolov8"'


def a_manifest_of_another_kind(repository: Path) -> str:
    folder = repository / "hierarchical_head" / "1"
    StepManifest("hierarchical_head", sha256(folder / "model.onnx"), {}, "", "model.onnx").write(
        folder
    )
    return (
        r"hierarchical_head/1/manifest.json: the fields are those of a Python step; "
        r"hierarchical_head is a network"
    )


def an_artifact_that_no_config_loads(repository: Path) -> str:
    folder = repository / "yolov9" / "1"
    (folder / "model.onnx").rename(folder / "model.engine")
    rewrite(folder, artifact="model.engine")
    return r'yolov9/1/manifest.json: artifact is "model.engine", .* they load model.onnx'


def a_setting_that_there_is_not(repository: Path) -> str:
    folder = repository / "select_people" / "1"
    manifest = StepManifest.read(folder)
    replace(manifest, settings={**manifest.settings, "min_scroe": 0.1}).write(folder)
    return r"select_people/1/manifest.json: select_people has no setting min_scroe; it has min_sc"


def a_setting_of_no_use(repository: Path) -> str:
    folder = repository / "roi_align" / "1"
    manifest = StepManifest.read(folder)
    replace(manifest, settings={**manifest.settings, "sampling": "corners"}).write(folder)
    return r"roi_align/1/manifest.json: setting sampling is 'corners'; expected half_pixel or co"


def no_graph(repository: Path) -> str:
    folder = repository / "people_unet" / "1"
    (folder / "model.onnx").write_bytes(b"not a graph")
    rewrite(folder, sha256=sha256(folder / "model.onnx"))
    return r"people_unet/1: ONNX Runtime cannot load .*model.onnx"


def a_graph_of_another_dtype(repository: Path) -> str:
    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            if node.output[0] == "features_known":
                node.attribute[0].i = onnx.TensorProto.FLOAT
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT

    change_graph(repository / "yolov9" / "1", change)
    return r"yolov9/1: with yolov9/config.pbtxt: .*output features is TYPE_FP16 .* TYPE_FP32"


def a_graph_of_another_shape(repository: Path) -> str:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 320

    change_graph(repository / "people_unet" / "1", change)
    return r"people_unet/1: with people_unet/config.pbtxt: .*input pixels has shape .*640.*320"


def a_graph_with_another_name(repository: Path) -> str:
    def change(model: onnx.ModelProto) -> None:
        model.graph.output[0].name = model.graph.node[-1].output[0] = "logit"

    change_graph(repository / "people_unet" / "1", change)
    return r"people_unet/1: .*output person_logit of the config is not in the graph.*logit"


def a_length_that_is_fixed(repository: Path) -> str:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[2].type.tensor_type.shape.dim[1].dim_value = 4

    change_graph(repository / "hierarchical_head" / "1", change)
    return r"hierarchical_head/1: .*input roi_features has the lengths \[4, -1, -1\] in the graph"


def an_output_that_is_open(repository: Path) -> str:
    def change(model: onnx.ModelProto) -> None:
        axis = model.graph.output[0].type.tensor_type.shape.dim[2]
        axis.dim_param = "height"
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"

    change_graph(repository / "people_unet" / "1", change)
    return r"people_unet/1: .*output person_logit has the lengths \[1, -1, 640\] in the graph"


def a_newer_opset(repository: Path) -> str:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = 18

    change_graph(repository / "people_unet" / "1", change)
    return r"people_unet/1: model.onnx has opset 18, more than 17"


def a_newer_format(repository: Path) -> str:
    def change(model: onnx.ModelProto) -> None:
        model.ir_version = 11

    change_graph(repository / "people_unet" / "1", change)
    return r"people_unet/1: model.onnx has ir_version 11, more than 10"


def another_opset_than_recorded(repository: Path) -> str:
    rewrite(repository / "people_unet" / "1", opset=16)
    return r"people_unet/1: model.onnx has opset 17, its manifest says 16"


def other_lengths_than_recorded(repository: Path) -> str:
    folder = repository / "people_unet" / "1"
    tensors = Manifest.read(folder).tensors
    tensors["outputs"]["person_logit"]["shape"] = [1, 320, 320]
    rewrite(folder, tensors=tensors)
    return r"people_unet/1: output person_logit has shape \[1, 320, 320\] in manifest.json, \[1"


def a_read_that_is_no_input(repository: Path) -> str:
    rewrite(repository / "hierarchical_head" / "1", reads=["roi_rgb", "roi_depth"])
    return r"hierarchical_head/1: manifest.json says that input roi_depth is read; the graph has"


def an_empty_version(repository: Path) -> str:
    (repository / "yolov9" / "2").mkdir()
    return r"yolov9/2: an empty version folder, which git drops; remove it or export into it"


def an_ensemble_whose_version_git_drops(repository: Path) -> str:
    for path in (repository / "people_foreground" / "1").iterdir():
        path.unlink()
    return r"people_foreground/1: an empty version folder, which git drops; add .gitkeep"


def an_ensemble_without_version(repository: Path) -> str:
    shutil.rmtree(repository / "people_foreground" / "1")
    return r"people_foreground: has no version folder, .*people_foreground/1/.gitkeep"


def a_version_that_triton_ignores(repository: Path) -> str:
    add_version(repository / "yolov9", 2).rename(repository / "yolov9" / "02")
    return r"yolov9/02: Triton ignores this folder"


def a_model_of_nobody(repository: Path) -> str:
    (repository / "yolov10").mkdir()
    return r"yolov10: not a model of peopleseg/systems/known.py"


def a_model_without_config(repository: Path) -> str:
    (repository / "boxes_to_rois" / "config.pbtxt").unlink()
    return r"boxes_to_rois/config.pbtxt: missing"


def a_detector_of_other_channels(repository: Path) -> str:
    write_detector(repository, 1, channels=8)
    return (
        r"^person_segmentation, person_segmentation_from_boxes: hierarchical_head/1 reads "
        r"roi_features \[4, 32, 24\], but gets roi_features of shape \[-1, 8, 32, 24\] from roi_al"
    )


def a_head_of_other_rois(repository: Path) -> str:
    write_head(repository, 1, roi_size_hw=(80, 60))
    return r"person_segmentation, .*: hierarchical_head/1 reads roi_rgb \[3, 80, 60\], .*64, 48"


def a_head_that_is_fed_for_nothing(repository: Path) -> str:
    write_head(repository, 1, reads=("roi_rgb",))
    return (
        r"person_segmentation, .*: people_unet, roi_align, yolov9 wired otherwise than a release "
        r"does \(hierarchical_head reads roi_rgb\); release again"
    )


@pytest.mark.parametrize(
    "plant",
    [
        an_edited_artifact,
        an_edited_step,
        a_missing_artifact,
        a_missing_manifest,
        a_manifest_of_another_model,
        a_manifest_of_another_kind,
        an_artifact_that_no_config_loads,
        a_setting_that_there_is_not,
        a_setting_of_no_use,
        no_graph,
        a_graph_of_another_dtype,
        a_graph_of_another_shape,
        a_graph_with_another_name,
        a_length_that_is_fixed,
        an_output_that_is_open,
        a_newer_opset,
        a_newer_format,
        another_opset_than_recorded,
        other_lengths_than_recorded,
        a_read_that_is_no_input,
        an_empty_version,
        an_ensemble_whose_version_git_drops,
        an_ensemble_without_version,
        a_version_that_triton_ignores,
        a_model_of_nobody,
        a_model_without_config,
        a_detector_of_other_channels,
        a_head_of_other_rois,
        a_head_that_is_fed_for_nothing,
    ],
)
def test_a_planted_fault_is_found_and_named(repository: Path, plant: Callable[[Path], str]) -> None:
    expected = plant(repository)
    found = faults(repository)
    assert any(re.search(expected, fault) for fault in found), found


def test_a_config_that_does_not_follow_from_the_others_is_named(repository: Path) -> None:
    render(repository)
    assert faults(repository) == []
    edit(repository / "yolov9" / "config.pbtxt", "10000000", "9000000")
    assert {fault.partition(":")[0] for fault in faults(repository)} == {
        f"yolov9/configs/{name}.pbtxt" for name in ("cuda", "tensorrt", "tensorrt_plan")
    }
    assert planned_faults(repository, PEOPLE, {}) == [], "no reason to refuse a release"
    render(repository)
    assert faults(repository) == []


def test_other_lengths_for_tensorrt_are_no_fault_as_the_next_start_mends_them(
    repository: Path,
) -> None:
    render(repository)
    config = repository / "hierarchical_head" / "configs" / "tensorrt.pbtxt"
    write_head(repository, 1, roi_size_hw=(80, 60))
    assert not any("tensorrt" in fault for fault in faults(repository))
    assert list(files_of_other_lengths(repository)) == [config]
    edit(config, "KIND_GPU", "KIND_CPU")
    assert any("configs/tensorrt.pbtxt: not what follows" in fault for fault in faults(repository))


def test_what_is_hidden_is_not_looked_at(repository: Path) -> None:
    (repository / ".scratch").mkdir()
    (repository / "yolov9" / ".export-1").mkdir()
    (repository / "yolov9" / "warmup").mkdir()
    assert faults(repository) == []


def test_several_faults_are_all_found(repository: Path) -> None:
    expected = [plant(repository) for plant in (an_edited_step, no_graph, a_model_of_nobody)]
    found = faults(repository)
    assert all(any(re.search(one, fault) for fault in found) for one in expected)


def test_a_planned_release_is_judged_by_what_it_pins(repository: Path) -> None:
    write_detector(repository, 2, channels=8)
    write_head(repository, 2, channels=8)
    broken = add_version(repository / "people_unet", 2)
    (broken / "model.onnx").write_bytes(b"")
    assert planned_faults(repository, PEOPLE, {"yolov9": 2, "hierarchical_head": 2}) == []
    assert planned_faults(repository, PEOPLE, {}) == []
    assert any(
        "reads roi_features [4" in fault
        for fault in planned_faults(repository, PEOPLE, {"yolov9": 2})
    )
    assert any(
        fault.startswith("people_unet/2")
        for fault in planned_faults(repository, PEOPLE, {"people_unet": 2})
    )


def test_a_planned_head_that_reads_less_is_wired_for_it(repository: Path) -> None:
    write_head(repository, 2, reads=("roi_rgb",))
    assert planned_faults(repository, PEOPLE, {"hierarchical_head": 2}) == []


def test_an_ensemble_that_a_release_begins_is_judged_too(repository: Path) -> None:
    write_feature_head(repository, 1, channels=CHANNELS_OF_NO_DETECTOR)
    found = planned_faults(repository, PEOPLE, FEATURES_ENSEMBLE)
    assert len(found) == 1
    assert "person_segmentation_features: feature_head/1 reads roi_features [5, 28, 28]" in found[0]
    write_feature_head(repository, 1)
    assert planned_faults(repository, PEOPLE, FEATURES_ENSEMBLE) == []


def test_a_head_that_cuts_back_what_was_not_widened_is_named(repository: Path) -> None:
    rewrite(write_feature_head(repository, 1), export={"roi_padding": 0.25})
    (fault,) = planned_faults(repository, PEOPLE, FEATURES_ENSEMBLE)
    assert "roi_align_features/1 widens boxes by 0.1 of their sides, feature_head/1 cuts" in fault
    assert fault.endswith("peopleseg new-step-version roi_align_features --set padding=0.25")


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"yolov9": 3}, "yolov9: version 3 of yolov9, which is not there (there are: 1)"),
        ({"yolov10": 1}, "yolov10: not a step"),
        ({"person_segmentation": 1}, "person_segmentation: not a step"),
    ],
)
def test_a_plan_of_what_is_not_there_is_refused(
    good: Path, versions: dict[str, int], expected: str
) -> None:
    assert [fault.startswith(expected) for fault in planned_faults(good, PEOPLE, versions)] == [
        True
    ]


def test_a_planned_head_whose_manifest_is_broken_is_named(repository: Path) -> None:
    folder = add_version(repository / "hierarchical_head", 2)
    (folder / "manifest.json").write_text("{")
    found = planned_faults(repository, PEOPLE, {"hierarchical_head": 2})
    assert len(found) == 1 and "hierarchical_head/2/manifest.json" in found[0]


def test_a_folder_that_is_no_repository_is_named(tmp_path: Path) -> None:
    assert faults(tmp_path / "models") == [
        f"{tmp_path / 'models'}: not a folder; name the model repository"
    ]


def run_check(repository: Path) -> int:
    return check.run(check.Options(model_repository=repository))


def test_the_command_counts_the_models_of_a_good_repository(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(good) == 0
    count = len(list(good.glob("*/config.pbtxt")))
    assert capsys.readouterr().out == f"no faults in {count} models\n"


def test_the_command_prints_a_line_for_each_fault(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    an_edited_step(repository)
    a_model_of_nobody(repository)
    assert run_check(repository) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_folder_without_models_is_no_sound_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_check(tmp_path) == 1
    assert capsys.readouterr().out == f"{tmp_path} has no model; name the model repository\n"


def test_checking_imports_no_torch(good: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from peopleseg.cli.check_command import faults; "
        f"assert faults(Path({json.dumps(str(good))})) == []; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY.parent)


def test_people_are_selected_and_answered_by_one_fit(repository: Path) -> None:
    fit = {"score_fit": [1.5, 3.0, 0.4]}
    set_settings(repository, "select_people", **fit)
    (fault,) = faults(repository)
    assert "select_people/1 has score_fit [1.5, 3.0, 0.4], postprocess/1 has None" in fault
    assert fault.endswith("new-step-version postprocess --set 'score_fit=[1.5, 3.0, 0.4]'")
    set_settings(repository, "postprocess", **fit)
    assert faults(repository) == []


def test_with_a_fit_both_have_one_least_score(repository: Path) -> None:
    fit = {"score_fit": [1.5, 3.0, 0.4]}
    set_settings(repository, "select_people", **fit, min_score=0.3)
    set_settings(repository, "postprocess", **fit, min_score=0.2)
    assert all("has min_score 0.3, postprocess/1 has 0.2" in fault for fault in faults(repository))
    set_settings(repository, "select_people", score_fit=None, min_score=0.3)
    set_settings(repository, "postprocess", score_fit=None, min_score=0.2)
    assert faults(repository) == []  # who is selected is in the response


def set_settings(repository: Path, step: str, **settings: Any) -> None:
    folder = repository / step / "1"
    manifest = StepManifest.read(folder)
    replace(manifest, settings={**manifest.settings, **settings}).write(folder)
