"""What an expression becomes when its image is flipped, and which ones a cut makes wrong."""

import re

_SIDE = re.compile(r"\b(left|right)(?=(?:most|hand|ward|wards|er|side|y)?\b)", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}
# Words of a place in the image or in a row of people, which a view that cuts others off makes
# wrong; no other word of an expression is.
_PLACE = re.compile(
    r"\b(left\w*|right\w*|middle|cent(er|re)|top|bottom|upper|lower|highest|lowest|corner|edge|side"
    r"|between|far|far(thest|ther)|fur(thest|ther)|first|second|third|fourth|fifth|last|end|row"
    r"|[1-9](st|nd|rd|th))\b",
    re.IGNORECASE,
)


def flipped_text(text: str) -> str:
    """An expression of the same person in the flipped image; other words of place stay true."""
    return _SIDE.sub(_swapped, text)


def speaks_of_place(text: str) -> bool:
    """Whether an expression may be wrong once a part of the image is cut off."""
    return _PLACE.search(text) is not None


def _swapped(found: "re.Match[str]") -> str:
    word = found.group()
    other = _OTHER[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
