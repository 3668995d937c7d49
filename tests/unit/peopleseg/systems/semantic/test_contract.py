"""The steps of the semantic system against their tensors."""

import numpy as np
import pytest

from peopleseg.pixels.geometry import Letterbox
from peopleseg.repository.settings import settings_faults
from peopleseg.systems.pipeline import run
from peopleseg.systems.semantic.contract import BACKGROUND, SEMANTIC_SEGMENTATION, VOC_CLASSES
from peopleseg.systems.semantic.postprocess_classes import PostprocessClasses
from peopleseg.systems.semantic.system import SYSTEM, of_image
from peopleseg.systems.shared.preprocess import Preprocess
from peopleseg.systems.step import Arrays
from peopleseg.systems.wiring import wiring
from tests.data.encoded import encoded

ENSEMBLE = SYSTEM.ensemble(SEMANTIC_SEGMENTATION.name)


def test_vocs_classes_have_their_numbers() -> None:
    assert len(set(VOC_CLASSES)) == 21 and VOC_CLASSES[BACKGROUND] == "background"
    numbers = {"aeroplane": 1, "bottle": 5, "car": 7, "chair": 9, "person": 15, "tvmonitor": 20}
    assert {name: VOC_CLASSES.index(name) for name in numbers} == numbers


@pytest.mark.parametrize("size", [32, 512])
def test_every_tensor_of_the_chain_has_the_dtype_and_shape_of_the_contract(size: int) -> None:
    def network(pixels: np.ndarray) -> Arrays:
        square = np.zeros((len(pixels), *pixels.shape[2:]), dtype=np.uint8)
        return {"class_map": square, "confidence_map": square}

    def call(name: str, wanted: object, inputs: Arrays) -> Arrays:
        step = SYSTEM.python_step(name)
        if step is None:
            return network(**inputs)
        return made[name].compute([t.name for t in step.model.outputs], **inputs)

    made = {one.model.name: one() for one in SYSTEM.python_steps}
    made["preprocess"] = Preprocess(size=size)
    image = encoded(np.zeros((30, 50, 3), np.uint8))
    tensors = run(wiring(ENSEMBLE, {}), of_image(image), call)  # type: ignore[arg-type]
    assert tensors["pixels"].shape == (1, 3, size, size)
    for tensor in SEMANTIC_SEGMENTATION.outputs:
        values = tensors[tensor.name]
        dtypes = {"UINT8": np.uint8, "FP32": np.float32, "BYTES": np.object_}
        assert values.dtype == dtypes[tensor.dtype], tensor.name
        assert len(values.shape) == len(tensor.shape), tensor.name
        assert all(a in (-1, b) for a, b in zip(tensor.shape, values.shape, strict=True))
    assert tensors["classes"].shape == tensors["confidence"].shape == (30, 50)


@pytest.mark.parametrize("size", [32, 96])
def test_a_batch_of_images_is_prepared_as_each_alone(size: int) -> None:
    rng = np.random.default_rng(0)
    images = [
        encoded(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for height, width in ((1, 1), (40, 90), (300, 20))
    ]
    step = Preprocess(size=size)
    together = step.compute([], image=np.array(images, np.object_)[:, None])
    for number, image in enumerate(images):
        alone = step.compute([], image=np.array([[image]], np.object_))
        for name, values in alone.items():
            np.testing.assert_array_equal(together[name][number : number + 1], values)


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["background", "cat"], False),
        ([f"class {number}" for number in range(255)], False),
        ([f"class {number}" for number in range(256)], True),  # 255 is of no known class
        (["background"], True),
        (["background", "cat", "cat"], True),
        (["background", ""], True),
        ("background", True),
        ([0, 1], True),
    ],
)
def test_class_names_are_checked(names: object, wrong: bool) -> None:
    found = settings_faults(
        "postprocess_classes", PostprocessClasses.settings, {"class_names": names}
    )
    assert bool(found) == wrong


def test_a_class_map_has_the_areas_of_its_own_names() -> None:
    square = np.zeros((1, 64, 64), np.uint8)
    square[:, :, 32:] = 2
    letterbox = Letterbox.fit(10, 10, 64).to_array()[None]
    step = PostprocessClasses(("none", "cat", "dog"))
    found = step.compute([], class_map=square, letterbox=letterbox)
    assert found["areas"].tolist() == [0.5, 0, 0.5]
    assert found["names"].tolist() == [b"none", b"cat", b"dog"]
