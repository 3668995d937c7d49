"""From the confidence map of the square to that of the image sent."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.semantic.postprocess_confidence import PostprocessConfidence  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(PostprocessConfidence)
