"""Cut the rois out of the features."""

from peopleseg.systems.people.steps.roi_align_features import RoiAlignFeatures
from serving.triton_step import triton_model

TritonPythonModel = triton_model(RoiAlignFeatures)
