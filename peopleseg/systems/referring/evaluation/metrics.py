"""Measure how well the one person that a prompt means is found.

A network answers a prompt with groups, each a guess at the person with a score; the best is the
answer. Metrics of masks are over the prompts whose person's mask is known, metrics of poses over
those whose person has a known keypoint:

pose_ap, pose_ap50, mask_ap, mask_ap50
    COCO's average precision, over 0.50:0.95 and at 0.50, of the keypoints' similarity (OKS) and of
    the masks' IoU, over all groups; of masks, over the groups that have one.
pckh
    Of the known keypoints of all people whose ears are both known, together: the share within half
    the distance between the ears of the best group's.
oiou
    Of the best groups' masks, the intersections of all prompts over the unions of all.
miou
    The mean over the prompts of the IoU of the best group's mask.
precision_at_50 ... precision_at_90
    The share of the prompts at which that IoU is at least 0.5 ... 0.9.
right_person
    The share at which it is at least RIGHT_PERCENT: the answer is the person meant, however exact.
chance
    The share of right persons that one gets who takes anybody of the image each time.
right_of_several, chance_of_several
    The same two where the image is known to show several people.
told_apart
    Of the prompts whose image shows others with a known mask, the share at which the best group's
    mask has a higher IoU with the right person than with each of the others.

Unknown pixels count nowhere. All but the last five are as RefHuman measures them
(github.com/bo-miao/RefHuman), where precision_at_* asks for an IoU above 0.5 ... 0.9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from peopleseg.systems.referring.evaluation.answers import Groups, TruePerson
from peopleseg.systems.referring.evaluation.average_precision import average_precision
from peopleseg.systems.referring.evaluation.measuring import Measured, Overlap, measure

METRICS_VERSION = 1  # of the definitions above
PERCENTS = (50, 60, 70, 80, 90)  # of an IoU, of precision_at_*
RIGHT_PERCENT = 50
POSE_AP, MASK_AP = "pose_ap", "mask_ap"
RIGHT_PERSON, CHANCE, TOLD_APART = "right_person", "chance", "told_apart"
RIGHT_OF_SEVERAL, CHANCE_OF_SEVERAL = "right_of_several", "chance_of_several"
OF_OTHERS = (TOLD_APART, CHANCE, RIGHT_OF_SEVERAL, CHANCE_OF_SEVERAL)  # need the image's others

Metrics = dict[str, float | int | None]


@dataclass
class ReferringMetrics:
    """Takes prompts one by one."""

    measured: list[Measured] = field(default_factory=list)

    def add(self, found: Groups, true: TruePerson) -> None:
        """Raises ValueError for masks of another size than the true one."""
        self.measured.append(measure(found, true))

    def __add__(self, other: "ReferringMetrics") -> "ReferringMetrics":
        """The prompts of both."""
        return ReferringMetrics([*self.measured, *other.measured])

    def metrics(self) -> Metrics:
        """All metrics of this page's head, and on how many prompts they rest.

        None where there is nothing to measure.
        """
        return {
            **pose_metrics(self.measured),
            **mask_metrics(self.measured),
            "prompts": len(self.measured),
        }


def pose_metrics(measured: Sequence[Measured]) -> Metrics:
    """Those that need keypoints alone."""
    posed = [one for one in measured if one.pose_known]
    ap, ap50 = average_precision([one.scores for one in posed], [one.oks for one in posed])
    judged = sum(one.keypoints_judged for one in measured)
    return {
        POSE_AP: ap,
        "pose_ap50": ap50,
        "pckh": sum(one.keypoints_right for one in measured) / judged if judged else None,
        "prompts_with_pose": len(posed),
    }


def mask_metrics(measured: Sequence[Measured]) -> Metrics:
    """Those that need masks alone."""
    masked = [one for one in measured if one.overlap.union]
    known = [(one.scores[one.ious >= 0], one.ious[one.ious >= 0]) for one in masked]  # not NaN
    ap, ap50 = average_precision([scores for scores, _ in known], [ious for _, ious in known])
    overlaps = [one.overlap for one in masked]
    ious = [one.iou for one in overlaps]
    counted = [(one.overlap, one.chance) for one in masked if one.chance is not None]
    several = [(overlap, chance) for overlap, chance in counted if chance < 1]
    union = sum(one.union for one in overlaps)
    return {
        MASK_AP: ap,
        "mask_ap50": ap50,
        "oiou": sum(one.intersection for one in overlaps) / union if union else None,
        "miou": _mean(ious),
        **{f"precision_at_{percent}": _share(overlaps, percent) for percent in PERCENTS},
        RIGHT_PERSON: _share(overlaps, RIGHT_PERCENT),
        CHANCE: _mean([chance for _, chance in counted]),
        RIGHT_OF_SEVERAL: _share([overlap for overlap, _ in several], RIGHT_PERCENT),
        CHANCE_OF_SEVERAL: _mean([chance for _, chance in several]),
        TOLD_APART: _mean([one.told_apart for one in overlaps if one.told_apart is not None]),
        "prompts_with_mask": len(masked),
    }


def _share(overlaps: Sequence[Overlap], percent: int) -> float | None:
    """Of the overlaps, that whose IoU is at least so much; in whole pixels, so exact."""
    return _mean([100 * one.intersection >= percent * one.union for one in overlaps])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
