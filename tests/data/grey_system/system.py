"""The grey system. It shares a step with the people system."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.repository.tensors import bytes_tensor
from peopleseg.systems.shared.contract import IMAGE, PREPROCESS
from peopleseg.systems.shared.preprocess import Preprocess
from peopleseg.systems.step import Arrays
from peopleseg.systems.system import Ensemble, System, Use

from .contract import BRIGHTNESS, GREY, GREY_VALUE, TO_GREY
from .steps import ToGrey

Response = Mapping[str, NDArray[Any]]


def unlike(folders: Mapping[str, Path], found: Response, expected: Response) -> str | None:
    if np.allclose(found[GREY.name], expected[GREY.name], atol=0.01):
        return None
    return f"grey is {found[GREY.name]} instead of {expected[GREY.name]}"


def request(image: bytes) -> Arrays:
    return {IMAGE.name: bytes_tensor(image)}


SYSTEM = System(
    "grey",
    networks=(BRIGHTNESS,),
    python_steps=(Preprocess, ToGrey),
    ensembles=(
        Ensemble(
            GREY_VALUE,
            "How bright an image is.",
            (Use(PREPROCESS), Use(BRIGHTNESS), Use(TO_GREY)),
            request,
        ),
    ),
    unlike=unlike,
)
