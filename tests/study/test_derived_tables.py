"""What is made from the measurements: tables as they are read back, no leftovers."""

import dataclasses
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from leela_probe.networks.network import load
from leela_probe.study import contents, derived
from leela_probe.study.records import Records
from leela_probe.study.results import Results
from leela_probe.study.study import Networks


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.out, tmp_path / "out")
    return dataclasses.replace(finished, out=tmp_path / "out")


def chapter_of(*tables, name="shares"):
    return SimpleNamespace(tabulate=lambda results: [(name, table) for table in tables])


def test_chapters_that_give_a_table_of_one_name_share_it(results, monkeypatch):
    first, second = pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": [3]})
    empty = pd.DataFrame({"n": []})
    chapters = (chapter_of(first, empty), chapter_of(second), chapter_of(empty, name="other"))
    monkeypatch.setattr(contents, "chapters", lambda: chapters)
    made = derived.tables(results)
    assert made["shares"]["n"].tolist() == [1, 2, 3]
    assert made["shares"]["n"].dtype == "int64"
    assert made["other"].empty


def test_tables_are_those_on_disk(results):
    for name, table in derived.tables(results).items():
        text = table.to_csv(index=False, float_format="%.7g", lineterminator="\n")
        assert results.study.table(f"tables/{name}.csv").read_text() == text


def test_ids_and_patterns_stay_text(copied):
    files = derived._Files(copied, Records(copied.out))
    table = pd.DataFrame(
        {"puzzle_id": ["0001", "1"], "target_pattern": ["112", "011"], "n": [1, 2]}
    )
    again = files.table("example", table)
    assert again.to_dict("list") == table.to_dict("list")


def test_what_is_no_longer_made_goes_and_what_others_have_put_there_stays(copied, cache):
    own = copied.table("figures/my-own.png")
    own.write_bytes(b"mine")
    with Records(copied.out) as records:
        note = records.result(contents.DERIVED)
        stale = copied.table("tables/heads_of_yesterday.csv")
        stale.write_text("")
        records.end(dataclasses.replace(note, files=(*note.files, "tables/heads_of_yesterday.csv")))
        networks = Networks(copied, lambda path, **how: load(path, cache=cache, **how))
        record = derived.make(copied, networks, records)
    assert not stale.exists()
    assert own.read_bytes() == b"mine"
    assert set(record.files) == set(note.files)


def test_a_file_is_noted_before_it_is_written(copied):
    with Records(copied.out) as records:
        files = derived._Files(copied, records)
        (copied.table("tables") / "broken.csv").mkdir()
        with pytest.raises(OSError, match="directory"):
            files.write("tables/broken.csv", b"")
        assert "tables/broken.csv" in records.begun(contents.DERIVED).files


def test_the_comparison_says_why_numbers_are_missing(results, networks, papers_shape):
    table = derived._comparison(Results(results.study, {}), networks, {})
    assert set(table["agrees"]) == {"not run"}
    reasons = table.set_index("experiment")["reason"]
    assert reasons["E3"].iloc[0] == "the stage entry is not done"
