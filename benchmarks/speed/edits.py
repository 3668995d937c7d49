"""What makes another of a copy of the served model repository: one optimisation less, or one more.

Every edit takes the folder of the copy and changes it in place, so that it is still whole: its
manifests describe its artifacts, and its ensembles wire what its networks read.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.speed.errors import BenchError
from benchmarks.speed.random_weights import published_graph, write_traced_graph
from peopleseg.repository.manifest import FILE_NAME, STEP_ARTIFACT, Manifest, reads_of, sha256
from peopleseg.repository.triton_config import CONFIG_FILE, parse_config
from peopleseg.systems.people.ensembles import HEAD, config_text, served, serving_versions
from serving.triton_wheel import OWN_BACKENDS

NETWORKS, STEPS = "onnxruntime", "python"  # backends
_THREADS = "intra_op_thread_count"
# Before the backend's own lines: the graph, though a Python step's config names the step's file;
# and ONNX Runtime's default for its threads, or all threads for every operator of a whole batch.
_OWN_GRAPH = """\
from serving import onnx_model, threaded_session

open_session = onnx_model.open_session
onnx_model.open_session = lambda path, *how: open_session(path.with_name("{graph}"), *how)
"""
_SPINNING = """\
onnx_model.let_threads_sleep = lambda options: None

"""
_WHOLE_BATCHES = """\
threaded_session.ThreadedSession.run = lambda self, names, inputs: dict(
    zip(names, self.whole.run(names, inputs))
)

"""


def copy_served(repository: Path, copy: Path) -> None:
    """Of a model repository its ensembles, and their steps with all versions."""
    for folder in (*served(repository), *serving_versions(repository)):
        shutil.copytree(repository / folder, copy / folder)


def let_threads_spin(repository: Path) -> None:
    """Of the networks; it tells only where an instance has several. RoIAlign's go on sleeping."""
    _as_python_steps(repository, _SPINNING)


def compute_whole_batches(repository: Path) -> None:
    """In every network, with all of its threads in every operator, whoever else computes."""
    _as_python_steps(repository, _WHOLE_BATCHES)


def one_instance_of_two_threads(repository: Path) -> None:
    """Of every network."""
    for config in _edited_configs(repository, NETWORKS):
        config.instance_group[0].count = 1
        config.parameters[_THREADS].string_value = "2"


def batch_all_that_wait(repository: Path) -> None:
    """In every network."""
    for config in _edited_configs(repository, NETWORKS):
        del config.dynamic_batching.preferred_batch_size[:]


def one_thread_everywhere(repository: Path) -> None:
    """In every instance of a network."""
    for config in _edited_configs(repository, NETWORKS):
        config.parameters[_THREADS].string_value = "1"


def two_instances_of_python_steps(repository: Path) -> None:
    for config in _edited_configs(repository, STEPS):
        config.instance_group[0].count = 2


def plain_layout(repository: Path) -> None:
    """Of every network's graph."""
    # These imports bring torch.
    import onnx

    from conversion.export.blocked_layout import leave_blocked

    for config in _edited_configs(repository, NETWORKS):
        folder = _version_folder(repository, config.name)
        model = onnx.load(folder / Manifest.read(folder).artifact)
        leave_blocked(model)
        _put_graph(folder, model)


def full_size(repository: Path, network: str) -> None:
    """The published people_unet or hierarchical_head, rewritten like the served graphs.

    Its weights are random: it takes the same time, but its masks are nobody's.
    """
    import onnx

    from conversion.export.for_processors import rewrite_for_processors

    model = onnx.load(published_graph(network))
    rewrite_for_processors(model)
    # Its manifest leaves to the graph what it reads, and how its tensors are shaped.
    _put_graph(_version_folder(repository, network), model, variant={}, tensors={}, reads=[])
    versions = serving_versions(repository)
    reads = reads_of(_version_folder(repository, HEAD))
    for ensemble in served(repository):
        text = config_text(ensemble, versions, reads)
        (repository / ensemble / CONFIG_FILE).write_text(text)


def as_traced(repository: Path, network: str) -> None:
    """The network as torch's exporter writes it, rewritten for the blocked layout alone.

    Its weights are random, as those of `full_size`.
    """
    import onnx

    from conversion.export.blocked_layout import keep_blocked

    folder = _version_folder(repository, network)
    manifest = Manifest.read(folder)
    path = folder / manifest.artifact
    write_traced_graph(manifest.model, manifest.variant, path)
    model = onnx.load(path)
    keep_blocked(model)
    _put_graph(folder, model)


def in_float(repository: Path, network: str) -> None:
    """The version in FP32 of the checkpoint of which one in INT8 is served."""
    import onnx

    folder = _version_folder(repository, network)
    found = float_version(folder)
    _put_graph(folder, onnx.load(found / Manifest.read(found).artifact), precision="fp32")


def float_version(folder: Path) -> Path:
    """Of a network's version the one in FP32 of the same checkpoint. Raises BenchError."""
    wanted = ("fp32", Manifest.read(folder).checkpoint_sha256)
    for path in folder.parent.glob(f"*/{FILE_NAME}"):
        found = Manifest.read(path.parent)
        if (found.precision, found.checkpoint_sha256) == wanted:
            return path.parent
    raise BenchError(
        f"{folder.parent.name} has no version in fp32 of the checkpoint that {folder} was made of; "
        "export it with --precision fp32"
    )


def _as_python_steps(repository: Path, first_lines: str) -> None:
    """Change how the networks run where no parameter of a config says so: they become Python steps,
    which run the same backend after these lines."""
    backend = (OWN_BACKENDS / NETWORKS / STEP_ARTIFACT).read_text()
    for config in _edited_configs(repository, NETWORKS):
        own_graph = _OWN_GRAPH.format(graph=config.default_model_filename)
        config.backend, config.default_model_filename = STEPS, STEP_ARTIFACT
        path = _version_folder(repository, config.name) / STEP_ARTIFACT
        path.write_text(own_graph + first_lines + backend)


def _edited_configs(repository: Path, backend: str) -> Iterator[Any]:
    """The config of each step with this backend; written back when the next one is asked for."""
    for step in serving_versions(repository):
        path = repository / step / CONFIG_FILE
        config = parse_config(path.read_text())
        if config.backend == backend:
            yield config
            path.write_text(str(config))


def _version_folder(repository: Path, step: str) -> Path:
    return repository / step / str(serving_versions(repository)[step])


def _put_graph(folder: Path, model: Any, **described: Any) -> None:
    """In the place of a network's artifact. described: what its manifest says of the new one."""
    from conversion.export.onnx_export import save

    manifest = Manifest.read(folder)
    path = folder / manifest.artifact
    save(model, path)
    size = path.stat().st_size
    replace(manifest, sha256=sha256(path), bytes=size, **described).write(folder)
