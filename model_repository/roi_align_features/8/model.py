"""Cut the rois out of the features."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.people.steps.roi_align_features import RoiAlignFeatures  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(RoiAlignFeatures)
