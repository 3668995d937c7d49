"""Tests of training may import timm first, which imports torchvision; see `torchvision_ops`."""

import peopleseg.networks  # noqa: F401  (declares it)
