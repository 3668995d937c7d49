"""Read a network's weights back out of its ONNX artifact, to go on training a served model.

An export folds every BatchNorm that follows a convolution into that convolution. Here the folded
convolution is taken as it is and its BatchNorm gets the statistics that real pictures give, so that
the network computes the same in evaluation mode and starts training from there. Branches that only
training has keep their initial weights.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from peopleseg.errors import PeoplesegError
from peopleseg.networks.onnx_weights import PART, weights_of
from peopleseg.networks.phases import (
    PHASE,
    Weights,
    convolution_of_phases,
    transposed_of_phases,
)
from peopleseg.networks.yolov9_blocks import RepConv

_WEIGHTED = ("Conv", "ConvTranspose", "BatchNormalization")
_Norms = dict[nn.Module, Any]  # convolution: the norm that reads it


class ArtifactMismatch(PeoplesegError, ValueError):
    """The artifact's layers are not those of the network."""


def load_artifact(network: nn.Module, artifact: Path, run: Callable[[nn.Module], Any]) -> None:
    """Give `network` the weights of its exported `artifact`, in place.

    run(network) passes real pictures through it (dozens, for the norms' statistics); it is called
    twice. Raises ArtifactMismatch naming the first layer that does not fit.
    """
    was_training = network.training
    network.eval()
    norms = _norms_by_convolution(network, run)
    folded = []
    for path, kind, tensors in _stored_layers(artifact):
        try:
            layer = _layer(network, path)
            if kind == "BatchNormalization":
                _assign_norm(layer, *tensors)
            else:
                folded += _assign_convolution(layer, norms, *tensors)
        except (AttributeError, RuntimeError, ValueError) as error:
            raise ArtifactMismatch(
                f"{artifact}: layer {path} does not fit the network ({error}); "
                "its manifest names the variant to build"
            ) from error
    _calibrate(folded, network, run)
    network.train(was_training)


def _stored_layers(artifact: Path) -> list[tuple[str, str, list[Tensor]]]:
    """Module path, operator and tensors of every layer with weights, in the graph's order."""
    graph = onnx.load(artifact).graph
    stored = weights_of(graph)
    # Weights stored as FP16 pass a Cast (see conversion.export.onnx_export), those in INT8 a
    # DequantizeLinear, and of equal weights the exporter stores one, and passes it on through an
    # Identity.
    for node in graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
        elif node.op_type == "DequantizeLinear" and stored.keys() >= set(node.input):
            stored[node.output[0]] = _dequantised(*(stored[name] for name in node.input))
    parts = defaultdict(list)
    for node in graph.node:
        if node.op_type in _WEIGHTED:
            name = re.sub(rf"({PART}|{PHASE})\d$", "", node.name)
            tensors = [stored[name].astype(np.float32) for name in node.input[1:]]
            parts[name, node.op_type, PHASE in node.name].append(tensors)
    return [
        (_module_path(name), kind, [*map(torch.tensor, _joined(found, in_phases))])
        for (name, kind, in_phases), found in parts.items()
    ]


def _dequantised(values: Any, scale: Any, zero_point: Any) -> Weights:
    """Of a scale and a zero point for all values, or for each on their first axis."""
    of_each = (-1, *[1] * (values.ndim - 1))
    centred = values.astype(np.float32) - zero_point.reshape(of_each)
    return centred * scale.reshape(of_each)  # type: ignore[no-any-return]


def _joined(parts: list[list[Weights]], in_phases: bool) -> list[Weights]:
    """A layer's tensors, from those of its parts, of which the first may have a bias."""
    (weight, *others), weights = parts[0], [part[0] for part in parts]
    if len(parts) == 1:
        return parts[0]
    if not in_phases:
        return [np.concatenate(weights, axis=1), *others]
    if weight.ndim == 1:  # every phase has the whole norm
        return parts[0]
    if weight.shape[2:] == (1, 1):
        return [transposed_of_phases(weights), *others]
    return [convolution_of_phases(weights), *(bias[:: len(parts)] for bias in others)]


def _module_path(node_name: str) -> str:
    """ "/network/layers.4/cv2/cv2.0/conv/Conv" to "layers.4.cv2.0.conv"."""
    parts: list[str] = []
    for part in node_name.split("/")[2:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()  # a container, repeated in its child's name
        parts.append(part)
    return ".".join(parts)


def _layer(network: nn.Module, path: str) -> Any:
    parent, _, name = path.rpartition(".")
    owner = network.get_submodule(parent)
    return owner if isinstance(owner, RepConv) else owner.get_submodule(name)


def _assign_convolution(
    layer: Any, norms: _Norms, weight: Tensor, bias: Tensor | None = None
) -> list[nn.BatchNorm2d]:
    """Returns the norms whose statistics are still to be measured."""
    if isinstance(layer, RepConv):  # exported as one 3x3 convolution
        nn.init.zeros_(layer.conv2.bn.weight)
        nn.init.zeros_(layer.conv2.bn.bias)
        return [layer.conv2.bn, *_assign_convolution(layer.conv1.conv, norms, weight, bias)]
    # Exports fold no norm into a transposed convolution: that norm is a layer of its own.
    norm = None if isinstance(layer, nn.ConvTranspose2d) else norms.get(layer)
    with torch.no_grad():
        initial_size = layer.weight.square().mean().sqrt()
        layer.weight.copy_(_same_shape(weight, layer.weight))
        if norm is None:
            if bias is not None:
                layer.bias.copy_(bias)
            return []
        # Folding has scaled every channel; an optimiser's steps suit the size that it started with,
        # and the norm makes up for the difference.
        size = layer.weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-8)
        layer.weight.mul_(initial_size / size)
        norm.weight.copy_((size / initial_size).flatten())
        if layer.bias is not None:
            layer.bias.zero_()
        norm.bias.copy_(torch.zeros_like(norm.bias) if bias is None else bias)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    return [norm]


def _assign_norm(norm: Any, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> None:
    with torch.no_grad():
        for stored, own in zip(
            (weight, bias, mean, var),
            (norm.weight, norm.bias, norm.running_mean, norm.running_var),
            strict=True,
        ):
            own.copy_(_same_shape(stored, own))


def _same_shape(stored: Tensor, own: Tensor) -> Tensor:
    if stored.shape != own.shape:
        raise ValueError(f"stored {tuple(stored.shape)}, built {tuple(own.shape)}")
    return stored


def _norms_by_convolution(network: nn.Module, run: Callable[[nn.Module], Any]) -> _Norms:
    """Which norm reads which convolution's output, seen by running the network."""
    producer: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensor is kept: its id stays its own
    norms: _Norms = {}

    def produced(module: nn.Module, _: Any, output: Tensor) -> None:
        producer[id(output)] = (module, output)

    def read(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        source = producer.pop(id(inputs[0]), None)
        if source:
            norms[source[0]] = norm

    with ExitStack() as hooks, torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                hooks.callback(module.register_forward_hook(produced).remove)
            elif isinstance(module, nn.BatchNorm2d):
                hooks.callback(module.register_forward_pre_hook(read).remove)
        run(network)
    return norms


def _calibrate(norms: list[Any], network: nn.Module, run: Callable[[nn.Module], Any]) -> None:
    """Measure each norm's input and let its scale and shift undo what that normalises away."""
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def observe(norm: Any, inputs: tuple[Tensor]) -> None:
        x = inputs[0].double().transpose(0, 1).flatten(1).cpu()  # [C, n]
        sums[norm] += torch.stack((torch.full_like(x[:, 0], x.shape[1]), x.sum(1), (x * x).sum(1)))

    with ExitStack() as hooks, torch.no_grad():
        for norm in norms:
            hooks.callback(norm.register_forward_pre_hook(observe).remove)
        run(network)
        for norm, (count, total, squares) in sums.items():
            mean = total / count
            var = (squares / count - mean**2).clamp(min=1e-6)
            gain = norm.weight * torch.sqrt(var + norm.eps).to(norm.weight)
            norm.bias.add_(norm.weight * mean.to(norm.bias))
            norm.weight.copy_(gain)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
