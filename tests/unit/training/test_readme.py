"""What the training's README and the semantic system's page tell to type is accepted."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from peopleseg.cli.application import parse
from peopleseg.cli.main import COMMANDS
from tests.training.runs import CONFIGS, train

VERSION_TO_FILL_IN = r"^(\w+)=[A-Z]$"  # a letter, so that nothing is released unread
ROOT = Path(__file__).parents[3]
README, SEMANTIC = ROOT / "training" / "README.md", ROOT / "docs" / "semantic.md"


def commands(program: str, *pages: Path) -> list[list[str]]:
    """The arguments after `program` wherever a block of commands calls it; of all pages if none."""
    text = "".join(page.read_text() for page in pages or (README, SEMANTIC))
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    calls = [shlex.split(line, comments=True) for line in lines if line.strip()]
    start = program.split()
    return [call[len(start) :] for call in calls if call[: len(start)] == start]


_FITS = commands("peopleseg train fit")
HELPS = [call for call in _FITS if call[0].endswith(".help")]
TRAININGS = [call for call in _FITS if call not in HELPS]
OTHERS = [call for call in commands("peopleseg") if call[0] != "train"]


def written_yamls(folder: Path) -> dict[str, Path]:
    """The YAMLs that the README shows under their name, as files."""
    shown = re.findall(
        r"^```yaml\n# (\S+)\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
    )
    for name, text in shown:
        (folder / name).write_text(text)
    return {name: folder / name for name, _ in shown}


@pytest.mark.parametrize("arguments", TRAININGS, ids=" ".join)
def test_each_training_is_accepted(
    arguments: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    yamls = written_yamls(tmp_path)
    given = [re.sub(r"\$\w+", "1", str(yamls.get(argument, argument))) for argument in arguments]
    assert train("fit", *given, "--print_config") == 0


def test_the_keys_of_a_class_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    expected = [("--model.encoder_weights", "--model.teacher"), ("--data.root", "--data.extra")]
    for arguments, keys in zip(HELPS, expected, strict=True):
        assert train("fit", *arguments) == 0
        listed = capsys.readouterr().out
        assert all(f"\n  {key} " in listed for key in keys)


@pytest.mark.parametrize("call", OTHERS, ids=" ".join)
def test_each_other_command_is_accepted(call: list[str]) -> None:
    module = import_module(COMMANDS[call[0]][0])
    parse(module, [re.sub(VERSION_TO_FILL_IN, r"\1=1", argument) for argument in call[1:]])


@pytest.mark.parametrize("page", ["README.md", "training/README.md"])
def test_a_version_that_was_just_made_is_to_be_filled_in(page: str, root: Path) -> None:
    """A number might be that of a version which is in the repository already. One release goes to
    such versions by intent."""
    text = (root / page).read_text().replace("\\\n", " ")
    calls = re.findall(r"^peopleseg (?:release|fit-scores) .*$", text, re.MULTILINE)
    named = [word for call in calls for word in call.split() if re.match(r"\w+=\w+$", word)]
    numbered = [word for word in named if not re.match(VERSION_TO_FILL_IN, word)]
    switch = "yolov9=8 people_unet=6 hierarchical_head=8 select_people=15 postprocess=15".split()
    assert numbered == (switch if page == "README.md" else [])
    assert len(named) > len(numbered)


def test_what_trains_is_given_scores_that_are_fitted_to_it() -> None:
    """Every release of the page names the versions that a fit-scores before it has made."""
    calls = commands("peopleseg", README)
    kinds = [call[0] for call in calls if call[0] in ("fit-scores", "release")]
    assert kinds == ["fit-scores", "release"] * (len(kinds) // 2) and len(kinds) >= 4
    for call in calls:
        if call[0] == "release":
            assert {"select_people=S", "postprocess=P"} < set(call)


def test_there_are_commands_to_check() -> None:
    assert len(TRAININGS) >= 10
    assert {call[0] for call in OTHERS} >= {"serve", "validate", "data-stats"}


def test_every_subcommand_that_is_named_exists() -> None:
    named = set(re.findall(r"peopleseg ([a-z][a-z-]+)", README.read_text()))
    assert named - set(COMMANDS) == set()


def test_every_file_that_is_named_exists(root: Path) -> None:
    text = README.read_text()
    named = re.findall(r"(?:training|peopleseg|tests|benchmarks)/[\w/]+\.(?:yaml|py)", text)
    assert named
    assert [path for path in named if not (root / path).is_file()] == []


def test_every_variant_is_in_the_table() -> None:
    table = README.read_text().partition("## Variants")[2].partition("\n\nEvery key")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert {path.stem for path in CONFIGS.glob("*.yaml")} - named == set()


def test_every_recipe_is_in_the_table() -> None:
    named = set(re.findall(r"configs/recipes/(\w+)\.yaml", README.read_text()))
    assert named == {path.stem for path in (CONFIGS / "recipes").glob("*.yaml")}


def test_every_module_that_is_run_exists(root: Path) -> None:
    modules = re.findall(r"python -m ([\w.]+)", README.read_text())
    assert modules
    assert all((root / f"{module.replace('.', '/')}.py").is_file() for module in modules)


def test_every_link_within_the_page_has_its_heading() -> None:
    text = README.read_text()
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links and links <= headings


def test_each_run_that_is_read_is_trained(root: Path) -> None:
    """Its folder is --out, or has the names of the YAMLs; any variant may be trained alone."""
    trained = {f"runs/{path.stem}" for path in CONFIGS.glob("*.yaml")}
    for arguments in TRAININGS:
        yamls = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--config"]
        folder = f"runs/{'-'.join(Path(yaml).stem for yaml in yamls)}"
        trained.add(arguments[arguments.index("--out") + 1] if "--out" in arguments else folder)
    read = set(re.findall(r"(runs/[\w-]+)/(?:best|last)\.ckpt", README.read_text()))
    assert read and read - trained == set()
