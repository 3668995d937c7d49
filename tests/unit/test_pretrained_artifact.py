"""A served artifact's weights back in torch: the same answers, and norms to train on with."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

from conversion.export.exportable import Exportable, of_detector, of_mask_head, of_people_unet
from conversion.export.for_processors import rewrite_for_processors
from conversion.export.int8 import Quantiser
from conversion.export.onnx_export import export_onnx, halve_weights, save
from peopleseg.networks.lite_head import LiteMaskHead
from peopleseg.networks.onnx_weights import PART
from peopleseg.networks.people_unet import PeopleUNet
from peopleseg.networks.phases import PHASE
from peopleseg.networks.yolov9 import YOLOv9
from peopleseg.repository import tensors
from tests.data.published import randomise
from training.pretrained.artifact import ArtifactMismatch, load_artifact

SIDE = 64  # pixels; small, for speed
PIXELS = tensors.Tensor("pixels", "UINT8", (3, SIDE, SIDE))
MODELS = {
    "yolov9": tensors.Model(
        "yolov9",
        (PIXELS,),
        (
            tensors.Tensor("features", "FP16", (160, SIDE // 8, SIDE // 8)),
            tensors.Tensor("predictions", "FP32", (5, 84)),
        ),
    ),
    "people_unet": tensors.Model(
        "people_unet", (PIXELS,), (tensors.Tensor("person_logit", "FP32", (1, SIDE, SIDE)),)
    ),
}
MAKE: dict[str, tuple[Callable[[], Any], Callable[[Any], Exportable]]] = {
    "yolov9": (lambda: YOLOv9("t"), of_detector),
    "people_unet": (lambda: PeopleUNet("b0"), of_people_unet),
}


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Twelve pictures, more than a norm over one cell needs."""
    return torch.rand(12, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=MAKE)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, nn.Module, Path]:
    """Name, network, and the folder with `full.onnx` and `halved.onnx` of it."""
    torch.manual_seed(0)
    make, of_network = MAKE[request.param]
    network = make().eval()
    randomise(network)
    folder = tmp_path_factory.mktemp(request.param)
    export_onnx(of_network(network).module, MODELS[request.param], folder / "full.onnx")
    halve_weights(folder / "full.onnx", folder / "halved.onnx")
    return request.param, network, folder


def answer(network: Any, images: Tensor) -> Tensor:
    """Every logit; of a detector those of its raw maps, as decoded boxes hide small differences."""
    if isinstance(network, YOLOv9):
        network.detect.training = True  # of the head itself alone: its norms stay as they are
    with torch.no_grad():
        output = network(images)
    if isinstance(output, Tensor):
        return output
    return torch.cat([level.flatten() for level in output.predictions])


@pytest.mark.parametrize(("artifact", "tolerance"), [("full", 1e-3), ("halved", 5e-2)])
def test_a_loaded_artifact_gives_the_same_answers(
    exported: tuple[str, nn.Module, Path], images: Tensor, artifact: str, tolerance: float
) -> None:
    name, original, folder = exported
    torch.manual_seed(1)
    loaded = MAKE[name][0]().eval()
    expected = answer(original, images)
    scale = expected.abs().mean()
    assert (answer(loaded, images) - expected).abs().max() > tolerance * scale
    load_artifact(loaded, folder / f"{artifact}.onnx", lambda network: network(images))
    assert (answer(loaded, images) - expected).abs().max() < tolerance * scale


def test_a_quantised_artifact_is_loaded_up_to_its_rounding(
    exported: tuple[str, nn.Module, Path], images: Tensor, tmp_path: Path
) -> None:
    name, original, folder = exported
    pixels = (255 * images).byte().numpy()
    quantiser = Quantiser(folder / "full.onnx", [{"pixels": pixels}], signed=False)
    quantiser.write(tmp_path / "int8.onnx", quantiser.blocks)
    torch.manual_seed(1)
    loaded = MAKE[name][0]().eval()
    expected = answer(original, images)
    before = (answer(loaded, images) - expected).abs().mean()
    load_artifact(loaded, tmp_path / "int8.onnx", lambda network: network(images))
    assert (answer(loaded, images) - expected).abs().mean() < 0.1 * before


def test_training_starts_from_the_pictures_own_statistics(
    exported: tuple[str, nn.Module, Path], images: Tensor
) -> None:
    name, _, folder = exported
    loaded = MAKE[name][0]().train()
    load_artifact(loaded, folder / "full.onnx", lambda network: network(images))
    assert loaded.training
    norms: list[Any] = [m for m in loaded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.running_var.min() > 0 for norm in norms)
    assert all(norm.weight.isfinite().all() for norm in norms)
    for module in loaded.modules():  # chance is left out of the comparison
        if type(module).__name__ in ("DropPath", "Dropout", "Dropout2d"):
            module.eval()
    evaluated = answer(copy.deepcopy(loaded).eval(), images)
    trained = answer(loaded, images)
    assert (trained - evaluated).abs().max() < 1e-2 * evaluated.abs().mean()


@pytest.mark.parametrize(("artifact", "tolerance"), [("parted", 1e-3), ("halved", 5e-2)])
def test_convolutions_that_were_parted_are_loaded_whole(
    artifact: str, tolerance: float, images: Tensor, tmp_path: Path
) -> None:
    def lite_head(seed: int) -> LiteMaskHead:
        torch.manual_seed(seed)
        return LiteMaskHead(reads_person_logit=False, roi_size_hw=(SIDE, SIDE)).eval()

    original, loaded = lite_head(seed=0), lite_head(seed=1)
    randomise(original)
    head, path = of_mask_head(original), tmp_path / "parted.onnx"
    export_onnx(head.module, head.model, path, head.input_shapes)
    model = onnx.load(path)
    rewrite_for_processors(model)
    save(model, path)
    halve_weights(path, tmp_path / "halved.onnx")
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    assert sum(PART in name for name in convolutions) == 38
    assert sum(PHASE in name for name in convolutions) == 16
    load_artifact(loaded, tmp_path / f"{artifact}.onnx", lambda network: network(images))
    with torch.no_grad():
        expected, found = original(images).mask_logits, loaded(images).mask_logits
    assert (found - expected).abs().max() < tolerance * expected.abs().mean()


@pytest.fixture(scope="module")
def detector_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "t.onnx"
    export_onnx(of_detector(YOLOv9("t")).module, MODELS["yolov9"], path)
    return path


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (lambda: YOLOv9("s"), r"layers\.0\.conv"),
        (lambda: YOLOv9("t", classes=3), r"layers\.22\.cv3\.0\.2"),
        (lambda: PeopleUNet("b0"), r"layers\.0\.conv"),
    ],
)
def test_another_network_is_refused_by_the_first_layer_that_does_not_fit(
    detector_artifact: Path, images: Tensor, network: Callable[[], nn.Module], layer: str
) -> None:
    with pytest.raises(ArtifactMismatch, match=f"layer {layer} does not fit") as refused:
        load_artifact(network(), detector_artifact, lambda network: network(images))
    assert "manifest names the variant" in str(refused.value)


def test_the_auxiliary_branch_keeps_its_initial_weights(
    detector_artifact: Path, images: Tensor
) -> None:
    network = YOLOv9("t", auxiliary=True)
    before = copy.deepcopy(network.auxiliary.state_dict())
    load_artifact(network, detector_artifact, lambda network: network(images))
    assert all(torch.equal(v, before[k]) for k, v in network.auxiliary.state_dict().items())
    assert network.train()(images).auxiliary is not None
