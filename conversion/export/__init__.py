"""From a checkpoint to a version folder of its model: export, precisions, accelerators, parity."""
