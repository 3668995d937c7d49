"""Larger networks that teach a semantic one."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from peopleseg.errors import PeoplesegError
from peopleseg.networks.checkpoint import load_companion
from peopleseg.networks.normalise import Normalise
from peopleseg.networks.torchvision_ops import declare_missing_ops
from peopleseg.systems.semantic.contract import VOC_CLASSES

declare_missing_ops()

from torchvision.models.segmentation import (  # noqa: E402  (after declare_missing_ops)
    deeplabv3_resnet50,
    fcn_resnet50,
)

_PUBLISHED = {"fcn_resnet50": fcn_resnet50, "deeplabv3_resnet50": deeplabv3_resnet50}
_WEIGHTS = "COCO_WITH_VOC_LABELS_V1"  # torchvision's name of the weights for VOC's classes


class TeacherUnavailable(PeoplesegError):
    """A teacher cannot be had, or tells other classes apart."""


class Published(nn.Module):
    """One of torchvision's networks: RGB in [0, 1], [B, 3, H, W], to class logits of that size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.normalise, self.network = Normalise(), network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.normalise(images))["out"]  # type: ignore[no-any-return]


def load_teacher(teacher: str, classes: Sequence[str]) -> nn.Module:
    """A frozen network of these classes: of a checkpoint, or of torchvision by its name.

    Raises TeacherUnavailable, CheckpointError.
    """
    if teacher in _PUBLISHED:
        found, told = _published(teacher), VOC_CLASSES
    else:
        found = load_companion(Path(teacher), "deeplab")
        told = found.classes
    if tuple(told) != tuple(classes):
        raise TeacherUnavailable(
            f"{teacher} tells {', '.join(told)} apart, the network is to learn "
            f"{', '.join(classes)}; take a teacher of the same classes"
        )
    return found.requires_grad_(False).eval()  # type: ignore[no-any-return]


def _published(name: str) -> Published:
    try:
        return Published(_PUBLISHED[name](weights=_WEIGHTS, weights_backbone=None))
    except (OSError, RuntimeError) as error:
        raise TeacherUnavailable(
            f"the weights of torchvision's {name} cannot be had ({error}); go online once, or give "
            "the checkpoint of a trained deeplab as --model.teacher"
        ) from error
