"""How far people's artifacts may be off: logits, features, and the predictions' boxes (px) and
scores."""

from conversion.export.tolerances import NO_LIMIT, ByName, Tolerance

# Pixels and probabilities have no common tolerance.
PARTS = {"predictions": {"boxes": slice(0, 4), "scores": slice(4, None)}}
CLASS_NUMBERS: tuple[str, ...] = ()


def _of(*, logits: Tolerance, features: Tolerance, boxes: Tolerance, scores: Tolerance) -> ByName:
    names = ("person_logit", "mask_logits", "presence_logit")
    return dict.fromkeys(names, logits) | {"features": features, "boxes": boxes, "scores": scores}


# Rounding alone, which of random inputs, whose logits reach 100, is more. Features are rounded to
# FP16 on both sides, which is up to 2 ** -11 and may double it.
EXACT = _of(
    logits=Tolerance(4e-3, mean_share=1e-4),
    features=Tolerance(4e-3),
    boxes=Tolerance(1e-2),
    scores=Tolerance(1e-3),
)
# The same where a distance is a mean over bins, of which rounding in a deep network moves the
# weights: a twentieth of a pixel.
OF_A_FILE = {**EXACT, "boxes": Tolerance(5e-2)}
HALF_WEIGHTS = _of(
    logits=Tolerance(0.2, mean_share=0.01),
    features=Tolerance(0.1, mean_share=0.01),
    boxes=Tolerance(4.0, mean_share=0.001),
    scores=Tolerance(0.01),
)
HALF = _of(
    logits=Tolerance(0.5, mean_share=0.02),
    features=Tolerance(0.5, mean_share=0.02),
    boxes=Tolerance(16.0, mean_share=0.002),
    scores=Tolerance(0.05),
)
QUANTISED = _of(
    logits=Tolerance(NO_LIMIT, mean_share=0.25),
    features=Tolerance(NO_LIMIT, mean_share=0.25),
    boxes=Tolerance(NO_LIMIT, mean_share=0.05),
    scores=Tolerance(0.5),
)
