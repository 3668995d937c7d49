"""All Python steps of the people system, by name."""

from peopleseg.systems.people.steps.boxes_to_rois import BoxesToRois
from peopleseg.systems.people.steps.postprocess import Postprocess
from peopleseg.systems.people.steps.postprocess_foreground import PostprocessForeground
from peopleseg.systems.people.steps.preprocess import Preprocess
from peopleseg.systems.people.steps.roi_align import RoiAlign
from peopleseg.systems.people.steps.roi_align_features import RoiAlignFeatures
from peopleseg.systems.people.steps.select_people import SelectPeople
from peopleseg.systems.step import Step

PYTHON_STEPS: dict[str, type[Step]] = {
    step.name: step
    for step in (
        *(Preprocess, SelectPeople, BoxesToRois, RoiAlign, RoiAlignFeatures),
        *(Postprocess, PostprocessForeground),
    )
}
