"""The people system: everybody in an image, with box, score and mask."""

from peopleseg.labels.coco import load_people, people_split
from peopleseg.systems.people.accuracy import NEEDED, measure
from peopleseg.systems.people.agreement import unlike
from peopleseg.systems.people.contract import (
    BOXES_TO_ROIS,
    FEATURE_HEAD,
    HIERARCHICAL_HEAD,
    PEOPLE_FOREGROUND,
    PEOPLE_UNET,
    PERSON_SEGMENTATION,
    PERSON_SEGMENTATION_FEATURES,
    PERSON_SEGMENTATION_FROM_BOXES,
    POSTPROCESS,
    POSTPROCESS_FOREGROUND,
    ROI_ALIGN,
    ROI_ALIGN_FEATURES,
    SELECT_PEOPLE,
    YOLOV9,
)
from peopleseg.systems.people.pairs import pair_faults
from peopleseg.systems.people.sample_inputs import of_boxes, of_image
from peopleseg.systems.people.steps.boxes_to_rois import BoxesToRois
from peopleseg.systems.people.steps.postprocess import Postprocess
from peopleseg.systems.people.steps.postprocess_foreground import PostprocessForeground
from peopleseg.systems.people.steps.roi_align import RoiAlign
from peopleseg.systems.people.steps.roi_align_features import RoiAlignFeatures
from peopleseg.systems.people.steps.select_people import SelectPeople
from peopleseg.systems.shared.contract import PREPROCESS
from peopleseg.systems.shared.preprocess import Preprocess
from peopleseg.systems.system import Accuracy, Ensemble, System, Use

# Scores of the rois, the dummy roi's too; `scores` are those of the response.
_ROI_SCORES = {"scores": "roi_scores"}
_RESPONSE = Use(POSTPROCESS, inputs=_ROI_SCORES)
_MASKS = (Use(ROI_ALIGN), Use(HIERARCHICAL_HEAD), _RESPONSE)
_NETWORKS = (Use(PREPROCESS), Use(YOLOV9), Use(PEOPLE_UNET))
_SELECT = Use(SELECT_PEOPLE, outputs=_ROI_SCORES)

ENSEMBLES = (
    Ensemble(
        PERSON_SEGMENTATION,
        "Every person of an image: box, score, mask.",
        (*_NETWORKS, _SELECT, *_MASKS),
        of_image,
    ),
    Ensemble(
        PERSON_SEGMENTATION_FROM_BOXES,
        "One mask for each box that the caller brings, in their order; `boxes` comes back as it "
        "was sent.",
        (*_NETWORKS, Use(BOXES_TO_ROIS, outputs=_ROI_SCORES), *_MASKS),
        of_boxes,
    ),
    Ensemble(
        PERSON_SEGMENTATION_FEATURES,
        "Every person of an image, by the mask head that reads the detector's features alone.",
        (
            *(Use(PREPROCESS), Use(YOLOV9), _SELECT),
            *(Use(ROI_ALIGN_FEATURES), Use(FEATURE_HEAD), _RESPONSE),
        ),
        of_image,
    ),
    Ensemble(
        PEOPLE_FOREGROUND,
        "Which pixels of an image are people.",
        (Use(PREPROCESS), Use(PEOPLE_UNET), Use(POSTPROCESS_FOREGROUND)),
        of_image,
    ),
)

SYSTEM = PEOPLE = System(
    "people",
    networks=(YOLOV9, PEOPLE_UNET, HIERARCHICAL_HEAD, FEATURE_HEAD),
    python_steps=(
        *(Preprocess, SelectPeople, BoxesToRois, RoiAlign, RoiAlignFeatures),
        *(Postprocess, PostprocessForeground),
    ),
    ensembles=ENSEMBLES,
    unlike=unlike,
    pair_faults=pair_faults,
    accuracy=Accuracy(load_people, measure, NEEDED, people_split),
)
