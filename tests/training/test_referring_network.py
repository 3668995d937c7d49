"""A training of the referring network by prompts, on planted data: a step of a light design."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from peopleseg.networks.checkpoint import CheckpointError, load_network, save_network
from peopleseg.networks.people.people_unet import PeopleUNet
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.text_encoders import TextEncoder
from tests.data.small_minilm import write_tokenizer
from tests.training.runs import CONFIGS
from training.referring.samples import RefBatch
from training.referring.targets import RefTargets
from training.referring.task import ReferringPerson, start_backbone
from training.referring.words import WordReader

SIZE = 96  # pixels; smaller squares have maps of one cell
COMBINATIONS = sorted((CONFIGS / "referring").glob("*.yaml"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def task(tokenizer: Path) -> ReferringPerson:
    torch.manual_seed(0)
    return ReferringPerson(text_encoder="tinybert", vision="mit_b0", groups=3, tokenizer=tokenizer)


def batch(*texts: str | None) -> RefBatch:
    """A text each, or where it is None a point, on one of two noisy images."""
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (2, 3, SIZE, SIZE), dtype=np.uint8))
    count = len(texts)
    masks = torch.zeros((count, SIZE, SIZE), dtype=torch.uint8)
    masks[:, 20:70, 30:60] = 1
    targets = RefTargets(
        boxes_cxcywh=torch.tensor([[0.47, 0.47, 0.31, 0.52]]).repeat(count, 1),
        keypoints=torch.full((count, 17, 2), 0.5),
        visible=torch.ones(count, 17),
        masks=masks,
        mask_known=torch.ones(count, dtype=torch.bool),
        areas=torch.full((count,), 0.16),
    )
    points = torch.full((count, 2, 3), -1.0)
    for row, text in enumerate(texts):
        if text is None:
            points[row, 0] = torch.tensor([45.0, 45.0, 1.0])
    image_of = torch.arange(count) % 2
    return RefBatch(images, image_of, list(texts), points, targets, [])


@pytest.mark.parametrize(
    "texts", [("the man", None, "red"), (None, None), ("the man", "person on the left")]
)
def test_all_but_the_text_encoder_learns(
    task: ReferringPerson, texts: tuple[str | None, ...]
) -> None:
    task.train()
    task.zero_grad()
    terms = task.loss_terms(batch(*texts))
    assert torch.isfinite(terms["loss"]) and {"mask_dice", "oks", "person"} <= terms.keys()
    terms["loss"].backward()  # type: ignore[no-untyped-call]
    learned = {
        name.partition(".")[0]
        for name, one in task.network.named_parameters()
        if one.grad is not None and one.grad.abs().sum() > 0
    }
    assert {"backbone", "projections", "fusion", "transformer", "mask_head"} <= learned
    assert "text_encoder" not in learned
    assert ("text_prompts" in learned) == any(text is not None for text in texts)
    assert ("point_prompts" in learned) == any(text is None for text in texts)


def test_a_batch_of_images_in_which_nobody_can_be_meant_is_empty(task: ReferringPerson) -> None:
    none = batch()
    assert len(none.images) == 2 and task.is_empty(none)
    task.eval()
    task.validation_step(none, 0)
    assert task.prompt_metrics.rows == []


@torch.no_grad()
def test_it_is_measured_on_every_prompt(task: ReferringPerson) -> None:
    task.eval()
    task.validation_step(batch("the man", None, None), 0)
    measured = task.prompt_metrics.compute()
    task.prompt_metrics.reset()
    assert measured["prompts"] == 3 and task.monitor in measured
    assert 0 <= measured["right_person"] <= 1


def test_texts_are_kept_and_answer_the_same_in_any_company(tokenizer: Path) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder("tinybert")
    read = WordReader(encoder, tokenizer, keep=True)
    device = torch.device("cpu")
    together = read(["red", "the man on the left"], device)
    alone = WordReader(encoder.eval(), tokenizer, keep=True)(["red"], device)
    length = int((~alone.padding[0]).sum())
    torch.testing.assert_close(together.tokens[0, :length], alone.tokens[0], atol=1e-5, rtol=1e-4)
    assert together.padding[0].sum() == together.padding.shape[1] - length
    encoder.requires_grad_(False)
    for weight in encoder.parameters():
        weight.zero_()
    again = read(["the man on the left", "red"], device)  # not read anew
    assert torch.equal(again.pooled, together.pooled.flip(0))


def test_a_text_encoder_that_learns_is_asked_each_time(tokenizer: Path) -> None:
    task = ReferringPerson(
        text_encoder="tinybert", vision="mit_b0", groups=2, tokenizer=tokenizer, train_text=True
    )
    task.train()
    task.loss_terms(batch("the man", "red"))["loss"].backward()
    assert any(one.grad is not None for one in task.network.text_encoder.parameters())


def test_the_backbone_starts_from_a_people_unets_encoder(tmp_path: Path) -> None:
    unet = PeopleUNet("lite0")
    path = tmp_path / "unet.ckpt"
    save_network(path, "people_unet", unet, dims=unet.dims)
    network = ReferringNetwork("fully_conv_optim", "tinybert", "tf_efficientnet_lite0", groups=2)
    start_backbone(network, path)
    own = dict(network.backbone.named_parameters())
    first = next(value for name, value in own.items() if name.endswith("conv_stem.weight"))
    assert torch.equal(first, unet.unet.encoder.conv_stem.weight)  # type: ignore[operator]
    other = ReferringNetwork("fully_conv_optim", "tinybert", "mit_b0", groups=2)
    with pytest.raises(CheckpointError, match="no encoder for the backbone mit_b0"):
        start_backbone(other, path)


@pytest.mark.parametrize("path", COMBINATIONS, ids=lambda path: path.stem)
def test_each_published_combination_is_named_as_the_network_knows_it(path: Path) -> None:
    names = yaml.safe_load(path.read_text())["model"]["init_args"]
    with torch.device("meta"):
        network = ReferringNetwork(names["transformer"], names["text_encoder"], names["vision"])
    assert "_".join(names.values()) == path.stem
    assert network.dims["groups"] == 20


def test_there_are_ten_of_them() -> None:
    assert len(COMBINATIONS) == 10


def test_a_checkpoint_builds_it_again(task: ReferringPerson, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_network(path, task.family, task.network, dims=task.network.dims)
    assert load_network(path).dims == task.network.dims
