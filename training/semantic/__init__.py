"""Training of the semantic system's networks."""

from peopleseg.networks.torchvision_ops import declare_missing_ops

declare_missing_ops()  # timm and torchvision are imported before peopleseg's own modules
