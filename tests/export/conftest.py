"""What the tests of exports share."""

from pathlib import Path

import pytest

from conversion.export import pinned_runtime
from conversion.export.settings import MissingRequirement
from tests.export.networks import detector, image_files, people_unet


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files with people."""
    return image_files(tmp_path_factory.mktemp("images"), 2)


@pytest.fixture(scope="session")
def companions() -> dict[str, object]:
    """The networks beside which a mask head is trained."""
    return {"detector": detector("t"), "people_unet": people_unet("b0")}


@pytest.fixture(scope="session")
def has_pinned_runtime() -> bool:
    """Whether ONNX Runtime 1.19.2 is in the cache, or could be installed."""
    try:
        pinned_runtime.install()
    except MissingRequirement:
        return False
    return True


@pytest.fixture
def pinned(has_pinned_runtime: bool) -> None:
    if not has_pinned_runtime:
        pytest.skip(f"no network to install ONNX Runtime {pinned_runtime.VERSION} from")
