"""Splits never have a game, and never a puzzle, on two sides."""

from __future__ import annotations

import numpy as np
import pytest
from example_pairs import random_pairs
from hypothesis import given
from hypothesis import strategies as st

from leela_probe.probing import folds


@given(
    sizes=st.lists(st.integers(1, 12), min_size=8, max_size=60),
    count=st.integers(3, 8),
    seed=st.integers(0, 2**31),
)
def test_folds_never_share_a_game_and_test_every_puzzle_once(sizes, count, seed):
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    splits = folds.by_game(codes, folds=count, seed=seed)
    assert len(splits) == count
    for split in splits:
        sides = [set(codes[side]) for side in (split.train, split.validation, split.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides)) == len(sizes)
        whole = split.train.astype(int) + split.validation + split.test
        assert (whole == 1).all()
    assert (sum(split.test.astype(int) for split in splits) == 1).all()
    assert (sum(split.validation.astype(int) for split in splits) == 1).all()
    # no fold is larger than the smallest by more than the largest game
    tested = [int(split.test.sum()) for split in splits]
    assert max(tested) - min(tested) <= max(sizes)


def test_games_are_the_puzzles_own_where_none_is_known():
    pairs = random_pairs(2, 6)
    codes = folds.games(pairs)
    assert codes.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_ordered_split_is_the_first_and_the_last_of_the_file():
    (split,) = folds.ordered(10, share=0.7)
    assert split.train.tolist() == [True] * 7 + [False] * 3
    assert (split.test == ~split.train).all()
    assert split.validation is None


def test_a_seed_shuffles_games():
    codes = np.arange(40)
    one, two = (folds.by_game(codes, seed=seed) for seed in (0, 1))
    assert (one[0].test != two[0].test).any()
    assert (one[0].test == folds.by_game(codes, seed=0)[0].test).all()


def test_splits_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="2 folds: one tests, one stops, one trains"):
        folds.by_game(np.arange(9), folds=2)
    with pytest.raises(ValueError, match="3 games for 5 folds"):
        folds.by_game(np.arange(9) // 3)
    with pytest.raises(ValueError, match="leave one side of the split empty"):
        folds.ordered(1)
