"""The default models' weights in torch are those of the versions that they are named after."""

from pathlib import Path

import pytest

from conversion.export import parity
from conversion.export.families import of_network
from conversion.export.inputs import ImageInputs, random_cases
from conversion.export.parity import Expected
from conversion.export.runners import onnx_runner, torch_runner
from peopleseg.networks.checkpoint import FAMILIES, load_network
from peopleseg.repository.manifest import Manifest
from peopleseg.systems.people.system import PEOPLE
from peopleseg.systems.wiring import serving_versions
from tests.export.networks import image_files

ROOT = Path(__file__).parents[4]
REPOSITORY = ROOT / "model_repository"
DEFAULTS = ROOT / "training" / "pretrained" / "defaults"
FILES = sorted(DEFAULTS.iterdir())


def version_of(file: Path) -> Path:
    model, _, version = file.stem.partition("-")
    return REPOSITORY / model / version


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_network_computes_what_its_version_does(file: Path, tmp_path: Path) -> None:
    loaded, version = load_network(file), version_of(file)
    exportable = of_network(loaded)
    if loaded.family == "people_unet":
        cases = list(ImageInputs().cases(image_files(tmp_path, 1)))
    else:
        cases = list(random_cases(exportable, [4]))
    artifact = onnx_runner(version / Manifest.read(version).artifact)
    expected = [Expected(case, artifact(case.inputs)) for case in cases]
    found = parity.gaps(expected, torch_runner(exportable.reference, exportable.model))
    for name, gap in found[cases[0].source].items():
        assert gap.mean < 5e-3 * gap.magnitude, name  # kernels are in FP16
    assert loaded.dims == Manifest.read(version).variant


def test_every_network_that_serves_and_was_trained_here_has_its_weights() -> None:
    versions = serving_versions(REPOSITORY, PEOPLE)
    serving = [
        Manifest.read(REPOSITORY / name / str(versions[name]))
        for name in FAMILIES
        if name in versions
    ]
    trained = {one.checkpoint_sha256 for one in serving if "decoder" not in one.variant}
    kept = {Manifest.read(version_of(file)).checkpoint_sha256 for file in FILES}
    assert trained <= kept
