"""The notes of a study outlive a crash, and keep the last result until the next one is complete."""

from pathlib import Path

import pytest

from leela_probe.files.manifests import DamagedError
from leela_probe.files.store import StageBusyError
from leela_probe.study.records import BEGUN, DONE, LEFT_OUT, Record, Records


def note(state: str, limit: int | None = None, **more: object) -> Record:
    return Record(name="heads", state=state, plan={"settings": {"limit": limit}}, **more)


def test_a_note_is_read_as_it_was_written(tmp_path: Path):
    with Records(tmp_path / "study") as records:
        assert records.result("heads") is None
        done = note(DONE, table="heads.parquet", counts={"measured": 3}, rows=72, seconds=1.5)
        records.end(done)
        assert records.result("heads") == done
        left_out = note(LEFT_OUT, reason="no heads")
        records.end(left_out)
        assert records.result("heads") == left_out


def test_what_was_finished_stays_known_while_something_else_is_begun(tmp_path: Path):
    with Records(tmp_path) as records:
        records.end(note(DONE, 1))
        records.begin(note(BEGUN, 2))
    with Records(tmp_path) as records:  # after a crash
        assert records.result("heads") == note(DONE, 1)
        assert records.begun("heads") == note(BEGUN, 2)
        records.end(note(DONE, 2))
        assert records.result("heads") == note(DONE, 2)
        assert records.begun("heads") is None


def test_a_kill_between_the_end_and_its_note_leaves_nothing_over(tmp_path: Path):
    with Records(tmp_path) as records:
        records.begin(note(BEGUN, 2))
        begun = (tmp_path / "manifests" / "heads.begun.json").read_bytes()
        records.end(note(DONE, 2))
        (tmp_path / "manifests" / "heads.begun.json").write_bytes(begun)
    with Records(tmp_path) as records:
        assert records.result("heads") == note(DONE, 2)
    assert not (tmp_path / "manifests" / "heads.begun.json").exists()


def test_a_damaged_note_is_named(tmp_path: Path):
    with Records(tmp_path) as records:
        records.end(note(DONE))
        path = tmp_path / "manifests" / "heads.json"
        path.write_text(path.read_text().replace("heads", "hands"))
        with pytest.raises(DamagedError, match=r"heads\.json' is damaged"):
            records.result("heads")


def test_a_file_that_changes_has_another_hash(tmp_path: Path):
    path = tmp_path / "file"
    with Records(tmp_path) as records:
        assert records.sha256(path) is None
        path.write_text("a")
        first = records.sha256(path)
        assert records.sha256(path) == first
        path.write_text("bb")
        assert records.sha256(path) not in (None, first)


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path):
    with Records(tmp_path), pytest.raises(StageBusyError, match="another process is at work"):
        Records(tmp_path).__enter__()
    with Records(tmp_path):  # the first one is done
        pass
