import json

import numpy as np
import pytest

from peopleseg.labels.coco import box_pixels, load_images, require_people
from peopleseg.labels.coco_file import AnnotationError
from peopleseg.labels.segmentation import decode, fault
from peopleseg.pixels.masks import encode_rle

HEIGHT, WIDTH = 30, 40
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
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
    data = {"images": infos, "annotations": annotations, "categories": CATEGORIES}
    path.write_text(json.dumps(data))
    return path


def test_images_come_in_order_with_their_people(tmp_path):
    path = write(tmp_path, [annotation(8), annotation(7), annotation(8, bbox=[0, 0, 1, 2])])
    first, second = load_images(path, tmp_path / "photos")
    assert (first.id, second.id) == (7, 8)
    assert second.path == tmp_path / "photos" / "1.jpg"
    assert (second.width, second.height) == (WIDTH, HEIGHT)
    assert [a.box_xyxy for a in first.people] == [(10, 5, 20, 25)]
    assert [a.box_xyxy for a in second.people] == [(10, 5, 20, 25), (0, 0, 1, 2)]


def test_an_image_without_people_is_kept(tmp_path):
    first, second = load_images(write(tmp_path, [annotation(8)]), tmp_path)
    assert first.people == [] and len(second.people) == 1


def test_crowds_are_annotations_but_no_people(tmp_path):
    crowd = annotation(7, uncompressed(square_mask()), iscrowd=1)
    image = load_images(write(tmp_path, [crowd, annotation(7)]), tmp_path)[0]
    assert [a.crowd for a in image.annotations] == [True, False]
    assert [a.crowd for a in image.people] == [False]


def test_other_categories_are_left_out(tmp_path):
    image = load_images(write(tmp_path, [annotation(7, category_id=18)]), tmp_path)[0]
    assert image.annotations == []


@pytest.mark.parametrize("form", ["polygon", "compressed", "uncompressed"])
def test_every_form_of_segmentation_gives_the_mask(form, tmp_path):
    mask = square_mask()
    forms = {"polygon": SQUARE, "compressed": encode_rle(mask), "uncompressed": uncompressed(mask)}
    image = load_images(write(tmp_path, [annotation(7, forms[form])]), tmp_path)[0]
    assert (image.people[0].mask(HEIGHT, WIDTH) == mask).all()


@pytest.mark.parametrize(
    "changes",
    [{"segmentation": []}, {"segmentation": None}, {"mask": "none"}, {"segmentation": MISSING}],
)
def test_who_has_a_box_alone_is_a_person_without_a_mask(changes, tmp_path):
    entry = {k: v for k, v in annotation(7, **changes).items() if v is not MISSING}
    image = load_images(write(tmp_path, [entry, annotation(7)]), tmp_path)[0]
    box_alone, masked = image.people
    assert box_alone.box_xyxy == masked.box_xyxy and image.masked_people == [masked]
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
    image = load_images(write(tmp_path, [annotation(7, two)]), tmp_path)[0]
    mask = image.people[0].mask(HEIGHT, WIDTH)
    assert mask[2, 2] == mask[25, 25] == 1 and mask.sum() == 25 + 100


def changed(folder, change):
    """A file of two images with a person each, after `change` of its data."""
    path = write(folder, [annotation(7, id=1), annotation(8, id=2)])
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def of_first(**changes):
    return lambda data: data["annotations"][0].update(changes)


def of_images(**changes):
    return lambda data: data["images"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (of_first(bbox=[]), "its bbox is []"),
        (of_first(bbox=[1, 2, 3, 4, 5]), "its bbox is [1, 2, 3, 4, 5]"),
        (of_first(bbox=None), "its bbox is None"),
        (of_first(bbox=["1", "2", "3", "4"]), "its bbox is ['1', '2', '3', '4']"),
        (of_first(bbox=[1, 2, float("nan"), 4]), "its bbox is [1, 2, nan, 4]"),
        (of_first(bbox=[1, 2, float("inf"), 4]), "its bbox is [1, 2, inf, 4]"),
        (of_first(bbox=[True, 2, 3, 4]), "its bbox is [True, 2, 3, 4]"),
        (of_first(bbox=[1, 2, 0, 4]), "its bbox [1, 2, 0, 4] has no area"),
        (of_first(bbox=[9, 9, -5, 4]), "its bbox [9, 9, -5, 4] has no area"),
        (of_first(bbox=[40, 2, 5, 4]), "lies outside the image, 40 x 30 pixels"),
        (of_first(iscrowd="0"), "its iscrowd is '0'"),
        (of_first(category_id="1"), "its category_id '1' is not among the categories"),
        (of_first(category_id=2), "its category_id 2 is not among the categories"),
        (of_first(image_id=99), "its image_id 99 is not among the images"),
        (of_first(image_id="7"), "its image_id '7' is not among the images"),
        (of_first(image_id=[7]), "its image_id [7] is not among the images"),
    ],
)
def test_a_broken_annotation_is_left_out_and_told(change, told, tmp_path, caplog):
    path = changed(tmp_path, change)
    first, second = load_images(path, tmp_path)
    assert (len(first.annotations), len(second.annotations)) == (0, 1)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.getMessage().count("\n") == 1
    assert f"{path}: 1 broken annotations:\n  annotation 1: " in caplog.text
    assert told in caplog.text


@pytest.mark.parametrize(
    ("segmentation", "told"),
    [
        ("text", "segmentation is 'text'"),
        (7, "segmentation is 7"),
        (SQUARE[0], "segmentation holds 10"),
        ([[10, 5, 20, 25]], "a polygon has 4 numbers"),
        ([*SQUARE, [10, 5, 20, 25]], "a polygon has 4 numbers"),
        ([[10, 5], [20, 5], [20, 25]], "a polygon has 2 numbers"),
        ([[10, 5, 20, 5, 20, 25, 10]], "a polygon has 7 numbers"),
        ([[10, 5, 20, 5, 20, float("nan")]], "a polygon holds nan"),
        ([["10", "5", "20", "5", "20", "25"]], "a polygon holds '10'"),
        ([[10, 5, 2_000_000, 5, 20, 25]], "reaches from 10 to 2e+06 in an image 40 pixels wide"),
        ([[-10, 5, -20, 5, -20, 25]], "reaches from -20 to -10 in an image 40 pixels wide"),
        ({"size": [WIDTH, HEIGHT], "counts": [1200]}, "an RLE has the size [40, 30]"),
        ({"counts": [1200]}, "an RLE has no size, expected [height, width]"),
        ({"size": [HEIGHT, WIDTH]}, "an RLE has the counts None"),
        ({"size": [HEIGHT, WIDTH], "counts": [600]}, "add up to 600 pixels, the image has 1200"),
        ({"size": [HEIGHT, WIDTH], "counts": [1201]}, "add up to 1201 pixels"),
        ({"size": [HEIGHT, WIDTH], "counts": [-1, 1201]}, "are not whole numbers from 0 on"),
        ({"size": [HEIGHT, WIDTH], "counts": [600.5, 599.5]}, "are not whole numbers"),
        ({"size": [HEIGHT, WIDTH], "counts": [float("nan")]}, "are not whole numbers"),
        ({"size": [HEIGHT, WIDTH], "counts": "zzzzzz"}, "an RLE"),
        ({"size": [HEIGHT, WIDTH], "counts": "\x7f"}, "an RLE"),
    ],
)
def test_a_broken_mask_leaves_a_box_alone_and_is_told(segmentation, told, tmp_path, caplog):
    path = changed(tmp_path, of_first(segmentation=segmentation))
    first, second = load_images(path, tmp_path)
    assert [p.masked for p in first.people] == [False] and second.people[0].masked
    assert first.people[0].box_xyxy == second.people[0].box_xyxy
    assert told in caplog.text and "it counts as a box alone" in caplog.text


def test_counts_may_be_whole_numbers_written_as_floats(tmp_path, caplog):
    rle = uncompressed(square_mask())
    rle["counts"] = [float(count) for count in rle["counts"]]
    image = load_images(changed(tmp_path, of_first(segmentation=rle)), tmp_path)[0]
    assert (image.people[0].mask(HEIGHT, WIDTH) == square_mask()).all()
    assert caplog.records == []


@pytest.mark.parametrize("seed", range(20))
def test_every_compressed_mask_is_taken_and_none_that_lacks_a_character(seed):
    random = np.random.default_rng(seed)
    mask = (random.random((HEIGHT, WIDTH)) < random.random()).astype(np.uint8)
    rle = encode_rle(mask)
    assert fault(rle, HEIGHT, WIDTH) is None
    assert (decode(rle, HEIGHT, WIDTH) == mask).all()
    assert fault({**rle, "counts": rle["counts"][:-1]}, HEIGHT, WIDTH) is not None


def test_only_ten_broken_annotations_are_named_and_all_are_counted(tmp_path, caplog):
    path = write(tmp_path, [annotation(7, id=number, bbox=[]) for number in range(14)])
    load_images(path, tmp_path)
    assert "14 broken annotations:" in caplog.text and "annotation 9: " in caplog.text
    assert "annotation 10: " not in caplog.text and "and 4 more" in caplog.text


@pytest.mark.parametrize("person", [0, 5, 90])
def test_the_file_says_which_category_is_the_person(person, tmp_path):
    def renumber(data):
        data["categories"] = [{"id": 1, "name": "dog"}, {"id": person, "name": " Person"}]
        data["annotations"][1]["category_id"] = person

    first, second = load_images(changed(tmp_path, renumber), tmp_path)
    assert (len(first.people), len(second.people)) == (0, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(categories=[{"id": 1, "name": "dog"}]), "no category called person"),
        (lambda d: d.update(categories=[]), "no category called person, but none at all"),
        (lambda d: d.pop("categories"), "it has no categories"),
        (lambda d: d.pop("annotations"), "it has no annotations"),
        (lambda d: d.update(annotations=None), "its annotations are no list of objects"),
        (lambda d: d.update(images=[1]), "its images are no list of objects"),
        (of_images(id="a"), "the image '0.jpg' has the id 'a'"),
        (of_images(id=8), "0.jpg and 1.jpg both have the image id 8"),
        (of_images(width=None), "the image '0.jpg' has the width None"),
        (of_images(height="30"), "the image '0.jpg' has the height '30'"),
        (of_images(height=0), "the image '0.jpg' has the height 0"),
        (of_images(file_name=None), "image 7 has the file_name None"),
        (of_images(file_name="https://example.org/0.jpg"), "image 7 has the URL"),
        (of_images(file_name="images\\0.jpg"), r"image 7 has the Windows path images\0.jpg"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(change, told, tmp_path):
    path = changed(tmp_path, change)
    with pytest.raises(AnnotationError) as caught:
        load_images(path, tmp_path)
    assert str(caught.value).startswith(str(path)) and told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", "is no JSON: "),
        (b'{"a": 1}\n{"a": 2}', "looks like JSON Lines"),
        (b'{"a": 1,}', "at line 1, column"),
        (b"[1, 2]", "it holds a list, as COCO results are"),
        (b"3", "it holds 3"),
        (b"\x1f\x8b\x08\x00", "run gunzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "run `git lfs pull`"),
        (b"<!DOCTYPE html>", "is HTML or XML"),
        (b'{"a": "\xff"}', "is no text in UTF-8"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_what_a_file_is_instead_is_told(content, told, tmp_path):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnnotationError) as caught:
        load_images(path, tmp_path)
    assert str(caught.value).startswith(str(path)) and told in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_text_of_other_programs_is_read(encoding, tmp_path):
    path = write(tmp_path, [annotation(7)])
    path.write_bytes(path.read_text().encode(encoding))
    assert [len(image.people) for image in load_images(path, tmp_path)] == [1, 0]


def test_nobody_is_an_error_where_somebody_is_needed(tmp_path):
    crowd = annotation(7, uncompressed(square_mask()), iscrowd=1)
    for entries, told in (([], "2 images;"), ([crowd], "2 images, only 1 crowds;")):
        path = write(tmp_path, entries)
        with pytest.raises(AnnotationError, match=f"has nobody in its {told}"):
            require_people(load_images(path, tmp_path), path)
    path = write(tmp_path, [crowd, annotation(8)])
    require_people(load_images(path, tmp_path), path)


def test_the_photos_of_the_data_set_fit_their_annotations(people_data):
    images = load_images(people_data / "person_val.json", people_data / "val")
    assert len(images) > 0 and all(image.path.is_file() for image in images)
    image = max(images, key=lambda p: len(p.people))
    for person in image.people:
        x1, y1, x2, y2 = person.box_xyxy
        rows, columns = np.nonzero(person.mask(image.height, image.width))
        assert x1 - 2 <= columns.min() and columns.max() + 1 <= x2 + 2
        assert y1 - 2 <= rows.min() and rows.max() + 1 <= y2 + 2
