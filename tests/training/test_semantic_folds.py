"""Cross-validation of semantic trainings: each image held out once, no fold done twice."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmarks import semantic_folds
from peopleseg.networks.checkpoint import read_checkpoint
from tests.data.voc_images import write_voc
from training import cli

IMAGES = 10
QUICK = [
    *("--data.loader.batch_size=2", "--data.loader.workers=0", "--trainer.max_epochs=2"),
    *("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
    *("--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1"),
    *("--model.optimizer.learning_rate=1e-3", "--data.augmentation.strength=none"),
]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images in two folders, and the whole cross-validation of one row."""
    root = write_voc(tmp_path_factory.mktemp("folds") / "VOC2012", IMAGES, 0)
    for file in [*root.glob("JPEGImages/*[0-3].jpg"), *root.glob("SegmentationClass/*[0-3].png")]:
        other = root / "other" / file.parent.name
        other.mkdir(parents=True, exist_ok=True)
        file.rename(other / file.name)
    row = {"what": "a few steps", "config": "training/configs/deeplab_optimised.yaml"}
    (root / "rows.yaml").write_text(yaml.safe_dump({"few": row | {"keys": QUICK}, "more": row}))
    assert semantic_folds.main(arguments(root)) == 0
    return root


def arguments(root: Path, *more: str, **changed: object) -> list[str]:
    folders = [root, root / "other"]
    options: dict[str, object] = {
        "rows": root / "rows.yaml",
        "folds": root / "folds.json",
        "out": root / "runs",
        "json": root / "results.json",
        "only": "few",
        "size": 64,
    }
    return [
        *("--images", *(str(one / "JPEGImages") for one in folders)),
        *("--annotations", *(str(one / "SegmentationClass") for one in folders)),
        *(f"--{name}={value}" for name, value in (options | changed).items()),
        *more,
    ]


def results(root: Path) -> dict[str, Any]:
    return json.loads((root / "results.json").read_text())["rows"]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(checkpoint)["state_dict"]


def test_each_image_is_held_out_once_and_never_learned_then(made: Path) -> None:
    folds = json.loads((made / "folds.json").read_text())["folds"]
    everything = {name for fold in folds for name in fold}
    assert len(folds) == 5 and len(everything) == sum(map(len, folds)) == IMAGES
    for number, fold in enumerate(folds):
        run = made / "runs" / "few" / f"fold_{number}"
        assert set(read_checkpoint(run / "last.ckpt")["trained_on"]) == everything - set(fold)
        held = {name for file in run.glob("held_*.txt") for name in file.read_text().split()}
        assert held == set(fold)
        assert not (run / "best.ckpt").exists()  # nothing was chosen by the fold


def test_the_row_and_that_of_the_background_are_measured_on_all_images(made: Path) -> None:
    few, background = results(made)["few"], results(made)["background"]
    assert few["images"] == background["images"] == IMAGES
    assert background["person_iou"] == 0 and few["parameters"] == 2_516_853
    assert few["too_few_images"]["person"] == IMAGES and few["iou"] == {}
    assert few["miou_enough"] is None  # ten images are fewer than twenty
    assert len(few["folds"]["person_iou"]) == 5 and few["milliseconds"] > 0
    measured = [
        json.loads(file.read_text()) for file in (made / "runs" / "few").glob("*/measured.json")
    ]
    assert sum(one["images"] for one in measured) == IMAGES


def test_what_is_done_stays(made: Path, capsys: Captured) -> None:
    before = {file: file.stat().st_mtime_ns for file in (made / "runs").rglob("*.*")}
    assert semantic_folds.main(arguments(made)) == 0
    assert {file: file.stat().st_mtime_ns for file in (made / "runs").rglob("*.*")} == before
    table = capsys.readouterr().out
    assert "| `few` | a few steps | " in table and "| `background` |" in table


def test_a_stopped_fold_goes_on_and_ends_the_same(made: Path) -> None:
    folder = made / "runs" / "few" / "fold_2"
    expected = weights(folder / "last.ckpt")
    command = [one for one in _command(folder) if "max_epochs" not in one]
    for file in ("last.ckpt", "measured.json"):
        (folder / file).unlink()
    half = ("--trainer.max_epochs=1", "--model.schedule.epochs=2")
    assert cli.run(["fit", *command, *half]) == 0
    assert read_checkpoint(folder / "last.ckpt")["epoch"] == 0
    others = [made / "runs" / "few" / f"fold_{n}" / "last.ckpt" for n in (0, 1, 3, 4)]
    before = [file.stat().st_mtime_ns for file in others]
    assert semantic_folds.main(arguments(made)) == 0
    found = weights(folder / "last.ckpt")
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert [file.stat().st_mtime_ns for file in others] == before


def _command(folder: Path) -> list[str]:
    """The training of the fold, as its config says."""
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings["trainer"] |= {"max_epochs": None}
    config = folder.parent / "again.yaml"
    config.write_text(yaml.safe_dump({k: settings[k] for k in ("model", "data", "trainer")}))
    return [f"--config={config}", f"--out={folder}"]


def test_other_keys_train_anew(made: Path) -> None:
    folder = made / "runs" / "few" / "fold_0"
    before = weights(folder / "last.ckpt")
    other = arguments(made, "--", "--model.optimizer.learning_rate=1e-5")
    assert semantic_folds.main(other) == 0
    assert not all(torch.equal(weights(folder / "last.ckpt")[k], v) for k, v in before.items())
    keys = results(made)["few"]["asked"]["keys"]
    assert keys[-1] == "--model.optimizer.learning_rate=1e-5"


@pytest.mark.parametrize(
    ("more", "changed", "code", "said"),
    [
        ((), {"only": "many"}, 2, "--only many"),
        (("--images=/nowhere",), {}, 2, "--images has 3 folders"),
        (("--", "--model.variant=huge"), {}, 1, "failed; what is wrong stands above"),
    ],
)
def test_wrong_use_is_said(
    made: Path,
    tmp_path: Path,
    capsys: Captured,
    more: tuple[str, ...],
    changed: dict[str, str],
    code: int,
    said: str,
) -> None:
    changed = {"out": str(tmp_path / "runs"), "json": str(tmp_path / "results.json")} | changed
    assert semantic_folds.main(arguments(made, *more, **changed)) == code
    assert said in capsys.readouterr().err


def test_folds_of_other_images_are_refused(made: Path, tmp_path: Path, capsys: Captured) -> None:
    folds = tmp_path / "folds.json"
    folds.write_text(json.dumps({"folds": [["somebody"]]}))
    assert semantic_folds.main(arguments(made, folds=folds)) == 2
    assert f"has other images than the {IMAGES}" in capsys.readouterr().err
