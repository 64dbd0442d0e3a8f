"""Chooses on one half of the games and reports on the other (W14).

The largest of many estimates is too large: chance helped to choose it. What it is on puzzles that
had no part in the choice is an honest number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from leela_probe.statistics.intervals import mean_intervals
from leela_probe.statistics.observations import Observations, observe
from leela_probe.statistics.resampling import ClusterSums

__all__ = ["RankStability", "SplitHalves", "choose", "rank_stability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitHalves:
    """The best locations of each half, as the other half sees them.

    Attributes:
        table: `top` rows for each half, best first, with columns chosen_on ("first", "second"),
            rank (1 = best), `by`, chosen_estimate (on the half that chose: too large), then on the
            other half other_rank, n, clusters, estimate, low, high, interval, reason.
        clusters: number of games in the first and in the second half.
        spearman: rank correlation of the two halves' means over locations that both have.
        spearman_brown: reliability of the whole set's ranks that follows from it, 2 r / (1 + r).
    """

    table: pd.DataFrame
    clusters: tuple[int, int]
    spearman: float
    spearman_brown: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankStability:
    """How well halves of the games agree on the order of the locations, over random splits.

    Attributes:
        spearman: median over splits of the halves' rank correlation.
        spearman_low: 5 % quantile over splits (no confidence interval).
        spearman_high: 95 % quantile over splits.
        spearman_brown: 2 r / (1 + r) of the median, the reliability of the whole set's ranks.
        same_best: share of splits in which both halves have the same best location.
        splits: number of splits.
        locations: number of locations that every half had.
    """

    spearman: float
    spearman_low: float
    spearman_high: float
    spearman_brown: float
    same_best: float
    splits: int
    locations: int


def choose(
    effects: pd.DataFrame,
    *,
    by: Sequence[str] = ("layer", "head"),
    value: str = "effect",
    top: int = 1,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> SplitHalves:
    """The `top` locations of each half of the games, reported on the other half.

    Args:
        effects: the effects table, one row per puzzle at each location.
        by: columns that make a location.
        value: the column to take.
        top: how many to choose.
        confidence: between 0 and 1.
        resamples: bootstrap resamples over games.
        seed: of the split and of the draws.

    Raises:
        ValueError: for fewer than four games or fewer than `top` locations.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> effects = lp.measure(network, pairs[:20], lp.sweeps.heads(network))
        >>> halves = lp.split_halves(effects, resamples=99)
        >>> halves.table["chosen_on"].tolist()
        ['first', 'second']
    """
    observations = observe(effects, by=by, value=value)
    sums = observations.sums()
    half = next(iter(_halves(len(sums.sums), splits=1, seed=seed)))
    if not 1 <= top <= len(observations.keys):
        raise ValueError(f"top is {top}: there are {len(observations.keys)} locations to choose of")
    parts = [_part(sums, side) for side in (half, ~half)]
    tables = []
    for name, chooser, other in (("first", parts[0], parts[1]), ("second", parts[1], parts[0])):
        seen, held = chooser.means, other.means
        best = np.argsort(-np.where(np.isnan(seen), -np.inf, seen), kind="stable")[:top]
        best = best[~np.isnan(seen[best])]
        shared = other.counts.shape[1] == 1
        estimates = mean_intervals(
            ClusterSums(
                sums=other.sums[:, best], counts=other.counts if shared else other.counts[:, best]
            ),
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )
        table = observations.keys.iloc[best].reset_index(drop=True)
        table.insert(0, "chosen_on", name)
        table.insert(1, "rank", np.arange(1, len(best) + 1))
        tables.append(
            table.assign(
                chosen_estimate=seen[best],
                other_rank=[int((held > held[index]).sum()) + 1 for index in best],
                **estimates.columns(),
            )
        )
    spearman = _spearman(parts[0].means, parts[1].means)
    return SplitHalves(
        table=pd.concat(tables, ignore_index=True),
        clusters=(int(half.sum()), int((~half).sum())),
        spearman=spearman,
        spearman_brown=_spearman_brown(spearman),
    )


def rank_stability(
    effects: pd.DataFrame,
    *,
    by: Sequence[str] = ("layer", "head"),
    value: str = "effect",
    splits: int = 200,
    seed: int = 0,
) -> RankStability:
    """Agreement of random halves of the games about the order of the locations.

    Raises:
        ValueError: for fewer than four games, or fewer than three locations that every half has.
    """
    observations: Observations = observe(effects, by=by, value=value)
    sums = observations.sums()
    found, same, everywhere = [], [], np.ones(len(observations.keys), bool)
    pairs = []
    for half in _halves(len(sums.sums), splits=splits, seed=seed):
        pair = (_part(sums, half).means, _part(sums, ~half).means)
        everywhere &= ~np.isnan(pair[0]) & ~np.isnan(pair[1])
        pairs.append(pair)
    if everywhere.sum() < 3:
        raise ValueError(
            f"{int(everywhere.sum())} locations have values in every half: ranks need at least 3"
        )
    for first, second in pairs:
        found.append(_spearman(first[everywhere], second[everywhere]))
        same.append(first[everywhere].argmax() == second[everywhere].argmax())
    low, middle, high = np.quantile(found, [0.05, 0.5, 0.95])
    return RankStability(
        spearman=float(middle),
        spearman_low=float(low),
        spearman_high=float(high),
        spearman_brown=_spearman_brown(float(middle)),
        same_best=float(np.mean(same)),
        splits=splits,
        locations=int(everywhere.sum()),
    )


def _halves(clusters: int, *, splits: int, seed: int) -> list[Bool[np.ndarray, " cluster"]]:
    if clusters < 4:
        raise ValueError(f"{clusters} games: two halves need at least 4")
    generator = np.random.default_rng(seed)
    first = np.arange(clusters) < (clusters + 1) // 2
    return [generator.permutation(first) for _ in range(splits)]


def _part(sums: ClusterSums, chosen: Bool[np.ndarray, " cluster"]) -> ClusterSums:
    return ClusterSums(sums=sums.sums[chosen], counts=sums.counts[chosen])


def _spearman(
    first: Float64[np.ndarray, " location"], second: Float64[np.ndarray, " location"]
) -> float:
    """NaN where fewer than three locations have both, or one half has no order."""
    from scipy.stats import spearmanr

    known = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[known], second[known]
    if known.sum() < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def _spearman_brown(correlation: float) -> float:
    return 2 * correlation / (1 + correlation) if correlation > -1 else float("nan")
