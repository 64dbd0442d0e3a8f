"""The puzzles: every row is accounted for, and what was asked is said."""

import dataclasses

import example_pairs
import pandas as pd
import pytest

from leela_probe.study.chapters import puzzles
from leela_probe.study.chapters.puzzles import CHAPTER
from leela_probe.study.records import DONE, Record
from leela_probe.study.results import Results


def with_counts(results, filtered, found) -> Results:
    filter_counts = dict.fromkeys(results.records["filter"].counts, 0)
    corrupt_counts = dict.fromkeys(results.records["corrupt"].counts, 0)
    notes = {
        "filter": Record(name="filter", state=DONE, plan={}, counts=filter_counts | filtered),
        "corrupt": Record(name="corrupt", state=DONE, plan={}, counts=corrupt_counts | found),
    }
    return Results(results.study, notes)


def test_every_row_of_the_dump_is_left_or_excluded_for_one_reason(results):
    flow = puzzles.funnel(
        with_counts(
            results,
            {"malformed": 2, "mate_in_1": 30, "not_hard": 60, "kept": 8},
            {"no_candidate": 1, "weak_notices": 3, "found": 4},
        )
    )
    assert flow["remaining"].iloc[0] == 100
    assert flow["remaining"].iloc[-1] == 4
    assert flow["excluded"].sum() == 96
    assert flow.set_index("reason")["excluded"]["weak_notices"] == 3
    assert (flow["remaining"].shift(1)[1:] - flow["excluded"][1:] == flow["remaining"][1:]).all()


def test_every_verdict_is_a_question_in_words_with_its_threshold(results):
    study = dataclasses.replace(
        results.study, criteria=dataclasses.replace(results.study.criteria, hard=0.05, plies=5)
    )
    flow = puzzles.funnel(Results(study, results.records))
    words = flow.set_index("reason")["meaning"]
    assert words["not_hard"] == "weak network: first move at 0.05 or more"
    assert words["too_short"] == "solution shorter than 5 plies"
    assert flow["meaning"].iloc[0] == "rows of the dump"
    assert not flow["meaning"].str.contains("_").any()


def test_shares_of_target_patterns_add_up():
    table = puzzles.target_pattern_counts(pd.Series(["112"] * 7 + ["123"] * 3 + ["111"] * 3))
    assert table["target_pattern"].tolist() == ["112", "111", "123"]  # by count, then by name
    assert table["n"].tolist() == [7, 3, 3]
    assert table["share"].sum() == pytest.approx(1)
    assert ((table["low"] < table["share"]) & (table["share"] < table["high"])).all()


def test_the_rule_that_looks_at_the_third_target_alone_keeps_more():
    sacrifice = example_pairs.KNIGHT_SACRIFICE
    later = dataclasses.replace(sacrifice, line=("f4g6", "h7g6", "d4h4", "h8g6"))
    third = dataclasses.replace(sacrifice, line=("f4g6", "h7g6", "d4g6"))
    table = puzzles.skip_rules([sacrifice, later, third]).set_index("rule")
    assert table["n"].to_dict() == {"any later move": 1, "third target alone": 2}
    assert set(table["total"]) == {3}


def test_only_the_most_frequent_target_patterns_have_a_row_of_their_own(results):
    patterns = pd.Series([f"1{number}" for number in range(14) for _ in range(20 - number)])
    flow = puzzles.funnel(results)
    made = {"funnel": flow, "target_patterns": puzzles.target_pattern_counts(patterns)}
    funnel, shown = CHAPTER.short_tables(made)
    assert len(funnel.rows) == len(flow)
    assert funnel.rows[0][1] == ""  # nothing is excluded from the dump itself
    assert len(shown.rows) == 13
    assert shown.rows[-1] == ["2 more", "15", f"{100 * 15 / len(patterns):.1f} %", ""]
    assert shown.title == "Patterns of target squares"


def test_without_a_puzzle_there_is_a_funnel_and_nothing_else(results):
    none = with_counts(results, {"not_hard": 20}, {})
    made = dict(CHAPTER.tabulate(none))
    assert set(made) == {"funnel"}
    assert made["funnel"]["remaining"].iloc[-1] == 0
    assert len([*CHAPTER.short_tables(made)]) == 1
    assert [drawn.name for drawn in CHAPTER.figures(none, made)] == ["funnel"]


def test_the_tables_are_of_the_puzzles_that_have_a_corrupted_input(results):
    made = dict(CHAPTER.tabulate(results))
    found = len(results.pairs())
    assert made["funnel"]["remaining"].iloc[-1] == found
    assert made["target_patterns"]["n"].sum() == found
    assert set(made["rules"]["total"]) == {found}
