"""Semantic networks as they are exported: classes and confidences of a square of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from conversion.export import int8, parity
from conversion.export.accuracy import Accuracy
from conversion.export.channels_last import channels_last
from conversion.export.exporter import export
from conversion.export.families import FAMILIES, of_network
from conversion.export.inputs import IMAGES, Case, ImageInputs, random_cases
from conversion.export.int8 import quantise
from conversion.export.onnx_export import export_onnx, save
from conversion.export.parity import EXACT, Expected, ParityError, gaps, judge
from conversion.export.runners import Runner, onnx_runner
from conversion.export.settings import ExportError, Settings
from conversion.semantic.exportable import ExportableMaps
from peopleseg.cli import main as cli
from peopleseg.errors import WrongUsage
from peopleseg.networks.checkpoint import CheckpointError, Loaded, load_network, save_network
from peopleseg.networks.semantic.deeplab import DeepLab
from peopleseg.pixels.images import decode_image, prepare_file
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.known import STEPS
from peopleseg.systems.semantic.agreement import classes_of
from peopleseg.systems.step import Arrays
from tests.export.networks import checkpoint, people_unet, telling

SIZE = 256
CLASSES = ("background", "sky", "person", "dog", "chair")
DEEPLAB = STEPS["deeplab"]


def deeplab(variant: Any = "optimised", **dims: Any) -> DeepLab:
    images = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    return telling(lambda: DeepLab(variant, CLASSES, **dims), images)


def written(path: Path, network: DeepLab, size: int | None = None) -> Path:
    save_network(path, "deeplab", network, dims=network.dims, size=size)
    return path


def settings(**options: Any) -> Settings:
    size = options.pop("size", SIZE)
    return Settings(check_pinned_runtime=False, options={"size": size}, **options)


def maps_of(logits: Tensor) -> list[NDArray[Any]]:
    """Classes and confidences, the slow and obvious way."""
    confidence, classes = logits.softmax(dim=1).max(dim=1)
    return [classes.numpy(), (confidence * 255).numpy()]


@pytest.mark.parametrize("size", [256, 320])
@pytest.mark.parametrize("variant", ["original", "optimised"])
def test_a_version_gives_each_pixels_class_and_its_probability(
    variant: str, size: int, tmp_path: Path, images: list[Path]
) -> None:
    network = deeplab(variant)
    source = written(tmp_path / "deeplab.ckpt", network)
    version = export(source, images, settings(size=size, stored="fp32"), repository=tmp_path)
    manifest = Manifest.read(version)
    assert (manifest.model, manifest.export) == ("deeplab", {"size": size})
    assert manifest.tensors["inputs"]["pixels"]["shape"] == [3, size, size]
    assert manifest.tensors["outputs"]["class_map"] == {"dtype": "UINT8", "shape": [size, size]}
    pixels = np.concatenate([prepare_file(path, size)[0] for path in images])
    found = onnx_runner(version / "model.onnx")({"pixels": pixels})
    with torch.no_grad():
        classes, confidence = maps_of(network(torch.from_numpy(pixels).float() / 255))
    assert len(np.unique(classes)) > 1
    assert np.mean(found["class_map"] != classes) < 1e-3
    assert np.abs(found["confidence_map"] - confidence).max() < 2
    alone = [onnx_runner(version / "model.onnx")({"pixels": one[None]}) for one in pixels]
    for name, both in found.items():
        assert np.mean(np.concatenate([one[name] for one in alone]) != both) < 1e-3


def test_a_version_runs_under_the_pinned_runtime(
    tmp_path: Path, images: list[Path], pinned: None
) -> None:
    source = written(tmp_path / "deeplab.ckpt", deeplab())
    version = export(source, images, Settings(options={"size": SIZE}), repository=tmp_path)
    assert set(Manifest.read(version).parity["onnxruntime_1.19.2"]["images"]) == {
        "class_map",
        "confidence_map",
    }


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_are_smaller(precision: Any, tmp_path: Path, images: list[Path]) -> None:
    source = written(tmp_path / "deeplab.ckpt", deeplab())
    labels = tmp_path / "labels"
    labels.mkdir()
    for path in images:
        height, width = decode_image(path.read_bytes()).shape[:2]
        grey = np.random.default_rng(0).integers(0, 3, (height, width), dtype=np.uint8)
        Image.fromarray(grey).save(labels / f"{path.stem}.png")
    measured = {"images": images[0].parent, "annotations": labels, "most_loss": 0.5}
    made = settings(precision=precision, **measured)
    manifest = Manifest.read(export(source, images, made, repository=tmp_path))
    assert manifest.bytes < 0.9 * source.stat().st_size
    if precision == "int8":
        assert manifest.accuracy_gate["metric"] == "miou_present"
        assert 0 < manifest.accuracy_gate["before"] < 1


def test_the_square_is_that_of_the_training_unless_another_is_asked_for(tmp_path: Path) -> None:
    network = deeplab()
    loaded = load_network(written(tmp_path / "trained.ckpt", network, size=384))
    assert of_network(loaded).input_shapes == {"pixels": (3, 384, 384)}
    assert of_network(loaded, size=320).input_shapes == {"pixels": (3, 320, 320)}
    loaded = load_network(written(tmp_path / "trained.ckpt", network))
    assert of_network(loaded).input_shapes == {"pixels": (3, 512, 512)}


@pytest.mark.parametrize("size", [0, 224, 500, 672, -256])
def test_another_square_is_wrong_usage(size: int) -> None:
    loaded = Loaded("deeplab", {}, deeplab(), metrics={})
    with pytest.raises(WrongUsage, match=f"square of {size} pixels .* a multiple of 32 from 256"):
        of_network(loaded, size=size)


def test_options_of_other_families_are_refused(tmp_path: Path) -> None:
    unet = load_network(checkpoint(tmp_path / "unet.ckpt", people_unet("b0", shrink=16)))
    with pytest.raises(CheckpointError, match="people_unet .* leave out --size"):
        of_network(unet, size=512)
    loaded = Loaded("deeplab", {}, deeplab(), metrics={})
    with pytest.raises(CheckpointError, match="deeplab .* leave out --roi-padding"):
        of_network(loaded, roi_padding=0.1)


def test_two_networks_become_one_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = written(tmp_path / "first.ckpt", deeplab())
    second = written(tmp_path / "second.ckpt", deeplab(dilated=True))
    options = ("--model-repository", tmp_path, "--skip-pinned-runtime", "--size", SIZE)
    arguments = map(str, ("export", first, "--with", second, *options))
    assert cli.main(list(arguments)) == 0, capsys.readouterr().err
    version = tmp_path / "deeplab" / "1"
    found = load_network(version)
    assert found.family == "deeplab_pair"
    assert classes_of(Manifest.read(version).variant) == list(CLASSES)
    case = next(random_cases(of_network(found, size=SIZE), (2,)))
    images = torch.from_numpy(case.inputs["pixels"]).float() / 255
    with torch.no_grad():
        classes, _ = maps_of(found.network(images))
    response = onnx_runner(version / "model.onnx")(case.inputs)["class_map"]
    assert np.mean(response != classes) < 0.02


def test_networks_that_are_no_pair_are_refused(tmp_path: Path, images: list[Path]) -> None:
    first = written(tmp_path / "first.ckpt", deeplab())
    of_other_classes = DeepLab("optimised", CLASSES[::-1])
    other = written(tmp_path / "other.ckpt", of_other_classes)
    unet = checkpoint(tmp_path / "unet.ckpt", people_unet("b0", shrink=16))
    for one, two, said in (
        (first, other, "of the same classes"),
        (first, unet, "deeplab and people_unet cannot be one network; leave out --with"),
        (unet, unet, "people_unet cannot be one network; leave out --with"),
    ):
        with pytest.raises(CheckpointError, match=said):
            export(one, images, settings(), repository=tmp_path, beside=two)


def class_maps(values: list[int]) -> Arrays:
    return {"class_map": np.array([values], np.uint8)}


@pytest.mark.parametrize("wrong", [2, 20])
def test_classes_are_right_or_wrong(wrong: int) -> None:
    """However far their numbers are apart."""
    expected, found = class_maps([1] * 8), class_maps([1] * 6 + [wrong] * 2)
    case = Case(IMAGES, {"pixels": np.zeros((1, 3, 4, 4), np.uint8)})
    gap = gaps([Expected(case, expected)], lambda _: found)[IMAGES]["class_map"]
    assert (gap.mean, gap.magnitude) == (0.25, 1)
    assert int8._difference([expected], [found]) == 0.25
    with pytest.raises(ParityError, match=r"class_map on images .* on average 0\.25 of 1"):
        judge({IMAGES: {"class_map": gap}}, EXACT, "it")


def test_the_ending_is_rewritten_and_its_responses_stay(tmp_path: Path) -> None:
    exportable = of_network(Loaded("deeplab", {}, deeplab(), metrics={}), size=SIZE)
    exportable.trace(tmp_path / "full.onnx")
    model = channels_last(onnx.load(tmp_path / "full.onnx"))
    save(model, tmp_path / "last.onnx")
    (argmax,) = [node for node in model.graph.node if node.op_type == "ArgMax"]
    assert {a.name: a.i for a in argmax.attribute}["axis"] == 3
    for case in random_cases(exportable, (1, 2)):
        run: list[Runner] = [onnx_runner(tmp_path / f"{name}.onnx") for name in ("full", "last")]
        expected, found = (one(case.inputs) for one in run)
        assert np.mean(found["class_map"] != expected["class_map"]) < 1e-4
        apart = found["confidence_map"].astype(int) - expected["confidence_map"]
        assert np.abs(apart).max() <= 1


class _Sure(nn.Module):
    """Of a few cells, each as sure of a class as numbers allow, beside cells sure of another."""

    def at_stride_4(self, images: Tensor) -> Tensor:
        first = (images[:, :1, ::4, ::4] > 0.5).float()
        return torch.cat((first, 1 - first, 0.4 + 0 * first), dim=1) * 400


def test_a_border_between_two_sure_classes_has_a_confidence(tmp_path: Path) -> None:
    """The exponentials of the ending stay above 0 there."""
    module = ExportableMaps(_Sure())  # type: ignore[arg-type]
    export_onnx(module, DEEPLAB, tmp_path / "full.onnx", {"pixels": (3, SIZE, SIZE)})
    save(channels_last(onnx.load(tmp_path / "full.onnx")), tmp_path / "last.onnx")
    pixels = np.zeros((1, 3, SIZE, SIZE), np.uint8)
    pixels[..., SIZE // 2 :] = 255
    found = onnx_runner(tmp_path / "last.onnx")({"pixels": pixels})
    assert (found["class_map"][0, 0, [0, -1]] == [1, 0]).all()
    assert found["confidence_map"].min() >= 255 // 3


class _Layers(nn.Module):
    """Four layers in the place of a network; the output of the named one does not fit INT8."""

    def __init__(self, harmful: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 16, 3, 4, padding=1)
        self.middle = nn.Conv2d(16, 16, 3, padding=1)
        self.last = nn.Conv2d(16, 16, 3, padding=1)
        with torch.no_grad():
            getattr(self, harmful).bias[0] = 3000

    def at_stride_4(self, images: Tensor) -> Tensor:
        x = images
        for layer in (self.first, self.middle, self.last):
            x = layer(x).clamp(-1, 1)
        return 4 * x[:, 1:]


@pytest.mark.parametrize("harmful", ["first", "middle"])
def test_a_block_that_mistakes_classes_stays_in_float(harmful: str, tmp_path: Path) -> None:
    module = ExportableMaps(_Layers(harmful))  # type: ignore[arg-type]
    full = tmp_path / "full.onnx"
    export_onnx(module.eval(), DEEPLAB, full, {"pixels": (3, SIZE, SIZE)})
    random = np.random.default_rng(0)
    inputs: list[Arrays] = [
        {"pixels": random.integers(0, 256, (1, 3, SIZE, SIZE), dtype=np.uint8)} for _ in range(2)
    ]
    expected = onnx_runner(full)(inputs[0])["class_map"]

    def right(run: Runner) -> float:
        return float(np.mean(run(inputs[0])["class_map"] == expected))

    found = quantise(
        full, tmp_path / "int8.onnx", inputs, Accuracy("right", right), signed=False, most_loss=0.02
    )
    block = f"{harmful}/Conv"
    assert max(found.damage, key=found.damage.__getitem__) == block
    assert found.float_blocks == [block]
    assert found.damage[block] <= 1


def test_the_metric_is_that_of_the_label_maps(tmp_path: Path, images: list[Path]) -> None:
    """One image's left half is class 1, nothing is known of the rest; found is class 1 alone."""
    labels = tmp_path / "labels"
    labels.mkdir()
    height, width = decode_image(images[0].read_bytes()).shape[:2]
    true = np.full((height, width), 255, np.uint8)
    true[:, : width // 2] = 1
    Image.fromarray(true).save(labels / f"{images[0].stem}.png")
    family = FAMILIES["deeplab"]
    exportable = of_network(Loaded("deeplab", {}, deeplab(), metrics={}), size=SIZE)
    annotated = family.annotated(settings(images=images[0].parent, annotations=labels))
    accuracy = family.accuracy(exportable, annotated, ImageInputs(SIZE))
    assert accuracy.metric == "miou_present"

    def all_of(label: int) -> Runner:
        return lambda inputs: {"class_map": np.full((1, SIZE, SIZE), label, np.uint8)}

    assert (accuracy.measure(all_of(1)), accuracy.measure(all_of(2))) == (1, 0)
    (labels / f"{images[0].stem}.png").write_bytes(b"none")
    with pytest.raises(ExportError, match=r"no label map in PNG.*nothing was written"):
        accuracy.measure(all_of(1))
    with pytest.raises(ExportError, match="nothing was written"):
        family.annotated(settings(images=images[0].parent, annotations=tmp_path / "no.json"))


def test_every_output_has_a_tolerance_at_every_level() -> None:
    levels = (parity.EXACT, parity.HALF_WEIGHTS, parity.HALF, parity.QUANTISED)
    for level in levels:
        for tensor in DEEPLAB.outputs:
            assert level.of(tensor.name)
