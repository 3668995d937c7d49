"""Run one ONNX file on saved inputs; for an interpreter that has ONNX Runtime and numpy alone.

    python pinned_run.py MODEL FOLDER

Reads FOLDER/inputs_<n>.npz and writes FOLDER/outputs_<n>.npz.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime


def main(model: str, folder: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for path in folder.glob("inputs_*.npz"):
        with np.load(path) as inputs:
            outputs = session.run(names, dict(inputs))
        target = path.with_name(path.name.replace("inputs", "outputs"))
        np.savez(target, **dict(zip(names, outputs, strict=True)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
