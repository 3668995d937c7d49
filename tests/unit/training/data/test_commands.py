"""`peopleseg data-stats`, `data-subset` and `data-generate`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from peopleseg.cli.main import main
from peopleseg.labels.coco import load_images
from peopleseg.pixels.images import decode_image
from training.data.statistics import read_class_weights


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A generated data set."""
    folder = tmp_path / "people"
    assert main(["data-generate", "--out", str(folder), "--images", "6", "--seed", "3"]) == 0
    return folder


def test_a_generated_data_set_has_both_parts_and_different_images(tmp_path, capsys):
    made = tmp_path / "people"
    assert main(["data-generate", "--out", str(made), "--images", "6", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    counts = {}
    first = {}
    for name in ("train", "val"):
        annotated_images = load_images(made / f"person_{name}.json", made / name)
        counts[name] = len(annotated_images)
        images = [decode_image(image.path.read_bytes()) for image in annotated_images]
        assert all(
            i.shape == (p.height, p.width, 3) for i, p in zip(images, annotated_images, strict=True)
        )
        assert not annotated_images[0].people and any(image.people for image in annotated_images)
        first[name] = images[1]
        assert f"person_{name}.json" in printed
    assert counts == {"train": 6, "val": 4}
    assert (first["train"] != first["val"]).any()


def test_the_seed_makes_the_same_data_set_again(made, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    assert main(["data-generate", "--out", str(again), "--images", "6", "--seed", "3"]) == 0
    assert main(["data-generate", "--out", str(other), "--images", "6", "--seed", "4"]) == 0
    names = sorted(p.relative_to(made) for p in made.rglob("*") if p.is_file())
    assert len(names) == 12
    assert all((made / n).read_bytes() == (again / n).read_bytes() for n in names)
    assert any((made / n).read_bytes() != (other / n).read_bytes() for n in names)


def test_statistics_are_printed_and_written_without_broken_images(made, tmp_path, capsys):
    (made / "train" / "002.png").unlink()
    stats = tmp_path / "out" / "stats.json"
    arguments = ["data-stats", "--annotations", str(made / "person_train.json")]
    assert main([*arguments, "--images", str(made / "train"), "--json", str(stats)]) == 0
    printed = capsys.readouterr()
    assert "left out 1 image:" in printed.err and "002.png: is missing" in printed.err
    metrics = json.loads(stats.read_text())
    assert metrics["images"] == 5
    assert f"people {metrics['people']}" in " ".join(printed.out.split())
    assert read_class_weights(stats) == tuple(metrics["class_weights"]["separation_aware"])
    assert main([*arguments, "--roi-padding", "0.5", "--json", str(stats)]) == 0
    unchecked = json.loads(stats.read_text())
    assert unchecked["images"] == 6
    ratios = [f["rois"]["pixel_ratios"]["background"] for f in (metrics, unchecked)]
    assert ratios[1] > ratios[0]


def test_a_subset_is_written_and_counted(made, tmp_path, capsys):
    out = tmp_path / "small.json"
    source = made / "person_train.json"
    arguments = ["data-subset", "--annotations", str(source), "--out", str(out)]
    assert main([*arguments, "--images-count", "3", "--only-people", "--no-crowds"]) == 0
    images = load_images(out, made / "train")
    people = sum(len(image.people) for image in images)
    assert len(images) == 3 and all(image.people for image in images)
    assert f"{out}: 3 images, {people} annotations" in capsys.readouterr().out
    first = out.read_bytes()
    assert main([*arguments, "--images-count", "3", "--only-people", "--no-crowds"]) == 0
    assert out.read_bytes() == first


def first_image(**changes):
    return lambda data: data["images"][0].update(changes)


def same_ids(data):
    for image in data["images"]:
        image["id"] = 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (same_ids, "both have the image id 1"),
        (first_image(file_name=None), "has the file_name None"),
        (first_image(file_name="https://a.org/1.jpg"), "has the URL https://a.org/1.jpg"),
        (first_image(file_name="C:\\people\\1.jpg"), "has the Windows path C:"),
        (first_image(width="640"), "has the width '640'"),
    ],
)
def test_a_subset_is_made_of_what_can_be_read_alone(made, tmp_path, capsys, change, told):
    data = json.loads((made / "person_train.json").read_text())
    change(data)
    file, out = tmp_path / "changed.json", tmp_path / "out.json"
    file.write_text(json.dumps(data))
    assert main(["data-subset", "--annotations", str(file), "--out", str(out)]) == 1
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1
    assert not out.exists()


def test_broken_annotations_are_named_and_in_no_subset(made, tmp_path, caplog):
    data = json.loads((made / "person_train.json").read_text())
    broken = data["annotations"][0]
    broken["bbox"] = None
    file, out = tmp_path / "changed.json", tmp_path / "out.json"
    file.write_text(json.dumps(data))
    assert main(["data-subset", "--annotations", str(file), "--out", str(out)]) == 0
    assert f"annotation {broken['id']}: its bbox is None" in caplog.text
    assert json.loads(out.read_text())["annotations"] == data["annotations"][1:]


def test_a_set_of_nobody_is_split_when_it_is_asked_for(made, tmp_path, capsys):
    data = json.loads((made / "person_train.json").read_text())
    file, out, rest = (tmp_path / name for name in ("nobody.json", "out.json", "rest.json"))
    file.write_text(json.dumps({**data, "annotations": []}))
    arguments = ["data-subset", f"--annotations={file}", f"--out={out}", f"--rest={rest}"]
    arguments.append("--images-count=4")
    assert main(arguments) == 1
    assert "has nobody in the 4 images to take; name a file with people, or say --nobody" in (
        capsys.readouterr().err
    )
    assert not out.exists()
    assert main([*arguments, "--nobody"]) == 0
    assert [len(load_images(path, made / "train")) for path in (out, rest)] == [4, 2]
    assert main([*arguments, "--nobody", "--only-people"]) == 2


def test_no_file_is_written_over_the_one_that_is_read(made, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, link = made / "person_train.json", tmp_path / "link.json"
    link.symlink_to(source)
    before = source.read_bytes()
    again = str(made / ".." / made.name / source.name)
    for arguments in (
        ["data-subset", "--out", str(source)],
        ["data-subset", "--out", again],
        ["data-subset", "--out", str(link)],
        ["data-subset", "--out", "new.json", "--rest", str(source)],
        ["data-subset", "--out", "new.json", "--rest", "./new.json"],
        ["data-stats", "--json", again],
        ["fill-masks", "--images", str(made / "train"), "--out", str(link)],
    ):
        assert main([*arguments, "--annotations", str(source)]) == 2, arguments
        err = capsys.readouterr().err
        assert "; name another" in err and err.count("\n") == 1
    assert source.read_bytes() == before and not (tmp_path / "new.json").exists()


@pytest.mark.parametrize("text", ["-0.1", "1.5", "nan", "much"])
def test_a_part_is_a_number_from_0_to_1(made, capsys, text):
    annotations = ["--annotations", str(made / "person_train.json")]
    features = ["--detector=d.ckpt", "--images=.", "--out=out"]
    for arguments in (
        ["data-stats", f"--roi-padding={text}"],
        ["precompute-features", *features, f"--padding={text}"],
    ):
        assert main([*arguments, *annotations]) == 2
        said = capsys.readouterr().err
        assert f'"{text}"' in said and "padding" in said


@pytest.mark.parametrize("text", ["no json", "{}", '{"images": [], "annotations": []}'])
@pytest.mark.parametrize("command", ["data-stats", "data-subset"])
def test_what_cannot_be_used_is_named_and_nothing_written(tmp_path, capsys, command, text):
    annotations, out = tmp_path / "bad.json", tmp_path / "out.json"
    annotations.write_text(text)
    option = ["--json", str(out)] if command == "data-stats" else ["--out", str(out)]
    if command == "data-subset":
        option += ["--images-count", "1"]
    assert main([command, "--annotations", str(annotations), *option]) == 1
    assert "bad.json" in capsys.readouterr().err
    assert not out.exists()


def test_a_missing_file_is_an_error_with_its_name(tmp_path, capsys):
    for command, option in (("data-stats", "--json"), ("data-subset", "--out")):
        missing = str(tmp_path / "none.json")
        assert main([command, "--annotations", missing, option, str(tmp_path / "o.json")]) == 1
        assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["data-stats", "data-subset", "data-generate"])
def test_the_help_has_examples(capsys, name):
    assert main([name, "--help"]) == 0
    assert f"  peopleseg {name} " in capsys.readouterr().out


def test_the_commands_work_without_torch(root):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from peopleseg.cli.main import main\n"
        "for name in ('data-stats', 'data-subset', 'data-generate'):\n"
        "    assert main([name, '--help']) == 0"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)


def test_the_numbers_of_images_must_be_positive(made, tmp_path, capsys):
    source, out = str(made / "person_train.json"), tmp_path / "out.json"
    arguments = ["data-subset", "--annotations", source, "--out", str(out)]
    assert main([*arguments, "--images-count=-1"]) == 2 and not out.exists()
    assert (
        'Invalid value "-1" for --images-count. -1 is not a whole number from 1'
        in capsys.readouterr().err
    )
    tmp_path = tmp_path / "new"
    tmp_path.mkdir()
    assert main(["data-generate", "--out", str(tmp_path), "--images", "0"]) == 2
    assert (
        'Invalid value "0" for --images. 0 is not a whole number from 1' in capsys.readouterr().err
    )
    assert np.size(list(tmp_path.iterdir())) == 0
