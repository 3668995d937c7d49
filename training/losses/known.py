"""What counts of a loss: the pixels whose label is known."""

from torch import Tensor

from training.data.samples import IGNORED


def known_mean(losses: Tensor, labels: Tensor) -> Tensor:
    """Mean over the pixels whose label is not IGNORED, a scalar; 0 if all are.

    losses: finite, of the shape of labels.
    """
    known = labels != IGNORED
    return (losses * known).sum() / known.sum().clamp(min=1)
