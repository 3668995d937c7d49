"""The tensor contract of the referring system, as peopleseg.systems.people.contract is of people.

P prompts mean a person each. N is the number of people found in the image; where there is nobody,
one crop of nothing stands in for the networks, which take no batch of none.
"""

from peopleseg.labels.keypoints import COUNT
from peopleseg.repository.tensors import Model, Tensor
from peopleseg.systems.people.contract import BOXES, MASKS, MAX_PEOPLE, RLES, SCORES
from peopleseg.systems.shared.contract import IMAGE, LETTERBOX, PIXELS

MAX_PROMPTS = 64  # of one request
ON, OFF, PADDING = 1, 0, -1  # labels of a point: on the person, not on the person, no point
MAX_POINTS = 256  # of one prompt
AROUND = 2  # tokens that stand around a text
MAX_TOKENS = 64  # of one text, with those
MAX_CHARACTERS = 10_000  # of one text; all of them are read to count its tokens

TEXT = Tensor("text", "BYTES", (-1,))  # (P,) what is said of the person, UTF-8
POINTS = Tensor("points", "FP32", (-1, -1, 3))  # (P, K, 3) x, y in pixels of the image sent, label
KEYPOINTS = Tensor("keypoints", "FP32", (-1, COUNT, 3))  # x, y in the image's pixels, visibility

PEOPLE_BOXES = Tensor("people_boxes", "FP32", BOXES.shape)  # of everybody, as the people system's
PEOPLE_SCORES = Tensor("people_scores", "FP32", SCORES.shape)
PEOPLE_MASKS = Tensor("people_masks", "UINT8", MASKS.shape)
PEOPLE_RLES = Tensor("people_rles", "BYTES", RLES.shape)
CROPS = Tensor("crops", "UINT8", (3, -1, -1))  # RGB around a person
JOINTS = Tensor("joints", "FP32", (COUNT, 3))  # x, y in parts of the crop's sides, visibility
LOOKS = Tensor("looks", "FP32", (-1,))  # of a person, as the pose network tells them
# Of a prompt, in parts of 1: that it means each person; made of text, of MAX_PEOPLE.
CHOICES = Tensor("choices", "FP32", (-1,))
TOKENS = Tensor("tokens", "INT64", (MAX_TOKENS,))  # numbers of words and parts of words
TOKEN_MASK = Tensor("token_mask", "INT64", (MAX_TOKENS,))  # 1 where there is one
WORDS = Tensor("words", "FP32", (MAX_TOKENS, -1))  # what the text encoder says of each token
PEOPLE = Tensor("people", "FP32", (MAX_PEOPLE, -1))  # see `describing.describe`


def _one(tensor: Tensor) -> Tensor:
    """The tensor with its batch axis, as a model without batching sees it."""
    return Tensor(tensor.name, tensor.dtype, (1, *tensor.shape))


def _many(tensor: Tensor) -> Tensor:
    return Tensor(tensor.name, tensor.dtype, (-1, *tensor.shape))


_RESPONSE = (BOXES, SCORES, KEYPOINTS, RLES)

CROP_PEOPLE = Model("crop_people", (_one(PIXELS), PEOPLE_BOXES, _one(LETTERBOX)), (_many(CROPS),))
PERSON_POSE = Model("person_pose", (CROPS,), (JOINTS, LOOKS), MAX_PEOPLE)
CHOOSE_BY_POINTS = Model(
    "choose_by_points",
    (POINTS, PEOPLE_BOXES, PEOPLE_SCORES, PEOPLE_MASKS, _one(LETTERBOX)),
    (_many(CHOICES),),
)
TOKENIZE = Model("tokenize", (TEXT, _one(LETTERBOX)), (_many(TOKENS), _many(TOKEN_MASK)))
TEXT_ENCODER = Model("text_encoder", (TOKENS, TOKEN_MASK), (WORDS,), MAX_PROMPTS)
DESCRIBE_PEOPLE = Model(
    "describe_people",
    (
        *(TEXT, PEOPLE_BOXES, PEOPLE_SCORES, _many(CROPS), _many(JOINTS), _many(LOOKS)),
        _one(LETTERBOX),
    ),
    (_many(PEOPLE),),
)
PERSON_CHOOSER = Model("person_chooser", (WORDS, TOKEN_MASK, PEOPLE), (CHOICES,), MAX_PROMPTS)
POSTPROCESS_REFERRED = Model(
    "postprocess_referred",
    (_many(CHOICES), PEOPLE_BOXES, PEOPLE_RLES, _many(CROPS), _many(JOINTS), _one(LETTERBOX)),
    _RESPONSE,
)
REFERRING_PERSON = Model("referring_person", (IMAGE, TEXT), _RESPONSE)
REFERRING_PERSON_FROM_POINTS = Model("referring_person_from_points", (IMAGE, POINTS), _RESPONSE)
