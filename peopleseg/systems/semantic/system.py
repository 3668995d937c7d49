"""The semantic system: a class for every pixel of an image."""

from peopleseg.labels.label_maps import load_labelled, voc_split
from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.semantic.accuracy import NEEDED, measure
from peopleseg.systems.semantic.agreement import pair_faults, unlike
from peopleseg.systems.semantic.classes_to_png import ClassesToPng
from peopleseg.systems.semantic.contract import (
    CLASSES_TO_PNG,
    DEEPLAB,
    POSTPROCESS_CLASSES,
    POSTPROCESS_CONFIDENCE,
    SEMANTIC_SEGMENTATION,
)
from peopleseg.systems.semantic.postprocess_classes import PostprocessClasses
from peopleseg.systems.semantic.postprocess_confidence import PostprocessConfidence
from peopleseg.systems.shared.contract import IMAGE, PREPROCESS
from peopleseg.systems.shared.preprocess import Preprocess
from peopleseg.systems.step import Arrays
from peopleseg.systems.system import Accuracy, Ensemble, System, Use


def of_image(image: bytes) -> Arrays:
    """The inputs that try the ensemble with any image."""
    return {IMAGE.name: bytes_tensor(image)}


SYSTEM = System(
    "semantic",
    networks=(DEEPLAB,),
    python_steps=(Preprocess, PostprocessClasses, PostprocessConfidence, ClassesToPng),
    ensembles=(
        Ensemble(
            SEMANTIC_SEGMENTATION,
            "The class of every pixel of an image, how sure it is, and each class's share.",
            (
                *(Use(PREPROCESS), Use(DEEPLAB), Use(POSTPROCESS_CLASSES)),
                *(Use(POSTPROCESS_CONFIDENCE), Use(CLASSES_TO_PNG)),
            ),
            of_image,
        ),
    ),
    unlike=unlike,
    pair_faults=pair_faults,
    accuracy=Accuracy(load_labelled, measure, NEEDED, voc_split),
)
