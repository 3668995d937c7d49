"""Check the caller's boxes and move them into the square."""

from peopleseg.systems.people.steps.boxes_to_rois import BoxesToRois
from serving.triton_step import triton_model

TritonPythonModel = triton_model(BoxesToRois)
