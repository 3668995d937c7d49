"""How far artifacts of the referring system may be off: the joints' places in parts of the crop,
their visibility, what people look like, words, and who is chosen.

Where two places are as likely, rounding decides which it is, so one joint may be anywhere.
"""

from conversion.export.tolerances import NO_LIMIT, ByName, Tolerance

PARTS: dict[str, dict[str, slice]] = {}
CLASS_NUMBERS: tuple[str, ...] = ()


def _of(share: float) -> ByName:
    """share: the mean difference, against the mean value."""
    names = ("joints", "looks", "words", "choices")
    return dict.fromkeys(names, Tolerance(NO_LIMIT, mean_share=share))


EXACT = _of(1e-3)
OF_A_FILE = EXACT
HALF_WEIGHTS = _of(0.02)
HALF = _of(0.04)
QUANTISED = _of(0.25)
