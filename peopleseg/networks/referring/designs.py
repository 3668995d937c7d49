"""The transformers by name."""

from collections.abc import Callable

from peopleseg.networks.referring.efficient import efficient
from peopleseg.networks.referring.fully_conv import fully_conv
from peopleseg.networks.referring.fully_conv_optim import fully_conv_optim
from peopleseg.networks.referring.original import original
from peopleseg.networks.referring.pose_transformer import PoseTransformer

TRANSFORMERS: dict[str, Callable[[int], PoseTransformer]] = {
    "original": original,
    "efficient": efficient,
    "fully_conv": fully_conv,
    "fully_conv_optim": fully_conv_optim,
}
