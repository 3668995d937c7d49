"""`peopleseg train-memory`."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from peopleseg.cli.main import main
from peopleseg.labels.coco import load_images
from peopleseg.networks.people.people_unet import PeopleUNet
from training.data.images import DataError, usable_images
from training.memory import PEOPLE, need_of, write_crowded_images
from training.tasks.people_unet import PeopleForeground


def write_config(path: Path, task: str, settings: Any, data: str, data_settings: Any) -> Path:
    parts = {
        "model": {"class_path": task, "init_args": settings},
        "data": {"class_path": data, "init_args": data_settings},
        "trainer": {"max_epochs": 3},
    }
    path.write_text(yaml.safe_dump(parts))
    return path


def small_unet(path: Path, task: str = "training.tasks.people_unet.PeopleForeground") -> Path:
    """A people UNet of three images of 64 pixels at a time."""
    settings = {"variant": "b0", "shrink": 4}
    data = {"size": 64, "loader": {"batch_size": 3}}
    return write_config(path, task, settings, "training.data.foreground.ForegroundData", data)


def test_a_head_is_measured_on_as_many_people_as_it_takes(tmp_path: Path) -> None:
    head = {"variant": "b0", "reads_features": True, "roi_size_hw": [16, 12]}
    rois = {"mask_size_hw": [32, 24], "most_people": 3}
    config = write_config(
        tmp_path / "head.yaml",
        *("training.tasks.mask_head.PersonMasks", head),
        *("training.data.rois.RoiData", {"loader": {"batch_size": 2}, "roi": rois}),
    )
    need = need_of(config, tmp_path, "cpu")
    assert (need.variant, need.batch, need.canvas_px, need.rois) == ("head", 2, 640, 6)
    unet = sum(p.numel() for p in PeopleUNet("b0").parameters())
    assert need.frozen > unet  # and the detector
    assert need.gpu_mib is None
    weights_mib = (need.trained * 4 + need.frozen) * 4 / 2**20  # gradients and Adam's moments
    assert weights_mib < need.memory_mib


@pytest.mark.parametrize("text", ["[]", "data: {}", ""])
def test_a_file_without_a_network_is_named(text: str, tmp_path: Path) -> None:
    config = tmp_path / "none.yaml"
    config.write_text(text)
    with pytest.raises(DataError, match="has no `model`; name a variant's YAML"):
        need_of(config, tmp_path, "cpu")


def test_variants_are_measured_and_what_fails_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = small_unet(tmp_path / "small.yaml")
    killed = small_unet(tmp_path / "killed.yaml", f"{Killed.__module__}.{Killed.__name__}")
    report = tmp_path / "memory.json"
    configs = [str(tmp_path / "absent.yaml"), str(killed), str(good), str(good)]
    arguments = ["train-memory", *configs, "--device", "cpu", "--json", str(report)]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "absent.yaml: FileNotFoundError" in printed.err
    assert "killed.yaml: its process was killed by signal 9" in printed.err
    heading, row = printed.out.splitlines()
    assert heading.split()[:4] == ["variant", "batch", "canvas_px", "rois"]
    assert row.split()[:4] == ["small", "3", "64", "-"]
    written = json.loads(report.read_text())
    assert [Path(one["config"]).name for one in written["failed"]] == ["absent.yaml", "killed.yaml"]
    (need,) = written["variants"]
    network = PeopleUNet("b0", 4)
    assert need["trained"] + need["frozen"] == sum(p.numel() for p in network.parameters())
    assert 100 < need["memory_mib"] < 100_000


def test_the_made_up_images_have_people_who_do_not_overlap(tmp_path: Path) -> None:
    images, annotations = tmp_path / "images", tmp_path / "people.json"
    write_crowded_images(images, annotations, 4)
    usable, skipped = usable_images(annotations, images)
    assert len(usable) == 4 and not skipped
    for image in load_images(annotations, images):
        masks = np.stack([p.mask(image.height, image.width) for p in image.people])
        assert len(masks) == PEOPLE
        assert masks.sum(axis=0).max() == 1
        for person, mask in zip(image.people, masks, strict=True):
            x1, y1, x2, y2 = map(round, person.box_xyxy)
            assert mask[y1:y2, x1:x2].all() and mask.sum() == (y2 - y1) * (x2 - x1)


class Killed(PeopleForeground):
    """As the kernel ends a process that memory does not suffice for."""

    def setup(self, stage: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
