"""From choices to the person of each prompt: box, score, keypoints and RLE."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("code.zip")))

from peopleseg.systems.referring.steps.postprocess_referred import PostprocessReferred  # noqa: E402
from serving.triton_step import triton_model  # noqa: E402

TritonPythonModel = triton_model(PostprocessReferred)
