"""T6: rows of patterns are those of the network; the short table has the heads that look back."""

from __future__ import annotations

import pandas as pd
import pytest
from example_pairs import random_pairs

from leela_probe.positions.planes import History
from leela_probe.study.chapter import Undrawn
from leela_probe.study.chapters import attention
from leela_probe.study.chapters.attention import CHAPTER
from leela_probe.study.records import LEFT_OUT, Record
from leela_probe.study.results import Results

LISTS = {"knight": [(0, 1), (2, 3)], "bishop": []}


@pytest.mark.parametrize("history", [History.FILLED, History.KNOWN])
def test_a_row_is_that_of_the_pattern_under_the_history_that_is_asked_for(network, history):
    net, pairs = network("attention"), random_pairs(71, 6)
    table = attention.rows_of_patterns(net, pairs, LISTS, puzzles=3, history=history)
    assert len(table) == 3 * 64
    boards = {pair.puzzle_id: pair.clean for pair in pairs}
    for name, rows in table.groupby("puzzle_id"):
        first = rows.iloc[0]
        site = f"layer{first['layer']}.pattern"
        pattern = net.capture([boards[name]], [site], history=history)[site]
        assert rows["attention"].tolist() == pattern[0, first["head"], first["query"]].tolist()


def test_the_draws_depend_on_the_seed_alone(network):
    net, pairs = network("attention"), random_pairs(71, 6)
    first, again, other = (
        attention.rows_of_patterns(net, pairs, LISTS, puzzles=3, seed=seed) for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)
    none = attention.rows_of_patterns(net, pairs, {"knight": []})
    assert none.empty
    assert [*none.columns] == [*first.columns]


def relations(tops):
    """Heads of layer 0 whose entry from the third target is their largest that often."""
    rows = [
        {"layer": 0, "head": head, "relation": relation, "attention": 0.1 * head, "rank": 3.0,
         "n": 40, "top1": top, "low": top / 2, "high": min(2 * top, 1), "chance1": 1 / 4096,
         "p1": 1e-6 if top > 0.1 else 0.4}
        for relation in ("3->1", "1->3")
        for head, top in enumerate(tops)
    ]  # fmt: skip
    return {"relations": pd.DataFrame(rows)}


def test_the_heads_that_look_back_most_often_come_first_with_their_p_times_all_heads():
    (shown,) = CHAPTER.short_tables(relations([0.0, 0.5, 0.05, 0.2, 0.0, 0.0, 0.01]))
    assert [row[0] for row in shown.rows] == [
        "head 0.1", "head 0.3", "head 0.2", "head 0.6", "head 0.5"
    ]  # fmt: skip
    assert shown.rows[0] == [
        "head 0.1", "40", "0.100", "0.100", "3", "50 % [25, 100]", "0.02 %", "< 0.001"
    ]  # fmt: skip
    assert shown.rows[2][-1] == "1.000"
    assert shown.head[-1] == "p, times 7 heads"


def test_without_the_entry_back_its_place_is_empty_and_without_any_there_is_no_table():
    made = relations([0.5, 0.2])
    one_way = made["relations"][made["relations"]["relation"] == "3->1"]
    (shown,) = CHAPTER.short_tables({"relations": one_way})
    assert shown.rows[0][3] == ""
    other = made["relations"][made["relations"]["relation"] == "1->3"]
    assert [*CHAPTER.short_tables({"relations": other})] == []
    assert [*CHAPTER.short_tables({})] == []


def test_figure_6_says_why_it_is_not_drawn(results):
    reason = "no head follows a piece's moves"
    note = Record(name="attention", state=LEFT_OUT, plan={}, reason=reason)
    (figure,) = CHAPTER.figures(Results(results.study, {"attention": note}), {})
    assert figure == Undrawn(title="Figure 6", reason=reason)


def test_the_tables_of_a_study_are_summaries_of_its_puzzles(results):
    made = dict(CHAPTER.tabulate(results))
    table = made["relations"]
    assert set(table["relation"]) == {"3->1", "1->3", "5->1"}
    assert (table["n"] <= len(results.pairs())).all()
    assert {"low", "high", "top1", "low10", "chance10"} <= set(table.columns)
    (figure,) = CHAPTER.figures(results, made)
    assert figure.name == "figure6_attention"
    assert figure.many_shapes
