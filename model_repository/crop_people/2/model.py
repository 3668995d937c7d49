"""Cut everybody out of the square, as the pose network reads people."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.referring.steps.crop_people import CropPeople  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(CropPeople)
