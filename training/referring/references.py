"""A file of references in the making: RefHuman's format, see peopleseg.labels.referring."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peopleseg.labels.coco import PERSON_CATEGORY_ID
from peopleseg.labels.referring import SCRIBBLES
from training.referring.prompts import scribble_on

_KEPT = ("bbox", "area", "keypoints", "num_keypoints", "segmentation", "mask")  # of an annotation
_KEPT_OF_IMAGE = ("file_name", "width", "height", "license", "side_by_side")

Text = Mapping[str, str]  # its `caption` and, where it was made up, the `claim` that it makes


class References:
    """Entries of images, one for each prompt, with the one annotation of each."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.people = self.named = 0  # of those added, who have an expression

    def add_person(
        self,
        image: Mapping[str, Any],
        person: Mapping[str, Any],
        mask: NDArray[np.uint8] | None,
        texts: Sequence[Text],
        *,
        everybody: bool = True,
        people: int | None = None,
    ) -> None:
        """One entry for each text; without any, one without a caption.

        image, person: entries of a COCO file, of which what counts is taken; mask: (H, W) of 0 and
        1 in the image; everybody: whether nobody unknown may fit the expressions; people: in the
        image, where all are known.
        """
        self.people += 1
        self.named += bool(texts)
        shown = {key: image[key] for key in _KEPT_OF_IMAGE if key in image}
        said = {key: person[key] for key in _KEPT if key in person}
        if mask is not None and mask.any():
            said["scribble"] = self._scribbles(mask)
        known = {"everybody": everybody} | ({} if people is None else {"people": people})
        for text in texts or [{}]:
            number = len(self.images) + 1
            source = {"source_image_id": image["id"], "source_annotation_id": person.get("id")}
            self.images.append({"id": number, **shown, **text, **known, **source})
            own = {"id": number, "image_id": number, "category_id": PERSON_CATEGORY_ID}
            self.annotations.append({**own, "iscrowd": 0, **said})

    def data(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """As JSON; source: the COCO file it was made from, whose licences it keeps."""
        info = source.get("info")
        made = {
            **(info if isinstance(info, dict) else {}),
            "references": "texts of people of a COCO file; RefHuman's format",
            "seed": self.seed,
        }
        kept = {key: source[key] for key in ("licenses",) if key in source}
        categories = [{"id": PERSON_CATEGORY_ID, "name": "person"}]
        entries = {"images": self.images, "annotations": self.annotations}
        return {"info": made, **kept, "categories": categories, **entries}

    def told(self) -> str:
        """What there is, in words."""
        captions = sum("caption" in one for one in self.images)
        shown = {_key(one) for one in self.images if "caption" in one}
        return (
            f"{captions} expressions of {self.named} people in {len(shown)} images; "
            f"{self.people - self.named} more people to point at"
        )

    def _scribbles(self, mask: NDArray[np.uint8]) -> list[Any]:
        random = np.random.default_rng((self.seed, self.people))
        scribbles = [scribble_on(mask, random) for _ in range(SCRIBBLES)]
        return np.round(np.stack(scribbles), 1).reshape(-1).tolist()


def _key(image: Mapping[str, Any]) -> str:
    """The same for entries of one image."""
    return str([one["file_name"] for one in image.get("side_by_side", [image])])
