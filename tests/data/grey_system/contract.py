"""The tensors of the grey system."""

from peopleseg.repository.tensors import Model, Tensor
from peopleseg.systems.people.contract import PIXELS
from peopleseg.systems.shared.contract import IMAGE, MAX_IMAGES

MEAN_RGB = Tensor("mean_rgb", "FP32", (3,))  # 0 to 255
GREY = Tensor("grey", "FP32", (1,))  # 0 to 1

BRIGHTNESS = Model("brightness", (PIXELS,), (MEAN_RGB,), MAX_IMAGES)
TO_GREY = Model("to_grey", (Tensor(MEAN_RGB.name, "FP32", (1, 3)),), (GREY,))
GREY_VALUE = Model("grey_value", (IMAGE,), (GREY,))
