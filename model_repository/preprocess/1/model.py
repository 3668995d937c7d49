"""Decode the image and bring it into the square."""

from peopleseg.systems.people.steps.preprocess import Preprocess
from serving.triton_step import triton_model

TritonPythonModel = triton_model(Preprocess)
