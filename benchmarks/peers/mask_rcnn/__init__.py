"""Mask R-CNN, the usual network for instance segmentation, trained and measured as ours are."""
