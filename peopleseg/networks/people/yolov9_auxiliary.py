"""YOLOv9's auxiliary branch: programmable gradient information for training (arXiv:2402.13616).

A second set of detection levels whose loss gives the backbone gradients that the main branch loses
on the way. Layer lists and widths: the training models of WongKinYiu/yolov9. Nothing of it is
deployed.
"""

from torch import nn

from peopleseg.networks.people.yolov9_blocks import ELAN, SPPELAN, CBFuse, CBLinear, Conv
from peopleseg.networks.people.yolov9_layers import GELAN_WIDTHS, Branch, Concat, GelanWidths, Layer


def auxiliary_branch(variant: str, first: int) -> Branch:
    """The branch's layers, numbered from `first` on; smaller sources are deploy layers."""
    if variant == "e":
        return _pyramid_e(first)
    widths = GELAN_WIDTHS[variant]
    return _pyramid(widths, first) if variant in ("t", "s") else _reversible(widths, first)


def _pyramid(widths: GelanWidths, first: int) -> Branch:
    """The top-down half of a feature pyramid, on the backbone itself."""
    p3, p4, p5 = (block[0] for block in widths.backbone)
    n5, (n4, *_), (n3, *_) = widths.pyramid[0], *widths.top_down
    depth = widths.csp_depth
    layers = [
        Layer(8, SPPELAN(p5, *widths.pyramid)),
        Layer(first, nn.Upsample(scale_factor=2)),
        Layer((first + 1, 6), Concat()),
        Layer(first + 2, ELAN(n5 + p4, *widths.top_down[0], depth)),
        Layer(first + 3, nn.Upsample(scale_factor=2)),
        Layer((first + 4, 4), Concat()),
        Layer(first + 5, ELAN(n4 + p3, *widths.top_down[1], depth)),
    ]
    return Branch(layers, (first + 6, first + 3, first), (n3, n4, n5))


def _pyramid_e(first: int) -> Branch:
    """The same on the first backbone of yolov9-e."""
    layers = [
        Layer(9, SPPELAN(1024, 512, 256)),
        Layer(first, nn.Upsample(scale_factor=2)),
        Layer((first + 1, 7), Concat()),
        Layer(first + 2, ELAN(1536, 512, 512, 256, 2)),
        Layer(first + 3, nn.Upsample(scale_factor=2)),
        Layer((first + 4, 5), Concat()),
        Layer(first + 5, ELAN(1024, 256, 256, 128, 2)),
    ]
    return Branch(layers, (first + 6, first + 3, first), (256, 512, 512))


def _reversible(widths: GelanWidths, first: int) -> Branch:
    """A second backbone from the image up, joined at each stage by the first one's outputs."""
    w, depth = widths, widths.csp_depth
    to3, to4, to5 = w.downs
    p3, p4, p5 = (block[0] for block in w.backbone)
    l3, l4, l5 = first, first + 1, first + 2  # of the backbone's stages
    layers = [
        Layer(4, CBLinear(p3, (to3,))),
        Layer(6, CBLinear(p4, (to3, to4))),
        Layer(8, CBLinear(p5, (to3, to4, to5))),
        Layer(-1, Conv(3, w.stem[0], 3, 2)),
        Layer(first + 3, Conv(w.stem[0], w.stem[1], 3, 2)),
        Layer(first + 4, ELAN(w.stem[1], *w.first, depth)),
        Layer(first + 5, w.down(w.first[0], to3)),
        Layer((l3, l4, l5, first + 6), CBFuse(0)),
        Layer(first + 7, ELAN(to3, *w.backbone[0], depth)),
        Layer(first + 8, w.down(p3, to4)),
        Layer((l4, l5, first + 9), CBFuse(1)),
        Layer(first + 10, ELAN(to4, *w.backbone[1], depth)),
        Layer(first + 11, w.down(p4, to5)),
        Layer((l5, first + 12), CBFuse(2)),
        Layer(first + 13, ELAN(to5, *w.backbone[2], depth)),
    ]
    return Branch(layers, (first + 8, first + 11, first + 14), (p3, p4, p5))
