"""Start from weights that exist: served artifacts, published checkpoints, timm's encoders."""
