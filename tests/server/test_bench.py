"""`peopleseg bench` on a real server with small networks: what it measures, not how fast it is."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed import devices, perf_analyzer
from benchmarks.speed.devices import CPU, CUDA
from benchmarks.speed.errors import BenchError, MissingTool
from benchmarks.speed.memory import AT_REST, UNDER_LOAD, measure
from benchmarks.speed.options import running_server
from benchmarks.speed.peers import DETECTOR_AND_UNET, OTHER_REPOSITORY, PEERS
from benchmarks.speed.result import slices_of
from benchmarks.speed.steps import ENSEMBLE
from benchmarks.speed.tables import PARTS
from benchmarks.speed.targets import (
    MANY_CALLERS,
    ONE_CALLER,
    SERVER,
    Group,
    PeopleRequest,
    Server,
    check_responses,
)
from peopleseg.cli.main import main
from peopleseg.pixels.masks import decode_rle
from peopleseg.systems.known import ENSEMBLES, STEPS
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions, steps_of
from serving.embedded import EmbeddedServer
from serving.errors import ServerStartError
from serving.ports import free_ports
from tests.data.small_repository import READS, write_images, write_small_repository

pytestmark = pytest.mark.server

ROUNDS, SECONDS = 2, 0.1


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_repository(tmp_path_factory.mktemp("small") / "repository")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_images(tmp_path_factory.mktemp("images"), count=2)


class Bench:
    """Runs `peopleseg bench`, and reads what it leaves."""

    def __init__(self, repository: Path, data: tuple[Path, Path], results: Path) -> None:
        images, annotations = data
        self.results = results
        self.options = [f"--model-repository={repository}", f"--results={results}", "--threads=2"]
        self.options += [f"--images={images}", f"--annotations={annotations}"]

    def __call__(self, benchmark: str, *options: str, code: int = 0) -> dict[str, Any]:
        assert main(["bench", benchmark, *self.options, *options]) == code
        result: dict[str, Any] = json.loads((self.results / f"{benchmark}.json").read_text())
        return result


@pytest.fixture
def bench(repository: Path, images: tuple[Path, Path], tmp_path: Path) -> Bench:
    return Bench(repository, images, tmp_path / "results")


def rounds(url: str) -> list[str]:
    return [f"--rounds={ROUNDS}", f"--seconds={SECONDS}", f"--url={url}"]


def test_the_server_and_the_limit_are_measured_by_turns(
    bench: Bench, served: EmbeddedServer, repository: Path
) -> None:
    result = bench("server", *rounds(served.grpc_url), "--concurrency", "1", "2")
    slices = slices_of(result)
    kinds = [(ONE_CALLER, 1), (MANY_CALLERS, 2), (SERVER, 1), (SERVER, 2)]
    assert [(one.target, one.callers) for one in slices] == [*kinds, *kinds[::-1]]
    assert [one.round for one in slices] == [0] * 4 + [1] * 4
    assert {one.group for one in slices} == {"1"}
    assert all(one.calls_ms and not one.failures for one in slices)
    assert result["versions"] == serving_versions(repository, PEOPLE)
    assert result["software"]["triton"] == "2.51.0"
    assert [record["found"] for record in result["settings"]["images"]] == [1, 1]
    assert main(["bench", "report", f"--results={bench.results}"]) == 0


def test_a_server_with_other_networks_is_refused(
    served: EmbeddedServer,
    bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_small_repository(tmp_path / "other")
    manifest = other / "select_people" / "1" / "manifest.json"
    settings = json.loads(manifest.read_text())
    settings["settings"]["min_score"] = 0.99
    manifest.write_text(json.dumps(settings))
    options = [*bench.options[1:], f"--model-repository={other}", *rounds(served.grpc_url)]
    assert main(["bench", "server", *options]) == 1
    assert "finds 1 people where the model repository's networks find 0" in capsys.readouterr().err
    assert not bench.results.exists()


@pytest.mark.parametrize("benchmark", ["server", "steps", "rois", "peers"])
def test_an_address_where_nobody_answers_is_an_error(
    bench: Bench, benchmark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"127.0.0.1:{free_ports(1)[0]}"
    peers = ["--peers", DETECTOR_AND_UNET] if benchmark == "peers" else []
    assert main(["bench", benchmark, *bench.options, *rounds(url), *peers]) == 1
    assert f"{url} is not available" in capsys.readouterr().err


def test_a_bad_image_is_a_failure_with_its_step(served: EmbeddedServer) -> None:
    group = Group("1", [PeopleRequest(b"no image", people=1)])
    calls = Server(served.grpc_url, callers=2).run(group, SECONDS)
    assert calls.calls_ms == []
    assert list(calls.failures) == ["InvalidImage in preprocess"]


def test_every_step_s_time_and_bytes_are_measured(bench: Bench, served: EmbeddedServer) -> None:
    result = bench("steps", *rounds(served.grpc_url), "--concurrency", "1", "2")
    samples = result["samples"]
    counts = Counter((one["target"], one["callers"]) for one in samples)
    assert counts == {(ONE_CALLER, 1): ROUNDS, (SERVER, 1): ROUNDS, (SERVER, 2): ROUNDS}
    for sample in samples:
        assert list(sample["steps"]) == list(
            steps_of(ENSEMBLES[ENSEMBLE], {"hierarchical_head": READS})
        )
        assert all(times["compute_infer"] > 0 for times in sample["steps"].values())
        for times in sample["steps"].values():
            on_server = sample["target"] == SERVER
            assert list(times) == (list(PARTS) if on_server else ["compute_infer"])
            # No part of a request takes longer than the request.
            assert max(times.values()) <= sample["latency_ms"]
        if sample["target"] == ONE_CALLER:
            assert sample["tensor_bytes"]["yolov9"]["read"] == 3 * 640 * 640


def test_latency_is_measured_from_no_roi_to_the_most(bench: Bench, served: EmbeddedServer) -> None:
    result = bench("rois", *rounds(served.grpc_url), "--rois", "0", "3", "64")
    slices = slices_of(result)
    asked = Counter((one.target, one.group) for one in slices)
    assert asked == {(name, n): ROUNDS for name in (ONE_CALLER, SERVER) for n in ("0", "3", "64")}
    assert all(one.calls_ms and not one.failures for one in slices)


def test_memory_is_read_at_rest_under_load_and_after_requests(bench: Bench) -> None:
    result = bench("memory", "--requests", "5", "60", "--concurrency=2")
    samples = result["samples"]
    stages = list(dict.fromkeys(sample["stage"] for sample in samples))
    assert stages[0] == AT_REST and stages[-1] == "after 60 requests"
    assert UNDER_LOAD in stages and "after 5 requests" in stages
    assert samples[0]["requests"] == 0 and samples[-1]["requests"] >= 60
    for sample in samples:
        names = {re.sub(r"_0_[1-9]$", "", name) for name in sample["processes"]}
        assert names >= {"tritonserver", "preprocess", "yolov9", "postprocess"}
        assert names <= {"tritonserver", *STEPS}
        for sizes in sample["processes"].values():
            assert 1 < sizes["pss_mb"] <= sizes["rss_mb"]


def test_a_server_that_answers_no_more_is_not_waited_for(served: EmbeddedServer) -> None:
    assert served.pid is not None
    broken = Group("1", [PeopleRequest(b"no image", people=1)])
    with pytest.raises(BenchError, match="answers no more.*InvalidImage in preprocess"):
        measure(Server(served.grpc_url, 1), served.pid, broken, [10])


def test_a_peer_is_measured_beside_the_server(
    bench: Bench, served: EmbeddedServer, tmp_path: Path
) -> None:
    options = ["--peers", DETECTOR_AND_UNET, f"--cache={tmp_path / 'cache'}"]
    slices = slices_of(bench("peers", *rounds(served.grpc_url), *options))
    names = {(one.target, one.callers) for one in slices}
    assert names == {(SERVER, 1), (ONE_CALLER, 1), (DETECTOR_AND_UNET, 1)}


def test_another_repository_is_measured_when_it_is_named(
    bench: Bench,
    served: EmbeddedServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_small_repository(tmp_path / "other")
    options = [*rounds(served.grpc_url), "--peers", DETECTOR_AND_UNET]
    slices = slices_of(bench("peers", *options, f"--other-repository={other}"))
    assert all(one.calls_ms for one in slices if one.target == OTHER_REPOSITORY)
    assert OTHER_REPOSITORY in {one.target for one in slices}
    missing = f"--yolo-seg={tmp_path / 'no.onnx'}"
    assert main(["bench", "peers", *bench.options, *options, missing]) == 2
    assert "no.onnx: there is no such file or folder" in capsys.readouterr().err


@pytest.mark.slow
def test_all_peers_answer_and_their_graphs_are_kept(
    bench: Bench, served: EmbeddedServer, tmp_path: Path
) -> None:
    options = ["--rounds=1", "--seconds=0.01", f"--url={served.grpc_url}"]
    cache = tmp_path / "cache"
    result = bench("peers", *options, f"--cache={cache}")
    slices = slices_of(result)
    assert {one.target for one in slices} == {SERVER, ONE_CALLER, *PEERS}
    assert all(one.calls_ms and not one.failures for one in slices)
    assert result["settings"]["mask_rcnn_torch_operators"]
    kept = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(kept) == 3 and all(path.suffix == ".onnx" for path in kept)
    bench("peers", *options, f"--cache={cache}")
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == kept
    shutil.rmtree(cache)


@pytest.mark.skipif(bool(devices.gpu()), reason="this machine has a GPU")
def test_for_cuda_the_server_takes_the_configs_for_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # its log stays where it fails
    with (
        pytest.raises(ServerStartError, match="yolov9 has kind KIND_GPU but"),
        running_server(repository, device=CUDA),
    ):
        pass


@pytest.mark.gpu
def test_on_a_gpu_the_server_and_the_limit_are_measured(
    bench: Bench,
) -> None:
    try:
        devices.require(CUDA)
    except MissingTool as missing:
        pytest.skip(str(missing))
    result = bench("server", "--device=cuda", "--rounds=1", f"--seconds={SECONDS}")
    assert result["provider"] == "CUDAExecutionProvider" and result["machine"]["gpu"]
    assert all(one.calls_ms and not one.failures for one in slices_of(result))


@pytest.mark.slow
def test_mask_rcnn_answers_the_same_by_pytorch_and_by_onnx_runtime(
    images: tuple[Path, Path], tmp_path: Path
) -> None:
    from benchmarks.peers.mask_rcnn.speed import InOnnxRuntime, InTorch, MaskRCNN, export

    module, path = MaskRCNN(), tmp_path / "mask_rcnn.onnx"
    export(module, path)
    image = (images[0] / "0.png").read_bytes()
    for people in (0, 1, 5):
        request = PeopleRequest(image, people)
        ours = InTorch(module, threads=1, device=CPU)(request)
        theirs = InOnnxRuntime(path, threads=1, device=CPU)(request)
        assert len(ours.boxes_xyxy) == len(ours.rles) == people
        np.testing.assert_allclose(theirs.boxes_xyxy, ours.boxes_xyxy, atol=1e-2)
        for one, other in zip(ours.rles, theirs.rles, strict=True):
            differing = np.count_nonzero(decode_rle(one) != decode_rle(other))
            assert differing <= 0.01 * decode_rle(one).size
    path.unlink()


def test_perf_analyzer_measures_the_same_ensemble(bench: Bench, served: EmbeddedServer) -> None:
    folder = perf_analyzer.DEFAULT_FOLDER  # fetched once
    try:
        perf_analyzer.find_perf_analyzer(folder)
    except MissingTool as error:
        pytest.skip(f"no perf_analyzer: {error}")
    options = ["--concurrency", "2", "--perf-analyzer", f"--perf-analyzer-folder={folder}"]
    slices = slices_of(bench("server", *rounds(served.grpc_url), *options))
    (first, second) = [one for one in slices if one.target == perf_analyzer.TARGET]
    for one in (first, second):
        assert one.callers == 2 and len(one.calls_ms) >= 4 and one.rate > 0
        assert all(end > begin >= 0 for begin, end in one.calls_ms)


def test_perf_analyzer_s_failure_is_told(
    bench: Bench, served: EmbeddedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tool"
    folder.mkdir()
    for name in (perf_analyzer.CUDA_RUNTIME, perf_analyzer.BASE64):
        (folder / name).touch()
    script = '#!/bin/sh\n[ "$1" = --version ] || { echo "queue is full" >&2; exit 99; }\n'
    (folder / perf_analyzer.PROGRAM).write_text(script)
    options = [
        *bench.options,
        *rounds(served.grpc_url),
        "--perf-analyzer",
        f"--perf-analyzer-folder={folder}",
    ]
    assert main(["bench", "server", *options, "--concurrency=1"]) == 1
    assert "perf_analyzer ended with 99: queue is full" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason="needs locust")
def test_locust_s_users_are_answered_and_failures_counted_by_cause(
    served: EmbeddedServer, images: tuple[Path, Path], root: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    command = [sys.executable, "-m", "locust", "-f", "benchmarks/locustfile.py", "--headless"]
    command += ["--host", served.grpc_url, "--users=2", "--spawn-rate=2", "--run-time=2s"]
    for given, code in ((images[0], 0), (broken, 1)):
        done = subprocess.run(
            [*command, "--images", str(given), "--csv", str(tmp_path / "run")],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        failures = (tmp_path / "run_failures.csv").read_text()
        assert ("Failure('InvalidImage in preprocess')" in failures) == (given == broken)
        statistics = (tmp_path / "run_stats.csv").read_text()
        assert f"gRPC,{ENSEMBLE}," in statistics


def test_the_same_responses_are_recognised(
    served: EmbeddedServer, images: tuple[Path, Path]
) -> None:
    image = (images[0] / "0.png").read_bytes()
    check_responses(served.grpc_url, [Group("1", [PeopleRequest(image, people=1)])])
