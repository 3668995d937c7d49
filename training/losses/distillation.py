"""A people UNet taught by the labels and by a larger UNet.

Knowledge distillation (Hinton et al. 2015, arXiv:1503.02531) with the terms and weights of
PINTO0309/human-instance-segmentation (MIT). Its Kullback-Leibler term is not multiplied by the
squared temperature.
"""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from training.losses.foreground import known_cross_entropy, known_dice

TASK_WEIGHT = 0.7  # of the labels, against the teacher
ENTROPY_WEIGHT, DICE_WEIGHT = 0.7, 0.3
POSITIVE_WEIGHT = math.sqrt(0.838 / 0.162)  # 2.27; people are 16.2 % of COCO train2017's pixels
DICE_SMOOTH = 1e-5  # pixels
MOST_DIVERGENCE = 0.1  # of the teacher's part; the rest is the squared difference
HIGHEST_LOGIT = 10.0
EPSILON = 1e-5  # a probability's distance from 0 and 1
SURPASSED = 1.03  # student's metric over the teacher's, from which the teacher is left out


@dataclass(frozen=True)
class DistillationSchedule:
    """How soft the teacher's outputs are and how much its divergence counts."""

    start_temperature: float = 4.0  # the published README says 10, the published code 4
    end_temperature: float = 1.0
    start_alpha: float = MOST_DIVERGENCE
    alpha_decay: float = 25.0  # per unit by which the student's metric exceeds the teacher's

    def temperature(self, progress: float) -> float:
        """From start to end along half a cosine; progress in [0, 1] of the training."""
        remaining = (1 + math.cos(math.pi * progress)) / 2
        return self.end_temperature + (self.start_temperature - self.end_temperature) * remaining

    def alpha(self, ratio: float) -> float | None:
        """Share of the divergence; None once the student is more than 3 % better.

        ratio: the student's validation metric over the teacher's.
        """
        if ratio > SURPASSED:
            return None
        return self.start_alpha * math.exp(-self.alpha_decay * max(ratio - 1, 0))


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float | None,
) -> dict[str, Tensor]:
    """Weighted terms "task", "divergence" and "difference" and their sum "loss"; scalars.

    Logits [B, S, S] of person; labels [B, S, S] of 0, 1 and 255, which only the task leaves out:
    the teacher has a response for every pixel. Without alpha, the task alone.
    """
    task = task_loss(student_logits, labels)
    if alpha is None:
        return {"task": task, "loss": task}
    student, teacher = student_logits.float(), teacher_logits.detach().float()
    divergence_share = min(alpha, MOST_DIVERGENCE)
    difference_share = 1 - divergence_share
    teaching = 1 - TASK_WEIGHT
    terms = {
        "task": TASK_WEIGHT * task,
        "divergence": teaching * divergence_share * divergence(student, teacher, temperature),
        "difference": teaching * difference_share * F.mse_loss(student, teacher),
    }
    return {**terms, "loss": terms["task"] + terms["divergence"] + terms["difference"]}


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """0.7 cross-entropy, people's pixels weighted 2.27, plus 0.3 Dice; a scalar."""
    entropy = known_cross_entropy(logits, labels, POSITIVE_WEIGHT)
    return ENTROPY_WEIGHT * entropy + DICE_WEIGHT * known_dice(logits, labels, DICE_SMOOTH)


def divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Mean Kullback-Leibler divergence of the student's from the teacher's person probability."""
    student, teacher = (
        (logits.clamp(-HIGHEST_LOGIT, HIGHEST_LOGIT) / temperature)
        .sigmoid()
        .clamp(EPSILON, 1 - EPSILON)
        for logits in (student_logits, teacher_logits)
    )
    person = teacher * (teacher / student).log()
    background = (1 - teacher) * ((1 - teacher) / (1 - student)).log()
    return (person + background).mean()
