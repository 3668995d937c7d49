"""What is told of everybody."""

import numpy as np
import pytest
from numpy.typing import NDArray

from peopleseg.labels.keypoints import COUNT, FLIPPED
from peopleseg.systems.people.contract import MAX_PEOPLE
from peopleseg.systems.referring.describing import FARTHEST, MANY, PLACE, describe, length_of

SIZE_HW = (300, 400)
LOOKS = 6
LEFT, RIGHT, LARGER, HIGHER, LOWER = range(8, 13)  # columns of the counts
People = tuple[NDArray[np.float32], ...]


def people(count: int, random: np.random.Generator) -> People:
    """Boxes, scores, keypoints and looks."""
    corners = np.sort(random.uniform(0, 1, (count, 2, 2)), axis=1) * SIZE_HW[::-1]
    boxes = corners.reshape(count, 4).astype(np.float32)
    keypoints = random.uniform(0, 300, (count, COUNT, 3)).astype(np.float32)
    keypoints[..., 2] = random.random((count, COUNT))
    looks = random.normal(size=(count, LOOKS)).astype(np.float32)
    return boxes, random.random(count).astype(np.float32), keypoints, looks


def plainly(index: int, everybody: People) -> list[float]:
    """What is told of one person, one number after the other."""
    boxes, scores, keypoints, looks = everybody
    height, width = SIZE_HW

    def middle(box: NDArray[np.float32]) -> tuple[float, float]:
        return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2

    def area(box: NDArray[np.float32]) -> float:
        return float((box[2] - box[0]) * (box[3] - box[1]))

    box = boxes[index]
    (x, y), sides = middle(box), (box[2] - box[0], box[3] - box[1])
    told = [1, x / width, y / height, sides[0] / width, sides[1] / height, box[3] / height]
    told += [np.sqrt(area(box) / (width * height)), scores[index]]
    others = [boxes[n] for n in range(len(boxes)) if n != index]
    told += [
        sum(middle(other)[0] < x for other in others) / MANY,
        sum(middle(other)[0] > x for other in others) / MANY,
        sum(area(other) > area(box) for other in others) / MANY,
        sum(middle(other)[1] < y for other in others) / MANY,
        sum(middle(other)[1] > y for other in others) / MANY,
    ]
    for joint_x, joint_y, visible in keypoints[index]:
        for place, start, side in ((joint_x, box[0], sides[0]), (joint_y, box[1], sides[1])):
            # COCO's keypoints count from the middle of the first pixel, boxes from its edge.
            part = (place + 0.5 - start) / side
            told.append(min(max(part, -FARTHEST), 1 + FARTHEST))
        told.append(visible)
    return [*map(float, told), *looks[index].tolist()]


@pytest.mark.parametrize("count", [1, 2, 7, MAX_PEOPLE])
def test_everybody_is_told_of_as_plainly(count: int, random: np.random.Generator) -> None:
    everybody = people(count, random)
    found = describe(*everybody, SIZE_HW)  # type: ignore[call-arg, arg-type]
    assert found.shape == (MAX_PEOPLE, length_of(LOOKS)) and found.dtype == np.float32
    expected = [plainly(index, everybody) for index in range(count)]
    np.testing.assert_allclose(found[:count], expected, rtol=1e-4, atol=1e-4)
    assert not found[count:].any()


def test_nobody_is_told_of_in_zeros(random: np.random.Generator) -> None:
    found = describe(*people(0, random), SIZE_HW)  # type: ignore[call-arg, arg-type]
    assert found.shape == (MAX_PEOPLE, length_of(LOOKS)) and not found.any()


def test_whoever_comes_first_is_told_the_same_of(random: np.random.Generator) -> None:
    everybody, order = people(9, random), random.permutation(9)
    found = describe(*everybody, SIZE_HW)  # type: ignore[call-arg, arg-type]
    swapped = describe(*(one[order] for one in everybody), SIZE_HW)  # type: ignore[call-arg, arg-type]
    np.testing.assert_array_equal(swapped[:9], found[:9][order])


def test_one_person_is_left_of_nobody(random: np.random.Generator) -> None:
    found = describe(*people(1, random), SIZE_HW)  # type: ignore[call-arg, arg-type]
    assert found[0, 0] == 1 and not found[0, LEFT : LOWER + 1].any()


def test_people_at_one_place_do_not_count_each_other(random: np.random.Generator) -> None:
    same = [np.repeat(one, 3, axis=0) for one in people(1, random)]
    found = describe(*same, SIZE_HW)  # type: ignore[call-arg, arg-type]
    assert not found[:3, LEFT : LOWER + 1].any()


def test_a_mirrored_image_mirrors_what_it_should(random: np.random.Generator) -> None:
    boxes, scores, keypoints, looks = people(5, random)
    width = SIZE_HW[1]
    mirrored_boxes = np.stack(
        [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1
    )
    mirrored = keypoints[:, list(FLIPPED)].copy()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]  # pixels, counted from the middle of the first
    found = describe(boxes, scores, keypoints, looks, SIZE_HW)[:5]
    other = describe(mirrored_boxes, scores, mirrored, looks, SIZE_HW)[:5]
    expected = found.copy()
    expected[:, 1] = 1 - found[:, 1]
    expected[:, [LEFT, RIGHT]] = found[:, [RIGHT, LEFT]]
    joints = found[:, PLACE : PLACE + 3 * COUNT].reshape(5, COUNT, 3)[:, list(FLIPPED)].copy()
    joints[..., 0] = 1 - joints[..., 0]
    expected[:, PLACE : PLACE + 3 * COUNT] = joints.reshape(5, -1)
    np.testing.assert_allclose(other, expected, atol=1e-4)


def test_a_box_of_no_size_is_told_of_in_numbers(random: np.random.Generator) -> None:
    boxes, *rest = people(2, random)
    boxes[1, 2:] = boxes[1, :2]
    found = describe(boxes, *rest, SIZE_HW)  # type: ignore[call-arg, arg-type]
    assert np.isfinite(found).all()
    in_box = found[1, PLACE : PLACE + 3 * COUNT].reshape(COUNT, 3)[:, :2]
    assert set(np.unique(in_box)) <= {-FARTHEST, 1 + FARTHEST}
