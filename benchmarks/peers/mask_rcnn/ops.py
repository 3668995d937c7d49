"""Non-maximum suppression and RoIAlign in torch, for torchvision without its compiled operators.

`peopleseg.networks.torchvision_ops` says why that is. torchvision's Mask R-CNN calls these two and
no others.
"""

from importlib import import_module

import numpy as np
import torch
from torch import Tensor

from peopleseg.networks.people import roi_align as networks_roi_align
from peopleseg.networks.torchvision_ops import declare_missing_ops

_ROI_ALIGN = (
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor"
)
_library: torch.library.Library | None = None  # an operator lives as long as its library


def supply_missing_ops() -> None:
    """Import torchvision; where its library does not load, let `nms` and `roi_align` work.

    Where it does load, its own operators stay.
    """
    global _library
    declare_missing_ops()
    from torchvision import extension

    if _library is not None or extension._has_ops():
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define(_ROI_ALIGN)
    # Composite: autograd goes through the torch functions that they call.
    _library.impl("nms", nms, "CompositeImplicitAutograd")
    _library.impl("roi_align", roi_align, "CompositeImplicitAutograd")
    # torchvision asks for its whole library before it calls either.
    for module in (
        import_module("torchvision.ops.boxes"),
        import_module("torchvision.ops.roi_align"),
    ):
        vars(module).update(_has_ops=lambda: True, _assert_has_ops=lambda: None)


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes [N, 4] xyxy that no better one kept overlaps by more than the threshold.

    Best score first; of equal scores the earlier box is the better one.
    """
    from torchvision.ops import box_iou

    order = scores.detach().argsort(descending=True, stable=True)
    ordered = dets.detach()[order]
    overlaps = (box_iou(ordered, ordered) > iou_threshold).cpu().numpy()
    dropped = np.zeros(len(overlaps), dtype=np.bool_)
    kept = []
    for rank, row in enumerate(overlaps):
        if not dropped[rank]:
            kept.append(rank)
            dropped |= row
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """`peopleseg.networks.people.roi_align` with torchvision's arguments."""
    size_hw = (pooled_height, pooled_width)
    return networks_roi_align.roi_align(
        input, rois, size_hw, spatial_scale, samples=sampling_ratio, aligned=aligned
    )
