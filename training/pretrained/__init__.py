"""Start from weights that exist: published checkpoints, timm's encoders, the default models."""
