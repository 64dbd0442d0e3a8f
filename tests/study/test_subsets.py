"""Parts of the puzzles: the splits are a partition, and halves keep games together."""

import pandas as pd
import pytest
import simulated_study

from leela_probe.study import subsets


def test_the_two_splits_divide_all_puzzles():
    patterns = pd.Series(["112", "123", "111", "1234", "1123", "1213"])
    whole, different, same = (subsets.split(patterns, name) for name in subsets.SPLITS)
    assert whole.all()
    assert different.tolist() == [False, True, False, True, False, False]
    assert (different != same).all()
    assert set(subsets.SPLIT_NAMES) == set(subsets.SPLITS)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="no split 'half': choose all, different_targets"):
        subsets.split(pd.Series(["112"]), "half")


def test_halves_keep_games_together_and_are_about_equal():
    table = simulated_study.puzzles(4000)
    chosen = subsets.half(table["puzzle_id"], table["game_id"])
    assert (chosen[::2].to_numpy() == chosen[1::2].to_numpy()).all()
    assert abs(chosen.mean() - 0.5) < 0.05


def test_a_puzzle_without_a_game_is_halved_by_its_id():
    ids = pd.Series([f"p{number}" for number in range(200)])
    alone = subsets.half(ids, pd.Series([None] * 200))
    assert alone.equals(subsets.half(ids, ids))


def test_the_held_out_half_is_the_other_one():
    table = simulated_study.puzzles(400)
    kept = subsets.held_out(table, "held out")
    chosen = subsets.half(table["puzzle_id"], table["game_id"])
    assert set(kept["puzzle_id"]) == set(table[~chosen]["puzzle_id"])
    assert subsets.held_out(table, "all") is table
    with pytest.raises(ValueError, match="no puzzle is in the held-out half: take more puzzles"):
        subsets.held_out(table[chosen], "held out")
