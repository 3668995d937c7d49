"""Measure a running server's accuracy on annotated images.

  peopleseg evaluate --images val --annotations person_val.json
  peopleseg evaluate --images val --annotations person_val.json --json accuracy.json --limit 20
  peopleseg evaluate --images val --annotations person_val.json --report report
  peopleseg evaluate --images val --annotations labels --system semantic
  peopleseg evaluate --images val --annotations person_val.json --system referring

Every image goes through the server, which is asked for uncertain people too, as AP needs them.
Printed, and written with --json, are mask_ap, mask_ap50, box_ap and box_ap50 (COCO's), roi_miou
(masks on the true boxes) and foreground_miou (people against background). An image that fails is
named and left out; the exit code is then 1.

--report says what is behind them, as numbers, tables and plots: AP by size and by number of people,
precision and recall over the score, which share of a score is right, what is missed or found
instead, and the worst images on one sheet.

With --system semantic the annotations are a folder of label maps, PNG files called as the images,
or a list of Pascal VOC such as VOC2012/ImageSets/Segmentation/val.txt. The metrics are
miou_present, miou, pixel_accuracy and boundary_iou, and the IoU of each class that is in enough
images to tell; the report draws which classes are taken for which.

With --system referring the annotations are COCO's with keypoints, and there is a click on each
person with a mask; or a file of references, whose texts are asked. The metrics are right_person
(the share of prompts whose mask has an IoU of at least 0.5), oiou, miou, pckh and pose_ap.
"""

# A system's part, see peopleseg.cli.system_parts, has
#   ENSEMBLE                             the name of what is asked
#   read(annotations, images, limit)     the annotated images
#   measure(client, image, ...)          what one image adds to the metrics
#   accuracy(evaluation, ...)            the metrics, and how they were measured
#   table(metrics)                       the metrics for a terminal
#   report(evaluation, metrics, folder)  writes what is behind them

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from peopleseg.cli.evaluation import DEFAULT_CONCURRENCY, measure_all
from peopleseg.cli.options import (
    AnnotatedImagesOptions,
    Count,
    FileToWrite,
    Help,
    LimitOption,
    checked,
    one_of,
)
from peopleseg.cli.output import report_fault
from peopleseg.cli.server_options import READY_TIMEOUT_S, MinScore, UrlOption
from peopleseg.cli.system_parts import DEFAULT, own_options, part_of, systems_with
from peopleseg.client.blocking import SegmentationClient
from peopleseg.errors import WrongUsage
from peopleseg.labels.files import write_json


@dataclass(frozen=True, kw_only=True)
class Options(LimitOption, UrlOption, AnnotatedImagesOptions):
    annotations: Annotated[
        Path,
        Help(
            "people in COCO format; of semantic, label maps; of referring, a file of references too"
        ),
    ]
    system: Annotated[
        str,
        one_of(systems_with("evaluate")),
        Help("people, the classes of semantic, or prompts of referring"),
    ] = DEFAULT
    json: Annotated[FileToWrite | None, Help("write the metrics here as well")] = None
    report: Annotated[
        Path | None,
        checked(report_fault),
        Help("write what is behind the metrics here (needs matplotlib)"),
    ] = None
    concurrency: Annotated[Count, Help("images under way at a time")] = DEFAULT_CONCURRENCY
    min_score: Annotated[
        MinScore | None,
        Help("of the people that enter mask_ap and box_ap, 0.001 to 1 (0.01)"),
    ] = None


def run(args: Options) -> int:
    """Measure and report. Returns 1 when any image failed. Raises AnnotationError."""
    part = part_of("evaluate", args.system)
    own = own_options(args, part, ("min_score",))
    if not args.images.is_dir():
        raise WrongUsage(f"--images {args.images}: there is no such folder")
    images = part.read(args.annotations, args.images, args.limit)
    with SegmentationClient(args.url) as client:
        client.wait_until_ready(READY_TIMEOUT_S, part.ENSEMBLE)
        evaluation = measure_all(
            partial(part.measure, client, **own), images, concurrency=args.concurrency
        )
    found = {**part.accuracy(evaluation, **own), "annotations": args.annotations.name}
    print(part.table(found))
    if args.json:
        write_json(args.json, found)
    if args.report:
        part.report(evaluation, found, args.report)
    return 1 if evaluation.failed else 0
