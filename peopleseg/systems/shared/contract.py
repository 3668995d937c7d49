"""The tensors that several systems share, as peopleseg.systems.people.contract explains them."""

from peopleseg.repository.tensors import Model, Tensor

MAX_IMAGES = 8  # images in one batch of the image models

IMAGE = Tensor("image", "BYTES", (1,))  # one JPEG, PNG, WebP or BMP file
PIXELS = Tensor("pixels", "UINT8", (3, -1, -1))  # RGB in a square, letterboxed or stretched
LETTERBOX = Tensor("letterbox", "FP32", (6,))  # see `peopleseg.pixels.geometry.Letterbox`

PREPROCESS = Model("preprocess", (IMAGE,), (PIXELS, LETTERBOX), MAX_IMAGES)
