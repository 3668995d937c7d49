"""Every YAML trains a few steps on made-up images and leaves a checkpoint that loads."""

import itertools
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from peopleseg.networks.checkpoint import load_network
from tests.training.runs import CONFIGS, Data, train
from training.cli import configs_first

Captured = pytest.CaptureFixture[str]

ELSEWHERE = {
    "feature_head_precomputed",  # in test_features, where there are features
    "hierarchical_lite_distilled",  # in test_mask_distillation, where there is a teacher
    "yolov9_t_distilled",  # in test_detector_distillation, likewise
}
OTHER_SYSTEMS = ("deeplab", "person_", "referring")  # in test_semantic, test_referring and so on
READ_FEATURES = ("fused", "lite", "presence")
VARIANTS = sorted(
    {path.stem for path in CONFIGS.glob("*.yaml") if not path.stem.startswith(OTHER_SYSTEMS)}
    - ELSEWHERE
)
RECIPES = sorted(
    path.stem
    for path in (CONFIGS / "recipes").glob("*.yaml")
    if not path.stem.startswith(("semantic", "referring"))
)


def small(variant: str, data: Data) -> list[str]:
    """What makes a variant's own settings quick."""
    if variant.startswith("yolov9"):
        return ["--data.size=64", "--data.mixing.last_epochs_without=0"]
    if variant.startswith("people_unet"):
        taught = variant.endswith("distilled")
        teacher = [f"--model.teacher={data.people_unet}", "--model.encoder_weights=null"]
        return ["--data.size=64", "--model.shrink=4", *(teacher if taught else [])]
    if variant == "feature_head":
        return [f"--model.detector={data.detector}", "--data.roi.most_people=1"]
    fused = [f"--model.detector={data.detector}"] if variant.endswith(READ_FEATURES) else []
    return [
        f"--model.people_unet={data.people_unet}",
        *fused,
        "--model.roi_size_hw=[16, 12]",
        "--data.roi.mask_size_hw=[32, 24]",
        "--data.roi.most_people=1",
    ]


def fit(variant: str, data: Data, out: Path, *more: str, recipe: str | None = None) -> int:
    recipes = [f"--config={CONFIGS / 'recipes' / recipe}.yaml"] if recipe else []
    return train(
        "fit",
        f"--config={CONFIGS / variant}.yaml",
        *recipes,
        *data.arguments(),
        *small(variant, data),
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        f"--out={out}",
        *more,
    )


LARGE = ("yolov9_e", "yolov9_c_sgd")


@pytest.mark.parametrize(
    "variant",
    [pytest.param(one, marks=pytest.mark.slow if one in LARGE else ()) for one in VARIANTS],
)
def test_each_variant_trains(variant: str, data: Data, out: Path) -> None:
    assert fit(variant, data, out) == 0
    best = load_network(out / "best.ckpt")
    assert best.epoch == 1
    assert best.metrics
    assert all(0 <= value <= 1 for value in best.metrics.values())
    assert (out / "config.yaml").is_file()
    assert list(out.glob("events.out.tfevents.*"))


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != "multi_gpu"])
def test_each_recipe_goes_with_a_variant(recipe: str, data: Data, out: Path) -> None:
    assert fit("people_unet_b0", data, out, recipe=recipe) == 0
    assert load_network(out / "last.ckpt").family == "people_unet"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_order_of_variant_recipe_and_keys_does_not_matter(order: tuple[int, ...]) -> None:
    recipe = ["--config", str(CONFIGS / "recipes" / "quick_100.yaml")]
    parts = [["--config", str(CONFIGS / "yolov9_t.yaml")], recipe, ["--data.loader.batch_size=3"]]
    arguments = ["fit", *itertools.chain(*(parts[place] for place in order)), "--data.root=there"]
    sorted_out = configs_first(arguments)
    assert [Path(one).stem for one in sorted_out[1:3]] == ["yolov9_t", "quick_100"]
    assert sorted(sorted_out[3:]) == ["--data.loader.batch_size=3", "--data.root=there"]


@pytest.mark.parametrize("wrong", [["--config"], ["--config=nowhere.yaml"]])
def test_a_config_that_is_missing_is_told(wrong: list[str], capfd: Captured) -> None:
    assert train("fit", *wrong) != 0
    assert "config" in capfd.readouterr().err


def test_a_recipe_before_the_variant_counts_and_the_end_says_what_is_next(
    data: Data, out: Path, capfd: Captured
) -> None:
    recipe = out.parent / "short.yaml"
    recipe.write_text("trainer: {max_epochs: 2}\n")
    variant = f"--config={CONFIGS / 'people_unet_b0.yaml'}"
    arguments = ["--trainer.limit_train_batches=1", *data.arguments(), f"--out={out}"]
    small_unet = small("people_unet_b0", data)
    assert train("fit", f"--config={recipe}", *arguments, *small_unet, variant) == 0
    assert load_network(out / "last.ckpt").epoch == 2
    line = f"the best weights are in {out}/best.ckpt; next: peopleseg export {out}/best.ckpt\n"
    assert capfd.readouterr().out.endswith(line)


def test_fine_tuning_starts_from_the_weights_given(data: Data, out: Path) -> None:
    start = f"--model.start_from={data.people_unet}"
    still = "--model.optimizer.learning_rate=0"
    assert fit("people_unet_b0", data, out, start, still, recipe="fine_tune") == 0
    begun, ended = (load_network(path).network for path in (data.people_unet, out / "last.ckpt"))
    for name, weight in begun.named_parameters():
        assert ended.get_parameter(name).equal(weight), name


def test_the_encoder_is_unfrozen_stage_by_stage(data: Data, out: Path) -> None:
    start = [f"--model.start_from={data.people_unet}", "--model.backbone.train=progressive"]
    assert fit("people_unet_b0", data, out, *start, "--model.backbone.first_epoch=1") == 0
    begun, ended = (load_network(path).network for path in (data.people_unet, out / "last.ckpt"))
    changed = {
        name
        for name, weight in begun.state_dict().items()
        if not ended.state_dict()[name].equal(weight)
    }
    assert not [name for name in changed if name.startswith("unet.encoder.") and "head" not in name]
    assert [name for name in changed if name.startswith("unet.decoder.")]


def test_a_detectors_backbone_stays_as_it_was_when_frozen(data: Data, out: Path) -> None:
    frozen = [f"--model.start_from={data.detector}", "--model.backbone.train=frozen"]
    assert fit("yolov9_t", data, out, *frozen) == 0
    begun, ended = (load_network(path).network for path in (data.detector, out / "last.ckpt"))
    changed = {
        int(name.split(".")[1])  # the layer
        for name, weight in begun.state_dict().items()
        if not ended.state_dict()[name].equal(weight)
    }
    assert changed and min(changed) == 9  # SPPELAN


def test_tensorboard_shows_losses_metrics_and_images(data: Data, out: Path) -> None:
    assert fit("yolov9_t", data, out) == 0
    events = EventAccumulator(str(out), size_guidance={"images": 0})
    events.Reload()
    scalars = set(events.Tags()["scalars"])
    assert {"train/box", "train/loss", "box_ap50", "time/images_per_second"} <= scalars
    assert any(name.startswith("lr-") for name in scalars)
    (sheet,) = events.Images("validation")
    # two rows of squares, a column for each image of 1, 2, 3 and 5 people
    assert sheet.width > 3 * 400 and sheet.height > 2 * 400


def test_a_head_says_which_checkpoint_it_needs(
    data: Data, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = f"--config={CONFIGS / 'hierarchical_fused.yaml'}"
    assert train("fit", config, *data.arguments(), f"--out={out}") == 1
    assert "give --model.people_unet CHECKPOINT" in capfd.readouterr().err


def test_the_lite_unets_encoder_starts_from_a_detectors(data: Data, out: Path) -> None:
    frozen = [f"--model.detector={data.detector}", "--model.backbone.train=frozen"]
    assert fit("people_unet_lite", data, out, *frozen) == 0
    detector, unet = (load_network(path).network for path in (data.detector, out / "last.ckpt"))
    for name, weight in unet.get_submodule("unet.layers").state_dict().items():
        assert detector.get_submodule("layers").state_dict()[name].equal(weight), name


@pytest.mark.parametrize(
    ("variant", "arguments", "message"),
    [
        ("people_unet_b0", ["--model.detector={detector}"], "b0 UNet's encoder is no detector's"),
        ("people_unet_lite", ["--model.encoder_weights=imagenet"], "this encoder is a detector's"),
        ("people_unet_lite0", ["--model.encoder_weights=lite0"], "a lite0 UNet takes its own"),
        ("people_unet_lite", ["--model.detector={people_unet}"], "a people_unet, not a yolov9"),
    ],
)
def test_an_encoder_starts_from_what_fits_it_alone(
    variant: str,
    arguments: list[str],
    message: str,
    data: Data,
    out: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    named = [argument.format(**data._asdict()) for argument in arguments]
    assert fit(variant, data, out, *named) == 1
    assert message in capfd.readouterr().err


def test_another_familys_checkpoint_is_refused(
    data: Data, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = f"--model.start_from={data.detector}"
    assert fit("people_unet_b0", data, out, wrong) == 1
    assert "holds a yolov9, not a people_unet" in capfd.readouterr().err


def test_a_people_unet_learns_its_overlap_by_another_loss(data: Data, out: Path) -> None:
    dice, lovasz = out / "dice", out / "lovasz"
    assert fit("people_unet_lite", data, dice) == 0
    assert fit("people_unet_lite", data, lovasz, "--model.overlap=lovasz") == 0
    one, other = (load_network(path / "last.ckpt").network for path in (dice, lovasz))
    classifier = one.get_submodule("unet.classifier").state_dict()["weight"]
    assert not classifier.equal(other.get_submodule("unet.classifier").state_dict()["weight"])


def test_a_teacher_and_another_loss_of_the_overlap_are_refused(
    data: Data, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    both = [f"--model.teacher={data.people_unet}", "--model.overlap=lovasz"]
    assert fit("people_unet_b0", data, out, *both) == 1
    assert "leave out --model.overlap or --model.teacher" in capfd.readouterr().err
