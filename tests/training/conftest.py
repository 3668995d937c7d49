"""Made-up images and random companions to train on and beside, once a session."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from peopleseg.networks.checkpoint import save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.people.yolov9 import YOLOv9
from tests.data.people_images import write_data_set
from tests.training.runs import Data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Six images, the first without people, and two networks that know nothing."""
    folder = tmp_path_factory.mktemp("made-up")
    images, annotations = write_data_set(folder, count=6)
    people_unet, detector = folder / "unet.ckpt", folder / "detector.ckpt"
    unet = PeopleUNet("b0", shrink=4)
    save_network(people_unet, "people_unet", unet, dims=unet.dims)
    yolo = YOLOv9("t")
    save_network(detector, "yolov9", yolo, dims=yolo.dims)
    return Data(images, annotations, people_unet, detector)


@pytest.fixture(autouse=True)
def forget_the_run() -> Iterator[None]:
    """A trainer and what it trained hold each other; the largest variants are gigabytes."""
    yield
    gc.collect()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Folder of a run."""
    return tmp_path / "run"
