"""How far semantic artifacts may be off: the share of pixels of another class, and the confidence
from 0 to 255.

Where two classes are as likely, rounding decides which it is. Where a class ends sharply, a pixel
is sure of the one or of the other.
"""

from conversion.export.tolerances import NO_LIMIT, ByName, Tolerance
from peopleseg.systems.semantic.contract import CLASS_MAP, CONFIDENCE_MAP

PARTS: dict[str, dict[str, slice]] = {}
CLASS_NUMBERS = (CLASS_MAP.name,)


def _of(*, other_class: float, confidence: Tolerance) -> ByName:
    """other_class: share of the pixels that may be of another class."""
    return {
        CLASS_MAP.name: Tolerance(NO_LIMIT, mean_share=other_class),
        CONFIDENCE_MAP.name: confidence,
    }


EXACT = _of(other_class=0.001, confidence=Tolerance(2.0, mean_share=0.01))
OF_A_FILE = EXACT
HALF_WEIGHTS = _of(other_class=0.02, confidence=Tolerance(NO_LIMIT, mean_share=0.02))
HALF = _of(other_class=0.04, confidence=Tolerance(NO_LIMIT, mean_share=0.04))
QUANTISED = _of(other_class=0.25, confidence=Tolerance(NO_LIMIT, mean_share=0.25))
