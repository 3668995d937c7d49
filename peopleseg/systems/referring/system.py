"""The referring system: the one person whom a prompt means, with box, keypoints and mask."""

from peopleseg.labels.coco import people_split
from peopleseg.systems.people.contract import (
    HIERARCHICAL_HEAD,
    PEOPLE_UNET,
    PERSON_SEGMENTATION,
    YOLOV9,
)
from peopleseg.systems.people.pairs import pair_faults
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.referring.accuracy import NEEDED, measure
from peopleseg.systems.referring.agreement import unlike
from peopleseg.systems.referring.contract import (
    CHOOSE_BY_POINTS,
    CROP_PEOPLE,
    DESCRIBE_PEOPLE,
    PERSON_CHOOSER,
    PERSON_POSE,
    POSTPROCESS_REFERRED,
    REFERRING_PERSON,
    REFERRING_PERSON_FROM_POINTS,
    TEXT_ENCODER,
    TOKENIZE,
)
from peopleseg.systems.referring.evaluation.prompts import load_prompts
from peopleseg.systems.referring.sample_inputs import of_points, of_text
from peopleseg.systems.referring.steps.choose_by_points import ChooseByPoints
from peopleseg.systems.referring.steps.crop_people import CropPeople
from peopleseg.systems.referring.steps.describe_people import DescribePeople
from peopleseg.systems.referring.steps.postprocess_referred import PostprocessReferred
from peopleseg.systems.referring.steps.tokenize import Tokenize
from peopleseg.systems.system import Accuracy, Ensemble, System, Use

# Everybody in the image, as the people system finds them; their tensors are `people_...` here.
*_FINDING, _FOUND = PEOPLE.ensemble(PERSON_SEGMENTATION.name).uses
_EVERYBODY = (
    *_FINDING,
    Use(
        _FOUND.model,
        inputs=_FOUND.inputs,
        outputs={tensor.name: f"people_{tensor.name}" for tensor in _FOUND.model.outputs},
    ),
)
_POSES = (Use(CROP_PEOPLE), Use(PERSON_POSE))
_BY_TEXT = (Use(TOKENIZE), Use(TEXT_ENCODER), Use(DESCRIBE_PEOPLE), Use(PERSON_CHOOSER))
_RESPONSE = Use(POSTPROCESS_REFERRED)

SYSTEM = System(
    "referring",
    networks=(
        *(YOLOV9, PEOPLE_UNET, HIERARCHICAL_HEAD),
        *(PERSON_POSE, TEXT_ENCODER, PERSON_CHOOSER),
    ),
    python_steps=(
        *(step for step in PEOPLE.python_steps if step.model in [use.model for use in _EVERYBODY]),
        *(CropPeople, ChooseByPoints, Tokenize, DescribePeople, PostprocessReferred),
    ),
    ensembles=(
        Ensemble(
            REFERRING_PERSON,
            "The person whom a text means: box, score, keypoints, mask.",
            (*_EVERYBODY, *_POSES, *_BY_TEXT, _RESPONSE),
            of_text,
        ),
        Ensemble(
            REFERRING_PERSON_FROM_POINTS,
            "The person on whom points are: box, score, keypoints, mask.",
            (*_EVERYBODY, *_POSES, Use(CHOOSE_BY_POINTS), _RESPONSE),
            of_points,
        ),
    ),
    unlike=unlike,
    pair_faults=pair_faults,
    accuracy=Accuracy(load_prompts, measure, NEEDED, people_split),
)
