"""The losses of masks: focal and Dice, of the pixels that are known.

As published, Dice with a smoothing of one pixel and both once more at half resolution
(bo-miao/RefHuman).
"""

from torch import Tensor
from torch.nn import functional as F

from peopleseg.labels.label_maps import UNKNOWN
from training.losses.dice import dice_loss
from training.referring.terms import focal

DICE_SMOOTH = 1.0  # pixels


def mask_losses(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Focal and Dice loss, each summed over n masks; 0 for n = 0 and where no pixel is known.

    The focal loss is a mask's mean. logits: [n, H, W]; masks: [n, S, S] of 1 the person, 0 not and
    UNKNOWN, any integer type. Raises ValueError where S is no whole multiple of H = W.
    """
    true = _read_at(masks, *logits.shape[-2:]).flatten(1)
    known, person = (true != UNKNOWN).float(), (true == 1).float()
    logits = logits.flatten(1).float()
    pixels = known.sum(dim=1).clamp(min=1)
    of_pixels = (focal(logits, person) * known).sum(dim=1) / pixels
    dice = dice_loss(logits.sigmoid() * known, person, DICE_SMOOTH)
    return of_pixels.sum(), dice * len(logits)


def halved(logits: Tensor) -> Tensor:
    """[n, H, W] logits to [n, H / 2, W / 2], the mean of four."""
    return F.avg_pool2d(logits[:, None].float(), 2)[:, 0]


def _read_at(masks: Tensor, height: int, width: int) -> Tensor:
    """The pixel in the middle of each cell; below and right of it where there are four."""
    stride = masks.shape[-1] // width
    if (stride * height, stride * width) != masks.shape[-2:]:
        raise ValueError(
            f"mask logits of {height} x {width} for masks of {tuple(masks.shape[-2:])}; expected "
            "the same size or a whole fraction of it"
        )
    first = stride // 2
    return masks[:, first::stride, first::stride]
