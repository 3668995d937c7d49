"""The metrics that releases of the people system are judged by."""

from collections.abc import Sequence

from tqdm import tqdm

from peopleseg.labels.coco import AnnotatedImage
from peopleseg.systems.people.calls import InProcess, segment_by_features
from peopleseg.systems.people.contract import FEATURE_HEAD
from peopleseg.systems.people.evaluation import metrics as evaluation
from peopleseg.systems.people.evaluation.average_precision import average_precision
from peopleseg.systems.people.person import persons
from peopleseg.systems.people.results import coco_results
from peopleseg.systems.pipeline import Pipeline
from peopleseg.systems.system import Metrics, Unmeasured

METRICS = ("mask_ap50", "box_ap50", "roi_miou", "foreground_miou")
NEEDED = ("box_ap50", "mask_ap50")
COUNTS = ("images", "people", "rois")


def measure(pipeline: Pipeline, images: Sequence[AnnotatedImage]) -> Metrics:
    """METRICS and COUNTS, by the metrics of `peopleseg evaluate` but with the versions' min_score.

    With a version of the head on features, features_mask_ap50 is that of its ensemble. Raises
    Unmeasured.
    """
    segmenter = InProcess(pipeline)
    has_feature_head = FEATURE_HEAD.name in pipeline.versions
    measured, by_features = [], []
    for image in tqdm(images, unit="image", disable=None, leave=False):
        try:
            measured.append(evaluation.measure(segmenter, image))
            if has_feature_head:
                people = persons(segment_by_features(pipeline, image.read()))
                by_features += coco_results(people, image.id)
        except Exception as error:  # whatever a network does, it is this version's fault
            raise Unmeasured(f"{image.path}: {error}") from error
    found = evaluation.metrics_of(measured)
    metrics = {name: found[name] for name in (*METRICS, *COUNTS)}
    if has_feature_head:
        metrics["features_mask_ap50"] = average_precision(images, by_features, "segm").ap50
    return metrics
