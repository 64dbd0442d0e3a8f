"""Honest numbers for chosen locations."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_effects import game_sizes, long_table

from leela_probe.statistics.split_halves import choose, rank_stability


def test_chosen_noise_is_large_on_the_choosing_half_and_nothing_on_the_other() -> None:
    sizes = np.ones(200, int)
    seen, held = [], []
    for seed in range(20):
        values = np.random.default_rng(seed).standard_t(3, (200, 100))
        found = choose(long_table(values, sizes), by=("location",), resamples=99, seed=seed)
        seen.extend(found.table["chosen_estimate"])
        held.extend(found.table["estimate"])
    assert np.mean(seen) > 0.35
    assert abs(np.mean(held)) < 0.08


def test_halves_are_games_and_share_none() -> None:
    sizes = game_sizes(101, seed=0)
    values = np.random.default_rng(0).normal(size=(sizes.sum(), 5)) + np.arange(5)
    found = choose(long_table(values, sizes), by=("location",), top=2, resamples=99)
    assert found.clusters == (51, 50)
    assert found.table["clusters"].tolist() == [50, 50, 51, 51]
    assert found.table["location"].tolist() == [4, 3, 4, 3]
    assert found.table["other_rank"].tolist() == [1, 2, 1, 2]
    total = found.table.groupby("chosen_on")["n"].first().sum()
    assert total == sizes.sum()
    means = found.table["estimate"][[0, 2]] * found.table["n"][[0, 2]]
    assert means.sum() / total == pytest.approx(values[:, 4].mean())


def test_a_clear_order_is_stable_and_noise_is_not() -> None:
    sizes = np.ones(300, int)
    noise = np.random.default_rng(1).normal(size=(300, 60))
    clear = rank_stability(long_table(noise + np.arange(60), sizes), by=("location",), splits=20)
    assert clear.spearman > 0.99
    assert clear.same_best == 1.0
    nothing = rank_stability(long_table(noise, sizes), by=("location",), splits=50)
    assert abs(nothing.spearman) < 0.3
    assert nothing.spearman_low < nothing.spearman < nothing.spearman_high
    assert (clear.locations, clear.splits) == (60, 20)


def test_spearman_brown_predicts_the_reliability_of_the_whole_set() -> None:
    # means of 100 puzzles: signal variance 1, noise variance 50 a puzzle -> halves 1/(1+1)
    generator = np.random.default_rng(2)
    signal = generator.normal(size=400)
    values = signal + generator.normal(scale=np.sqrt(50), size=(100, 400))
    found = rank_stability(long_table(values, np.ones(100, int)), by=("location",), splits=30)
    assert found.spearman == pytest.approx(0.5, abs=0.08)
    assert found.spearman_brown == pytest.approx(2 / 3, abs=0.08)
    assert np.corrcoef(values.mean(axis=0), signal)[0, 1] ** 2 == pytest.approx(2 / 3, abs=0.08)


def test_too_few_games_or_locations_are_errors() -> None:
    few = long_table(np.ones((3, 5)), np.ones(3, int))
    with pytest.raises(ValueError, match="3 games: two halves need at least 4"):
        choose(few, by=("location",))
    enough = long_table(np.random.default_rng(0).normal(size=(20, 2)), np.ones(20, int))
    with pytest.raises(ValueError, match="top is 3: there are 2 locations"):
        choose(enough, by=("location",), top=3)
    with pytest.raises(ValueError, match="2 locations have values in every half"):
        rank_stability(enough, by=("location",))
