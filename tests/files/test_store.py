"""Stages on disk: whatever happens on the way, nothing finished is lost and the end is the same."""

import contextlib
import errno
import hashlib
import io
import json
import os
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from crash_points import Crash, crash_at

from leela_probe.files import manifests, progress_display, store
from leela_probe.files.manifests import DamagedError
from leela_probe.files.store import (
    ChangedInputError,
    PlanChangedError,
    StageBusyError,
)
from leela_probe.files.unfinished import DamagedWarning, UnfinishedFolder

SCHEMA = pyarrow.schema({"number": pyarrow.int64(), "verdict": pyarrow.string()})
ROWS = 50


def input_file(folder, content="input"):
    path = Path(folder) / "numbers.txt"
    if not path.exists():
        path.write_text(content)
    return path


def run(
    folder, *, ending=".parquet", stop_after=None, rows=ROWS, options=None, facts=None, beside=None,
    **keywords,
):  # fmt: skip
    """Squares of numbers, in parts of eight; with a text beside them, in a file and a folder."""
    worked = []
    with store.Stage(
        Path(folder) / f"out{ending}",
        name="squares",
        inputs={"numbers": input_file(folder)},
        options={"power": 2} if options is None else options,
        schema=SCHEMA,
        verdicts=("even", "odd"),
        **keywords,
    ) as stage:
        if not stage.assembled:
            for chunk in stage.unfinished(range(rows), size=8, total=rows):
                if len(worked) == stop_after:
                    raise KeyboardInterrupt
                worked.append(chunk.index)
                if beside is not None and chunk.index == 0:
                    stage.beside("notes.txt").write_text(beside)
                    stage.beside("notes").mkdir(exist_ok=True)
                    (stage.beside("notes") / "more.txt").write_text(beside)
                stage.add(
                    chunk,
                    pyarrow.table(
                        {
                            "number": [row**2 for row in chunk.rows],
                            "verdict": [("even", "odd")[row % 2] for row in chunk.rows],
                        }
                    ),
                )
        finished = stage.finish(facts)
    return finished, worked


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What an undisturbed run leaves behind, for each ending."""
    results = {}
    for ending in (".parquet", ".csv"):
        folder = tmp_path_factory.mktemp("undisturbed")
        run(folder, ending=ending)
        results[ending] = files(folder)
    return results


def test_a_finished_stage_has_table_manifest_and_nothing_else(tmp_path):
    finished, worked = run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "numbers.txt",
        "out.parquet",
        "out.parquet.manifest.json",
    ]
    assert worked == list(range(7))
    table = pyarrow.parquet.read_table(finished.path)
    assert table["number"].to_pylist() == [number**2 for number in range(ROWS)]
    assert finished.rows == ROWS
    assert finished.counts == {"even": 25, "odd": 25}


def test_the_manifest_tells_inputs_options_versions_and_counts(tmp_path):
    finished, _ = run(tmp_path)
    manifest = json.loads(finished.manifest_path.read_text())
    assert manifest["stage"] == "squares"
    assert manifest["inputs"]["numbers"] == {
        "file": "numbers.txt",
        "bytes": 5,
        "sha256": "c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20",
    }
    assert manifest["options"] == {"power": 2}
    assert manifest["versions"]["pyarrow"] == pyarrow.__version__
    assert manifest["counts"] == {"even": 25, "odd": 25}
    assert manifest["output"]["bytes"] == finished.path.stat().st_size


def test_facts_are_of_the_whole_table_also_where_it_went_on(tmp_path):
    def facts(parts):
        return {"total": sum(sum(part["number"].to_pylist()) for part in parts)}

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=3, facts=facts)
    finished, _ = run(tmp_path, facts=facts)
    assert finished.facts == {"total": sum(number**2 for number in range(ROWS))}
    assert json.loads(finished.manifest_path.read_text())["facts"] == finished.facts


def test_csv_and_parquet_hold_the_same(tmp_path):
    run(tmp_path)
    run(tmp_path, ending=".csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert lines == ["number,verdict"] + [
        f"{row['number']},{row['verdict']}" for row in table.to_pylist()
    ]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_an_interrupted_stage_goes_on_after_its_last_part(tmp_path, expected, stop_after, ending):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, ending=ending, stop_after=stop_after)
    assert not (tmp_path / f"out{ending}").exists()
    _, worked = run(tmp_path, ending=ending)
    assert worked == list(range(stop_after, 7))
    assert files(tmp_path) == expected[ending]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_crash_at_any_change_to_the_disk_changes_nothing_in_the_end(
    tmp_path_factory, expected, ending
):
    step = 0
    while True:
        step += 1
        folder = tmp_path_factory.mktemp("crash")
        input_file(folder)
        with pytest.MonkeyPatch.context() as patch:
            reached = crash_at(patch, step)
            with contextlib.suppress(Crash):
                run(folder, ending=ending)
            if reached() < step:
                break
        run(folder, ending=ending)
        assert not store.partial_path(folder / f"out{ending}").exists()
        assert files(folder) == expected[ending], f"crash at step {step}"
    assert step > 30


def notes(folder):
    return [(folder / name).read_text() for name in ("notes.txt", "notes/more.txt")]


def test_what_lies_beside_the_table_is_replaced_with_it(tmp_path):
    run(tmp_path, beside="old")
    new = {"options": {"power": 3}, "beside": "new", "overwrite": True}
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2, **new)
    assert notes(tmp_path) == ["old", "old"]
    finished, _ = run(tmp_path, **new)
    assert notes(tmp_path) == ["new", "new"]
    manifest = json.loads(finished.manifest_path.read_text())
    assert manifest["beside"] == {"notes.txt": hashlib.sha256(b"new").hexdigest()}
    assert {path.name for path in tmp_path.iterdir()} == {
        "notes", "notes.txt", "numbers.txt", "out.parquet", "out.parquet.manifest.json",
    }  # fmt: skip


def test_what_goes_beside_a_table_that_is_dropped_is_dropped_too(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2, beside="old")
    run(tmp_path, options={"power": 3}, overwrite=True)
    assert not (tmp_path / "notes.txt").exists()
    assert not (tmp_path / "notes").exists()


def test_a_crash_leaves_the_old_beside_the_old_or_goes_on_to_the_new(tmp_path_factory):
    new = {"options": {"power": 3}, "beside": "new", "overwrite": True}
    step = 0
    while True:
        step += 1
        folder = tmp_path_factory.mktemp("crash")
        run(folder, beside="old")
        with pytest.MonkeyPatch.context() as patch:
            reached = crash_at(patch, step)
            with contextlib.suppress(Crash):
                run(folder, **new)
            if reached() < step:
                break
        if not store.partial_path(folder / "out.parquet").exists():
            manifest = json.loads((folder / "out.parquet.manifest.json").read_text())
            assert notes(folder) == ["old" if manifest["options"]["power"] == 2 else "new"] * 2
        run(folder, **new)
        assert notes(folder) == ["new", "new"], f"crash at step {step}"
    assert step > 30


def test_a_finished_output_is_not_overwritten_without_being_told(tmp_path):
    finished, _ = run(tmp_path)
    finished.path.write_bytes(b"precious")
    with pytest.raises(DamagedError, match=r"out\.parquet' is damaged: .* make it anew$"):
        run(tmp_path)
    with pytest.raises(PlanChangedError, match=r"is finished, with other settings: options\.power"):
        run(tmp_path, options={"power": 3})
    assert finished.path.read_bytes() == b"precious"
    again, _ = run(tmp_path, overwrite=True)
    assert again.rows == ROWS
    assert again.path.read_bytes() != b"precious"


def test_a_finished_output_stays_until_the_one_that_overwrites_it_is_finished(tmp_path):
    finished, _ = run(tmp_path)
    before = finished.path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, options={"power": 3}, stop_after=2, overwrite=True)
    assert finished.path.read_bytes() == before
    with pytest.raises(PlanChangedError, match="A run that was to overwrite it has been begun"):
        run(tmp_path, options={"power": 3})
    _, worked = run(tmp_path, options={"power": 3}, overwrite=True)
    assert worked == [2, 3, 4, 5, 6]


def test_going_on_with_other_options_is_refused_and_says_what_differs(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    with pytest.raises(PlanChangedError, match=r"options\.power was 2 and is 3 now") as caught:
        run(tmp_path, options={"power": 3})
    assert "start anew" in str(caught.value)
    _, worked = run(tmp_path)
    assert worked == [2, 3, 4, 5, 6]


def test_going_on_with_another_input_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    (tmp_path / "numbers.txt").write_text("other")
    with pytest.raises(PlanChangedError, match=r"inputs\.numbers\.sha256 was"):
        run(tmp_path)


def test_overwriting_drops_parts_that_were_begun_differently(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    _, worked = run(tmp_path, options={"power": 3}, overwrite=True)
    assert worked == list(range(7))


def test_a_stage_that_finished_no_part_leaves_nothing_and_binds_to_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=0)
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.txt"]
    run(tmp_path, options={"power": 3})


def test_an_input_that_changes_on_the_way_is_an_error_that_loses_nothing(tmp_path, expected):
    def change(done, total, counts):
        if done == 24:
            (tmp_path / "numbers.txt").write_text("other")

    with pytest.raises(ChangedInputError, match="24 finished rows are kept in"):
        run(tmp_path, progress=change)
    assert not (tmp_path / "out.parquet").exists()
    (tmp_path / "numbers.txt").write_text("input")
    _, worked = run(tmp_path)
    assert worked == [3, 4, 5, 6]
    assert files(tmp_path) == expected[".parquet"]


def test_an_input_that_changes_after_the_last_part_is_still_noticed(tmp_path):
    def change(done, total, counts):
        if done == ROWS:
            status = os.stat(tmp_path / "numbers.txt")
            (tmp_path / "numbers.txt").write_text("other")
            os.utime(tmp_path / "numbers.txt", ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(ChangedInputError, match=r"numbers\.txt' changed while it was in use"):
        run(tmp_path, progress=change)
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_that_changed_since_it_was_loaded_is_refused(tmp_path):
    with pytest.raises(ChangedInputError, match="its SHA-256 was 0123 and is c96c"):
        run(tmp_path, loaded={"numbers": "0123"})


def test_touching_an_input_without_changing_it_does_no_harm(tmp_path):
    run(tmp_path, progress=lambda done, total, counts: os.utime(tmp_path / "numbers.txt"))


def test_a_part_made_from_other_rows_is_made_again(tmp_path, expected):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    partial = store.partial_path(tmp_path / "out.parquet")
    (partial / "part-000000.arrow").write_bytes((partial / "part-000001.arrow").read_bytes())
    _, worked = run(tmp_path)
    assert worked == [0, 2, 3, 4, 5, 6]
    assert files(tmp_path) == expected[".parquet"]


def test_a_damaged_part_is_made_again(tmp_path, expected):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    (store.partial_path(tmp_path / "out.parquet") / "part-000001.arrow").write_bytes(b"ARROW1")
    with pytest.warns(DamagedWarning, match=r"part-000001\.arrow' is damaged: it is made again"):
        _, worked = run(tmp_path)
    assert worked == [1, 2, 3, 4, 5, 6]
    assert files(tmp_path) == expected[".parquet"]


@pytest.mark.parametrize("failing", range(1, 10))
def test_a_full_disk_is_an_error_that_loses_nothing(tmp_path, monkeypatch, expected, failing):
    count = 0
    sync = os.fsync

    def full(handle):
        nonlocal count
        count += 1
        if count == 2 * failing + 1:  # each file is forced to disk, then its folder
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            run(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    kept = min(8 * (failing - 1), ROWS)
    assert (f"{kept} finished rows are kept in" in str(caught.value)) == (kept > 0)
    assert store.partial_path(tmp_path / "out.parquet").exists() == (kept > 0)
    _, worked = run(tmp_path)
    assert worked == list(range(min(failing - 1, 7), 7))
    assert files(tmp_path) == expected[".parquet"]


def test_a_full_disk_at_the_very_start_leaves_nothing_and_promises_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device\. Nothing has been begun$"):
            run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.txt"]


@pytest.mark.parametrize("options", [{"power": 2}, {"power": 3}], ids=["same", "other"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_two_at_work_on_one_output_are_kept_apart(tmp_path, options, overwrite):
    def second(done, total, counts):
        if done == 8:
            with pytest.raises(StageBusyError, match="another process is working on"):
                run(tmp_path, options=options, overwrite=overwrite)

    finished, _ = run(tmp_path, progress=second)
    assert finished.rows == ROWS


def test_progress_is_told_after_each_part_also_of_those_finished_before(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    told = []
    run(tmp_path, progress=lambda *news: told.append(news))
    assert [done for done, _, _ in told] == [8, 16, 24, 32, 40, 48, 50]
    assert {total for _, total, _ in told} == {ROWS}
    assert told[1][2] == {"even": 8, "odd": 8}


def test_parts_of_an_earlier_run_are_told_apart_to_whoever_minds(tmp_path):
    class Told:
        def __init__(self):
            self.new, self.old = [], []

        def __call__(self, done, total, counts):
            self.new.append(done)

        def kept(self, done, total, counts):
            self.old.append(done)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    told = Told()
    run(tmp_path, progress=told)
    assert (told.old, told.new) == ([8, 16], [24, 32, 40, 48, 50])


def test_a_stage_without_rows_is_a_table_without_rows(tmp_path):
    finished, _ = run(tmp_path, rows=0)
    assert finished.rows == 0
    assert pyarrow.parquet.read_table(finished.path).schema.equals(SCHEMA)


def test_an_ending_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.parquet or \.csv, got '.*out\.xlsx'"):
        run(tmp_path, ending=".xlsx")


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_an_output_that_is_an_input_is_refused_whatever_it_is_called(tmp_path, link):
    source = tmp_path / "numbers.csv"
    source.write_text("number\n1\n")
    out = source if link is None else tmp_path / "other.csv"
    if link is not None:
        link(source, out)
    with pytest.raises(ValueError, match=r"\.csv' is the file that dump is read from: name ano"):
        store.Stage(
            out,
            name="squares",
            inputs={"dump": source},
            options={},
            schema=SCHEMA,
            verdicts=(),
            overwrite=True,
        )
    assert source.read_text() == "number\n1\n"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere' for 'out\.csv' does not exist"):
        store.Stage(
            tmp_path / "nowhere" / "out.csv",
            name="squares",
            inputs={},
            options={},
            schema=SCHEMA,
            verdicts=(),
        )


class Terminal(io.StringIO):
    """A standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_a_stage_shows_its_progress_in_a_terminal_unless_silenced(tmp_path, monkeypatch):
    monkeypatch.setattr(progress_display, "_PATIENCE", 0.0)
    seen = {}
    for asked in (None, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        run(tmp_path, ending=f"{asked}.csv", progress=asked)
        run(tmp_path, ending=f"{asked}.csv", progress=asked)  # finished: there is nothing to show
        seen[asked] = terminal.getvalue()
    assert "squares" in seen[None]
    assert "50 of 50 rows" in seen[None]
    assert seen[False] == ""


def test_a_bar_goes_away_when_a_stage_is_interrupted(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress_display, "_PATIENCE", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")


# Finished, damaged


def test_a_stage_that_is_finished_with_the_same_plan_is_reused(tmp_path):
    finished, _ = run(tmp_path, beside="notes", networks={"strong": {"dtype": "float32"}})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again, worked = run(
        tmp_path, beside="other", networks={"strong": {"dtype": "float32"}}, overwrite=True
    )
    assert worked == []
    assert again.reused
    assert not finished.reused
    assert (again.rows, again.counts, again.path) == (finished.rows, finished.counts, finished.path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_another_network_is_another_plan(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2, networks={"strong": {"dtype": "float32", "no_history": False}})
    other = {"strong": {"dtype": "float32", "no_history": True}}
    with pytest.raises(PlanChangedError, match=r"networks\.strong\.no_history was false and is tr"):
        run(tmp_path, networks=other)
    _, worked = run(tmp_path, networks=other, overwrite=True)
    assert worked == list(range(7))
    with pytest.raises(PlanChangedError, match=r"is finished, .* networks\.strong was .* is null"):
        run(tmp_path)


def test_a_file_that_no_stage_has_made_is_not_replaced(tmp_path):
    (tmp_path / "out.csv").write_text("precious")
    with pytest.raises(FileExistsError, match=r"out\.csv' exists already, without a manifest"):
        run(tmp_path, ending=".csv")
    assert (tmp_path / "out.csv").read_text() == "precious"
    run(tmp_path, ending=".csv", overwrite=True)


def test_what_belongs_to_a_finished_table_is_checked_with_it(tmp_path):
    run(tmp_path, beside="notes")
    (tmp_path / "notes.txt").write_text("other")
    with pytest.raises(DamagedError, match=r"notes\.txt' does not belong to 'out\.parquet'"):
        run(tmp_path, beside="notes")
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(DamagedError, match=r"notes\.txt' is missing, which belongs to"):
        run(tmp_path, beside="notes")
    run(tmp_path, beside="notes", overwrite=True)
    assert notes(tmp_path) == ["notes", "notes"]


def test_every_flipped_bit_of_a_part_is_noticed(tmp_path, expected):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    part = store.partial_path(tmp_path / "out.parquet") / "part-000001.arrow"
    whole = part.read_bytes()
    for place in range(0, len(whole), len(whole) // 12):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        part.write_bytes(content)
        with (
            pytest.warns(DamagedWarning, match=r"part-000001\.arrow' is damaged"),
            pytest.raises(KeyboardInterrupt),
        ):
            run(tmp_path, stop_after=1)
        assert part.read_bytes() == whole
    run(tmp_path)
    assert files(tmp_path) == expected[".parquet"]


def test_a_part_damaged_while_the_program_runs_is_not_joined(tmp_path, expected):
    part = store.partial_path(tmp_path / "out.parquet") / "part-000003.arrow"

    def damage(done, total, counts):
        if done == ROWS:
            part.write_bytes(part.read_bytes()[:-1] + b"?")

    with (
        pytest.warns(DamagedWarning, match="is damaged"),
        pytest.raises(DamagedError, match=r"part-000003\.arrow' was damaged .*Run again"),
    ):
        run(tmp_path, progress=damage)
    with pytest.warns(DamagedWarning, match=r"part-000003\.arrow' is damaged"):
        _, worked = run(tmp_path)
    assert worked == [3]
    assert files(tmp_path) == expected[".parquet"]


@pytest.mark.parametrize("harm", ["gone", "flipped"])
def test_a_table_that_is_not_whole_in_its_place_is_joined_again(
    tmp_path, expected, monkeypatch, harm
):
    out = tmp_path / "out.parquet"

    def harmed(folder):
        if harm == "gone":
            out.unlink()
        else:
            out.write_bytes(out.read_bytes()[:-1] + b"?")
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(UnfinishedFolder, "remove", harmed)
        with pytest.raises(Crash):
            run(tmp_path)
    with pytest.warns(DamagedWarning, match=r"out\.parquet' is (gone|damaged): it is made again"):
        _, worked = run(tmp_path)
    assert worked == []
    assert files(tmp_path) == expected[".parquet"]


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b"\xff", b"{", b'"text"', b"[" * 9999]
)
@pytest.mark.parametrize("name", ["plan.json", "manifest.json"])
def test_a_damaged_plan_is_named_with_the_way_out(tmp_path, expected, content, name):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_after=2)
    (store.partial_path(tmp_path / "out.parquet") / name).write_bytes(content)
    with pytest.raises(DamagedError, match=rf"{name}' is damaged: .* overwritten, or delete"):
        run(tmp_path)
    run(tmp_path, overwrite=True)
    assert files(tmp_path) == expected[".parquet"]


@pytest.mark.parametrize("content", [b"", b"null", b"\xff", b'{"stage": "squares"}'])
def test_a_damaged_manifest_of_a_finished_table_is_named(tmp_path, expected, content):
    finished, _ = run(tmp_path)
    finished.manifest_path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"out\.parquet\.manifest\.json'.* make it anew$"):
        run(tmp_path)
    run(tmp_path, overwrite=True)
    assert files(tmp_path) == expected[".parquet"]


def test_an_input_that_is_not_what_its_manifest_says_is_refused(tmp_path):
    run(tmp_path, ending=".csv")
    with (tmp_path / "out.csv").open("a") as file:
        file.write("4,even\n")
    with pytest.raises(DamagedError, match=r"out\.csv' is damaged: .* delete the manifest"):
        store.Stage(
            tmp_path / "next.csv", name="next", inputs={"rows": tmp_path / "out.csv"}, options={},
            schema=SCHEMA, verdicts=(),
        )  # fmt: skip


def test_an_output_through_a_link_goes_where_the_link_points(tmp_path, expected):
    (tmp_path / "there").mkdir()
    (tmp_path / "out.parquet").symlink_to(tmp_path / "there" / "out.parquet")
    finished, _ = run(tmp_path)
    assert (tmp_path / "out.parquet").is_symlink()
    assert finished.path == (tmp_path / "there" / "out.parquet").resolve()
    assert manifests.manifest_path(tmp_path / "out.parquet") == finished.manifest_path
    made = {
        name: content for name, content in expected[".parquet"].items() if name != "numbers.txt"
    }
    assert files(tmp_path / "there") == made


def test_intermediate_results_are_kept_until_the_stage_is_finished(tmp_path):
    keywords = {
        "name": "kept",
        "inputs": {},
        "options": {},
        "schema": SCHEMA,
        "verdicts": ("even",),
    }
    out = tmp_path / "out.csv"
    with store.Stage(out, **keywords) as stage:
        assert stage.kept("sums") is None
        stage.keep("sums", b"content")
    (kept,) = store.partial_path(out).glob("kept-*")
    with store.Stage(out, **keywords) as stage:
        assert stage.kept("sums") == b"content"
        kept.write_bytes(kept.read_bytes()[:-1] + b"?")
        with pytest.warns(DamagedWarning, match="kept-sums' is damaged"):
            assert stage.kept("sums") is None
        stage.finish()
    assert not store.partial_path(out).exists()
