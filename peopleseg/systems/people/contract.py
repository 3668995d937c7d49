"""The tensor contract: every model, tensor, dtype and shape that the steps agree on, in one place.

`model_repository/*/config.pbtxt` says the same in Triton's language; a test holds the two together.
-1 is a length that varies. The shapes of a batching model (max_batch_size > 0) leave out the batch
axis.
"""

from peopleseg.pixels.geometry import INPUT_SIZE
from peopleseg.repository.tensors import Model, Tensor
from peopleseg.systems.shared.contract import IMAGE, LETTERBOX, MAX_IMAGES

MAX_PEOPLE = 64  # people in one response: the head's largest batch

# Of the default versions; others may differ, and their manifests say how.
ROI_SIZE_HW = (64, 48)  # cells of roi_rgb and roi_logit
ROI_FEATURE_SIZE_HW = (32, 24)  # cells of roi_features; the head resizes them to ROI_SIZE_HW
MASK_SIZE_HW = (128, 96)  # cells of a mask over its box

MASK_CLASSES = ("background", "target", "non_target")
MIN_SCORE_PARAMETER = "min_score"  # of a request: the lowest score in its response
NO_PERSON_SCORE = -1.0  # score of the one dummy roi that stands for "nobody"


PIXELS = Tensor("pixels", "UINT8", (3, INPUT_SIZE, INPUT_SIZE))  # RGB, letterboxed or stretched
FEATURES = Tensor("features", "FP16", (-1, -1, -1))  # a grid of any size over all of the pixels
PREDICTIONS = Tensor("predictions", "FP32", (5, -1))  # cx, cy, w, h in network pixels; score
PERSON_LOGIT = Tensor("person_logit", "FP32", (1, INPUT_SIZE, INPUT_SIZE))  # > 0 is person
ROIS = Tensor("rois", "FP32", (-1, 5))  # batch index, x1, y1, x2, y2 in network pixels
SCORES = Tensor("scores", "FP32", (-1,))
ROI_RGB = Tensor("roi_rgb", "FP32", (3, -1, -1))  # 0 to 255
ROI_LOGIT = Tensor("roi_logit", "FP32", (1, -1, -1))
ROI_FEATURES = Tensor("roi_features", "FP16", (-1, -1, -1))
MASK_LOGITS = Tensor("mask_logits", "FP32", (len(MASK_CLASSES), -1, -1))
PRESENCE_LOGIT = Tensor("presence_logit", "FP32", (1,))  # > 0: the box is a person's
BOXES = Tensor("boxes", "FP32", (-1, 4))  # xyxy in pixels of the image sent
MASKS = Tensor("masks", "UINT8", (-1, -1, -1))  # (n, h, w): target probability x 255 over the box
RLES = Tensor("rles", "BYTES", (-1,))  # COCO compressed RLE at the image's size, as JSON
FOREGROUND = Tensor("foreground", "UINT8", (-1, -1))  # (height, width): person probability x 255


def _whole(tensor: Tensor, length: int, optional: bool = False) -> Tensor:
    """The tensor as a model without batching sees it: with its leading axis."""
    return Tensor(tensor.name, tensor.dtype, (length, *tensor.shape), optional)


def _one(tensor: Tensor) -> Tensor:
    return _whole(tensor, 1)


def _at_most_one(tensor: Tensor) -> Tensor:
    return _whole(tensor, 1, optional=True)


def _many(tensor: Tensor) -> Tensor:
    return _whole(tensor, -1)


def _many_or_none(tensor: Tensor) -> Tensor:
    return _whole(tensor, -1, optional=True)


_RESPONSE = (BOXES, SCORES, MASKS, RLES)

# Python steps
SELECT_PEOPLE = Model("select_people", (_one(PREDICTIONS), _one(LETTERBOX)), (ROIS, SCORES))
BOXES_TO_ROIS = Model("boxes_to_rois", (BOXES, _one(LETTERBOX)), (ROIS, SCORES))
ROI_ALIGN = Model(
    "roi_align",
    (_one(PIXELS), _at_most_one(PERSON_LOGIT), _at_most_one(FEATURES), ROIS),
    (_many(ROI_RGB), _many(ROI_LOGIT), _many(ROI_FEATURES)),
    made_of={ROI_LOGIT.name: PERSON_LOGIT.name, ROI_FEATURES.name: FEATURES.name},
)
ROI_ALIGN_FEATURES = Model("roi_align_features", (_one(FEATURES), ROIS), (_many(ROI_FEATURES),))
POSTPROCESS = Model(
    "postprocess",
    (_many(MASK_LOGITS), _many_or_none(PRESENCE_LOGIT), ROIS, SCORES, _one(LETTERBOX)),
    _RESPONSE,
)
POSTPROCESS_FOREGROUND = Model(
    "postprocess_foreground", (_one(PERSON_LOGIT), _one(LETTERBOX)), (FOREGROUND,)
)

# networks
YOLOV9 = Model("yolov9", (PIXELS,), (FEATURES, PREDICTIONS), MAX_IMAGES)
PEOPLE_UNET = Model("people_unet", (PIXELS,), (PERSON_LOGIT,), MAX_IMAGES)
HIERARCHICAL_HEAD = Model(
    "hierarchical_head",
    (ROI_RGB, ROI_LOGIT, ROI_FEATURES),
    (MASK_LOGITS, PRESENCE_LOGIT),
    MAX_PEOPLE,
)
FEATURE_HEAD = Model("feature_head", (ROI_FEATURES,), (MASK_LOGITS,), MAX_PEOPLE)

# ensembles
PERSON_SEGMENTATION = Model("person_segmentation", (IMAGE,), _RESPONSE)
PERSON_SEGMENTATION_FROM_BOXES = Model("person_segmentation_from_boxes", (IMAGE, BOXES), _RESPONSE)
PERSON_SEGMENTATION_FEATURES = Model("person_segmentation_features", (IMAGE,), _RESPONSE)
PEOPLE_FOREGROUND = Model("people_foreground", (IMAGE,), (FOREGROUND,))
