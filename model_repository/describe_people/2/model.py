"""Tell of everybody in the image what a text may say of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.referring.steps.describe_people import DescribePeople  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(DescribePeople)
