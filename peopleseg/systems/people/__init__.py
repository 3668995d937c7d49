"""Person instance segmentation: its tensors, steps, ensembles and results."""
