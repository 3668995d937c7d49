"""`peopleseg bench runtimes`: what it opens, compares, leaves out and records."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from benchmarks.speed import runners
from benchmarks.speed.devices import CPU, CUDA
from benchmarks.speed.errors import BenchError, MissingTool
from benchmarks.speed.load import Slice
from benchmarks.speed.networks import RANDOM_WEIGHTS, Network, find_networks
from benchmarks.speed.result import slices_of
from benchmarks.speed.runtimes import (
    RUNTIMES,
    cases_of,
    compare_heads,
    group_name,
    open_all,
    runtimes_of,
)
from conversion.export.runners import torch_runner
from conversion.step_version import new_step_version
from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.person_mask_head import person_mask_head
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.networks.semantic.pair import DeepLabPair
from peopleseg.repository.manifest import WEIGHTS, Manifest, sha256
from peopleseg.systems.people.contract import HIERARCHICAL_HEAD
from tests.data.small_deeplab import FIRST, write_deeplab, write_semantic_repository
from tests.data.small_repository import write_small_repository

HEAD = HIERARCHICAL_HEAD.name

DIMS: dict[str, Any] = {  # of a head that takes a sixteenth of the time
    "variant": "lite",
    "feature_channels": 4,
    "reads_person_logit": True,
    "roi_size_hw": [16, 12],
}
CONSTANT = "presence_logit"  # of heads that do not judge presence
LITE, FULL = f"{HEAD} lite", f"{HEAD} b0"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its manifests say how networks are built, though its graphs are others."""
    folder = write_small_repository(tmp_path_factory.mktemp("small") / "repository")
    variants: dict[str, dict[str, Any]] = {
        "yolov9": {"variant": "t"},
        "people_unet": {"variant": "lite", "shrink": 5},
        HEAD: DIMS,
    }
    for name, variant in variants.items():
        version = folder / name / "1"
        replace(Manifest.read(version), variant=variant).write(version)
    return folder


@pytest.fixture(scope="module")
def networks(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Network]:
    folder = tmp_path_factory.mktemp("graphs")
    families = ("yolov9", "people_unet", HEAD)
    return {found.name: found for found in find_networks(repository, (), families, [1, 2], folder)}


class Bench:
    """Runs `peopleseg bench runtimes`, and reads what it leaves."""

    def __init__(self, repository: Path, results: Path) -> None:
        self.results = results
        self.options = [f"--model-repository={repository}", f"--results={results}", "--threads=1"]
        self.options += ["--rounds=2", "--seconds=0.01"]

    def __call__(self, *options: str) -> dict[str, Any]:
        assert main(["bench", "runtimes", *self.options, *options]) == 0
        result: dict[str, Any] = json.loads((self.results / "runtimes.json").read_text())
        return result


@pytest.fixture
def bench(repository: Path, tmp_path: Path) -> Bench:
    return Bench(repository, tmp_path / "results")


def test_every_runtime_is_opened_by_its_name() -> None:
    assert {device: tuple(openers) for device, openers in runners.OPENERS.items()} == RUNTIMES


def test_runtimes_keep_their_order_and_those_of_another_device_are_refused() -> None:
    assert runtimes_of(CPU, ()) == list(RUNTIMES[CPU])
    assert runtimes_of(CPU, ["torch", "onnxruntime"]) == ["onnxruntime", "torch"]
    with pytest.raises(BenchError, match="tensorrt does not run on --device cpu, which has onnx"):
        runtimes_of(CPU, ["torch", "tensorrt"])


def test_the_networks_are_those_served_and_the_full_head_with_the_same_inputs(
    networks: dict[str, Network],
) -> None:
    assert list(networks) == ["yolov9 t", "people_unet lite", LITE, FULL]
    groups = [group for group, _, _ in cases_of(list(networks.values()))]
    heads = [group_name(head, rois) for rois in (1, 2) for head in (LITE, FULL)]
    assert groups == ["yolov9 t x 1", "people_unet lite x 1", *heads]
    for size in (1, 2):
        lite, full = (networks[name].cases[size].inputs for name in (LITE, FULL))
        assert {name: values.shape for name, values in lite.items()} == {
            "roi_rgb": (size, 3, 16, 12),
            "roi_logit": (size, 1, 16, 12),
            "roi_features": (size, 4, 32, 24),
        }
        assert all(np.array_equal(lite[name], full[name]) for name in lite)


def test_a_published_detector_is_no_network_and_the_full_head_judges_nobody(
    repository: Path, tmp_path: Path
) -> None:
    other = tmp_path / "repository"
    shutil.copytree(repository, other)
    for name, variant in (
        ("yolov9", {"decoder": "nanodet", "input_size": 416}),
        (HEAD, DIMS | {"judges_presence": True}),
    ):
        version = other / name / "1"
        replace(Manifest.read(version), variant=variant).write(version)
    found = find_networks(other, (), ("yolov9", HEAD), [1], tmp_path)
    assert [network.name for network in found] == [LITE, FULL]
    assert [network.loaded.dims.get("judges_presence") for network in found] == [True, None]


def test_a_network_is_of_the_family_that_its_weights_say(tmp_path: Path) -> None:
    repository, size = write_semantic_repository(tmp_path / "repository"), 256
    version = write_deeplab(repository, 2, size=size)
    pair = DeepLabPair([DeepLab("optimised").dims] * 2)
    save_network(version / WEIGHTS, "deeplab_pair", pair, dims=pair.dims)
    manifest = replace(
        Manifest.read(version),
        variant=pair.dims,
        export={"size": size},
        weights_sha256=sha256(version / WEIGHTS),
    )
    manifest.write(version)
    new_step_version(repository, "preprocess", {"size": size})
    release = ["pair", "deeplab=2", "preprocess=3", *FIRST[2:], "--system", "semantic", "--offline"]
    assert main(["release", *release, f"--model-repository={repository}"]) == 0
    (found,) = find_networks(repository, (), ("deeplab",), [1], tmp_path)
    assert (found.loaded.family, found.describe()["model"]) == ("deeplab_pair", "deeplab")
    assert found.cases[1].inputs["pixels"].shape == (1, 3, size, size)
    save_network(tmp_path / "pair.ckpt", "deeplab_pair", pair, dims=pair.dims)
    (brought,) = find_networks(
        write_small_repository(tmp_path / "people"),
        [tmp_path / "pair.ckpt"],
        ("deeplab",),
        [1],
        tmp_path / "people",
    )
    assert brought.name == "deeplab_pair" and brought.weights == str(tmp_path / "pair.ckpt")


def test_random_weights_do_not_let_what_is_shown_fade(networks: dict[str, Network]) -> None:
    for network in networks.values():
        model = network.exportable.model
        (case, *_) = network.cases.values()
        outputs = torch_runner(network.exportable.module, model)(case.inputs)
        outputs.pop(CONSTANT, None)
        for values in outputs.values():
            assert np.isfinite(values).all()
            assert values.astype(np.float64).std() > 1e-2
        assert not any(module.training for module in network.exportable.module.modules())


def test_every_runtime_is_measured_and_compared_with_the_first(bench: Bench) -> None:
    options = [
        "--runtimes",
        "onnxruntime",
        "torch",
        "--networks",
        HEAD,
        "--rois",
        "3",
        "1",
    ]
    result = bench(*options)
    groups = [group_name(head, rois) for rois in (1, 3) for head in (LITE, FULL)]
    slices = slices_of(result)
    once = [(name, group) for group in groups for name in ("onnxruntime", "torch")]
    first = [(one.target, one.group) for one in slices if one.round == 0]
    assert first == once
    assert sorted((one.target, one.group) for one in slices if one.round == 1) == sorted(once)
    assert all(one.calls_ms and not one.failures for one in slices)
    metrics = result["metrics"]
    for group in groups:
        assert list(metrics["differences"][group]) == ["torch"]
        gap = metrics["differences"][group]["torch"]["mask_logits"]
        assert gap["max"] < 1e-3 < gap["magnitude"]
    described = metrics["networks"][LITE]
    assert described["dims"] == DIMS and described["weights"] == RANDOM_WEIGHTS
    assert [(one["network"], one["runtime"], one["rois"]) for one in metrics["heads"]] == [
        (head, runtime, rois)
        for runtime in ("onnxruntime", "torch")
        for rois in (1, 3)
        for head in (LITE, FULL)
    ]
    assert main(["bench", "report", f"--results={bench.results}"]) == 0
    assert f"| {FULL} x 3 | torch |" in (bench.results / "speed.md").read_text()


def test_a_checkpoint_s_network_comes_in_place_of_its_namesake(
    bench: Bench, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    trained = person_mask_head(**DIMS).eval()
    save_network(tmp_path / "lite.ckpt", HEAD, trained, dims=trained.dims)
    unet = PeopleUNet("lite", 5)
    save_network(tmp_path / "unet.ckpt", "people_unet", unet, dims=unet.dims)
    files = [str(tmp_path / "lite.ckpt"), str(tmp_path / "unet.ckpt")]
    options = [
        "--runtimes",
        "onnxruntime",
        "--networks",
        HEAD,
        "--rois",
        "1",
        "--checkpoint",
    ]
    found = bench(*options, *files)["metrics"]["networks"]
    assert {name: network["weights"] for name, network in found.items()} == {
        LITE: files[0],
        FULL: RANDOM_WEIGHTS,
    }


def test_what_cannot_be_a_network_is_named(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"nothing")
    head = person_mask_head(**DIMS)
    for name in ("one.ckpt", "other.ckpt"):
        save_network(tmp_path / name, HEAD, head, dims=head.dims)
    unknown = write_small_repository(tmp_path / "unknown")  # whose manifests say nothing
    for options, message in (
        (["--checkpoint", str(broken)], f"{broken} is not a checkpoint"),
        (["--checkpoint", str(tmp_path / "none.ckpt")], "none.ckpt"),
        (
            ["--checkpoint", *(str(tmp_path / name) for name in ("one.ckpt", "other.ckpt"))],
            f"other.ckpt both hold a {LITE}",
        ),
        ([f"--model-repository={unknown}"], "does not say how the network is built"),
        (["--networks", "feature_head"], "serves no feature_head; name a checkpoint"),
        (["--runtimes", "torch_cuda_graph"], "torch_cuda_graph does not run on --device cpu"),
    ):
        plain = {"--networks": HEAD, "--runtimes": "torch"}
        given = [word for pair in plain.items() if pair[0] not in options for word in pair]
        others = bench.options[1:] if "repository" in options[0] else bench.options
        assert main(["bench", "runtimes", *others, *given, *options]) == 1
        assert message in capsys.readouterr().err
    assert not bench.results.exists()


def test_a_runtime_that_is_not_on_this_machine_is_left_out_and_named(
    networks: dict[str, Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    lite = [networks[LITE]]
    opened, left_out = open_all(["torch", "torch_compile"], lite, device=CPU, threads=1)
    assert list(opened) == ["torch"]
    assert list(left_out) == ["torch_compile"] and "there is no g++" in left_out["torch_compile"]
    with pytest.raises(MissingTool, match="there is no g++"):
        open_all(["torch_compile"], lite, device=CPU, threads=1)


@pytest.mark.skipif(
    torch.cuda.is_available() or "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this machine can use a GPU",
)
def test_without_a_gpu_every_runtime_for_it_says_what_it_lacks(
    networks: dict[str, Network],
) -> None:
    for name in RUNTIMES[CUDA]:
        with pytest.raises(MissingTool, match="onnxruntime-gpu|TensorRT|finds no GPU|triton"):
            runners.open_runner(networks[LITE], name, device=CUDA, threads=1)


@pytest.mark.parametrize("name", ["people_unet lite", "yolov9 t", LITE, FULL])
def test_in_fp16_the_types_stay_and_the_responses_nearly(
    name: str, networks: dict[str, Network]
) -> None:
    network = networks[name]
    module, model = network.exportable.module, network.exportable.model
    inputs = dict(network.cases[1].inputs)
    if "pixels" in inputs:  # a corner is enough: CPUs are slow with FP16
        inputs["pixels"] = inputs["pixels"][..., :320, :320].copy()
    full, half = (torch_runner(one, model)(inputs) for one in (module, runners.halved(module)))
    for output in full.keys() - {CONSTANT}:
        assert half[output].dtype == full[output].dtype
        gap = np.abs(half[output].astype(np.float64) - full[output])
        assert 0 < gap.mean() < 0.2 * np.abs(full[output], dtype=np.float64).mean()
    assert all(values.dtype == torch.float32 for values in network.exportable.module.parameters())


def test_heads_are_compared_by_the_person_within_each_round() -> None:
    def slices(head: str, rois: int, calls_ms: Sequence[float]) -> list[Slice]:
        group = group_name(head, rois)
        return [
            Slice("torch", group, 1, number, 1.0, [(0.0, ms)], {})
            for number, ms in enumerate(calls_ms)
        ]

    measured = [*slices("lite", 5, (10, 20, 40)), *slices("full", 5, (100, 400, 280))]
    lite, full = compare_heads(measured, ["lite", "full"], [5])
    assert (lite["ms_a_person"], lite["times_first"]) == (4, [1, 1, 1])
    assert (full["ms_a_person"], full["times_first"]) == (56, [10, 7, 20])


class Tiny(nn.Module):
    """As an exported people UNet, but of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels.float() / 255)


@pytest.mark.slow
def test_compiled_it_answers_the_same(networks: dict[str, Network]) -> None:
    unet = networks["people_unet lite"]
    tiny = replace(unet, exportable=replace(unet.exportable, module=Tiny().eval()))
    (case,) = tiny.cases.values()
    plain, compiled = (
        runners.open_runner(tiny, name, device=CPU, threads=1)(case.inputs)
        for name in ("torch", "torch_compile")
    )
    np.testing.assert_allclose(compiled["person_logit"], plain["person_logit"], atol=1e-4)


def test_a_compiler_that_fails_is_told(
    networks: dict[str, Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(module: nn.Module, **options: Any) -> Any:
        return torch_compile(module, backend=fail, **options)

    def fail(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no Python.h here")

    torch_compile = torch.compile
    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(MissingTool, match="torch.compile fails with people_unet lite.*no Python.h"):
        runners.open_runner(networks["people_unet lite"], "torch_compile", device=CPU, threads=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_runtimes_agree(bench: Bench) -> None:
    metrics = bench("--device=cuda", "--rois", "1", "3")["metrics"]
    assert "torch_cuda_graph" not in metrics["left_out"]
    for by_runtime in metrics["differences"].values():
        for found in by_runtime.values():
            for name, gap in found.items():
                assert gap["mean"] <= 0.05 * gap["magnitude"], name
