"""How the trainer writes and reads its checkpoints."""

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from peopleseg.networks.checkpoint import CheckpointError, read_checkpoint, write_checkpoint


class WholeCheckpoints(TorchCheckpointIO):
    """Files that are whole or not there, read as weights only.

    Lightning's own go through the folder for temporary files; where that is on another disk, a
    killed training would leave half of last.ckpt.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        """On the CPU. Raises CheckpointError for a file that no training here wrote."""
        checkpoint = read_checkpoint(Path(path))
        if "optimizer_states" not in checkpoint:
            raise CheckpointError(
                f"{path} holds weights but no training to go on with; begin from them with "
                "--model.start_from"
            )
        return checkpoint
