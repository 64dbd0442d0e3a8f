"""Intervals cover at their nominal rate, and say why where they cannot be given."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from simulated_effects import MEANS, draw, game_sizes, values_of

from leela_probe.statistics.intervals import (
    MIN_CLUSTERS,
    mean_interval,
    mean_intervals,
    quantile_intervals,
    share_intervals,
    simultaneous_intervals,
    trimmed_mean_interval,
)
from leela_probe.statistics.resampling import ClusterSums, add_up


def coverage_of_means(kind: str, games: int, *, sets: int = 12, tables: int = 250) -> float:
    """Share of the intervals of simulated tables that hold the true mean, in per cent."""
    hits = []
    for seed in range(sets):
        sizes = game_sizes(games, seed=seed)
        values = values_of(kind, sizes, tables, seed=1000 + seed)
        starts = np.r_[0, np.cumsum(sizes)[:-1]]
        sums = ClusterSums(
            sums=np.add.reduceat(values, starts, axis=0), counts=sizes[:, None].astype(float)
        )
        found = mean_intervals(sums, resamples=999, seed=seed)
        given = np.isfinite(found.low)
        assert given.mean() > 0.95
        hits.extend(((found.low <= MEANS[kind]) & (found.high >= MEANS[kind]))[given])
    return 100 * float(np.mean(hits))


@pytest.mark.parametrize("games", [100, 300])
@pytest.mark.parametrize("kind", ["normal", "t3", "lognormal", "rare"])
def test_mean_intervals_cover_at_their_nominal_rate(kind: str, games: int) -> None:
    assert 93 <= coverage_of_means(kind, games) <= 97


@pytest.mark.parametrize("kind", ["normal", "t3", "lognormal"])
def test_simultaneous_intervals_hold_all_layers_at_once_and_single_ones_do_not(kind: str) -> None:
    all_held, single_held = [], []
    for seed in range(300):
        sizes = game_sizes(100, seed=seed)
        values = values_of(kind, sizes, 6, seed=7000 + seed)
        starts = np.r_[0, np.cumsum(sizes)[:-1]]
        sums = ClusterSums(
            sums=np.add.reduceat(values, starts, axis=0), counts=sizes[:, None].astype(float)
        )
        for intervals, held in ((simultaneous_intervals, all_held), (mean_intervals, single_held)):
            found = intervals(sums, resamples=999, seed=seed)
            missed = (found.low > MEANS[kind]) | (found.high < MEANS[kind])
            held.append(not missed.any())
    assert 92.5 <= 100 * np.mean(all_held) <= 99
    assert 100 * np.mean(single_held) < 88


def test_intervals_that_forget_the_games_would_not_cover() -> None:
    sizes = game_sizes(100, seed=0)
    values = values_of("normal", sizes, 800, seed=1)
    wrong = ClusterSums(sums=values, counts=np.ones((len(values), 1)))
    found = mean_intervals(wrong, resamples=499)
    assert 100 * np.mean((found.low <= 0) & (found.high >= 0)) < 90


@pytest.mark.parametrize("trim", [0.2, 0.5])
@pytest.mark.parametrize("kind", ["t3", "lognormal"])
def test_trimmed_means_and_medians_cover_at_their_nominal_rate(kind: str, trim: float) -> None:
    everything = np.sort(draw(kind, (1_000_000,), np.random.default_rng(0)))
    truth = np.median(everything) if trim == 0.5 else everything[200_000:800_000].mean()
    hits = []
    for seed in range(12):
        sizes = game_sizes(100, seed=seed)
        clusters = np.repeat(np.arange(100), sizes)
        for values in values_of(kind, sizes, 50, seed=50 + seed).T:
            one = trimmed_mean_interval(values, clusters, trim=trim, resamples=300, seed=seed)
            hits.append(one.low <= truth <= one.high)
    assert 93 <= 100 * np.mean(hits) <= 97


@pytest.mark.parametrize("grouped", [False, True])
def test_order_statistic_intervals_cover_at_least_at_their_nominal_rate(grouped: bool) -> None:
    levels = [0.1, 0.5, 0.9, 0.97]
    truth = np.exp(scipy_stats.norm.ppf(levels))
    hits = []
    for seed in range(10):
        sizes = game_sizes(150, seed=seed) if grouped else np.ones(400, int)
        clusters = np.repeat(np.arange(len(sizes)), sizes)
        for values in values_of("lognormal", sizes, 120, seed=100 + seed).T:
            found = quantile_intervals(values, clusters, levels)
            hits.append((found.low <= truth) & (truth <= found.high))
    covered = 100 * np.mean(hits, axis=0)
    assert (covered >= 92.5).all()
    assert (covered <= 98.5).all()


def test_order_statistics_have_the_binomial_ranks() -> None:
    values = np.arange(1.0, 1001.0)
    found = quantile_intervals(values, np.arange(1000), [0.5, 0.95])
    ranks = scipy_stats.binom.ppf([0.025, 0.975], 1000, 0.95)
    assert (found.low[1], found.high[1]) == (ranks[0], ranks[1] + 1)
    exact = scipy_stats.quantile_test(values, q=500.5, p=0.5).confidence_interval(0.95)
    assert found.low[0] == pytest.approx(exact.low, abs=1)
    assert found.high[0] == pytest.approx(exact.high, abs=1)


def test_an_end_that_the_sample_does_not_bound_is_infinite() -> None:
    found = quantile_intervals(np.arange(50.0), np.arange(50), [0.01, 0.5, 0.99])
    assert found.low[0] == -np.inf
    assert found.high[2] == np.inf
    assert np.isfinite([found.low[1], found.high[1]]).all()


def test_trimmed_means_are_scipys_and_half_a_trim_is_the_median() -> None:
    values = np.random.default_rng(1).standard_t(2, 101)
    clusters = np.arange(101)
    for trim in (0.1, 0.2, 0.25):
        ours = trimmed_mean_interval(values, clusters, trim=trim, resamples=50).value
        assert ours == pytest.approx(scipy_stats.trim_mean(values, trim))
    for n in (100, 101):
        middle = trimmed_mean_interval(values[:n], clusters[:n], trim=0.5, resamples=50).value
        assert middle == pytest.approx(np.median(values[:n]))


def test_median_intervals_are_those_of_scipys_bootstrap() -> None:
    values = np.random.default_rng(2).lognormal(size=301)
    ours = trimmed_mean_interval(values, np.arange(301), trim=0.5, resamples=4000)
    theirs = scipy_stats.bootstrap(
        (values,), np.median, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.1 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.1 * width)


def test_without_values_there_is_no_number_at_all() -> None:
    nothing, no_codes = np.empty(0), np.empty(0, np.int64)
    sums = ClusterSums(sums=np.zeros((3, 1)), counts=np.zeros((3, 1)))
    for found in (mean_intervals(sums).at(0), trimmed_mean_interval(nothing, no_codes)):
        assert np.isnan([found.value, found.low, found.high]).all()
        assert found.reason == "no puzzle"
    assert quantile_intervals(nothing, no_codes, [0.5]).reason == ("no puzzle",)


@pytest.mark.parametrize("n", [1, 2, MIN_CLUSTERS - 1])
def test_few_games_give_a_mean_but_no_interval(n: int) -> None:
    values, clusters = np.arange(float(n)), np.arange(n)
    for found in (mean_interval(values, clusters), trimmed_mean_interval(values, clusters)):
        assert found.value == pytest.approx((n - 1) / 2)
        assert np.isnan([found.low, found.high]).all()
        assert found.reason == f"{n} games: an interval needs at least {MIN_CLUSTERS}"


def test_one_game_with_nearly_all_puzzles_gives_no_interval() -> None:
    clusters = np.r_[np.zeros(1000, np.int64), np.arange(1, 30)]
    found = mean_interval(np.random.default_rng(0).normal(size=1029), clusters)
    assert found.reason is not None
    assert found.reason.startswith("30 games as uneven as 1.1 equal ones")


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, -3.7e-5])
def test_equal_values_give_no_interval(constant: float) -> None:
    clusters = np.repeat(np.arange(20), game_sizes(20, seed=0))
    values = np.full(len(clusters), constant)
    for found in (
        mean_interval(values, clusters),
        trimmed_mean_interval(values, clusters),
        quantile_intervals(values, clusters, [0.5]).at(0),
    ):
        assert found.value == pytest.approx(constant)
        assert np.isnan([found.low, found.high]).all()
        assert found.reason == "all values are equal"


def test_one_game_that_differs_gives_no_interval() -> None:
    values = np.zeros(200)
    values[3] = 5.0
    found = mean_interval(values, np.arange(200))
    assert found.reason == "the variance hangs on 1.0 games: at least 1.25 are needed"
    assert np.isnan([found.low, found.high]).all()


def test_a_mean_that_hangs_on_a_few_games_keeps_its_interval_in_the_range_of_the_values() -> None:
    values = 0.001 * np.random.default_rng(0).standard_normal(40)
    values[[3, 11, 12]] = 12.7, 11.0, 9.0
    found = mean_interval(values, np.arange(40))
    assert found.reason is None
    assert found.low >= values.min()
    assert found.high <= 12.7


@pytest.mark.parametrize("truth", [0.01, 0.1, 0.5])
def test_intervals_of_shares_cover_at_their_nominal_rate(truth: float) -> None:
    generator = np.random.default_rng(0)
    hits = []
    for seed in range(8):
        sizes = game_sizes(150, seed=seed)
        game = np.repeat(np.arange(150), sizes)
        own, shared = (generator.random((len(row), 250)) < truth for row in (game, sizes))
        alike = generator.random(own.shape) < np.sqrt(0.4)
        values = np.where(alike, shared[game], own).astype(float)
        starts = np.r_[0, np.cumsum(sizes)[:-1]]
        sums = ClusterSums(
            sums=np.add.reduceat(values, starts, axis=0), counts=sizes[:, None].astype(float)
        )
        found = share_intervals(sums)
        hits.append((found.low <= truth) & (truth <= found.high))
    assert 93 <= 100 * np.mean(hits) <= (97 if truth == 0.5 else 99.5)


def test_intervals_of_independent_shares_are_wilsons() -> None:
    n = 4000
    for right in (0, 1300, n):
        values, zeros = (np.arange(n) < right).astype(float), np.zeros(n, np.int64)
        found = share_intervals(add_up(values, np.arange(n), zeros, n_locations=1)).at(0)
        wilson = scipy_stats.binomtest(right, n).proportion_ci(method="wilson")
        assert found.low == pytest.approx(wilson.low, abs=2e-5)
        assert found.high == pytest.approx(wilson.high, abs=2e-5)


def test_intervals_move_and_stretch_with_the_values() -> None:
    sizes = game_sizes(60, seed=3)
    clusters = np.repeat(np.arange(60), sizes)
    values = values_of("rare", sizes, 1, seed=4)[:, 0]
    plain, moved = mean_interval(values, clusters), mean_interval(1000 - 2 * values, clusters)
    assert moved.low == pytest.approx(1000 - 2 * plain.high, rel=1e-9)
    assert moved.high == pytest.approx(1000 - 2 * plain.low, rel=1e-9)


def test_intervals_do_not_depend_on_other_locations() -> None:
    sizes = game_sizes(60, seed=5)
    values = values_of("t3", sizes, 4, seed=6)
    clusters = np.repeat(np.arange(60), sizes)
    rows, places = np.nonzero(np.ones_like(values))
    together = mean_intervals(add_up(values[rows, places], clusters[rows], places, n_locations=4))
    alone = mean_interval(values[:, 2], clusters)
    assert together.at(2).low == pytest.approx(alone.low, rel=1e-9)


def test_impossible_settings_are_errors() -> None:
    values, clusters = np.arange(20.0), np.arange(20)
    with pytest.raises(ValueError, match="shares run from 0 to 19: expected 0 to 1"):
        share_intervals(add_up(values, clusters, np.zeros(20, np.int64), n_locations=1))
    with pytest.raises(ValueError, match=r"confidence is 95\.0"):
        mean_interval(values, clusters, confidence=95.0)
    with pytest.raises(ValueError, match="resamples is 0"):
        mean_interval(values, clusters, resamples=0)
    with pytest.raises(ValueError, match=r"trim is 0\.6"):
        trimmed_mean_interval(values, clusters, trim=0.6)
    with pytest.raises(ValueError, match="give them inside"):
        quantile_intervals(values, clusters, [0.0, 0.5])
