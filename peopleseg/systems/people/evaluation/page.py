"""The report's numbers as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from peopleseg.systems.people.evaluation.average_precision import SIZES, AveragePrecision
from peopleseg.systems.people.evaluation.mistakes import FALSE_POSITIVES
from peopleseg.systems.people.evaluation.numbers import GROUPS, Numbers

METRICS = ("mask_ap", "mask_ap50", "box_ap", "box_ap50", "roi_miou", "foreground_miou")


def as_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def shown(value: float | None, digits: int = 3) -> str:
    """A metric; - where there is nothing to measure."""
    return "-" if value is None else f"{value:.{digits}f}"


def sections(numbers: Numbers, plots: str = "") -> list[str]:
    """The parts of the report, each a heading with what stands below it.

    plots: where the PNGs lie, seen from the page; nothing or a path that ends with a slash.
    """
    return [
        f"## Metrics\n\n{_metrics(numbers)}",
        f"## By size and number of people\n\n{_groups(numbers)}\n\n"
        f"![AP by size and by number of people]({plots}average_precision.png)",
        f"## From which score on\n\n{_scores(numbers)}\n\n"
        f"![Precision, recall and F1 over the score]({plots}precision_recall.png)",
        f"## What a score means\n\n{_reliability(numbers)}\n\n"
        f"![Share right over the score]({plots}reliability.png)",
        f"## Mistakes\n\n{_mistakes(numbers)}\n\n"
        f"![False positives by kind, missed people by size]({plots}mistakes.png)",
        f"## Images without people\n\n{_nobody(numbers)}",
    ]


def _metrics(numbers: Numbers) -> str:
    accuracy = numbers["accuracy"]
    table = as_table(
        ("metric", "value"), [(f"`{name}`", shown(accuracy[name])) for name in METRICS]
    )
    text = f"Over {accuracy['images']} images with {accuracy['people']} people."
    if accuracy["people_without_mask"]:
        text += (
            f" Of {accuracy['people_without_mask']} of them the mask is not known: they "
            "count in the metrics of boxes alone."
        )
    return f"{table}\n\n{text}"


def _groups(numbers: Numbers) -> str:
    head = ("", *SIZES, *(f"{group} in the image" for group in GROUPS))
    rows = [
        (f"{kind}, {name.upper()}", *(shown(by[name]) for by in _columns(numbers, kind)))
        for kind in numbers["by_size"]
        for name in AveragePrecision._fields
    ]
    counts = [row["people"] for row in numbers["missed"].values()]
    images = list(numbers["images_by_people"].values())
    label = f"how many, {numbers['judged_by']}"
    rows.append((label, *(f"{n} people" for n in counts), *(f"{n} images" for n in images)))
    return as_table(head, rows)


def _columns(numbers: Numbers, kind: str) -> list[dict[str, float | None]]:
    return [*numbers["by_size"][kind].values(), *numbers["by_people"][kind].values()]


def _scores(numbers: Numbers) -> str:
    rows = [
        (
            kind,
            shown(one["score"], 2),
            *(shown(one[name]) for name in ("precision", "recall", "f1")),
        )
        for kind, one in numbers["best_f1"].items()
    ]
    head = ("", "score of the best F1", "precision", "recall", "F1")
    return f"At IoU {numbers['iou']}, of people of at least that score:\n\n{as_table(head, rows)}"


def _reliability(numbers: Numbers) -> str:
    rows = [
        (shown(one["from_score"], 1), one["found"], shown(one["mean_score"]), shown(one["right"]))
        for one in numbers["reliability"]["bins"]
    ]
    every, certain = (
        shown(numbers[name]["calibration_error"])
        for name in ("reliability", "reliability_from_best_f1")
    )
    return (
        f"{as_table(('score from', 'found', 'mean score', 'share right'), rows)}\n\n"
        f"Expected calibration error ([Guo et al. 2017](https://arxiv.org/abs/1706.04599)): {every}"
        f"; of people from the score of the best F1 on: {certain}."
    )


def _mistakes(numbers: Numbers) -> str:
    best = numbers["best_f1"][numbers["judged_by"]]
    false = [
        (name.replace("_", " "), FALSE_POSITIVES[name], count)
        for name, count in numbers["false_positives"].items()
    ]
    missed = [(size, row["people"], row["missed"]) for size, row in numbers["missed"].items()]
    return (
        f"Of people from the score of the best F1 on, {best['score']:.2f}, by their "
        f"{numbers['judged_by']}; kinds as in [TIDE](https://arxiv.org/abs/2008.08115):\n\n"
        f"{as_table(('false positive', 'what it is', 'how many'), false)}\n\n"
        f"{as_table(('size', 'people', 'missed'), missed)}"
    )


def _nobody(numbers: Numbers) -> str:
    nobody = numbers["nobody"]
    if not nobody["images"]:
        return "There are none."
    scores = ", ".join(shown(score, 2) for score in nobody["highest_scores"])
    return (
        f"In {nobody['with_somebody']} of {nobody['images']} somebody is found from the score of "
        f"the best F1 on. The highest score of each image, at most twenty: {scores}."
    )
