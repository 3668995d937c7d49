"""What each optimisation changes in a copy of the served model repository, and what it leaves."""

import importlib.util
import json
import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.json_format import MessageToDict

from benchmarks.speed import command, edits
from benchmarks.speed.changes import CHANGES, Change, as_bmp
from benchmarks.speed.errors import BenchError
from benchmarks.speed.optimisations import CALLERS, sides
from benchmarks.speed.shared_memory import SharedMemoryServer
from benchmarks.speed.targets import AFTER, BEFORE, Server
from peopleseg.cli.main import main
from peopleseg.pixels.images import decode_image
from peopleseg.pixels.masks import decode_rle
from peopleseg.repository.manifest import Manifest, read_manifest, reads_of, sha256
from peopleseg.repository.model_folder import versions_in
from peopleseg.repository.place import MODEL_REPOSITORY
from peopleseg.repository.triton_config import CONFIG_FILE, parse_config
from peopleseg.systems.people.ensembles import HEAD, served, serving_versions, steps_of
from peopleseg.systems.people.pipeline import Pipeline
from serving import onnx_model
from tests.data.encoded import astronaut
from tests.data.small_repository import write_head, write_pictures, write_small_repository

SPINNING = "session.intra_op.allow_spinning"
EDITED = [change for change in CHANGES if change.edit]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    repository = write_small_repository(tmp_path / "small")
    write_head(repository, 2)  # not served
    return repository


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    edits.copy_served(small, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks for the full-size ones; the head reads no features."""
    repository = write_small_repository(tmp_path / "published")
    write_head(repository, 1, reads=("roi_rgb", "roi_logit"))
    graph = "{}/1/model.onnx"
    monkeypatch.setattr(edits, "published_graph", lambda name: repository / graph.format(name))
    monkeypatch.setattr(
        edits,
        "write_traced_graph",
        lambda name, dims, path: shutil.copy(repository / graph.format(name), path),
    )


def settings(repository: Path, step: str) -> tuple[str, int, str]:
    """Backend, instances, and threads of each."""
    config = parse_config((repository / step / CONFIG_FILE).read_text())
    threads = config.parameters["intra_op_thread_count"].string_value
    return config.backend, config.instance_group[0].count, threads


def files(folder: Path) -> dict[Path, str]:
    return {path: sha256(path) for path in folder.rglob("*") if path.is_file()}


def edit_of(name: str) -> Any:
    return next(change.edit for change in CHANGES if change.name == name)


def test_every_change_has_a_name_of_its_own() -> None:
    names = [change.name for change in CHANGES]
    assert len(set(names)) == len(names)
    assert all(change.what for change in CHANGES)


def test_a_copy_serves_the_same_versions(small: Path, copy: Path) -> None:
    assert versions_in(small / HEAD) == versions_in(copy / HEAD) == [1, 2]
    assert served(copy) == served(small)
    assert serving_versions(copy) == serving_versions(small)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("change", EDITED, ids=lambda change: change.name)
def test_an_edited_copy_is_whole_and_the_served_one_untouched(
    change: Change, small: Path, copy: Path, tmp_path: Path
) -> None:
    before, unedited = files(small), files(copy)
    assert change.edit is not None
    change.edit(copy)
    assert files(small) == before
    # small graphs are plain, and in float
    assert change.name in ("blocked_layout", "int8_detector") or files(copy) != unedited
    for step, version in serving_versions(copy).items():
        folder = copy / step / str(version)
        read_manifest(folder).verify(folder)
    images, _ = write_pictures(tmp_path / "pictures", count=1)
    assert len(Pipeline(copy).segment((images / "0.png").read_bytes()).boxes) == 1


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        ("more_instances", "yolov9", ("onnxruntime", 1, "2")),
        ("more_instances", HEAD, ("onnxruntime", 1, "2")),
        ("more_instances", "preprocess", ("python", 1, "")),
        ("one_thread_everywhere", "people_unet", ("onnxruntime", 2, "1")),
        ("one_thread_everywhere", HEAD, ("onnxruntime", 2, "1")),
        ("more_python_steps", "roi_align", ("python", 2, "")),
        ("more_python_steps", "yolov9", ("onnxruntime", 2, "2")),
        ("sleeping_threads", HEAD, ("python", 2, "2")),
        ("sleeping_threads", "roi_align", ("python", 1, "")),
    ],
)
def test_an_edit_changes_the_configs_that_it_is_about(
    name: str, step: str, expected: tuple[str, int, str], copy: Path
) -> None:
    edit_of(name)(copy)
    assert settings(copy, step) == expected


def test_pictures_that_wait_are_batched_without_the_size_of_one(copy: Path) -> None:
    def sizes() -> list[int]:
        config = parse_config((copy / "yolov9" / CONFIG_FILE).read_text())
        return list(config.dynamic_batching.preferred_batch_size)

    assert sizes() == [1]
    edit_of("single_pictures")(copy)
    assert sizes() == []


def test_threads_that_slept_spin(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_of("sleeping_threads")(copy)
    for name in ("let_threads_sleep", "open_session"):  # which the step replaces
        monkeypatch.setattr(onnx_model, name, getattr(onnx_model, name))
    triton = types.ModuleType("triton_python_backend_utils")
    monkeypatch.setitem(sys.modules, triton.__name__, triton)
    spec = importlib.util.spec_from_file_location("spinning", copy / HEAD / "1" / "model.py")
    assert spec and spec.loader
    step = importlib.util.module_from_spec(spec)
    config = MessageToDict(
        parse_config((copy / HEAD / CONFIG_FILE).read_text()), preserving_proto_field_name=True
    )
    assert onnx_model.session_options(config, threads=1).get_session_config_entry(SPINNING) == "0"
    spec.loader.exec_module(step)
    with pytest.raises(RuntimeError, match=SPINNING):  # ONNX Runtime's default
        onnx_model.session_options(config, threads=1).get_session_config_entry(SPINNING)
    model = step.TritonPythonModel()
    model.initialize(
        {
            "model_config": json.dumps(config),
            "model_repository": str(copy / HEAD),
            "model_version": "1",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    assert model.model.sessions.whole.get_outputs()[0].name == "mask_logits"


@pytest.mark.usefixtures("published")
def test_the_ensembles_are_wired_for_what_the_full_head_reads(copy: Path) -> None:
    edit_of("lite_head")(copy)
    reads = reads_of(copy / HEAD / "1")
    assert reads == ("roi_rgb", "roi_logit")
    text = (copy / "person_segmentation" / CONFIG_FILE).read_text()
    assert 'input_map { key: "features"' not in text
    steps = [step.model_name for step in parse_config(text).ensemble_scheduling.step]
    assert steps == list(steps_of("person_segmentation", reads))


def test_the_float_version_of_a_quantised_checkpoint_takes_its_place(copy: Path) -> None:
    write_head(copy, 3, reads=("roi_rgb", "roi_logit"))
    head, other, of_same = (copy / HEAD / version for version in ("1", "2", "3"))
    replace(Manifest.read(head), precision="int8", checkpoint_sha256="same").write(head)
    replace(Manifest.read(other), checkpoint_sha256="other").write(other)
    with pytest.raises(BenchError, match="no version in fp32 of the checkpoint"):
        edits.in_float(copy, HEAD)
    replace(Manifest.read(of_same), checkpoint_sha256="same").write(of_same)
    edits.in_float(copy, HEAD)
    served_now = Manifest.read(head)
    served_now.verify(head)
    assert (served_now.precision, served_now.sha256) == ("fp32", Manifest.read(of_same).sha256)


def test_in_the_plain_layout_the_served_networks_answer_the_same(tmp_path: Path) -> None:
    edits.copy_served(MODEL_REPOSITORY, tmp_path)
    edit_of("blocked_layout")(tmp_path)
    graphs = []
    for repository in (MODEL_REPOSITORY, tmp_path):
        folder = repository / "people_unet" / str(serving_versions(repository)["people_unet"])
        graphs.append(onnx.load(folder / Manifest.read(folder).artifact).graph)
    served_nodes, plain_nodes = (
        {node.name: node.op_type for node in graph.node} for graph in graphs
    )
    assert "Sum" in served_nodes.values() and "Sum" not in plain_nodes.values()
    assert plain_nodes.items() < served_nodes.items()
    ours, theirs = (Pipeline(one).segment(astronaut()) for one in (MODEL_REPOSITORY, tmp_path))
    assert len(ours.boxes) >= 1
    np.testing.assert_allclose(theirs.boxes, ours.boxes, atol=0.1)
    for one, other in zip(ours.rles, theirs.rles, strict=True):
        assert (decode_rle(one) != decode_rle(other)).mean() < 1e-3


def test_what_is_served_is_after_what_was_kept_and_before_what_was_dropped() -> None:
    for change in CHANGES:
        named = {target.name for target in sides(change, "served", "other")}
        assert named == {BEFORE, AFTER}
        ours, theirs = sides(change, "served", "other")[:2]
        assert (ours.name == AFTER) == change.kept and type(ours) is Server
        asked = SharedMemoryServer if change.edit is None else Server
        assert type(theirs) is asked and ours.callers == theirs.callers == CALLERS[0]


def test_an_uncompressed_picture_has_the_same_pixels() -> None:
    bmp = as_bmp(astronaut())
    assert bmp[:2] == b"BM"
    np.testing.assert_array_equal(decode_image(bmp), decode_image(astronaut()))


def test_the_optimisations_are_not_those_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "require", lambda device: None)
    options = ["--images=none", "--annotations=none", "--device=cuda"]
    assert main(["bench", "optimisations", *options]) == 1
    assert "leave out --device" in capsys.readouterr().err
