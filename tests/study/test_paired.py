"""Paired differences are those of the same puzzles, made plainly by hand."""

import numpy as np
import pandas as pd
import pytest
import simulated_study

from leela_probe.study import paired

PLACES = [{"label": "own", "layer": 0}, {"label": "control", "layer": 0}]


def difference(table, of="own", against="control"):
    return paired.difference(table, "label", of, against, resamples=99, seed=0)


def test_the_difference_is_the_mean_over_puzzles_that_have_both():
    table = simulated_study.effects(40, PLACES, [1.0, 0.25])
    missing = (table["label"] == "control") & table["puzzle_id"].isin(["p3", "p4", "p5"])
    table = table[~missing]
    wide = table.pivot(index="puzzle_id", columns="label", values="effect").dropna()
    plain = wide["own"] - wide["control"]
    (row,) = difference(table).to_dict("records")
    assert row["n"] == len(plain) == 37
    assert row["estimate"] == pytest.approx(plain.mean())
    assert row["low"] < 0.75 < row["high"]
    assert row["greater"] == row["clusters"] == 20 - 1  # the game of p4 and p5 is gone
    assert row["wilcoxon_p"] < 0.001


def test_a_puzzle_with_several_squares_counts_once():
    table = simulated_study.effects(20, [*PLACES, {"label": "own", "layer": 0}], [1.0, 0.0, 3.0])
    (row,) = difference(table).to_dict("records")
    assert row["n"] == 20
    assert row["estimate"] == pytest.approx(2.0, abs=0.1)


def test_equal_effects_differ_by_nothing():
    table = simulated_study.effects(30, PLACES, [0.4, 0.4])
    (row,) = difference(table).to_dict("records")
    assert row["low"] < 0 < row["high"]
    assert row["wilcoxon_p"] > 0.05


def test_without_a_puzzle_that_has_both_there_is_no_row():
    table = simulated_study.effects(20, PLACES, [1.0, 0.0])
    none = difference(table, against="no such")
    assert none.empty
    joined = paired.joined([none, none], "layer")
    assert {"layer", *paired.COLUMNS} == set(joined.columns)
    assert np.isnan(joined["estimate"].astype(float).mean())


def test_joined_keeps_the_filled_ones_in_their_order():
    table = simulated_study.effects(20, PLACES, [1.0, 0.0])
    parts = [difference(table).assign(layer=layer) for layer in (4, 2)]
    empty = pd.DataFrame(columns=["layer", *paired.COLUMNS])
    joined = paired.joined([parts[0], empty, parts[1]], "layer")
    assert joined["layer"].tolist() == [4, 2]
    assert joined.columns[0] == "layer"
