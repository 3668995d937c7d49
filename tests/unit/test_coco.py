import json

import numpy as np
import pytest

from peopleseg.labels.coco import box_pixels, load_pictures
from peopleseg.pixels.masks import encode_rle

HEIGHT, WIDTH = 30, 40
MISSING = object()
SQUARE = [[10, 5, 20, 5, 20, 25, 10, 25]]  # x, y of a polygon


def square_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[5:25, 10:20] = 1
    return mask


def uncompressed(mask: np.ndarray) -> dict:
    """COCO's uncompressed RLE: run lengths of 0 and 1 in turn, down the columns."""
    counts, value, run = [], 0, 0
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


def annotation(image_id: int, segmentation=SQUARE, **changes) -> dict:
    plain = {"image_id": image_id, "category_id": 1, "bbox": [10, 5, 10, 20], "iscrowd": 0}
    return {**plain, "segmentation": segmentation, **changes}


def write(folder, annotations, images=2):
    path = folder / "coco.json"
    infos = [
        {"id": 7 + i, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT}
        for i in range(images)
    ]
    path.write_text(json.dumps({"images": infos, "annotations": annotations}))
    return path


def test_pictures_come_in_order_with_their_people(tmp_path):
    path = write(tmp_path, [annotation(8), annotation(7), annotation(8, bbox=[0, 0, 1, 2])])
    first, second = load_pictures(path, tmp_path / "photos")
    assert (first.id, second.id) == (7, 8)
    assert second.path == tmp_path / "photos" / "1.jpg"
    assert (second.width, second.height) == (WIDTH, HEIGHT)
    assert [a.box_xyxy for a in first.people] == [(10, 5, 20, 25)]
    assert [a.box_xyxy for a in second.people] == [(10, 5, 20, 25), (0, 0, 1, 2)]


def test_a_picture_without_people_is_kept(tmp_path):
    first, second = load_pictures(write(tmp_path, [annotation(8)]), tmp_path)
    assert first.people == [] and len(second.people) == 1


def test_crowds_are_annotations_but_no_people(tmp_path):
    crowd = annotation(7, uncompressed(square_mask()), iscrowd=1)
    picture = load_pictures(write(tmp_path, [crowd, annotation(7)]), tmp_path)[0]
    assert [a.crowd for a in picture.annotations] == [True, False]
    assert [a.crowd for a in picture.people] == [False]


def test_other_categories_are_left_out(tmp_path):
    picture = load_pictures(write(tmp_path, [annotation(7, category_id=18)]), tmp_path)[0]
    assert picture.annotations == []


@pytest.mark.parametrize("form", ["polygon", "compressed", "uncompressed"])
def test_every_form_of_segmentation_gives_the_mask(form, tmp_path):
    mask = square_mask()
    forms = {"polygon": SQUARE, "compressed": encode_rle(mask), "uncompressed": uncompressed(mask)}
    picture = load_pictures(write(tmp_path, [annotation(7, forms[form])]), tmp_path)[0]
    assert (picture.people[0].mask(HEIGHT, WIDTH) == mask).all()


@pytest.mark.parametrize(
    "changes",
    [{"segmentation": []}, {"segmentation": None}, {"mask": "none"}, {"segmentation": MISSING}],
)
def test_who_has_a_box_alone_is_a_person_without_a_mask(changes, tmp_path):
    entry = {k: v for k, v in annotation(7, **changes).items() if v is not MISSING}
    picture = load_pictures(write(tmp_path, [entry, annotation(7)]), tmp_path)[0]
    box_alone, masked = picture.people
    assert box_alone.box_xyxy == masked.box_xyxy and picture.masked_people == [masked]
    assert not box_alone.masked and masked.masked
    with pytest.raises(ValueError, match=r"\(10, 5, 20, 25\) has no mask"):
        box_alone.mask(HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("box", "touched"),
    [
        ((0, 0, 4, 3), (4, 3)),
        ((0.5, 0.5, 3.5, 2.5), (4, 3)),
        ((-9, -9, 2, 99), (2, 30)),
        ((-9, -9, -2, -2), (0, 0)),
        ((50, 50, 60, 60), (0, 0)),
    ],
)
def test_the_pixels_of_a_box_are_those_that_it_touches(box, touched):
    image = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    image[box_pixels(box, (HEIGHT, WIDTH))] = 1
    assert (image.any(axis=0).sum(), image.any(axis=1).sum()) == touched


def test_two_polygons_are_one_person(tmp_path):
    two = [[0, 0, 5, 0, 5, 5, 0, 5], [20, 20, 30, 20, 30, 30, 20, 30]]
    picture = load_pictures(write(tmp_path, [annotation(7, two)]), tmp_path)[0]
    mask = picture.people[0].mask(HEIGHT, WIDTH)
    assert mask[2, 2] == mask[25, 25] == 1 and mask.sum() == 25 + 100


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"images": []},
        {"images": [{"id": 1}], "annotations": []},
        {"images": [], "annotations": [{"category_id": 1, "image_id": 1}]},
        {"images": [], "annotations": [annotation(99)]},
        [1, 2],
    ],
)
def test_another_file_is_refused_by_name(content, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"other\.json is not a COCO annotation file"):
        load_pictures(path, tmp_path)


def test_the_photos_of_the_data_set_fit_their_annotations(people_data):
    pictures = load_pictures(people_data / "person_val.json", people_data / "val")
    assert len(pictures) > 0 and all(picture.path.is_file() for picture in pictures)
    picture = max(pictures, key=lambda p: len(p.people))
    for person in picture.people:
        x1, y1, x2, y2 = person.box_xyxy
        rows, columns = np.nonzero(person.mask(picture.height, picture.width))
        assert x1 - 2 <= columns.min() and columns.max() + 1 <= x2 + 2
        assert y1 - 2 <= rows.min() and rows.max() + 1 <= y2 + 2
