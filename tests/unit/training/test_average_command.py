"""`peopleseg average-weights`: the mean of networks that are alike, and its metrics."""

from pathlib import Path

import pytest
import torch

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import load_network, save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from tests.data.people_images import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_data_set(tmp_path_factory.mktemp("people"), count=2)


def unet(path: Path, seed: int, *, variant: str = "lite") -> Path:
    torch.manual_seed(seed)
    network = PeopleUNet(variant, shrink=4)
    for values in network.buffers():
        if values.is_floating_point():  # norms that have seen something
            values.uniform_(0.5, 1.5)
    save_network(path, "people_unet", network, dims=network.dims, metrics={"people_seg_miou": 9.0})
    return path


def run(data: tuple[Path, Path], out: Path, *checkpoints: Path) -> int:
    options = [f"--images={data[0]}", f"--annotations={data[1]}", f"--out={out}"]
    return main(["average-weights", *map(str, checkpoints), *options])


def test_every_weight_is_the_mean_and_the_metrics_are_the_averages_own(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [unet(tmp_path / f"{seed}.ckpt", seed) for seed in range(3)]
    assert run(data, tmp_path / "mean.ckpt", *paths) == 0
    mean = load_network(tmp_path / "mean.ckpt")
    states = [load_network(path).network.state_dict() for path in paths]
    for name, values in mean.network.state_dict().items():
        expected = sum(state[name].double() for state in states) / 3
        if values.is_floating_point():
            torch.testing.assert_close(values.double(), expected, atol=1e-6, rtol=1e-5)
    assert 0 <= mean.metrics["people_seg_miou"] <= 1
    assert f"{mean.metrics['people_seg_miou']:.4f}" in capsys.readouterr().out


def test_the_average_of_equals_is_their_own(data: tuple[Path, Path], tmp_path: Path) -> None:
    path = unet(tmp_path / "one.ckpt", 0)
    mean = tmp_path / f"{'m' * 250}.ckpt"  # as long as a name may be
    assert run(data, mean, path, path) == 0
    torch.testing.assert_close(
        load_network(mean).network.state_dict(),
        load_network(path).network.state_dict(),
    )


def test_other_networks_and_one_alone_are_refused_and_nothing_is_written(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lite, b0 = unet(tmp_path / "lite.ckpt", 0), unet(tmp_path / "b0.ckpt", 0, variant="b0")
    out = tmp_path / "mean.ckpt"
    assert run(data, out, lite, b0) == 1
    assert f"{b0} holds a people_unet with" in capsys.readouterr().err
    assert run(data, out, lite) == 1
    assert "name two checkpoints or more" in capsys.readouterr().err
    pickled = tmp_path / "pickled.ckpt"
    torch.save(PeopleUNet("lite", shrink=4), pickled)
    assert run(data, out, lite, pickled) == 1
    err = capsys.readouterr().err
    assert f"{pickled} is not a checkpoint of peopleseg" in err and "weights_only" not in err
    assert not out.exists()


def test_a_checkpoint_is_not_written_over_by_its_average(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [unet(tmp_path / f"{seed}.ckpt", seed) for seed in range(2)]
    before = paths[1].read_bytes()
    assert run(data, tmp_path / "." / "1.ckpt", *paths) == 2
    assert f"is the file of CHECKPOINTS {paths[1]}; name another" in capsys.readouterr().err
    assert paths[1].read_bytes() == before


def test_a_missing_image_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations = write_data_set(tmp_path / "people", count=2)
    missing = sorted(images.iterdir())[0]
    missing.unlink()
    path = unet(tmp_path / "one.ckpt", 0)
    assert run((images, annotations), tmp_path / "mean.ckpt", path, path) == 0
    assert missing.name in capsys.readouterr().err


def test_images_that_cannot_be_measured_end_in_a_sentence(
    data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, annotations = tmp_path / "images", data[1]
    images.mkdir()
    for image in data[0].iterdir():
        (images / image.name).write_bytes(image.read_bytes()[:200])
    path = unet(tmp_path / "one.ckpt", 0)
    assert run((images, annotations), tmp_path / "mean.ckpt", path, path) == 1
    assert "can be measured" in capsys.readouterr().err
    assert not (tmp_path / "mean.ckpt").exists()
