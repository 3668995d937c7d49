"""Check the caller's boxes and move them into the square."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.people.steps.boxes_to_rois import BoxesToRois  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(BoxesToRois)
