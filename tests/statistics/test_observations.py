"""One value a puzzle: aggregation over squares, and tables that would mislead."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from leela_probe.statistics.observations import expected_maximum, normalise, observe, per_puzzle


def table(**columns: object) -> pd.DataFrame:
    rows = pd.DataFrame(columns)
    if "game_id" not in rows:
        rows["game_id"] = None
    return rows


def test_several_squares_become_one_number_a_puzzle() -> None:
    rows = table(
        puzzle_id=["a", "a", "a", "b"],
        target_pattern=["112", "112", "112", "111"],
        measure="log_odds",
        layer=pd.array([1, 1, 1, 1], dtype="Int16"),
        category=["other", "other", "corrupted", "other"],
        effect=np.array([1.0, 3.0, 9.0, -2.0], dtype=np.float32),
    )
    mean, largest = per_puzzle(rows), per_puzzle(rows, squares="max")
    assert mean["effect"].tolist() == [2.0, 9.0, -2.0]
    assert largest["effect"].tolist() == [3.0, 9.0, -2.0]
    assert mean["squares"].tolist() == [2, 1, 1]
    assert set(largest["taken"]) == {"max"}
    assert mean["target_pattern"].tolist() == ["112", "112", "111"]


def test_a_puzzle_with_missing_values_only_stays_missing() -> None:
    rows = table(puzzle_id=list("aab"), layer=1, category="other", effect=[np.nan, np.nan, np.nan])
    for squares in ("mean", "max", "expected max"):
        assert per_puzzle(rows, squares=squares)["effect"].isna().all()


def test_the_expected_maximum_is_the_mean_over_all_choices() -> None:
    values = np.random.default_rng(0).normal(size=9)
    for draws in range(1, 10):
        by_hand = np.mean([max(chosen) for chosen in combinations(values, draws)])
        assert expected_maximum(values, draws) == pytest.approx(by_hand)
    assert expected_maximum(values, 20) == values.max()
    assert np.isnan(expected_maximum(np.empty(0), 2))


def test_the_expected_maximum_takes_a_number_of_draws_for_each_puzzle() -> None:
    rows = table(
        puzzle_id=["a"] * 3 + ["b"] * 3, layer=1, category="other", effect=[0.0, 1.0, 5.0] * 2
    )
    draws = pd.Series({"a": 1, "b": 3})
    found = per_puzzle(rows, squares="expected max", draws=draws)
    assert found["effect"].tolist() == pytest.approx([2.0, 5.0])
    with pytest.raises(ValueError, match="no number for puzzle 'b'"):
        per_puzzle(rows, squares="expected max", draws=draws[:1])
    with pytest.raises(ValueError, match="draws is 0"):
        per_puzzle(rows, squares="expected max", draws=0)


def test_normalised_effects_are_shares_of_a_wide_gap_only() -> None:
    rows = table(
        puzzle_id=list("abcd"),
        measure="log_odds",
        clean=[4.0, 2.0, 0.5, np.nan],
        corrupted=[0.0, 1.0, -0.1, 0.0],
        changed=[1.0, 1.5, 0.0, 0.0],
    )
    found = normalise(rows)
    assert found.table["puzzle_id"].tolist() == ["a"]
    assert found.table["normalised"].tolist() == [0.25]
    assert (found.kept, found.narrow, found.missing) == (1, 2, 1)
    assert normalise(rows, minimum_gap=0.9).kept == 2


def test_a_gap_of_one_is_for_log_odds() -> None:
    rows = table(puzzle_id=["a"], measure="q", clean=[1.0], corrupted=[0.0], changed=[0.0])
    with pytest.raises(ValueError, match="the measure is 'q': a gap of 1 is meant for log odds"):
        normalise(rows)
    assert normalise(rows, minimum_gap=0.1).kept == 1


def test_locations_come_in_order_with_their_missing_values_counted() -> None:
    rows = table(
        puzzle_id=list("abab"),
        game_id=["g", "g", "g", "g"],
        head=pd.array([1, 1, 0, 0], dtype="Int16"),
        effect=[1.0, np.nan, 3.0, 4.0],
    )
    found = observe(rows, by=["head"])
    assert found.keys["head"].tolist() == [0, 1]
    assert found.missing.tolist() == [0, 1]
    assert found.at(0)[0].tolist() == [3.0, 4.0]
    assert found.sums().means.tolist() == [3.5, 1.0]
    assert found.sums().clusters.tolist() == [1, 1]


def test_two_rows_for_one_puzzle_are_an_error() -> None:
    rows = table(puzzle_id=["a", "a"], layer=[3, 3], effect=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"'a' has several rows at one location \(layer=3\)"):
        observe(rows, by=["layer"])


@pytest.mark.parametrize("column", ["measure", "direction", "sweep"])
def test_a_mixture_of_kinds_is_an_error(column: str) -> None:
    rows = table(puzzle_id=["a", "b"], effect=[1.0, 2.0], **{column: ["x", "y"]})
    with pytest.raises(ValueError, match=f"mixes 2 values of '{column}'"):
        observe(rows, by=[])
    assert len(observe(rows, by=[column]).keys) == 2


def test_infinite_values_are_an_error() -> None:
    rows = table(puzzle_id=["a", "b"], effect=[1.0, np.inf])
    with pytest.raises(ValueError, match="puzzle 'b' has effect = inf"):
        observe(rows, by=[])


def test_missing_columns_and_empty_tables_are_errors() -> None:
    rows = table(puzzle_id=["a"], effect=[1.0])
    with pytest.raises(ValueError, match="no column 'head'"):
        observe(rows, by=["head"])
    with pytest.raises(ValueError, match="the table has no rows"):
        observe(rows[:0], by=[])
    with pytest.raises(ValueError, match="squares is 'sum'"):
        per_puzzle(rows.assign(layer=1, category="other"), squares="sum")
