"""The configs of a model that follow from its description and from its config.pbtxt.

`configs/NAME.pbtxt` is what a server loads that is started with --model-config-name=NAME:

    cuda           a network on a GPU
    tensorrt       a network on a GPU by ONNX Runtime's TensorRT provider, which builds an engine
                   at a server's start for the lengths in the config
    tensorrt_plan  an engine that `peopleseg export --accelerator tensorrt` made
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from peopleseg.repository.tensors import Model, Tensor
from peopleseg.systems.step import Shape

Config = Any  # tritonclient's ModelConfig, whose module is made by protobuf
VARIANT_NAMES = CUDA, TENSORRT, PLAN = "cuda", "tensorrt", "tensorrt_plan"
LARGEST_USUAL_BATCH = 8  # that an engine is optimised for
ENGINE_CACHE = "/var/cache/peopleseg/tensorrt"  # one volume for each kind of GPU
PROVIDER_OPTIONS = {
    "precision_mode": "FP16",
    "max_workspace_size_bytes": str(4 << 30),
    "trt_engine_cache_enable": "1",
    "trt_engine_cache_path": ENGINE_CACHE,
    "trt_timing_cache_enable": "1",
    "trt_timing_cache_path": ENGINE_CACHE,
}
_ABOUT = {
    CUDA: "On a GPU.",
    TENSORRT: "On a GPU by ONNX Runtime's TensorRT provider. The first start on a kind of GPU "
    f"builds the\n# engines, minutes each, into {ENGINE_CACHE}.",
    PLAN: "A TensorRT engine that `peopleseg export --accelerator tensorrt` made on the same kind "
    "of GPU.",
}


class Profile(NamedTuple):
    """Shapes of one input, with the batch axis, that a TensorRT engine is made for.

    TensorRT optimises for the usual ones and refuses what is outside. Every axis but the batch has
    its true length: an engine is made of one version.
    """

    smallest: Shape
    usual: Shape
    largest: Shape


def profiles(model: Model, shapes: Mapping[str, Shape]) -> dict[str, Profile]:
    """Of every input; shapes: true lengths without the batch axis.

    An input that the network does not read (lengths of -1) has one cell.
    """
    largest = model.max_batch_size
    batches = (1, min(LARGEST_USUAL_BATCH, largest // 2), largest)
    return {
        tensor.name: Profile(*((batch, *map(abs, shapes[tensor.name])) for batch in batches))
        for tensor in model.inputs
    }


def first_config(model: Model, *, is_network: bool) -> Config:
    """A config.pbtxt to begin with: on CPUs, loading nothing yet."""
    config = model_config_pb2.ModelConfig(
        name=model.name,
        backend="onnxruntime" if is_network else "python",
        max_batch_size=model.max_batch_size,
        input=[_entry(tensor, model_config_pb2.ModelInput) for tensor in model.inputs],
        output=[_entry(tensor, model_config_pb2.ModelOutput) for tensor in model.outputs],
    )
    if is_network:
        config.default_model_filename = "model.onnx"
    config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=1)
    config.version_policy.specific.SetInParent()
    return config


def variants(config: Config, model: Model, shapes: Mapping[str, Shape] | None) -> dict[str, Config]:
    """The configs of a network by name, from that for CPUs, with its version policy.

    shapes: true lengths of the inputs of the version that serves; None before there is one, and
    then there is none for TensorRT's provider.
    """
    made = {CUDA: _on_gpu(config), PLAN: _of_engine(config)}
    if shapes is not None:
        made[TENSORRT] = _by_provider(config, profiles(model, shapes))
    return made


def variant_text(name: str, config: Config) -> str:
    """A config's file."""
    return (
        f"# {_ABOUT[name]}\n# Chosen by --model-config-name={name}; written by "
        f"`peopleseg render-configs`.\n{text_format.MessageToString(config)}"
    )


def _on_gpu(config: Config) -> Config:
    made = _copy(config)
    del made.instance_group[:]
    made.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_GPU, count=1)
    made.parameters.clear()  # threads of CPUs
    if made.HasField("dynamic_batching"):
        del made.dynamic_batching.preferred_batch_size[:]
    return made


def _of_engine(config: Config) -> Config:
    made = _on_gpu(config)
    made.backend, made.default_model_filename = "tensorrt", "model.plan"
    return made


def _by_provider(config: Config, chosen: Mapping[str, Profile]) -> Config:
    made = _on_gpu(config)
    accelerators = made.optimization.execution_accelerators.gpu_execution_accelerator
    provider = accelerators.add(name="tensorrt")
    provider.parameters.update(PROVIDER_OPTIONS)
    for which, field in (("min", "smallest"), ("opt", "usual"), ("max", "largest")):
        provider.parameters[f"trt_profile_{which}_shapes"] = ",".join(
            f"{name}:{'x'.join(map(str, getattr(profile, field)))}"
            for name, profile in chosen.items()
        )
    return made


def _entry(tensor: Tensor, kind: Any) -> Any:
    dtype = "STRING" if tensor.dtype == "BYTES" else tensor.dtype
    entry = kind(
        name=tensor.name,
        data_type=model_config_pb2.DataType.Value(f"TYPE_{dtype}"),
        dims=tensor.shape,
    )
    if tensor.optional:
        entry.optional = True
    return entry


def _copy(config: Config) -> Config:
    copied = type(config)()
    copied.CopyFrom(config)
    return copied
