"""The networks of the pipeline, in torch. Only training and conversion import this package."""

from peopleseg.networks.torchvision_ops import declare_missing_ops

declare_missing_ops()  # timm and segmentation_models_pytorch import torchvision
