"""A convolution of each channel, then one of all: what the light transformers are made of."""

from torch import Tensor, nn

from peopleseg.networks.referring.positions import WIDTH


class Separable(nn.Module):
    """[P, 256, h, w] to the same."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.each = nn.Conv2d(WIDTH, WIDTH, kernel, padding=kernel // 2, groups=WIDTH, bias=False)
        self.all = nn.Conv2d(WIDTH, WIDTH, 1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward(self, maps: Tensor) -> Tensor:
        return self.norm(self.all(self.each(maps)))  # type: ignore[no-any-return]
