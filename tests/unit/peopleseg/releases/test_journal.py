"""The record of releases: appended, never rewritten, and read whatever a kill left of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from peopleseg.releases import journal
from peopleseg.releases.errors import ReleaseError
from peopleseg.releases.journal import Journal, Record


def record(number: int, name: str, **fields: Any) -> Record:
    values: dict[str, Any] = {
        "action": journal.RELEASE,
        "versions": {"yolov9": number + 1},
        "before": {"yolov9": number},
        "kept": {"yolov9": [number, number + 1]},
        "kept_before": {"yolov9": [number]},
        "ensembles": ["person_segmentation"],
        "result": journal.SERVING,
    }
    return Record(number=number, name=name, **values | fields)


def back_to(number: int, restored: Record) -> Record:
    return record(
        number,
        restored.name,
        action=journal.ROLLBACK,
        restores=restored.number,
        versions=restored.versions,
    )


def names(records: list[Record]) -> list[str]:
    return [one.name for one in records]


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    records = Journal(tmp_path)
    assert records.attempts() == []
    first = records.append(record(1, "first", why="ümlaut", metrics={"mask_ap50": 0.5}))
    second = records.append(record(2, "second"))
    assert records.attempts() == [first, second]
    assert first.at


def test_the_last_line_of_an_attempt_counts_and_every_line_stays(tmp_path: Path) -> None:
    records = Journal(tmp_path)
    records.append(record(1, "first", result=journal.STARTED))
    before = records.path.read_bytes()
    records.append(record(1, "first", result=journal.REFUSED, reason="no"))
    assert records.path.read_bytes().startswith(before)
    assert [one.result for one in records.attempts()] == [journal.REFUSED]
    assert len(records.path.read_text().splitlines()) == 2


def test_a_line_torn_anywhere_does_not_count_and_costs_no_other(tmp_path: Path) -> None:
    records = Journal(tmp_path)
    first = records.append(record(1, "first"))
    whole = records.path.read_bytes()
    line = (json.dumps({"number": 2, "name": "torn", "kept": {"yolov9": [1]}}) + "\n").encode()
    for length in range(len(line)):
        records.path.write_bytes(whole + line[:length])
        assert records.attempts() == [first]
        third = records.append(record(3, "third"))
        assert records.attempts() == [first, third]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"number": 2, "colour": "red"}', "colour"),
        (b'{"number": 2, "na', "Unterminated"),
        (b"5", "mapping"),
        (b"\xff\x00", "Expecting value"),
    ],
)
def test_a_whole_line_that_is_no_record_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    records = Journal(tmp_path)
    records.append(record(1, "first"))
    records.path.write_bytes(records.path.read_bytes() + line + b"\n")
    with pytest.raises(ReleaseError, match=f"line 2.*{said}"):
        records.attempts()
    records.append(record(3, "third"))
    with pytest.raises(ReleaseError, match="line 2"):
        records.attempts()


def test_a_disk_without_room_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.write", lambda descriptor, data: len(data) - 1)
    with pytest.raises(OSError, match="no room"):
        Journal(tmp_path).append(record(1, "first"))


def test_rolling_back_twice_goes_back_two_releases() -> None:
    attempts = [record(1, "first"), record(2, "second"), record(3, "third")]
    first, second, _ = attempts
    assert journal.serving(attempts) == attempts[-1]
    assert journal.release_before(attempts) == second
    attempts.append(back_to(4, second))
    assert journal.serving(attempts) == second
    assert journal.release_before(attempts) == first
    attempts.append(back_to(5, first))
    before = journal.release_before(attempts)
    assert before is not None and (before.number, before.name) == (0, journal.INITIAL)
    assert before.versions == first.before


def test_after_going_forward_again_the_way_back_is_the_old_one() -> None:
    attempts = [record(1, "first"), record(2, "second")]
    attempts += [back_to(3, attempts[0]), back_to(4, attempts[1])]
    assert journal.serving(attempts) == attempts[1]
    assert journal.release_before(attempts) == attempts[0]


@pytest.mark.parametrize("result", [journal.REFUSED, journal.STARTED, journal.DECIDED])
def test_what_did_not_come_to_serve_is_no_release(result: str) -> None:
    attempts = [record(1, "first"), record(2, "second", result=result)]
    assert journal.serving(attempts) == attempts[0]
    assert names(journal.releases(attempts)) == [journal.INITIAL, "first"]
    assert journal.kept_now(attempts) == attempts[1].kept_before
    with pytest.raises(ReleaseError, match="no release 'second'.*0 initial, 1 first"):
        journal.find(attempts, "second")


def test_releases_are_found_by_name_and_number_the_latest_first() -> None:
    attempts = [record(1, "same"), record(2, "other"), record(3, "same")]
    assert journal.find(attempts, "same").number == 3
    assert journal.find(attempts, "1").number == 1
    assert journal.find(attempts, "initial").versions == attempts[0].before


def test_without_attempts_there_is_nothing_to_go_back_to() -> None:
    assert journal.serving([]) is None
    assert journal.release_before([]) is None
    assert journal.kept_now([]) == {}
