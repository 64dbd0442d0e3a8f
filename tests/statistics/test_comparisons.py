"""Tests keep their error rates on simulated tables, and equal SciPy's where SciPy has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from simulated_effects import game_sizes, long_table

from leela_probe.statistics.comparisons import (
    _step_down,
    _tests,
    benjamini_hochberg,
    beyond_chance,
    family,
    holm,
    interactions,
    paired,
)
from leela_probe.statistics.observations import Observations
from leela_probe.statistics.resampling import ClusterSums, bootstrap_t


def null_heads(kind: str, games: int, seed: int, heads: int = 360) -> Observations:
    """360 heads without effect, correlated 0.1 to 0.8, heavy-tailed or skewed, in games."""
    generator = np.random.default_rng(seed)
    sizes = game_sizes(games, seed=seed)
    game = np.repeat(np.arange(games), sizes)
    puzzles = len(game)

    def in_games(width: int) -> np.ndarray:
        of_game = generator.standard_normal((games, width))[game]
        return np.sqrt(0.4) * of_game + np.sqrt(0.6) * generator.standard_normal((puzzles, width))

    loading = np.linspace(0.3, 0.9, heads)
    normal = loading * in_games(1) + np.sqrt(1 - loading**2) * in_games(heads)
    if kind == "t3":
        grid = np.linspace(-6, 6, 2001)
        values = np.interp(normal, grid, scipy_stats.t(3).ppf(scipy_stats.norm.cdf(grid)))
    else:
        values = np.exp(normal) - np.exp(0.5)
    return Observations(
        keys=pd.DataFrame({"head": range(heads)}),
        values=values.ravel(),
        locations=np.tile(np.arange(heads), puzzles),
        clusters=np.repeat(game, heads).astype(np.int64),
        puzzles=np.repeat(np.arange(puzzles), heads),
        missing=np.zeros(heads, np.int64),
    )


@pytest.mark.parametrize(
    ("kind", "null"), [("t3", "bootstrap"), ("lognormal", "bootstrap"), ("t3", "sign-flip")]
)
def test_the_family_wise_error_is_at_most_six_per_cent(kind: str, null: str) -> None:
    found = [
        _tests(null_heads(kind, 100, seed), null, "two-sided", 399, seed)["p_max_t"].min() <= 0.05
        for seed in range(100)
    ]
    assert np.mean(found) <= 0.06


def test_sign_flips_on_skewed_effects_reject_too_often() -> None:
    found = [
        _tests(null_heads("lognormal", 100, s), "sign-flip", "two-sided", 199, s)["p_max_t"].min()
        for s in range(25)
    ]
    assert np.mean(np.array(found) <= 0.05) > 0.2


def test_holm_holds_on_skewed_effects_where_a_plain_bootstrap_would_not() -> None:
    ours, plain = [], []
    for seed in range(80):
        heads = null_heads("lognormal", 100, seed, heads=80)
        ours.append(_tests(heads, "bootstrap", "two-sided", 1999, seed)["p_holm"].min())
        if seed < 30:
            sums = heads.sums()
            chance = np.abs(bootstrap_t(sums, resamples=1999, seed=seed))
            beyond = (chance >= np.abs(sums.means / sums.standard_errors)).sum(axis=0)
            plain.append(holm((beyond + 1) / 2000).min())
    assert np.mean(np.array(ours) <= 0.05) <= 0.06
    assert np.mean(np.array(plain) <= 0.05) > 0.12


def heads_table(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    sizes = game_sizes(150, seed=seed)
    values = np.random.default_rng(seed).standard_t(3, (sizes.sum(), 40))
    values[:, 5] += 1.0
    values[:, 17] -= 0.8
    return long_table(values, sizes), values


@pytest.mark.parametrize("null", ["bootstrap", "sign-flip"])
def test_a_real_effect_is_found_among_many(null: str) -> None:
    table, values = heads_table()
    found = family(table, by=("location",), null=null, resamples=1999)
    assert np.flatnonzero(found["p_max_t"] <= 0.05).tolist() == [5, 17]
    assert found["estimate"].to_numpy() == pytest.approx(values.mean(axis=0))
    greater = family(table, by=("location",), null=null, alternative="greater", resamples=1999)
    assert np.flatnonzero(greater["p_max_t"] <= 0.05).tolist() == [5]


def test_family_wise_p_values_are_never_below_the_single_ones() -> None:
    found = family(heads_table()[0], by=("location",), resamples=999, null="sign-flip")
    for corrected in ("p_max_t", "p_holm", "p_bh"):
        assert (found[corrected] >= found["p"] - 1e-12).all()
    assert (found["p_bh"] <= found["p_holm"] + 1e-12).all()


def test_sign_flip_p_values_are_scipys_permutation_test() -> None:
    values = np.random.default_rng(4).standard_t(3, (12, 1)) + 0.8
    table = long_table(values, np.ones(12, int))
    found = family(table, by=("location",), null="sign-flip", resamples=20_000)
    theirs = scipy_stats.permutation_test(
        (values[:, 0],), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert found["p"][0] == pytest.approx(theirs.pvalue, abs=0.004)


def test_step_down_by_hand() -> None:
    size = np.array([3.0, 1.0, 2.0])
    chance = np.array([[2.5, 0.0, 0.0], [0.0, 1.5, 0.5], [0.0, 0.0, 3.5], [0.1, 0.2, 0.3]])
    # largest first (3, 2, 1): maxima over all, over the last two, over the last one
    assert _step_down(size, chance).tolist() == [2 / 5, 2 / 5, 2 / 5]
    assert _step_down(size, chance[:2]).tolist() == [1 / 3, 2 / 3, 1 / 3]


def test_holm_and_benjamini_hochberg_leave_missing_tests_out() -> None:
    p = np.array([0.001, np.nan, 0.02, 0.03, 0.5])
    assert holm(p)[[0, 2, 3, 4]].tolist() == pytest.approx([0.004, 0.06, 0.06, 0.5])
    theirs = scipy_stats.false_discovery_control(p[~np.isnan(p)])
    assert benjamini_hochberg(p)[~np.isnan(p)].tolist() == theirs.tolist()
    assert np.isnan([holm(p)[1], benjamini_hochberg(p)[1]]).all()
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()


def test_locations_without_a_test_say_why_and_are_no_members_of_the_family() -> None:
    sizes = np.ones(50, int)
    values = np.random.default_rng(0).normal(1.0, 1.0, (50, 4))
    values[:, 1] = 0.0
    values[5:, 2] = np.nan
    values[:, 3] = 0.0
    values[0, 3] = 4.0
    found = family(long_table(values, sizes), by=("location",), resamples=499)
    assert found["reason"].tolist() == [
        None,
        "all values are equal",
        "5 games: a test needs at least 10",
        "the variance hangs on 1.0 games: at least 2 are needed",
    ]
    assert found["p_max_t"].notna().tolist() == [True, False, False, False]
    assert found["p_holm"][0] == found["p"][0]
    assert found["missing"].tolist() == [0, 0, 45, 0]


def test_heads_that_matter_in_one_puzzle_do_not_drown_one_that_matters_in_all() -> None:
    """Resamples without the one puzzle have t values without bound, so the head has no test."""
    rng = np.random.default_rng(3)
    values = 1e-4 * rng.normal(size=(200, 20))
    values[np.arange(20), np.arange(20)] = 1.0
    values[:, 7] = rng.normal(0.5, 1.0, 200)
    found = family(long_table(values, np.ones(200, int)), by=("location",), resamples=999)
    assert found["p_max_t"].notna().sum() == 1
    assert found["p_max_t"][7] < 0.01
    assert found["reason"][0] == "the variance hangs on 1.0 games: at least 2 are needed"


def test_two_games_that_differ_are_too_few() -> None:
    values = np.zeros((50, 1))
    values[:2] = 4.0
    found = family(long_table(values, np.ones(50, int)), by=("location",), resamples=499)
    assert found["reason"].tolist() == ["too few games differ from the others"]


def test_a_family_without_any_test_is_all_reasons() -> None:
    table = long_table(np.zeros((50, 2)), np.ones(50, int))
    found = family(table, by=("location",), resamples=99)
    assert found[["t", "p", "p_max_t", "p_holm", "p_bh"]].isna().all(axis=None)


def test_impossible_settings_are_errors() -> None:
    table = heads_table()[0]
    with pytest.raises(ValueError, match="null is 'normal'"):
        family(table, by=("location",), null="normal")
    with pytest.raises(ValueError, match="alternative is 'less'"):
        family(table, by=("location",), alternative="less")
    with pytest.raises(ValueError, match="resamples is 50"):
        family(table, by=("location",), resamples=50)


def one_row_a_puzzle(effect: np.ndarray, prefix: str = "p") -> pd.DataFrame:
    names = [f"{prefix}{i}" for i in range(len(effect))]
    return pd.DataFrame(
        {"puzzle_id": names, "game_id": None, "target_pattern": "112", "effect": effect}
    )


def test_paired_comparisons_are_of_the_same_puzzles() -> None:
    generator = np.random.default_rng(0)
    base = generator.exponential(2.0, 80)
    first = one_row_a_puzzle(base + generator.normal(0.3, 0.5, 80))
    second = one_row_a_puzzle(base).sample(frac=1.0, random_state=0)
    found = paired(first, second, names=("entry", "control"), resamples=500)
    difference = first["effect"].to_numpy() - base
    assert found.table["difference"].tolist() == pytest.approx(difference.tolist())
    assert found.mean.value == pytest.approx(difference.mean())
    assert found.median.value == pytest.approx(np.median(difference))
    assert (found.greater, found.less) == ((difference > 0).sum(), (difference < 0).sum())
    assert found.sign_p == pytest.approx(scipy_stats.binomtest(found.greater, 80).pvalue)
    assert found.wilcoxon_p == pytest.approx(scipy_stats.wilcoxon(difference).pvalue)
    assert found.mean.low > 0


def test_puzzles_of_one_table_only_are_counted_and_left_out() -> None:
    first = one_row_a_puzzle(np.arange(20.0))
    second = one_row_a_puzzle(np.zeros(22))[3:]
    second.loc[5, "effect"] = np.nan
    found = paired(first, second, resamples=99)
    assert (found.only_first, found.only_second, found.missing) == (3, 2, 1)
    assert found.mean.n == 16


def test_the_sign_test_counts_a_game_once() -> None:
    first = one_row_a_puzzle(np.ones(40)).assign(game_id=[f"g{i // 4}" for i in range(40)])
    second = one_row_a_puzzle(np.zeros(40))
    found = paired(first, second, resamples=99)
    assert (found.greater, found.less, found.equal) == (10, 0, 0)
    assert found.sign_p == pytest.approx(2 * 0.5**10)


def test_equal_pairs_have_no_p_value_and_strangers_no_comparison() -> None:
    same = one_row_a_puzzle(np.arange(20.0))
    found = paired(same, same, resamples=99)
    assert np.isnan([found.sign_p, found.wilcoxon_p]).all()
    assert found.mean.reason == "all values are equal"
    with pytest.raises(ValueError, match="'first' and 'second' share no puzzle"):
        paired(same, one_row_a_puzzle(np.arange(20.0), prefix="q"))
    with pytest.raises(ValueError, match=r"every difference .* is missing"):
        paired(same, same.assign(effect=np.nan))


@pytest.mark.parametrize("together", [0.0, 0.4, 1.0])
def test_chance_is_not_exceeded_too_often_however_the_puzzles_of_a_game_depend(
    together: float,
) -> None:
    sizes, level, tables = game_sizes(100, seed=3), 0.02, 20_000
    generator = np.random.default_rng(0)
    game = np.repeat(np.arange(100), sizes)
    shared = generator.random((100, tables))[game]
    own = generator.random((len(game), tables))
    hits = np.where(generator.random((len(game), 1)) < together, shared, own) < level
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    sums = np.add.reduceat(hits.astype(float), starts, axis=0)
    p = beyond_chance(ClusterSums(sums=sums, counts=sizes[:, None].astype(float)), level)
    for bound in (0.01, 0.05, 0.2):
        assert np.mean(p <= bound) < bound + 4 * (bound * (1 - bound) / tables) ** 0.5
    by_puzzle = scipy_stats.binom.sf(hits.sum(axis=0) - 1, len(game), level)
    assert together < 1 or np.mean(by_puzzle <= 0.01) > 0.03


def test_hits_of_games_with_one_puzzle_have_the_binomial_tail() -> None:
    counts = np.ones((30, 2))
    counts[20:, 1] = 0
    sums = np.zeros((30, 2))
    sums[:4, 0], sums[:2, 1] = 1, 1
    p = beyond_chance(ClusterSums(sums=sums, counts=counts), 0.03)
    assert p == pytest.approx(scipy_stats.binom.sf([3, 1], [30, 20], 0.03))


def test_interactions_tell_redundancy_from_synergy() -> None:
    generator = np.random.default_rng(0)
    names = [f"p{i}" for i in range(200)]
    gap = generator.exponential(2.0, 200)

    def rows(effect: np.ndarray, **where: int) -> pd.DataFrame:
        return pd.DataFrame({"puzzle_id": names, "game_id": None, "effect": effect, **where})

    noise = generator.normal(0, 0.05, (6, 200))
    singles = pd.concat(
        [
            rows(0 * gap + noise[0], layer=1, head=0),
            rows(0 * gap + noise[1], layer=1, head=1),
            rows(gap + noise[2], layer=2, head=0),
        ]
    )
    pairs = pd.concat(
        [
            rows(gap + noise[3], layer_a=1, head_a=0, layer_b=1, head_b=1),
            rows(gap + noise[4], layer_a=1, head_a=0, layer_b=2, head_b=0),
            rows(0.5 * gap + noise[5], layer_a=1, head_a=1, layer_b=2, head_b=0),
        ]
    )
    found = interactions(singles, pairs, resamples=999)
    assert found["estimate"].to_numpy() == pytest.approx([gap.mean(), 0, -gap.mean() / 2], abs=0.02)
    assert (found["p_max_t"] <= 0.05).tolist() == [True, False, True]
    assert found["low"][0] > 0 > found["high"][2]
    assert found["effect_ab"][0] == pytest.approx(gap.mean(), abs=0.02)
    assert found["n"].tolist() == [200, 200, 200]
    with pytest.raises(ValueError, match="head 0 of layer 2 is in a pair but has no single"):
        interactions(singles[singles["layer"] == 1], pairs)
