"""The cluster bootstrap against its definition and against SciPy's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from simulated_effects import game_sizes, values_of

from leela_probe.statistics.resampling import (
    ClusterSums,
    add_up,
    bootstrap_t,
    cluster_codes,
    draw_weights,
    sign_flip_t,
)


def ragged(locations: int = 3) -> tuple[np.ndarray, np.ndarray, ClusterSums]:
    sizes = game_sizes(40, seed=1)
    values = values_of("lognormal", sizes, locations, seed=2)
    clusters = np.repeat(np.arange(40), sizes)
    values[::7, 1] = np.nan
    rows, places = np.nonzero(~np.isnan(values))
    sums = add_up(values[rows, places], clusters[rows], places, n_locations=locations)
    return values, clusters, sums


def test_means_are_means_over_puzzles() -> None:
    values, _, sums = ragged()
    assert sums.means == pytest.approx(np.nanmean(values, axis=0), abs=1e-12)
    assert sums.totals.tolist() == (~np.isnan(values)).sum(axis=0).tolist()


def test_standard_errors_are_the_jackknifes_up_to_the_next_order() -> None:
    values, clusters, sums = ragged()
    for location in range(3):
        left_out = [np.nanmean(values[clusters != c, location]) for c in range(40)]
        jackknife = np.sqrt(39 / 40 * ((left_out - np.mean(left_out)) ** 2).sum())
        assert sums.standard_errors[location] == pytest.approx(jackknife, rel=0.12)


def test_with_one_puzzle_a_game_the_standard_error_is_the_textbooks() -> None:
    values = np.random.default_rng(0).gamma(0.5, size=50)
    sums = add_up(values, np.arange(50), np.zeros(50, np.int64), n_locations=1)
    assert sums.standard_errors[0] == pytest.approx(scipy_stats.sem(values), rel=1e-12)


def test_replicates_are_those_of_a_table_drawn_game_by_game() -> None:
    values, clusters, sums = ragged()
    replicates = bootstrap_t(sums, resamples=5, seed=3)
    weights = np.concatenate(list(draw_weights(40, resamples=5, seed=3)))
    for resample in range(5):
        drawn = np.repeat(np.arange(40), weights[resample].astype(int))
        rows = np.concatenate([np.flatnonzero(clusters == c) for c in drawn])
        codes = np.repeat(np.arange(40), [(clusters == c).sum() for c in drawn])
        for location in range(3):
            taken = values[rows, location]
            known = ~np.isnan(taken)
            again = add_up(
                taken[known], codes[known], np.zeros(known.sum(), np.int64), n_locations=1
            )
            factor = np.sqrt(again.clusters[0] / (again.clusters[0] - 1))
            ours = np.sqrt(sums.clusters[location] / (sums.clusters[location] - 1))
            expected = (again.means[0] - sums.means[location]) / (
                again.standard_errors[0] / factor * ours
            )
            assert replicates[resample, location] == pytest.approx(expected, rel=1e-9)


def test_the_spread_of_resampled_means_is_scipys() -> None:
    values, _, sums = ragged()
    del values
    pair = (sums.sums[:, 0], np.broadcast_to(sums.counts, sums.sums.shape)[:, 0])
    theirs = scipy_stats.bootstrap(
        pair,
        lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    weights = np.concatenate(list(draw_weights(40, resamples=4000, seed=1)))
    ours = (weights @ pair[0]) / (weights @ pair[1])
    ends = np.quantile(ours, [0.025, 0.975])
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ends == pytest.approx(list(theirs.confidence_interval), abs=0.06 * width)


def test_more_locations_or_more_resamples_change_no_draw() -> None:
    _, _, sums = ragged()
    alone = ClusterSums(sums=sums.sums[:, :1], counts=sums.counts[:, :1])
    long = bootstrap_t(sums, resamples=300, seed=5)
    assert np.allclose(bootstrap_t(alone, resamples=300, seed=5)[:, 0], long[:, 0], rtol=1e-9)
    assert np.allclose(bootstrap_t(sums, resamples=128, seed=5), long[:128], rtol=1e-9)


def test_weights_draw_every_cluster_equally_often() -> None:
    weights = np.concatenate(list(draw_weights(25, resamples=4000, seed=0)))
    assert (weights.sum(axis=1) == 25).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(25), abs=0.08)


def test_sign_flips_are_the_one_sample_t_of_flipped_values() -> None:
    values = np.random.default_rng(0).standard_t(3, size=(20, 2))
    sums = ClusterSums(sums=values, counts=np.ones((20, 1)))
    observed, replicates = sign_flip_t(sums, flips=50, seed=0)
    assert observed == pytest.approx(scipy_stats.ttest_1samp(values, 0).statistic)
    signs = 2.0 * np.random.default_rng(0).integers(0, 2, size=(50, 20)) - 1
    expected = scipy_stats.ttest_1samp(values * signs[7][:, None], 0).statistic
    assert replicates[7] == pytest.approx(expected)


def test_puzzles_without_a_game_are_their_own_cluster() -> None:
    codes = cluster_codes(pd.Series(list("aabcd")), pd.Series(["g", "g", "g", None, None]))
    assert codes.tolist() == [0, 0, 0, 1, 2]


def test_a_puzzle_under_two_games_is_an_error() -> None:
    with pytest.raises(ValueError, match="puzzle 'a' stands under two games"):
        cluster_codes(pd.Series(["a", "a"]), pd.Series(["g", "h"]))
    with pytest.raises(ValueError, match="puzzle 'a' stands under two games"):
        cluster_codes(pd.Series(["a", "a"]), pd.Series(["g", None]))


def test_a_row_without_a_puzzle_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no puzzle_id"):
        cluster_codes(pd.Series(["a", None]), pd.Series(["g", "h"]))
