"""What a person wears, and in which colour.

From a data set that annotates clothes, or else from the pixels of the torso, of which only the
colour is known.
"""

from functools import partial

from training.referring.expressions.claims import Claim, Truth
from training.referring.expressions.colour_names import RANGES, colour_name, may_be
from training.referring.expressions.people import Everybody, Garment

LEAST_SHARE = 0.06  # of the person's pixels, of a garment to speak of
LEAST_SMALL_SHARE = 0.004  # and of one that is told by its name alone
DRESSED_IN = 0.75  # share of what is worn that is of one colour, of who is dressed in it
NOT_DRESSED_IN = 0.1  # and that might be of it, at most, of who surely is not
UPPER_SURE, UPPER_NOT = 0.6, 0.12  # the same of the pixels of a torso
NOWHERE = 0.08  # and that might be of it, at most, of all pixels of who wears nothing of a colour

# Garments that some call by each other's name. Only who wears nothing of a group in a colour surely
# does not wear one of it in this colour.
UPPER = (
    *("coat", "jacket", "blazer", "cape", "cardigan", "suit", "vest", "hoodie", "sweatshirt"),
    *("sweater", "jumper", "shirt", "blouse", "t-shirt", "top", "bodysuit"),
)
LOWER = ("pants", "jeans", "leggings", "tights", "stockings", "shorts")
SKIRTS = ("skirt", "dress", "romper")
SHOES = ("shoes", "boots", "heels", "sneakers", "loafers", "pumps", "flats", "sandals", "wedges")
GROUPS = {
    **dict.fromkeys(UPPER, (*UPPER, "dress", "romper")),
    **dict.fromkeys(LOWER, (*LOWER, "socks", "romper", "suit")),
    "skirt": (*SKIRTS, "coat"),
    "dress": (*SKIRTS, *UPPER),
    **dict.fromkeys(("shoes", "boots"), SHOES),
    "scarf": ("scarf", "cape", "tie"),
    "hat": ("hat", "hoodie"),
}
TOLD_BY_NAME = {  # with what else counts as the same
    "hat": ("hat", "hoodie"),
    "scarf": ("scarf", "cape"),
    "sunglasses": ("sunglasses", "glasses"),
    "glasses": ("sunglasses", "glasses"),
    "skirt": SKIRTS,
    "dress": SKIRTS,
    "coat": ("coat", "jacket", "blazer", "cape", "cardigan"),
    "jeans": ("jeans", "pants", "leggings"),
    "shorts": ("shorts", "romper", "skirt"),
    "boots": ("boots", "shoes", "heels"),
}
_PLURAL = {*LOWER, *SHOES, "sunglasses", "glasses", "socks"}
_UNWORN = ("skin", "hair", "accessories", "bracelet", "necklace", "watch")


def clothing_claims(everybody: Everybody) -> list[Claim]:
    """Of everything that somebody here wears."""
    worn = sorted({one.name for person in everybody.people for one in person.clothes or ()})
    claims = [_wears_claim(name) for name in worn if name in TOLD_BY_NAME]
    for name in (garment for garment in worn if garment in GROUPS):
        claims += [_coloured_claim(name, colour) for colour in RANGES]
    if worn:
        claims += [_dressed_claim(colour) for colour in RANGES]
    if any(person.upper_colours for person in everybody.people):
        claims += [one(colour) for colour in RANGES for one in (_upper_claim, _in_claim)]
    return claims


def _wears(everybody: Everybody, index: int, name: str) -> Truth:
    clothes = everybody.people[index].clothes
    if clothes is None:
        return None
    if any(one.name == name and one.share >= LEAST_SMALL_SHARE for one in clothes):
        return True
    return None if any(one.name in TOLD_BY_NAME[name] for one in clothes) else False


def _wears_coloured(everybody: Everybody, index: int, name: str, colour: str) -> Truth:
    clothes = everybody.people[index].clothes
    if clothes is None:
        return None
    own = [one for one in clothes if one.name == name and one.share >= LEAST_SHARE]
    if any(colour_name(one.rgb) == colour for one in own):
        return True
    similar = (one for one in clothes if one.name in GROUPS[name])
    return None if any(may_be(one.rgb, colour) for one in similar) else False


def _is_dressed_in(everybody: Everybody, index: int, colour: str) -> Truth:
    clothes = everybody.people[index].clothes
    if clothes is None:
        return None
    worn = [one for one in clothes if one.name not in _UNWORN]
    sure = _share(worn, [colour_name(one.rgb) == colour for one in worn])
    if sure >= DRESSED_IN:
        return True
    possible = _share(worn, [may_be(one.rgb, colour) for one in worn])
    return False if possible <= NOT_DRESSED_IN else None


def _has_upper(everybody: Everybody, index: int, colour: str) -> Truth:
    shares = everybody.people[index].upper_colours
    if shares is None:
        return None
    if shares[colour].sure >= UPPER_SURE:
        return True
    return False if shares[colour].possible <= UPPER_NOT else None


def _is_in(everybody: Everybody, index: int, colour: str) -> Truth:
    """Who wears trousers of the colour, of whose pixels some are, may be meant too."""
    person = everybody.people[index]
    if _has_upper(everybody, index, colour) is True:
        return True
    if person.all_colours is None:
        return None
    return False if person.all_colours[colour].possible <= NOWHERE else None


def _share(worn: list[Garment], chosen: list[bool]) -> float:
    whole = sum(one.share for one in worn)
    part = sum(one.share for one, is_one in zip(worn, chosen, strict=True) if is_one)
    return part / whole if whole else 0.0


def _wears_claim(name: str) -> Claim:
    one = name if name in _PLURAL else f"a {name}"
    return Claim(
        f"wears {name}",
        "clothes",
        partial(_wears, name=name),
        after=(f"with {one}", f"wearing {one}", f"in {one}", f"who wears {one}"),
        subjects=frozenset({name}),
    )


def _coloured_claim(name: str, colour: str) -> Claim:
    garment = f"{colour} {name}"
    article = "an" if garment[0] in "aeiou" else "a"
    one = garment if name in _PLURAL else f"{article} {garment}"
    return Claim(
        f"wears {garment}",
        "clothes",
        partial(_wears_coloured, name=name, colour=colour),
        before=(garment,),
        after=(f"in {one}", f"in the {garment}", f"wearing {one}", f"with {one}", f"in {garment}"),
        alone=(garment,),
        subjects=frozenset({name, colour}),
    )


def _dressed_claim(colour: str) -> Claim:
    return Claim(
        f"dressed in {colour}",
        "clothes",
        partial(_is_dressed_in, colour=colour),
        after=(f"in {colour}", f"dressed in {colour}", f"all in {colour}", f"wearing {colour}"),
        alone=(f"in {colour}", f"all {colour}"),
        subjects=frozenset({colour}),
    )


def _upper_claim(colour: str) -> Claim:
    """What the garment is called is not known, so that a word that fits any is said."""
    article = "an" if colour[0] in "aeiou" else "a"
    return Claim(
        f"{colour} above the waist",
        "clothes",
        partial(_has_upper, colour=colour),
        after=tuple(
            f"{word} {one} {colour} top"
            for word, one in (("in", article), ("with", "the"), ("wearing", article), ("in", "the"))
        ),
        alone=(f"{colour} top",),
        subjects=frozenset({colour}),
    )


def _in_claim(colour: str) -> Claim:
    return Claim(
        f"in {colour}",
        "clothes",
        partial(_is_in, colour=colour),
        after=(f"in {colour}", f"wearing {colour}", f"who wears {colour}"),
        alone=(f"in {colour}",),
        subjects=frozenset({colour}),
    )
