"""From a checkpoint to a versioned artifact of the model repository."""
