"""From the person logit to a foreground map of the image's size."""

from peopleseg.systems.people.steps.postprocess_foreground import PostprocessForeground
from serving.triton_step import triton_model

TritonPythonModel = triton_model(PostprocessForeground)
