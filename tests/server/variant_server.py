"""A repository of all variants, and one ensemble for each of them, to be served side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from peopleseg.repository.triton_config import CONFIG_FILE
from peopleseg.systems.known import ENSEMBLES, STEPS
from peopleseg.systems.people.contract import HIERARCHICAL_HEAD
from peopleseg.systems.people.pipeline import PeoplePipeline
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import config_text, reads_in
from tests.data import variant_repository as making

HEAD = HIERARCHICAL_HEAD.name

DETECTED, FROM_BOXES = "person_segmentation", "person_segmentation_from_boxes"
FEATURES = "person_segmentation_features"
LARGE_ROI_HW = (80, 60)
# The variants of small networks, with the cells of their masks.
SMALL = {
    "everything": (128, 96),
    "no_features": (128, 96),
    "no_logit": (128, 96),
    "rgb": (128, 96),
    "large": (160, 120),
    "stretched": (128, 96),
    "corners": (128, 96),
}


@dataclass
class Variants:
    """A repository with the versions of every variant."""

    repository: Path
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    networks: dict[str, nn.Module] = field(default_factory=dict)  # of "published", in torch

    def pipeline(self, variant: str, **versions: int) -> PeoplePipeline:
        return PeoplePipeline(self.repository, versions=self.versions[variant] | versions)

    def add(self, variant: str, versions: Mapping[str, int]) -> None:
        """A variant that has version 1 of the steps that are not named."""
        self.versions[variant] = dict.fromkeys(STEPS, 1) | dict(versions)


def make_variants(repository: Path) -> Variants:
    making.write_steps(repository)
    making.add_detector(repository)
    making.add_people_unet(repository)
    making.add_feature_head(repository)
    made = Variants(repository)
    _add_heads(made)
    _add_geometries(made)
    _add_detectors(made)
    _add_published(made)
    return made


def write_ensembles(made: Variants) -> list[str]:
    """Their names: ensemble_variant. Every version of every step is loaded with them."""
    for name in STEPS:
        path = made.repository / name / CONFIG_FILE
        kept = [line for line in path.read_text().splitlines() if "version_policy" not in line]
        path.write_text("\n".join([*kept, "version_policy { all { } }"]))
    return [
        *(_write_ensemble(made, DETECTED, variant) for variant in SMALL),
        *(_write_ensemble(made, FROM_BOXES, variant) for variant in made.versions),
        *(_write_ensemble(made, FEATURES, variant) for variant in ("everything", "published")),
    ]


def _add_heads(made: Variants) -> None:
    rgb, logit, features = making.ALL
    made.add("everything", {HEAD: making.add_head(made.repository)})
    for variant, reads in (
        ("no_features", (rgb, logit)),
        ("no_logit", (rgb, features)),
        ("rgb", (rgb,)),
    ):
        made.add(variant, {HEAD: making.add_head(made.repository, reads)})


def _add_geometries(made: Variants) -> None:
    large = making.add_step(made.repository, "roi_align", roi_size_hw=list(LARGE_ROI_HW))
    head = making.add_head(made.repository, roi_size_hw=LARGE_ROI_HW)
    made.add("large", {"roi_align": large, HEAD: head})
    stretch = making.add_step(made.repository, "preprocess", resize="stretch")
    made.add("stretched", {"preprocess": stretch})
    corners = making.add_step(
        made.repository, "roi_align", sampling="corner_to_corner", roi_size_hw=[64, 48]
    )
    made.add("corners", {"roi_align": corners})


def _add_detectors(made: Variants) -> None:
    """YOLOv9 t and s, with 160 and 320 channels of features."""
    for size in ("t", "s"):
        network = making.random_yolov9(size)
        detector = making.add_exported(made.repository, network)
        head = making.add_head(made.repository, channels=network.feature_channels)
        made.add(f"yolov9_{size}", {"yolov9": detector, HEAD: head})


def _add_published(made: Variants) -> None:
    people_unet = making.random_people_unet()
    made.networks = {
        "people_unet": people_unet,
        HEAD: making.random_mask_head(people_unet),
        "feature_head": making.random_feature_head(),
    }
    versions = {
        name: making.add_exported(made.repository, network)
        for name, network in made.networks.items()
    }
    for variant, step in (("stretched", "preprocess"), ("corners", "roi_align")):
        versions[step] = made.versions[variant][step]
    made.add("published", versions)


def _write_ensemble(made: Variants, ensemble: str, variant: str) -> str:
    versions, name = made.versions[variant], f"{ensemble}_{variant}"
    reads = reads_in(made.repository, PEOPLE, versions)
    text = config_text(ENSEMBLES[ensemble], versions, reads).replace(f'"{ensemble}"', f'"{name}"')
    (made.repository / name / "1").mkdir(parents=True)
    (made.repository / name / CONFIG_FILE).write_text(text)
    return name
