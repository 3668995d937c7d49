"""When two responses are the same, and which versions fit together."""

from pathlib import Path

import numpy as np
import pytest

from conversion.step_version import new_step_version
from peopleseg.systems.semantic.agreement import MOST_OTHER_PIXELS, pair_faults, unlike
from peopleseg.systems.semantic.contract import VOC_CLASSES
from tests.data.small_deeplab import SIZE, write_deeplab, write_semantic_repository

NAMES = np.array([b"background", b"cat"], dtype=np.object_)


def response(other: int = 0, side: int = 10) -> dict[str, np.ndarray]:
    """Of so many pixels of the other class."""
    classes = np.zeros(side * side, np.uint8)
    classes[:other] = 1
    return {"classes": classes.reshape(side, side), "names": NAMES}


def test_a_response_is_like_itself_and_like_one_of_few_other_pixels() -> None:
    assert unlike({}, response(), response()) is None
    few = int(100 * MOST_OTHER_PIXELS)
    assert unlike({}, response(few), response()) is None
    assert "3.0% of the pixels" in str(unlike({}, response(few + 1), response()))


def test_other_sizes_and_other_names_are_unlike() -> None:
    assert "shape [9, 9] instead of [10, 10]" in str(unlike({}, response(side=9), response()))
    renamed = response() | {"names": NAMES[::-1]}
    assert "the classes are" in str(unlike({}, renamed, response()))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_semantic_repository(tmp_path_factory.mktemp("agreement") / "repository")


def folders(repository: Path, **versions: int) -> dict[str, Path]:
    chosen = {"deeplab": 1, "preprocess": 2, "postprocess_classes": 1} | versions
    return {step: repository / step / str(version) for step, version in chosen.items()}


def test_versions_that_belong_together_have_no_fault(repository: Path) -> None:
    assert list(pair_faults(folders(repository))) == []


def test_another_square_is_named_with_what_mends_it(repository: Path) -> None:
    (fault,) = pair_faults(folders(repository, preprocess=1))
    assert fault.startswith(f"deeplab/1 reads a square of {SIZE} pixels, preprocess/1 makes one of")
    assert fault.endswith(f"peopleseg new-step-version preprocess --set size={SIZE}")


def test_other_classes_are_named_with_what_mends_it(repository: Path) -> None:
    write_deeplab(repository, 2, classes=("background", "cat"))
    (fault,) = pair_faults(folders(repository, deeplab=2))
    mends = 'new-step-version postprocess_classes --set \'class_names=["background", "cat"]\''
    assert fault.endswith(mends)
    new_step_version(repository, "postprocess_classes", {"class_names": ["background", "cat"]})
    assert list(pair_faults(folders(repository, deeplab=2, postprocess_classes=2))) == []
    (fault,) = pair_faults(folders(repository, postprocess_classes=2))
    assert fault.startswith("deeplab/1 tells background, aeroplane")


def test_of_several_networks_in_one_the_classes_are_those_of_each(repository: Path) -> None:
    pair = {"networks": [{"classes": list(VOC_CLASSES)}] * 2}
    write_deeplab(repository, 3, variant=pair)
    assert list(pair_faults(folders(repository, deeplab=3))) == []


def test_a_network_that_does_not_say_its_classes_is_named(repository: Path) -> None:
    write_deeplab(repository, 4, variant={"variant": "optimised"})
    (fault,) = pair_faults(folders(repository, deeplab=4))
    assert fault.startswith("the manifest of deeplab/4 does not say which classes")
