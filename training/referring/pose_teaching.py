"""Poses of people whose keypoints nobody annotated, as a published network sees them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from peopleseg.labels.keypoints import COUNT, VISIBLE
from peopleseg.labels.poses import Posed, is_posed
from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.systems.referring.crops import TO_EDGE, crop, crop_matrix, inverse, mapped
from peopleseg.systems.referring.evaluation.pckh import WITHIN, head_length
from training.data.images import BrokenImage, read_rgb
from training.teachers.movenet import SIZE, MoveNet
from training.teachers.teacher import open_teacher

declare_missing_ops()

from torchvision.ops import box_iou  # noqa: E402  (after declare_missing_ops)

LEAST_IOU = 0.5  # of the box of whom the teacher sees with the person's own


@dataclass(frozen=True)
class PoseTeacher:
    """A MoveNet MultiPose's ONNX file, and where it is believed."""

    file: Path
    sure: float = 0.4  # a keypoint's least score that counts


class Teaching:
    """Sees people one by one, in a square around each. Raises TeacherError for another file."""

    def __init__(self, settings: PoseTeacher) -> None:
        network = open_teacher(Path(settings.file), "movenet")
        assert isinstance(network, MoveNet)
        self._network, self._sure = network, settings.sure

    def posed(self, people: Iterable[Posed]) -> list[Posed]:
        """Those of whom it is sure of enough keypoints, with these; of broken images none."""
        seen = (replace(one, keypoints=self._visible(one)) for one in people)
        return [one for one in seen if is_posed(one)]

    def measured(self, people: Sequence[Posed]) -> dict[str, float]:
        """How well it sees people whose keypoints are known; nothing where no head is.

        teacher_pckh: of their known keypoints, the share within half a head's length; and
        teacher_pckh_sure of those of which it is sure, which are teacher_sure of all.
        """
        right, sure = np.zeros((2, 0), bool)
        for one in people:
            known = one.keypoints[:, 2] > 0
            head = head_length(one.keypoints[:, :2], known)
            if head is not None:
                found = self._seen(one)
                away = np.linalg.norm(found[:, :2] - one.keypoints[:, :2], axis=1)[known]
                right = np.append(right, away <= WITHIN * head)
                sure = np.append(sure, found[known, 2] >= self._sure)
        if not sure.any():
            return {}
        return {
            "teacher_pckh": float(right.mean()),
            "teacher_pckh_sure": float(right[sure].mean()),
            "teacher_sure": float(sure.mean()),
        }

    def _visible(self, one: Posed) -> NDArray[np.float32]:
        """(17, 3) as COCO has them, all 0 where it is not sure."""
        keypoints = self._seen(one)
        sure = keypoints[:, 2:] >= self._sure
        keypoints[:, 2] = VISIBLE
        return np.where(sure, keypoints, np.float32(0))

    def _seen(self, one: Posed) -> NDArray[np.float32]:
        """(17, 3) x, y as COCO counts them and score, 0 where nobody is seen."""
        box = one.person.box_xyxy
        matrix = crop_matrix(box, (SIZE, SIZE))
        try:
            view = crop(read_rgb(one.image), matrix, (SIZE, SIZE))
        except BrokenImage:
            return np.zeros((COUNT, 3), np.float32)
        image = torch.from_numpy(view.transpose(2, 0, 1).copy())[None].float() / 255
        (seen,) = self._network.poses(image)
        corners = mapped(np.array(box, np.float64).reshape(2, 2), matrix)
        ious = box_iou(torch.from_numpy(corners.reshape(1, 4)).float(), seen.boxes_xyxy)[0]
        if not len(ious) or ious.max() < LEAST_IOU:
            return np.zeros((COUNT, 3), np.float32)
        keypoints = seen.keypoints[int(ious.argmax())].numpy()
        places = mapped(keypoints[:, :2].astype(np.float64), inverse(matrix)) - TO_EDGE
        return np.hstack((places, keypoints[:, 2:])).astype(np.float32)
