"""A mask head taught by another one: how far its masks are from the teacher's.

Knowledge distillation (Hinton et al. 2015, arXiv:1503.02531), cell by cell of the masks.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.resizing import resized


@dataclass(frozen=True)
class MaskDistillation:
    """How much the teacher counts beside the labels, and how soft its responses are."""

    weight: float = 1.0  # of the divergence; at 1 it counts as the labels' cross-entropy does
    temperature: float = 2.0  # divides the logits of both

    def __post_init__(self) -> None:
        for name, value in (("weight", self.weight), ("temperature", self.temperature)):
            if value <= 0:
                raise ValueError(f"the distillation's {name} is {value}; give one above 0")


def mask_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Mean over the cells of the Kullback-Leibler divergence from the teacher's classes.

    student_logits: [N, C, H, W]; teacher_logits: [N, C, any, any], resized to the student's grid.
    Times the squared temperature, so that the gradients' size does not depend on it. A scalar, 0
    for N = 0; no gradient reaches the teacher.
    """
    student = (student_logits.float() / temperature).log_softmax(dim=1)
    teacher = resized(teacher_logits.detach().float(), student.shape[2:]) / temperature
    total = F.kl_div(student, teacher.log_softmax(dim=1), reduction="sum", log_target=True)
    cells = student[:, 0].numel()
    return temperature**2 * total / max(cells, 1)
