"""`peopleseg bench versions`: what it finds, refuses, asks and records."""

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from benchmarks.speed.errors import BenchError
from benchmarks.speed.process_memory import memory_of
from benchmarks.speed.result import slices_of
from benchmarks.speed.targets import InProcess
from benchmarks.speed.version_folders import find_versions, inputs_of
from benchmarks.speed.versions import look, shuffled
from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.networks.semantic.pair import DeepLabPair
from peopleseg.pixels.examples import example_images
from peopleseg.pixels.images import prepare_file
from peopleseg.repository.manifest import WEIGHTS, Manifest, sha256
from peopleseg.runtime.onnx_session import ModelLoadError
from tests.data.small_deeplab import SIZE, write_deeplab, write_semantic_repository
from tests.data.small_repository import READS, write_head, write_people_unet, write_version

ROUNDS = 2
CHANNELS = 12  # of the large UNet: 20 MB of constants, and as much again while it computes
FILLED = CHANNELS * 640 * 640 * 4  # bytes
OPTIMISED = 2_516_853  # parameters, as published


def write_large_unet(repository: Path, version: int) -> Path:
    """Its response is the mean of so many channels."""
    nodes = [
        helper.make_node("Gather", ["pixels", "first"], ["bytes"], axis=1),
        helper.make_node("Cast", ["bytes"], ["red"], to=1),
        helper.make_node("Mul", ["red", "filled"], ["many"]),
        helper.make_node("ReduceMean", ["many"], ["person_logit"], axes=[1]),
    ]
    constants: dict[str, Any] = {
        "first": np.array([0]),
        "filled": np.random.default_rng(0).random((CHANNELS, 640, 640), dtype=np.float32),
    }
    return write_version(repository, "people_unet", version, nodes, constants, {})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """people_unet/2 is larger than 1; deeplab/2 reads a larger square."""
    folder = write_semantic_repository(tmp_path_factory.mktemp("small") / "repository")
    write_large_unet(folder, 2)
    write_deeplab(folder, 2, size=2 * SIZE)
    manifest = Manifest.read(folder / "people_unet" / "2")
    replace(
        manifest,
        precision="int8",
        accuracy={"people_seg_miou": 0.5},
        accuracy_data="9 photos",
        accuracy_gate={"metric": "foreground_miou", "before": 0.75, "after": 0.74},
    ).write(folder / "people_unet" / "2")
    return folder


def bench(repository: Path, results: Path, *options: str) -> int:
    quick = [f"--rounds={ROUNDS}", "--seconds=0.01", f"--results={results}"]
    here = f"--model-repository={repository}"
    return main(["bench", "versions", *options, here, *quick])


def with_weights(version: Path, family: str, network: Any) -> None:
    path = version / WEIGHTS
    save_network(path, family, network, dims=network.dims)
    manifest = replace(Manifest.read(version), variant=network.dims, weights_sha256=sha256(path))
    manifest.write(version)


def test_two_versions_are_measured_by_turns_and_compared(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["people_unet/1", "people_unet/2"]
    assert bench(repository, tmp_path, *names, "--threads", "1") == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "versions.json").read_text())
    slices = slices_of(result)
    expected = Counter({(name, "1", number): 1 for name in names for number in range(ROUNDS)})
    assert Counter((one.target, one.group, one.round) for one in slices) == expected
    assert all(one.calls_ms and not one.failures for one in slices)
    assert len(result["metrics"]["memory"]) == 2 * ROUNDS
    described = result["metrics"]["versions"]
    assert list(described) == names
    for name, one in described.items():
        assert one["bytes"] == (repository / name / "model.onnx").stat().st_size
        assert one["parameters"] is None
    for line in (
        "| people_unet/2 | int8, stored fp32, for cpu | ",
        "| people_seg_miou 0.500, foreground_miou 0.750 before int8, 0.740 after | 9 photos |",
        "| people_unet/1 | 1 | ",
    ):
        assert line in printed
    assert main(["bench", "report", f"--results={tmp_path}"]) == 0
    page = (tmp_path / "speed.md").read_text()
    assert printed.split("\n\nwritten")[0].strip() in page


def test_memory_is_what_the_network_adds(repository: Path) -> None:
    versions = find_versions(repository, ["people_unet/1", "people_unet/2"])
    inputs = {version.name: inputs_of(version.folder) for version in versions}
    looks = look(versions, inputs, threads=1, rounds=ROUNDS)
    names = [(version.name, number) for number in range(ROUNDS) for version in versions]
    assert [(one.version, one.round) for one in looks] == names
    for one in looks:
        assert one.before < one.steady <= one.peak + 2**20  # the kernel counts by batches
    for small, large in zip(looks[::2], looks[1::2], strict=True):
        more = (large.steady - large.before) - (small.steady - small.before)
        assert 1.8 * FILLED < more < 6 * FILLED


def test_versions_of_several_models_take_folders_too(repository: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "3"
    shutil.copytree(repository / "deeplab" / "2", elsewhere)
    given = ["deeplab/1", str(elsewhere), "people_unet/1"]
    found = find_versions(repository, given)
    assert [version.name for version in found] == ["deeplab/1", "deeplab/3", "people_unet/1"]
    assert found[1].folder == elsewhere
    namesake = tmp_path / "other" / "1"
    shutil.copytree(elsewhere, namesake)
    given = ["deeplab/1", str(namesake)]
    assert [version.name for version in find_versions(repository, given)] == given


def test_pixels_are_example_images_as_large_as_the_version_reads(repository: Path) -> None:
    for version, size in ((1, SIZE), (2, 2 * SIZE)):
        calls = inputs_of(repository / "deeplab" / str(version))
        for inputs, image in zip(calls, example_images(), strict=True):
            assert list(inputs) == ["pixels"]
            np.testing.assert_array_equal(inputs["pixels"], prepare_file(image, size)[0])


def test_other_inputs_are_random_and_those_unread_have_one_cell(tmp_path: Path) -> None:
    folder = write_head(tmp_path, 2, reads=READS[:1])
    first, second, _ = inputs_of(folder)
    assert first["roi_rgb"].shape == (1, 3, 64, 48) and first["roi_rgb"].dtype == np.float32
    assert 200 < first["roi_rgb"].max() <= 255
    assert not np.array_equal(first["roi_rgb"], second["roi_rgb"])
    for name in READS[1:]:
        assert first[name].shape == (1, 1, 1, 1) and not first[name].any()
    again, *_ = inputs_of(folder)
    np.testing.assert_array_equal(first["roi_rgb"], again["roi_rgb"])


def test_an_open_length_that_is_read_is_refused(tmp_path: Path) -> None:
    folder = write_head(tmp_path, 1)
    manifest = Manifest.read(folder)
    manifest.tensors["inputs"]["roi_features"]["shape"] = [-1, 32, 24]
    manifest.write(folder)
    with pytest.raises(BenchError, match="how long its input roi_features is"):
        inputs_of(folder)


def test_parameters_are_those_of_the_network_in_torch(tmp_path: Path) -> None:
    """Norms' statistics, which lie in the file too, are none; a pair has those of both."""
    network = DeepLab("optimised")
    pair = DeepLabPair([network.dims, network.dims])
    with_weights(write_deeplab(tmp_path, 1), "deeplab", network)
    with_weights(write_deeplab(tmp_path, 2), "deeplab_pair", pair)
    single, double = find_versions(tmp_path, ["deeplab/1", "deeplab/2"])
    assert (single.parameters(), double.parameters()) == (OPTIMISED, 2 * OPTIMISED)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["people_unet/1"], 2, "two versions or more, each once, got people_unet/1;"),
        (["people_unet/1", "{}/people_unet/1"], 2, "two versions or more, each once"),
        (["people_unet/1", "people_unet/9"], 2, "no version people_unet/9, neither as a folder"),
        (["people_unet/1", "people_unet/9"], 2, "versions of it are: 1, 2"),
        (["people_unet/1", "people_unet"], 2, "versions of it are: 1, 2"),
        (["people_unet/1", "nobody/1"], 2, "versions of it are: none"),
        (["people_unet/1", "postprocess/1"], 1, "a Python step, not of a network"),
        (["people_unet/1", "--threads=0"], 2, "whole number"),
    ],
)
def test_what_cannot_be_compared_is_told(
    given: list[str],
    code: int,
    said: str,
    repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench(repository, tmp_path, *(one.format(repository) for one in given)) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_tensorrt_engine_and_a_changed_file_are_refused(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, changed = (write_people_unet(tmp_path / name, 1) for name in ("engine", "changed"))
    manifest = Manifest.read(engine)
    (engine / "model.onnx").rename(engine / "model.plan")
    replace(manifest, artifact="model.plan", accelerator="tensorrt").write(engine)
    write_large_unet(tmp_path / "other", 1)
    shutil.copy(tmp_path / "other" / "people_unet" / "1" / "model.onnx", changed)
    for folder, said in (
        (engine, "holds model.plan, a TensorRT engine, which runs on its own kind of GPU alone"),
        (changed, "its manifest says"),
    ):
        assert bench(repository, tmp_path / "results", "people_unet/1", str(folder)) == 1
        assert said in capsys.readouterr().err


def test_every_round_has_another_order_of_all() -> None:
    targets = [InProcess(name, len) for name in "abc"]
    orders = ["".join(one.name for one in shuffled(targets, number)) for number in range(-1, 12)]
    assert {"".join(sorted(order)) for order in orders} == {"abc"}
    assert {order[0] for order in orders} == set("abc") and len(set(orders)) > 3
    assert orders[1] == "".join(one.name for one in shuffled(targets, 0))


class Dies:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_a_process_that_cannot_open_or_is_killed_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(ModelLoadError, match=f"cannot load {broken}"):
        memory_of(broken, [{}], threads=1)
    with pytest.raises(BenchError, match=f"the process that opened {broken} was killed"):
        memory_of(broken, [Dies()], threads=1)  # type: ignore[list-item]
