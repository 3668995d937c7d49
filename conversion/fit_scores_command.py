"""Make scores say how likely a person is right, responses begin where F1 is best, and masks fit.

  peopleseg fit-scores --images val --annotations person_val.json
  peopleseg fit-scores --images val --annotations person_val.json --with hierarchical_head=8
  peopleseg release calibrated select_people=3 postprocess=3

A detector's score says nothing of the mask, and is too low or too high. On annotated images, those
found by the versions that serve (or those named by --with) are judged: right is a mask with an IoU
of at least 0.5. A logistic fit of the detector's score, of how clear the mask is and of what the
mask head says of somebody's presence becomes the setting `score_fit` of new versions of
select_people and postprocess, and the score of the best F1 their `min_score`, from which people are
in responses to requests without one of their own. Nothing serves them before `peopleseg release`
does. Fit on images that the networks have not learned from.

Masks end where the probability of the person is 0.5. What has to be added to its logit so that
masks in true boxes have the best mean IoU becomes postprocess's setting `mask_shift`, before all
else.

Exit code 0 when the versions are written (or --dry-run), 1 when the images cannot be measured.
"""

from dataclasses import astuple, dataclass
from typing import Annotated

from cyclopts import Parameter

from conversion.release.release_command import changes_of
from conversion.score_fitting import FitError, Found, best_min_score, find, fit, fit_masks, log_loss
from conversion.step_version import new_step_version
from peopleseg.checks.check import planned_faults
from peopleseg.cli.options import (
    AnnotatedImagesOptions,
    Fraction,
    Help,
    LimitOption,
    RepositoryOption,
    elsewhere,
)
from peopleseg.cli.output import folder_fault
from peopleseg.labels.coco import load_people
from peopleseg.repository.settings import settings_faults
from peopleseg.systems.people.calls import InProcess
from peopleseg.systems.people.contract import POSTPROCESS
from peopleseg.systems.people.evaluation.scores import Point, reliability
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.scores import ScoreFit
from peopleseg.systems.people.steps.postprocess import Postprocess
from peopleseg.systems.people.system import PEOPLE

MAX_MASK_IOU = 0.7


@dataclass(frozen=True, kw_only=True)
class Options(RepositoryOption, LimitOption, AnnotatedImagesOptions):
    instead: Annotated[
        tuple[str, ...],
        Help("MODEL=VERSION, to measure in place of what serves"),
        Parameter(name="--with"),
    ] = ()
    max_mask_iou: Annotated[
        Fraction, Help("of two people's masks, above which they are the same person")
    ] = MAX_MASK_IOU
    dry_run: Annotated[bool, Help("print the fit and write nothing")] = False


def run(args: Options) -> int:
    """Print the fit and what it is worth; write the two versions.

    Raises FitError, AnnotationError, ArtifactError, OSError.
    """
    _check(args)
    images = load_people(args.annotations, args.images, args.limit)
    mask_fit = fit_masks(InProcess(_unfitted(args, mask_shift=0.0)), images)
    found = find(_unfitted(args, mask_shift=mask_fit.shift), images)
    score_fit = fit(found)
    point = best_min_score(found, score_fit)
    print(
        f"mask shift {mask_fit.shift:g}: mean IoU in true boxes {mask_fit.miou_before:.4f} before, "
        f"{mask_fit.miou:.4f} after"
    )
    _report(found, score_fit, point)
    if not args.dry_run:
        _write(args, score_fit, point.score, mask_fit.shift)
    return 0


def _check(args: Options) -> None:
    """Before anything is measured. Raises FitError for what cannot be measured or written."""
    if not args.dry_run and (fault := folder_fault(args.model_repository)):
        raise FitError(f"{fault}, or try with --dry-run")
    iou = {"max_mask_iou": args.max_mask_iou}
    wrong = settings_faults(POSTPROCESS.name, Postprocess.settings, iou)
    wrong += planned_faults(args.model_repository, PEOPLE, changes_of(args.instead))
    if wrong:
        raise FitError("; ".join(wrong))


def _unfitted(args: Options, mask_shift: float) -> PeoplePipeline:
    """The versions asked for, with the detector's scores and everybody in the responses."""
    neutral = {"score_fit": None, "min_score": 0.0}
    masks = {"max_mask_iou": args.max_mask_iou, "mask_shift": mask_shift}
    settings = {"select_people": neutral, "postprocess": {**neutral, **masks}}
    return PeoplePipeline(
        args.model_repository, versions=changes_of(args.instead), settings=settings
    )


def _report(found: Found, score_fit: ScoreFit, point: Point) -> None:
    fitted = found.fitted(score_fit)
    for name, scores in (("detector's score", found.scores), ("fitted score", fitted)):
        error = reliability(found.judged(scores))["calibration_error"]
        print(f"{name:18} log loss {log_loss(scores, found.right):.4f}, off by {error:.4f}")
    print(
        f"best F1 {point.f1:.3f} from a score of {point.score:.2f} on: "
        f"precision {point.precision or 0:.3f}, recall {point.recall:.3f}"
    )


def _write(args: Options, score_fit: ScoreFit, min_score: float, mask_shift: float) -> None:
    shared = {"score_fit": list(astuple(score_fit)), "min_score": round(min_score, 2)}
    masks = {"max_mask_iou": args.max_mask_iou, "mask_shift": mask_shift}
    of_step = {"select_people": shared, "postprocess": {**shared, **masks}}
    folders = {s: new_step_version(args.model_repository, s, v) for s, v in of_step.items()}
    for folder in folders.values():
        print(folder)
    pairs = " ".join(f"{step}={folder.name}" for step, folder in folders.items())
    changes = " ".join((*args.instead, pairs))
    print(f"serve them with: peopleseg release NAME {changes}{elsewhere(args)}")
