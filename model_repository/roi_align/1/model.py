"""Cut the rois out of the pixels, the person logit and the features."""

from peopleseg.systems.people.steps.roi_align import RoiAlign
from serving.triton_step import triton_model

TritonPythonModel = triton_model(RoiAlign)
