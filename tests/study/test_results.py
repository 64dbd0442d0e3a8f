"""What a study has measured is found where it is finished, and why not is told otherwise."""

import dataclasses

import pandas as pd
import pytest
import simulated_study

from leela_probe.study.records import DONE, LEFT_OUT, Record
from leela_probe.study.results import Results, counts_text, effects


def with_record(results, **facts) -> Results:
    note = Record(**{"name": "heads", "state": DONE, "plan": {}, "table": "heads.parquet"} | facts)
    return Results(results.study, {"heads": note})


def test_a_finished_table_is_found_with_its_options(results):
    assert results.path("heads") == results.study.table("heads.parquet")
    assert results.measured("heads") == results.path("heads")
    assert results.options("heads")["sweep"] == "heads"
    assert results.why_not("heads") is None


def test_a_table_that_was_left_out_or_is_gone_is_not_found(results):
    left_out = with_record(results, state=LEFT_OUT, table=None, reason="no heads.")
    assert left_out.path("heads") is None
    assert left_out.options("heads") == {}
    assert left_out.why_not("heads") == "no heads"
    assert with_record(results, table="gone.parquet").path("heads") is None
    assert Results(results.study, {}).why_not("heads") == "the stage heads is not done"


def test_a_sweep_that_could_measure_no_puzzle_says_what_stood_in_the_way(results):
    counts = {"measured": 0, "no_partner": 2, "nothing_to_change": 3}
    none = with_record(results, counts=counts)
    assert none.path("heads") is not None
    assert none.measured("heads") is None
    assert none.why_not("heads") == (
        "none of 5 puzzles could be measured: no partner 2, nothing to change 3"
    )
    noted = with_record(results, counts=counts, note="the lines are short")
    assert noted.why_not("heads") == "none of 5 puzzles could be measured: the lines are short"


def test_the_pairs_are_those_with_a_corrupted_input(results):
    counts = results.records["corrupt"].counts
    assert len(results.pairs()) == counts["found"]
    assert Results(results.study, {}).pairs() == []


def test_draws_are_the_studys(results):
    study = dataclasses.replace(results.study, resamples=7, seed=3)
    assert Results(study, {}).draws == {"resamples": 7, "seed": 3}


def test_only_measured_rows_are_effects(tmp_path):
    table = simulated_study.effects(6, [{"layer": 0, "head": 0}], [1.0])
    table.loc[0, "verdict"] = "no_partner"
    path = simulated_study.write(table, tmp_path / "heads.parquet")
    rows = effects(path, ["puzzle_id", "effect", "verdict"])
    assert rows["puzzle_id"].tolist() == [f"p{number}" for number in range(1, 6)]
    assert [*rows.index] == [*range(5)]
    path = simulated_study.write(table.assign(verdict="no_partner"), tmp_path / "none.parquet")
    with pytest.raises(ValueError, match=r"none\.parquet holds no measured puzzle"):
        effects(path)


def test_places_may_be_missing(tmp_path):
    table = simulated_study.effects(3, [{"label": "3->1"}], [1.0])
    path = simulated_study.write(table, tmp_path / "entry.parquet")
    assert effects(path)["layer"].isna().all()
    assert isinstance(effects(path), pd.DataFrame)


def test_verdicts_that_none_got_are_not_counted():
    assert counts_text({"measured": 0}) == ""
