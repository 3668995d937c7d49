"""Scenes and their views: image, masks and boxes stay together."""

from dataclasses import replace
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch

from peopleseg.labels.coco import AnnotatedImage, Annotation, load_images
from peopleseg.pixels.geometry import PAD_VALUE, Letterbox, Resize
from tests.data.people_images import people_image, write_data_set, write_image
from training.data import colour
from training.data.images import BrokenImage
from training.data.samples import cut
from training.data.scene import CROWD, OUTSIDE, UNKNOWN, Scene, make_scene, read_scene
from training.data.transforms import Strength, training_transforms, whole_view

from torchvision import tv_tensors  # isort: skip  (after declare_missing_ops)
from torchvision.transforms import v2  # isort: skip
from torchvision.transforms.v2 import functional as F  # isort: skip

SIZES_WH = [(64, 48), (33, 50), (200, 30), (1, 40)]
SIZE = 56


def scene_of(seed: int, size_wh: tuple[int, int] = (160, 120)) -> Scene:
    width, height = size_wh
    made = people_image(seed, size_hw=(height, width))
    sides = torch.from_numpy((made.boxes_xyxy[:, 2:] - made.boxes_xyxy[:, :2]).min(axis=1))
    ignored = np.zeros((1, height, width), dtype=np.uint8)
    return make_scene(made.image_rgb, made.boxes_xyxy, sides, made.masks, ignored)


def rectangle_scene(width: int = 160, height: int = 120) -> Scene:
    """A white person, exactly its box, on black."""
    masks = np.zeros((1, height, width), dtype=np.uint8)
    box = np.array([[0.3 * width, 0.25 * height, 0.6 * width, 0.75 * height]]).round()
    x1, y1, x2, y2 = box[0].astype(int)
    masks[0, y1:y2, x1:x2] = 1
    image = np.repeat(masks[0][..., None] * np.uint8(255), 3, axis=2)
    ignored = np.zeros((1, height, width), dtype=np.uint8)
    return make_scene(image, box.astype(np.float32), torch.tensor([48.0]), masks, ignored)


def bounding_box(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def edge_of(mask: np.ndarray) -> np.ndarray:
    return cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), dtype=np.uint8)) > 0


# --- reading


def test_a_scene_is_what_the_annotations_say(tmp_path):
    images, annotations = write_data_set(tmp_path)
    for seed, image in enumerate(load_images(annotations, images)):
        made = people_image(seed, count=None if seed else 0)
        scene = read_scene(image)
        np.testing.assert_array_equal(scene.image_rgb(), made.image_rgb)
        np.testing.assert_array_equal(scene.mask_arrays()[0], made.masks)
        np.testing.assert_array_equal(scene.boxes, made.boxes_xyxy)
        sides = (made.boxes_xyxy[:, 2:] - made.boxes_xyxy[:, :2]).min(axis=1)
        np.testing.assert_array_equal(scene.short_sides_px, sides)
        assert not scene.mask_arrays()[1].any()
        fast = read_scene(image, with_masks=False)
        assert fast.masks is None and fast.ignored is None
        assert torch.equal(fast.image, scene.image) and torch.equal(fast.boxes, scene.boxes)


def test_crowds_are_ignored_regions_and_nobody(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((20, 30, 3), dtype=np.uint8))
    polygon = [[2, 3, 12, 3, 12, 9, 2, 9]]
    crowd = Annotation((2, 3, 12, 9), polygon, crowd=True)
    image = AnnotatedImage(1, tmp_path / "a.png", 30, 20, [crowd])
    scene = read_scene(image)
    masks, ignored = scene.mask_arrays()
    assert scene.boxes.shape == (0, 4) and masks.shape == (0, 20, 30)
    np.testing.assert_array_equal(ignored, crowd.mask(20, 30) * CROWD)
    assert ignored.any()
    for with_masks in (True, False):
        scene = read_scene(replace(image, annotations=[crowd]), with_masks=with_masks)
        assert scene.ignored_boxes.tolist() == [[2, 3, 12, 9]]


# An 8 x 8 image: someone with a mask, someone without, and a crowd without. The first one's mask
# is the left half of the box.
MASKED = Annotation((0, 0, 4, 4), [[0, 0, 2, 0, 2, 4, 0, 4]], crowd=False)
BOX_ALONE = Annotation((3, 3, 6, 5), None, crowd=False)
CROWD_BOX = Annotation((1.5, 6.5, 3, 8), None, crowd=True)
U = UNKNOWN


@pytest.mark.parametrize(
    ("everybody", "expected"),
    [
        (
            True,
            [
                [0, 0, 0, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0],
                [0, 0, 0, U, U, U, 0, 0],
                [0, 0, 0, U, U, U, 0, 0],
                [0, 0, 0, 0, 0, 0, 0, 0],
                [0, U, U, 0, 0, 0, 0, 0],
                [0, U, U, 0, 0, 0, 0, 0],
            ],
        ),
        (
            False,
            [
                [0, 0, 0, 0, U, U, U, U],
                [0, 0, 0, 0, U, U, U, U],
                [0, 0, 0, 0, U, U, U, U],
                [0, 0, 0, U, U, U, U, U],
                *[[U] * 8] * 4,
            ],
        ),
    ],
)
def test_where_people_may_be_without_a_mask_is_unknown(tmp_path, everybody, expected):
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), dtype=np.uint8))
    people = [BOX_ALONE, MASKED, CROWD_BOX]
    scene = read_scene(AnnotatedImage(1, tmp_path / "a.png", 8, 8, people, everybody))
    masks, ignored = scene.mask_arrays()
    np.testing.assert_array_equal(masks, MASKED.mask(8, 8)[None])
    assert scene.boxes.tolist() == [[3, 3, 6, 5], [0, 0, 4, 4]]
    assert scene.masked.tolist() == [False, True]
    assert ignored.tolist() == expected
    assert scene.ignored_boxes.tolist() == [[1.5, 6.5, 3, 8] if everybody else [0, 0, 8, 8]]


def test_ignored_boxes_go_where_the_people_go():
    scene = scene_of(3)
    scene = scene._replace(ignored_boxes=scene.boxes.clone())
    views = [training_transforms(s, SIZE) for s in get_args(Strength)]
    for seed, view in enumerate(views * 5):
        torch.manual_seed(seed)
        seen = view(scene)
        assert torch.equal(seen.ignored_boxes, seen.boxes) and len(seen.boxes)
        assert torch.equal(seen.masked, scene.masked)


def test_an_image_of_another_size_than_annotated_is_broken(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((20, 30, 3), dtype=np.uint8))
    with pytest.raises(BrokenImage, match=r"a\.png: image is 30 x 20 .* for 20 x 30"):
        read_scene(AnnotatedImage(1, tmp_path / "a.png", 20, 30))


def test_a_box_stays_whole_in_torchvisions_own_views():
    cropped = v2.CenterCrop((10, 10))(rectangle_scene())
    assert cropped.image.shape == (3, 10, 10)
    assert cropped.boxes[0].tolist() == [-27, -25, 21, 35]


# --- views of evaluation


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_the_letterbox_is_the_servers(size_wh):
    scene = scene_of(3, size_wh)
    box = Letterbox.fit(size_wh[0], size_wh[1], SIZE)
    seen = whole_view(SIZE)(scene)
    np.testing.assert_array_equal(seen.image_rgb(), box.apply(scene.image_rgb(), SIZE))
    np.testing.assert_array_equal(seen.boxes, box.boxes_to_network(scene.boxes.numpy()))
    assert torch.equal(seen.short_sides_px, scene.short_sides_px)
    rows, columns = box.content_slices(SIZE)
    whole = scene.mask_arrays()[0]
    masks = np.zeros((len(whole), SIZE, SIZE), dtype=np.uint8)
    ignored = np.full((SIZE, SIZE), OUTSIDE, dtype=np.uint8)
    for i in range(rows.start, rows.stop):
        for j in range(columns.start, columns.stop):  # where the centre of the pixel comes from
            x, y = (j + 0.5 - box.pad_left) / box.scale_x, (i + 0.5 - box.pad_top) / box.scale_y
            x, y = min(int(x), size_wh[0] - 1), min(int(y), size_wh[1] - 1)
            masks[:, i, j], ignored[i, j] = whole[:, y, x], 0
    np.testing.assert_array_equal(seen.mask_arrays()[0], masks)
    np.testing.assert_array_equal(seen.mask_arrays()[1], ignored)


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_stretched_the_image_fills_the_square(size_wh):
    scene = scene_of(3, size_wh)
    seen = whole_view(SIZE, "stretch")(scene)
    assert seen.image.shape == (3, SIZE, SIZE) and not seen.mask_arrays()[1].any()
    served = Letterbox.stretch(size_wh[0], size_wh[1], SIZE).apply(scene.image_rgb(), SIZE)
    np.testing.assert_array_equal(seen.image_rgb(), served)
    zoom = torch.tensor([SIZE / size_wh[0], SIZE / size_wh[1]] * 2)
    torch.testing.assert_close(seen.boxes.as_subclass(torch.Tensor), scene.boxes * zoom)


@pytest.mark.parametrize("resize", get_args(Resize))
def test_a_view_of_the_same_size_changes_nothing(resize):
    scene = scene_of(2, (SIZE, SIZE))
    seen = whole_view(SIZE, resize)(scene)
    for before, after in zip(scene, seen, strict=True):
        assert torch.equal(before, after)


# --- random views

RANDOM = [(s, r) for s in ("light", "heavy") for r in ("letterbox", "stretch")]


@pytest.mark.parametrize("size_wh", [(160, 120), (60, 170), (300, 40)])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_image_masks_and_boxes_are_seen_in_the_same_place(size_wh, resize):
    scene = rectangle_scene(*size_wh)
    view = training_transforms("light", 96, (0.6, 2.0), resize)
    judged = 0
    for seed in range(40):
        torch.manual_seed(seed)
        seen = view(scene)
        (mask,), ignored = seen.mask_arrays()
        boxes = cut(seen.boxes.as_subclass(torch.Tensor), (96, 96))
        content = ignored == 0
        assert not mask[~content].any()
        away = ~edge_of(mask) & ~edge_of(content.astype(np.uint8))
        bright = seen.image_rgb().max(axis=2) > 115
        assert (bright == (mask > 0))[away & content].all()
        if (boxes[0, 2:] - boxes[0, :2]).min() > 3:
            np.testing.assert_allclose(bounding_box(mask), boxes[0], atol=1.01)
            judged += 1
    assert judged > 20


@pytest.mark.parametrize(("strength", "resize"), RANDOM)
def test_the_border_is_grey_and_ignored_whatever_the_colours(strength, resize):
    view = training_transforms(strength, 64, (0.4, 0.7), resize)
    for seed in range(20):
        torch.manual_seed(seed)
        seen = view(scene_of(seed))
        masks, ignored = seen.mask_arrays()
        outside = ignored == OUTSIDE
        assert outside.any() and not outside.all()
        assert (seen.image_rgb()[outside] == PAD_VALUE).all()
        assert not masks[:, outside].any()
        content = seen.image_rgb()[~outside]
        assert (content != PAD_VALUE).any(axis=1).mean() > 0.8


@pytest.mark.parametrize(("strength", "resize"), RANDOM)
def test_a_seed_gives_the_same_view_again_and_another_seed_another(strength, resize):
    scene, view = scene_of(3), training_transforms(strength, 64, resize=resize)
    seen = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        seen.append(view(scene))
    for first, again in zip(seen[0], seen[1], strict=True):
        assert torch.equal(first, again)
    assert not torch.equal(seen[0].image, seen[2].image)
    assert not torch.equal(seen[0].boxes, seen[2].boxes)


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_scales_are_relative_to_the_whole_image_in_the_square(resize):
    scene = rectangle_scene()
    whole = whole_view(96, resize)(scene).boxes[0].numpy()
    view = training_transforms("light", 96, (0.5, 2.0), resize)
    drawn = []
    for seed in range(150):
        torch.manual_seed(seed)
        box = view(scene).boxes[0].numpy()  # whole, also where it is cut off
        drawn.append((box[2:] - box[:2]) / (whole[2:] - whole[:2]))
    zooms = np.array(drawn)
    np.testing.assert_allclose(zooms[:, 0], zooms[:, 1], rtol=0.03)
    assert 0.49 < zooms.min() < 0.55 and 1.85 < zooms.max() < 2.04
    assert 60 < (zooms[:, 0] < 1).sum() < 90  # log-uniform: half of them


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_every_part_comes_into_view_and_every_place_is_taken(scale):
    scene = rectangle_scene()
    view = training_transforms("light", 96, (scale, scale))
    places = []
    for seed in range(60):
        torch.manual_seed(seed)
        places.append(view(scene).boxes[0, 1].item())  # of its top, which no flip moves
    whole = 120 * 96 / 160 * scale
    top = 0.25 * whole
    assert abs(min(places) - min(top, top + 96 - whole)) < 6
    assert abs(max(places) - max(top, top + 96 - whole)) < 6
    assert len(set(places)) > 20


def test_views_are_flipped_about_half_the_time():
    scene, view = rectangle_scene(), training_transforms("light", 64, (1, 1))
    flips = 0
    for seed in range(100):
        torch.manual_seed(seed)
        box = view(scene).boxes[0]
        flips += bool(box[0] + box[2] > 64)  # the person stands left of the middle
    assert 30 < flips < 70


@pytest.mark.parametrize("strength", ["none", "light", "heavy"])
def test_nobody_and_no_masks_are_no_error(strength):
    empty = make_scene(
        scene_of(0).image_rgb(),
        np.empty((0, 4), dtype=np.float32),
        torch.empty(0),
        np.empty((0, 120, 160), dtype=np.uint8),
        np.zeros((1, 120, 160), dtype=np.uint8),
    )
    seen = training_transforms(strength, 64)(empty)
    assert seen.boxes.shape == (0, 4) and seen.mask_arrays()[0].shape == (0, 64, 64)
    seen = training_transforms(strength, 64)(scene_of(3)._replace(masks=None, ignored=None))
    assert seen.masks is None and seen.ignored is None and len(seen.boxes)


def test_no_augmentation_is_the_view_of_evaluation():
    scene = scene_of(3)
    boxed = training_transforms("none", 64)(scene)
    stretched = training_transforms("none", 64, resize="stretch")(scene)
    assert all(torch.equal(a, b) for a, b in zip(whole_view(64)(scene), boxed, strict=True))
    assert all(
        torch.equal(a, b) for a, b in zip(whole_view(64, "stretch")(scene), stretched, strict=True)
    )


def test_an_unknown_strength_or_resize_is_named():
    with pytest.raises(ValueError, match="'medium'.*'light'"):
        training_transforms("medium", 64)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'crop'.*'stretch'"):
        training_transforms("light", 64, resize="crop")  # type: ignore[arg-type]


# --- colour

CHANGES: dict[Any, dict[str, Any]] = {
    colour.jittered: {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1},
    colour.shifted: {"most": 15},
    colour.raised: {"gammas": (0.8, 1.2)},
    colour.fogged: {"strengths": (0.2, 0.5)},
    colour.compressed: {"qualities": (30, 90)},
    colour.coarsened: {"scales": (0.4, 0.8)},
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_a_change_of_colour_is_visible_but_leaves_everybody_in_place(change):
    scene, change = scene_of(3), colour.on_image(change, **CHANGES[change])
    differences = []
    for seed in range(10):
        torch.manual_seed(seed)
        changed = change(scene)
        assert changed.image.dtype == torch.uint8 and changed.image.shape == scene.image.shape
        assert all(a is b for a, b in zip(changed[1:], scene[1:], strict=True))
        differences.append((changed.image.float() - scene.image.float()).abs().mean())
        torch.manual_seed(seed)
        assert torch.equal(change(scene).image, changed.image)
    assert 0.5 < np.mean(differences) < 80


def pale(image: torch.Tensor) -> tv_tensors.Image:
    """Without values that a change of colour would cut off."""
    return tv_tensors.Image(image // 2 + 50)


@pytest.mark.parametrize("setting", ["brightness", "contrast", "saturation"])
def test_the_jitter_is_torchvisions(setting):
    adjust = getattr(F, f"adjust_{setting}")
    place = ["brightness", "contrast", "saturation"].index(setting)
    image = pale(scene_of(3).image)
    for seed in range(5):
        torch.manual_seed(seed)
        factor = 1 + 0.2 * (2 * torch.rand(4, dtype=torch.float64)[place].item() - 1)
        torch.manual_seed(seed)
        changed = colour.on_image(colour.jittered, **{setting: 0.2})(image)
        difference = changed.float() - adjust(image, factor).float()
        assert difference.abs().max() <= 2 and (changed != image).any()  # it rounds in between


def test_a_turn_of_hue_keeps_grey_and_luma():
    image, jitter = pale(scene_of(3).image), colour.on_image(colour.jittered, hue=0.1)
    luma = torch.tensor(colour.LUMA, dtype=torch.float32).view(3, 1, 1)
    torch.manual_seed(2)
    difference = jitter(image).float() - image.float()
    assert difference.abs().max() > 4
    assert (difference * luma).sum(dim=0).abs().max() < 1.5
    grey = tv_tensors.Image(image[:1].repeat(3, 1, 1))
    assert (jitter(grey).float() - grey.float()).abs().max() <= 1
