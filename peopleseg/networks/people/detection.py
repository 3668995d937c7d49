"""The people that a detector finds, through the step that is served."""

from torch import Tensor, nn

from peopleseg.pixels.geometry import Letterbox
from peopleseg.systems.people.selection import MIN_SCORE, Rois, found_people


def detect(
    detector: nn.Module, images: Tensor, letterbox: Letterbox, min_score: float = MIN_SCORE
) -> Rois:
    """The people that a detector finds in one image, images [1, 3, 640, 640]; may be nobody."""
    predictions = detector(images).predictions[0].float().cpu().numpy()
    return found_people(predictions, letterbox, min_score)
