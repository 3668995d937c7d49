"""From mask logits to the people of the image: boxes, scores, masks and RLEs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.people.steps.postprocess import Postprocess  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(Postprocess)
