"""Words for claims, as people phrase them: short, often without a verb or an article.

Nothing is said of sex or age: no annotation tells them.
"""

from collections.abc import Sequence
from random import Random

from training.referring.expressions.claims import Claim

# With how often each is taken. Of RefCOCO's expressions of people some 6 of 10 have no article.
NOUNS = {"person": 16, "one": 3, "human": 1, "individual": 1}
ARTICLES = {"": 6, "the": 4}
WITHOUT_NOUN = 0.25  # share of expressions, where that can be
BEFORE_NOUN = 0.5


def sentence(claims: Sequence[Claim], random: Random) -> str:
    """One phrasing of one claim or two."""
    (claim, *more) = claims
    nouns = claim.before or claim.after
    if not more and claim.alone and (random.random() < WITHOUT_NOUN or not nouns):
        return random.choice(claim.alone)
    before, after = _around_noun(claims, random)
    noun = _weighted(NOUNS, random)
    # "one in front" would count instead of naming.
    article = "the" if noun == "one" and not before else _weighted(ARTICLES, random)
    return " ".join(word for word in (article, *before, noun, *after) if word)


def _around_noun(claims: Sequence[Claim], random: Random) -> tuple[list[str], list[str]]:
    """Words before the noun and behind it; at most one claim stands before it."""
    before: list[str] = []
    after: list[str] = []
    for claim in random.sample(claims, len(claims)):
        first = claim.before and not before and random.random() < BEFORE_NOUN
        if first or not claim.after:
            before.append(random.choice(claim.before))
        else:
            after.append(random.choice(claim.after))
    return before, after


def _weighted(words: dict[str, int], random: Random) -> str:
    return random.choices(list(words), list(words.values()))[0]
