"""The lengths that a TensorRT engine is made for: the smallest, the usual and the largest.

TensorRT optimises for the usual ones and refuses what is outside. Every axis but the batch has its
true length: an engine is made of one version.
"""

from collections.abc import Mapping
from typing import NamedTuple

from conversion.export.exportable import Shape
from peopleseg.repository.tensors import Model
from peopleseg.systems.people.contract import MAX_IMAGES, MAX_PEOPLE

USUAL_BATCH = {MAX_IMAGES: 4, MAX_PEOPLE: 8}  # by the model's largest
ENGINE_CACHE = "/var/cache/peopleseg/tensorrt"  # one volume for each kind of GPU
PROVIDER_OPTIONS = {
    "precision_mode": "FP16",
    "max_workspace_size_bytes": str(4 << 30),
    "trt_engine_cache_enable": "1",
    "trt_engine_cache_path": ENGINE_CACHE,
    "trt_timing_cache_enable": "1",
    "trt_timing_cache_path": ENGINE_CACHE,
}


class Profile(NamedTuple):
    """Shapes of one input, with the batch axis."""

    smallest: Shape
    usual: Shape
    largest: Shape


def profiles(model: Model, shapes: Mapping[str, Shape]) -> dict[str, Profile]:
    """Of every input; shapes: true lengths without the batch axis.

    An input that the network does not read (lengths of -1) has one cell, as roi_align sends it.
    """
    batches = (1, USUAL_BATCH[model.max_batch_size], model.max_batch_size)
    return {
        tensor.name: Profile(*((batch, *map(abs, shapes[tensor.name])) for batch in batches))
        for tensor in model.inputs
    }


def provider_config(cuda_config: str, chosen: Mapping[str, Profile]) -> str:
    """The text of configs/tensorrt.pbtxt: ONNX Runtime's TensorRT provider, else as on CUDA."""
    options = PROVIDER_OPTIONS | {
        f"trt_profile_{which}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, getattr(profile, field)))}"
            for name, profile in chosen.items()
        )
        for which, field in (("min", "smallest"), ("opt", "usual"), ("max", "largest"))
    }
    lines = "\n".join(
        f'        parameters {{ key: "{key}" value: "{value}" }}' for key, value in options.items()
    )
    return (
        cuda_config.replace(
            "# On a GPU: chosen by --model-config-name=cuda.",
            "# On a GPU by ONNX Runtime's TensorRT provider: chosen by "
            "--model-config-name=tensorrt. The first start on\n"
            f"# a kind of GPU builds the engines, minutes each, into {ENGINE_CACHE}.",
        )
        + f"""optimization {{
  execution_accelerators {{
    gpu_execution_accelerator [
      {{
        name: "tensorrt"
{lines}
      }}
    ]
  }}
}}
"""
    )


def engine_config(cuda_config: str) -> str:
    """The text of configs/tensorrt_plan.pbtxt: Triton's own backend runs an engine, model.plan."""
    return (
        cuda_config.replace(
            "# On a GPU: chosen by --model-config-name=cuda.",
            "# A TensorRT engine that `peopleseg export --accelerator tensorrt` made on the same\n"
            "# kind of GPU: chosen by --model-config-name=tensorrt_plan.",
        )
        .replace('backend: "onnxruntime"', 'backend: "tensorrt"')
        .replace("model.onnx", "model.plan")
    )
