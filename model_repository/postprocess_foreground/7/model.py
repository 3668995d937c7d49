"""From the person logit to a foreground map of the image's size."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.people.steps.postprocess_foreground import PostprocessForeground  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(PostprocessForeground)
