"""From mask logits to the people of the image: boxes, scores, masks and RLEs."""

from peopleseg.systems.people.steps.postprocess import Postprocess
from serving.triton_step import triton_model

TritonPythonModel = triton_model(Postprocess)
