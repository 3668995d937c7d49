"""Which images paths mean, and what their results are called."""

from pathlib import Path

import pytest

from peopleseg.pixels.image_files import (
    find_images,
    find_skipped,
    image_ids,
    result_paths,
    unique,
)

NOWHERE = Path("no-such-folder")


def touch(folder: Path, *names: str) -> list[Path]:
    files = [folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return files


def test_a_folder_gives_its_images_at_any_depth_in_any_case(tmp_path: Path) -> None:
    wanted = touch(tmp_path, "a.JPG", "b.jpeg", "c/d.png", "c/e/f.WebP", "g.bmp")
    touch(tmp_path, "notes.txt", "c/clip.gif", "jpg")
    (tmp_path / "folder.png").mkdir()
    assert find_images(tmp_path, leave_out=NOWHERE) == sorted(wanted)


def test_images_of_a_folder_that_are_not_taken_are_known(tmp_path: Path) -> None:
    (taken,) = touch(tmp_path, "a.jpg")
    wanted = touch(tmp_path, "._a.jpg", "b.JFIF", "c/d.heic", "c/e.tiff")
    touch(tmp_path, "notes.txt", "jpg", "clip.mp4", "out/f.gif")
    assert find_images(tmp_path, leave_out=tmp_path / "out") == [taken]
    assert find_skipped(tmp_path, leave_out=tmp_path / "out") == sorted(wanted)
    assert find_skipped(tmp_path / "b.JFIF", leave_out=NOWHERE) == []
    assert find_images(tmp_path / "b.JFIF", leave_out=NOWHERE) == [tmp_path / "b.JFIF"]


def test_a_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    (file,) = touch(tmp_path, "photo")
    assert find_images(file, leave_out=tmp_path) == [file]


@pytest.mark.parametrize("name", ["missing.jpg", "empty"])
def test_a_path_without_images_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no such file|no images"):
        find_images(tmp_path / name, leave_out=NOWHERE)


def test_earlier_results_within_the_folder_are_left_out(tmp_path: Path) -> None:
    wanted = touch(tmp_path, "a.jpg")
    old = touch(tmp_path, "out/a.png")
    assert find_images(tmp_path, leave_out=tmp_path / "out") == wanted
    assert find_images(tmp_path / "out", leave_out=tmp_path / "out") == old


def test_each_file_is_taken_once(tmp_path: Path) -> None:
    first, second = touch(tmp_path, "x/a.jpg", "b.jpg")
    assert unique([first, second, tmp_path / "x" / ".." / "x" / "a.jpg"]) == [first, second]


def test_images_of_one_name_get_results_of_their_own() -> None:
    images = [Path(name) for name in ("p/a.jpg", "q/a.png", "a_2.jpg", "A.webp", "b.tar.jpg")]
    results = result_paths(images, Path("out"))
    assert [result.name for result in results] == [
        "a.png",
        "a_2.png",
        "a_2_2.png",
        "A_3.png",
        "b.tar.png",
    ]
    assert all(result.parent == Path("out") for result in results)


def test_a_result_never_replaces_an_image(tmp_path: Path) -> None:
    images = touch(tmp_path, "a.png", "b.jpg")
    assert [path.name for path in result_paths(images, tmp_path)] == ["a_2.png", "b.png"]


def test_numbers_as_names_become_image_ids() -> None:
    assert image_ids([Path("000000000802.jpg"), Path("5060.jpg")]) == [802, 5060]
    assert image_ids([Path("b.jpg"), Path("a.png")]) == [1, 2]
    assert image_ids([]) == []


def test_another_name_among_numbers_changes_no_other_id() -> None:
    names = ["000000000802.jpg", "aaa.jpg", "5060.jpg", "x/802.png", "0.jpg", "7a.jpg"]
    assert image_ids([Path(name) for name in names]) == [802, 5061, 5060, 5062, 0, 5063]


def test_results_of_images_with_long_names_can_be_written(tmp_path: Path) -> None:
    images = touch(tmp_path, "p/" + "n" * 251 + ".jpg", "q/" + "n" * 251 + ".jpg")
    images += touch(tmp_path, "\N{SNOWMAN}" * 85)
    results = result_paths(images, tmp_path)
    touch(tmp_path, *(result.name for result in results))
    assert len(set(results)) == 3 and all(result.is_file() for result in results)
