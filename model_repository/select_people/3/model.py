"""Choose the people among the detector's anchors."""

from peopleseg.systems.people.steps.select_people import SelectPeople
from serving.triton_step import triton_model

TritonPythonModel = triton_model(SelectPeople)
