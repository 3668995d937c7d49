"""Where the model repository of this checkout is."""

from pathlib import Path

MODEL_REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
