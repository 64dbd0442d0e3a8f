"""Tests: the same puzzles under two interventions, many heads at once, hits beyond chance.

A best head out of 360 looks good by being the best. `family` says what survives that, either with
the step-down maximum of t (Westfall and Young; Romano and Wolf) or with Holm's and Benjamini-
Hochberg's rules; what it is on other puzzles, `split_halves` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from leela_probe.statistics.intervals import (
    MIN_CLUSTERS,
    Estimate,
    mean_interval,
    mean_intervals,
    spread_refusal,
    trimmed_mean_interval,
)
from leela_probe.statistics.observations import Observations, observe
from leela_probe.statistics.resampling import ClusterSums, bootstrap_t, sign_flip_t

__all__ = [
    "MIN_SPREAD",
    "PairedComparison",
    "benjamini_hochberg",
    "beyond_chance",
    "family",
    "holm",
    "interactions",
    "paired",
]

MIN_SPREAD = 2.0
"""Games that a location's variance must hang on for a bootstrap test of its mean; see
`ClusterSums.spread_clusters`. A higher bound would refuse skewed effects by their lucky samples,
and the family-wise error would pass its nominal rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Two effects of the same puzzles, first minus second (W13).

    Attributes:
        table: one row per puzzle with puzzle_id, game_id, pattern (where there), first, second,
            difference.
        names: what first and second are.
        only_first: puzzles that only the first table has.
        only_second: puzzles that only the second table has.
        missing: puzzles that both have, one of them NaN.
        mean: mean difference over puzzles, with its interval.
        median: median difference.
        greater: games whose mean difference is above 0.
        less: games whose mean difference is below 0.
        equal: games whose mean difference is 0; the sign test leaves them out.
        sign_p: two-sided sign test over games, NaN where all are equal.
        wilcoxon_p: two-sided Wilcoxon signed-rank test over games (Pratt's zeros), NaN where all
            are equal. It asks for a symmetric difference, the sign test does not.
    """

    table: pd.DataFrame
    names: tuple[str, str]
    only_first: int
    only_second: int
    missing: int
    mean: Estimate
    median: Estimate
    greater: int
    less: int
    equal: int
    sign_p: float
    wilcoxon_p: float


def paired(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    names: tuple[str, str] = ("first", "second"),
    value: str = "effect",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedComparison:
    """First minus second effect of the puzzles that both tables have.

    Args:
        first: one row per puzzle.
        second: one row per puzzle.
        names: of the two, for texts and figures.
        value: the column to take.
        confidence: between 0 and 1.
        resamples: bootstrap resamples over games.
        seed: of the draws.

    Raises:
        ValueError: when a table has two rows for a puzzle, when no puzzle is in both, and as in
            `observations.observe`.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> effects = lp.measure(network, pairs[:20], lp.sweeps.heads(network))
        >>> layer = effects[effects["layer"] == 1]
        >>> first, second = (layer[layer["head"] == head] for head in (0, 1))
        >>> comparison = lp.compare(first, second, names=("head 0", "head 1"))
        >>> len(comparison.table)
        20
    """
    from scipy.stats import binomtest, wilcoxon

    for table in (first, second):
        observe(table, by=(), value=value)
    left = first.set_index("puzzle_id")
    right = second.set_index("puzzle_id")
    both = left.index.intersection(right.index, sort=False)
    if len(both) == 0:
        raise ValueError(
            f"{names[0]!r} and {names[1]!r} share no puzzle: a comparison needs the same ones"
        )
    kept = [column for column in ("game_id", "target_pattern") if column in left.columns]
    joined = left.loc[both, kept].assign(
        first=left.loc[both, value].astype("float64"),
        second=right.loc[both, value].astype("float64"),
    )
    joined["difference"] = joined["first"] - joined["second"]
    joined = joined.rename_axis("puzzle_id").reset_index()
    known = joined[joined["difference"].notna()].reset_index(drop=True)
    if len(known) == 0:
        raise ValueError(f"every difference of {names[0]!r} and {names[1]!r} is missing (NaN)")
    observations = observe(known, by=(), value="difference")
    values, clusters = observations.values, observations.clusters
    sums = observations.sums()
    by_game = sums.sums[:, 0] / sums.counts[:, 0]
    greater, less = int((by_game > 0).sum()), int((by_game < 0).sum())
    differ = greater + less
    return PairedComparison(
        table=known,
        names=names,
        only_first=len(left.index.difference(both)),
        only_second=len(right.index.difference(both)),
        missing=len(joined) - len(known),
        mean=mean_interval(values, clusters, confidence=confidence, resamples=resamples, seed=seed),
        median=trimmed_mean_interval(
            values, clusters, trim=0.5, confidence=confidence, resamples=resamples, seed=seed
        ),
        greater=greater,
        less=less,
        equal=len(by_game) - differ,
        sign_p=float(binomtest(greater, differ).pvalue) if differ else float("nan"),
        wilcoxon_p=(
            float(wilcoxon(by_game, zero_method="pratt").pvalue) if differ else float("nan")
        ),
    )


def family(
    effects: pd.DataFrame,
    *,
    by: Sequence[str] = ("layer", "head"),
    value: str = "effect",
    null: str = "bootstrap",
    alternative: str = "two-sided",
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Tests "the mean effect is 0" at every location, and corrects for their number.

    `null="bootstrap"` resamples games and centres; it holds the family-wise error also where
    effects are skewed. `null="sign-flip"` gives whole games random signs; it is exact where games
    are symmetric around 0 under the null hypothesis (a difference of two exchangeable
    interventions) and rejects far too often where they are skewed.

    Holm's and Benjamini-Hochberg's rules live on tails far out, which a bootstrap of one location
    makes too light when effects are skewed and games are few. With `null="bootstrap"` the `p` they
    use is therefore at least that of the replicates of all locations taken together. And where
    the variance of a location hangs on a handful of games (`MIN_SPREAD`), resamples without them
    have t values without bound, which would drown every other location in the maximum: there is no
    test of such a location.

    Args:
        effects: the effects table, one row per puzzle at each location.
        by: columns that make a location; all locations of the table are one family.
        value: the column to take.
        null: "bootstrap" or "sign-flip".
        alternative: "two-sided" or "greater", which asks for effects that hurt the move.
        resamples: a p-value is at least 1 / (resamples + 1), and Holm's at least the number of
            locations times that: take enough.
        seed: of the draws.

    Returns:
        Columns `by`, n, clusters, missing, estimate, t, p (not corrected), p_max_t
        (step-down maximum of t), p_holm, p_bh (false discovery rate), reason. A location without
        a test has NaN and a reason, and is no member of the family.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> effects = lp.measure(network, pairs[:20], lp.sweeps.heads(network))
        >>> table = lp.significance(effects, resamples=99)
        >>> float(table["p_max_t"].min())
        0.01
    """
    observations = observe(effects, by=by, value=value)
    return observations.keys.join(_tests(observations, null, alternative, resamples, seed))


def holm(p: Float64[np.ndarray, " test"]) -> Float64[np.ndarray, " test"]:
    """Holm's step-down p-values; NaN stays NaN and does not count.

    Example:
        >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
        [0.03, 0.06, nan, 0.06]
    """
    adjusted = np.full(len(p), np.nan)
    tests = np.flatnonzero(~np.isnan(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def benjamini_hochberg(p: Float64[np.ndarray, " test"]) -> Float64[np.ndarray, " test"]:
    """Benjamini and Hochberg's p-values (`scipy.stats.false_discovery_control`); NaN stays NaN."""
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p), np.nan)
    tests = ~np.isnan(p)
    if tests.any():
        adjusted[tests] = false_discovery_control(p[tests])
    return adjusted


def beyond_chance(hits: ClusterSums, level: float) -> Float64[np.ndarray, " location"]:
    """The probability of hits in so many games or more, if a puzzle is one by chance alone.

    Puzzles of one game may depend on each other in any way: that any of m hits has a probability of
    m times the chance at most, which is what a game is given. Where each game has one puzzle this
    is the binomial tail. Not corrected for the number of locations.

    Args:
        hits: how many of a game's puzzles are hits, at each location.
        level: the chance of one puzzle.

    Example:
        >>> sums, one = np.repeat([[1.0], [0.0]], [3, 7], axis=0), np.ones((10, 1))
        >>> games = [ClusterSums(sums=sums, counts=n * one) for n in (1, 2)]
        >>> [round(float(beyond_chance(each, 0.05)[0]), 4) for each in games]
        [0.0115, 0.0702]
    """
    from scipy.stats import binom

    with_hits = np.count_nonzero(hits.sums, axis=0)
    sizes, kind = np.unique(hits.counts, axis=1, return_inverse=True)
    kind = np.broadcast_to(kind.ravel(), len(with_hits))
    p = np.empty(len(with_hits))
    for number, puzzles in enumerate(sizes.T):
        chance = np.ones(1)
        for size, games in zip(*np.unique(puzzles, return_counts=True), strict=True):
            some = binom.pmf(np.arange(games + 1), games, min(size * level, 1.0))
            chance = np.convolve(chance, some)
        tail = np.minimum(np.cumsum(chance[::-1])[::-1], 1.0)
        p[kind == number] = tail[with_hits[kind == number]]
    return p


def interactions(
    singles: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    value: str = "effect",
    null: str = "bootstrap",
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Joint effect of two heads beyond the sum of their single effects, I = E[ab - a - b] (T3).

    For effects of taking something away: above 0 each head makes up for the loss of the other (two
    copies of one signal show nothing singly and all of it jointly), below 0 both serve one path,
    which either loss already breaks (two heads in sequence).

    Args:
        singles: one row per puzzle and head, with layer and head.
        pairs: one row per puzzle and pair, with layer_a, head_a, layer_b, head_b.
        value: the column to take.
        null: as in `family`.
        confidence: between 0 and 1.
        resamples: for intervals and tests.
        seed: of the draws.

    Returns:
        Columns layer_a, head_a, layer_b, head_b, effect_a, effect_b, effect_ab (means over the
        puzzles that have all three), n, clusters, missing (puzzles that lack one), estimate (I),
        low, high, interval, t, p, p_max_t, p_holm, p_bh, reason, interval_reason.

    Raises:
        ValueError: when a head of a pair has no single effects at all.
    """
    names = ["layer_a", "head_a", "layer_b", "head_b"]
    observe(pairs, by=names, value=value)
    observe(singles, by=("layer", "head"), value=value)
    table = pairs[["puzzle_id", "game_id", *names]].assign(effect_ab=pairs[value].astype("float64"))
    alone = singles[["puzzle_id", "layer", "head"]].assign(effect=singles[value].astype("float64"))
    for side in ("a", "b"):
        columns = {f: f"{f}_{side}" for f in ("layer", "head", "effect")}
        table = table.merge(
            alone.rename(columns=columns),
            on=["puzzle_id", f"layer_{side}", f"head_{side}"],
            how="left",
        )
        known = table.groupby([f"layer_{side}", f"head_{side}"])[f"effect_{side}"].count()
        if (known == 0).any():
            layer, head = known.index[known == 0][0]
            raise ValueError(
                f"head {head} of layer {layer} is in a pair but has no single effect for any of "
                "its puzzles: sweep it alone too"
            )
    table["interaction"] = table["effect_ab"] - table["effect_a"] - table["effect_b"]
    observations = observe(table, by=names, value="interaction")
    found = mean_intervals(
        observations.sums(), confidence=confidence, resamples=resamples, seed=seed
    )
    tests = _tests(observations, null, "two-sided", resamples, seed)
    tests.insert(4, "low", found.low)
    tests.insert(5, "high", found.high)
    tests.insert(6, "interval", found.interval)
    tests["interval_reason"] = pd.Series(found.reason, dtype=object)
    whole = table[table["interaction"].notna()].groupby(names, sort=True)
    means = whole[["effect_a", "effect_b", "effect_ab"]].mean().reset_index()
    return observations.keys.merge(means, on=names, how="left").join(tests)


def _tests(
    observations: Observations, null: str, alternative: str, resamples: int, seed: int
) -> pd.DataFrame:
    if null not in ("bootstrap", "sign-flip"):
        raise ValueError(f"null is {null!r}: give 'bootstrap' or 'sign-flip'")
    if alternative not in ("two-sided", "greater"):
        raise ValueError(f"alternative is {alternative!r}: give 'two-sided' or 'greater'")
    if resamples < 99:
        raise ValueError(f"resamples is {resamples}: no p-value below 0.01 is possible; give >= 99")
    sums = observations.sums()
    t, replicates, reasons = _statistics(sums, null, resamples, seed)
    tested = np.flatnonzero(~np.isnan(t))
    if alternative == "two-sided":
        size, chance = np.abs(t[tested]), np.abs(replicates)
    else:
        size, chance = t[tested], replicates
    p, p_max_t = np.full(len(t), np.nan), np.full(len(t), np.nan)
    p[tested] = ((chance >= size).sum(axis=0) + 1) / (resamples + 1)
    if null == "bootstrap" and tested.size:
        together = np.sort(chance, axis=None)
        above = together.size - np.searchsorted(together, size, side="left")
        p[tested] = np.maximum(p[tested], above / together.size)
    p_max_t[tested] = _step_down(size, chance)
    return pd.DataFrame(
        {
            "n": sums.totals.astype(np.int64),
            "clusters": sums.clusters,
            "missing": observations.missing,
            "estimate": sums.means,
            "t": t,
            "p": p,
            "p_max_t": p_max_t,
            "p_holm": holm(p),
            "p_bh": benjamini_hochberg(p),
            "reason": pd.Series(reasons, dtype=object),
        }
    )


def _statistics(
    sums: ClusterSums, null: str, resamples: int, seed: int
) -> tuple[
    Float64[np.ndarray, " location"], Float64[np.ndarray, "resample tested"], list[str | None]
]:
    """t at each location (NaN with a reason), and its replicates at those that have one."""
    clusters, errors = sums.clusters, sums.standard_errors
    reasons: list[str | None] = []
    facts = zip(clusters, errors, sums.means, sums.spread_clusters, strict=True)
    for count, error, mean, spread in facts:
        if count < MIN_CLUSTERS:
            reasons.append(f"{count} games: a test needs at least {MIN_CLUSTERS}")
        elif error == 0 and (null == "bootstrap" or mean == 0):
            reasons.append("all values are equal")
        else:
            reasons.append(spread_refusal(spread, MIN_SPREAD) if null == "bootstrap" else None)
    t = np.full(len(clusters), np.nan)
    tested = np.flatnonzero([reason is None for reason in reasons])
    shared = sums.counts.shape[1] == 1
    kept = ClusterSums(
        sums=sums.sums[:, tested], counts=sums.counts if shared else sums.counts[:, tested]
    )
    if tested.size == 0:
        return t, np.empty((resamples, 0)), reasons
    if null == "sign-flip":
        t[tested], replicates = sign_flip_t(kept, flips=resamples, seed=seed)
        return t, replicates, reasons
    t[tested] = sums.means[tested] / errors[tested]
    replicates = bootstrap_t(kept, resamples=resamples, seed=seed)
    bounded = np.isfinite(replicates).all(axis=0)
    for location in tested[~bounded]:
        t[location] = np.nan
        reasons[location] = "too few games differ from the others"
    return t, replicates[:, bounded], reasons


def _step_down(
    size: Float64[np.ndarray, " test"], chance: Float64[np.ndarray, "resample test"]
) -> Float64[np.ndarray, " test"]:
    """Westfall and Young's step-down p-values of the maximum (Resampling-Based Multiple Testing,
    1993, algorithm 4.1)."""
    order = np.argsort(-size, kind="stable")
    largest = np.maximum.accumulate(chance[:, order[::-1]], axis=1)[:, ::-1]
    p = ((largest >= size[order]).sum(axis=0) + 1) / (len(chance) + 1)
    adjusted = np.empty(len(size))
    adjusted[order] = np.maximum.accumulate(p)
    return adjusted
