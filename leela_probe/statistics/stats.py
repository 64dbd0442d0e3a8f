"""Tables of estimates with intervals out of the long effects table.

Effects are positive where an intervention hurts the move, in the unit of the measure (log odds in
nats). Every table says in `interval` what its `low` and `high` are and in `reason` why they are
missing; quantiles of puzzles stand in columns of their own and are no intervals. Comparisons and
tests are in `comparisons`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int64

from leela_probe.puzzles.target_patterns import first_and_third_differ
from leela_probe.statistics.intervals import (
    Estimates,
    mean_intervals,
    quantile_intervals,
    share_intervals,
    trimmed_mean_interval,
)
from leela_probe.statistics.observations import observe, per_puzzle

__all__ = [
    "PERCENTILES",
    "exclusion_flow",
    "flow_text",
    "layer_curves",
    "percentile_curves",
    "summarise",
    "target_pattern_effects",
]

PERCENTILES: tuple[float, ...] = tuple(
    sorted({float(p) for p in range(1, 100)} | {round(94 + 0.1 * step, 1) for step in range(60)})
)
"""1, 2, ..., 99 and, for the zoom, 94.0, 94.1, ..., 99.9."""


def summarise(
    effects: pd.DataFrame,
    *,
    by: Sequence[str],
    value: str = "effect",
    statistic: str = "mean",
    trim: float = 0.2,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """One estimate with its interval at each location.

    Args:
        effects: the effects table, with one row per puzzle at each location.
        by: columns that make a location.
        value: the column to take.
        statistic: "mean", "median", "trimmed mean", or "share" of values between 0 and 1.
        trim: for the trimmed mean, the share cut off at each end.
        confidence: between 0 and 1.
        resamples: bootstrap resamples over games.
        seed: of the draws.

    Returns:
        Columns `by`, statistic, n (puzzles), clusters (games), missing, estimate, low, high,
        interval, reason.

    Raises:
        ValueError: as in `observations.observe`, and for an unknown statistic.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> effects = lp.measure(network, pairs[:20], lp.sweeps.heads(network))
        >>> table = lp.summarise(effects, by=["layer", "head"])
        >>> table[["estimate", "low", "high", "n"]].shape
        (16, 4)
    """
    observations = observe(effects, by=by, value=value)
    keys = observations.keys.assign(statistic=statistic)
    if statistic == "mean":
        estimates = mean_intervals(
            observations.sums(), confidence=confidence, resamples=resamples, seed=seed
        )
        return _table(keys, estimates, observations.missing)
    if statistic == "share":
        estimates = share_intervals(observations.sums(), confidence=confidence)
        return _table(keys, estimates, observations.missing)
    if statistic not in ("median", "trimmed mean"):
        raise ValueError(
            f"statistic is {statistic!r}: give 'mean', 'median', 'trimmed mean' or 'share'"
        )
    cut = 0.5 if statistic == "median" else trim
    found = []
    for location in range(len(observations.keys)):
        values, clusters = observations.at(location)
        found.append(
            trimmed_mean_interval(
                values, clusters, trim=cut, confidence=confidence, resamples=resamples, seed=seed
            )
        )
    name = statistic if statistic == "median" else f"{100 * trim:g} % trimmed mean"
    return observations.keys.assign(
        statistic=name,
        n=[one.n for one in found],
        clusters=[one.clusters for one in found],
        missing=observations.missing,
        estimate=[one.value for one in found],
        low=[one.low for one in found],
        high=[one.high for one in found],
        interval=[one.interval for one in found],
        reason=pd.Series([one.reason for one in found], dtype=object),
    )


def layer_curves(
    effects: pd.DataFrame,
    *,
    squares: str = "mean",
    draws: int | pd.Series = 1,
    value: str = "effect",
    quantiles: Sequence[float] = (0.05, 0.25, 0.75, 0.95),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean effect per layer and category of squares, with its interval and quantiles of puzzles.

    Args:
        effects: the effects table of one sweep with layer and category; rows without a category
            are an error, so that none goes missing unseen.
        squares: "mean", "max" or "expected max", for several squares of one category and puzzle.
        draws: for "expected max", see `observations.per_puzzle`.
        value: the column to take.
        quantiles: of puzzles, shown as such.
        confidence: between 0 and 1.
        resamples: bootstrap resamples over games.
        seed: of the draws.

    Returns:
        Columns layer, category, squares ("mean", "max", "expected max"), then as in `summarise`,
        and one column a quantile: q05, q25, q75, q95.
    """
    if "category" in effects.columns and effects["category"].isna().any():
        count = int(effects["category"].isna().sum())
        raise ValueError(
            f"{count} rows have no category: give them one ('other') or leave them out"
        )
    each = per_puzzle(effects, value=value, squares=squares, draws=draws)
    observations = observe(each, by=("layer", "category"), value=value)
    estimates = mean_intervals(
        observations.sums(), confidence=confidence, resamples=resamples, seed=seed
    )
    keys = observations.keys.assign(squares=squares, statistic="mean")
    table = _table(keys, estimates, observations.missing)
    order = np.argsort(observations.locations, kind="stable")
    parts = np.split(
        observations.values[order],
        np.cumsum(np.bincount(observations.locations, minlength=len(table)))[:-1],
    )
    for level in quantiles:
        if not 0 < level < 1:
            raise ValueError(f"quantile {level}: give levels between 0 and 1, both excluded")
        found = [np.quantile(part, level) if part.size else np.nan for part in parts]
        table[f"q{100 * level:0>2g}"] = np.array(found, dtype=np.float64)
    return table


def percentile_curves(
    effects: pd.DataFrame,
    *,
    by: Sequence[str],
    value: str = "effect",
    percentiles: Sequence[float] = PERCENTILES,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Percentiles of the effect over puzzles with distribution-free intervals (E3).

    Each curve is sorted on its own: that one lies above another says nothing about single puzzles
    (W13); `comparisons.paired` does.

    Args:
        effects: one row per puzzle and curve.
        by: columns that name the curve.
        value: the column to take.
        percentiles: between 0 and 100, both excluded.
        confidence: between 0 and 1, for each percentile by itself.

    Returns:
        Columns `by`, percentile, n, clusters, missing, estimate, low, high, interval, reason; an
        infinite end is one that the sample does not bound.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> effects = lp.measure(network, pairs[:20], lp.sweeps.heads(network))
        >>> curves = lp.percentile_curves(effects, by=["layer", "head"], percentiles=[25.0, 50.0])
        >>> len(curves)  # two for each of 16 heads
        32
    """
    observations = observe(effects, by=by, value=value)
    levels = np.asarray(percentiles, dtype=np.float64)
    if levels.size == 0 or levels.min() <= 0 or levels.max() >= 100:
        raise ValueError("percentiles must lie between 0 and 100, both excluded")
    tables = []
    for location in range(len(observations.keys)):
        values, clusters = observations.at(location)
        found = quantile_intervals(values, clusters, (levels / 100).tolist(), confidence=confidence)
        key = observations.keys.iloc[[location] * len(levels)].reset_index(drop=True)
        key["percentile"] = levels
        tables.append(_table(key, found, observations.missing[location]))
    return pd.concat(tables, ignore_index=True)


def target_pattern_effects(
    effects: pd.DataFrame,
    *,
    value: str = "effect",
    minimum: int = 50,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean effect per target pattern, for a forest plot (W4, W19).

    Args:
        effects: one row per puzzle, with its target pattern.
        value: the column to take.
        minimum: patterns with fewer puzzles are pooled into one row.
        confidence: between 0 and 1.
        resamples: bootstrap resamples over games.
        seed: of the draws.

    Returns:
        Columns target_pattern, kind, then as in `summarise`. Kinds: "all" (every puzzle),
        "headline" (first and third target differ), "target_pattern" (one row each, most
        puzzles first), "pooled".
    """
    if "target_pattern" in effects.columns and effects["target_pattern"].isna().any():
        raise ValueError(
            f"{int(effects['target_pattern'].isna().sum())} rows have no target pattern: label "
            "every puzzle"
        )
    observe(effects, by=(), value=value)
    patterns = effects["target_pattern"].astype(str)
    counts = patterns.value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    large = [name for name in counts.index if counts[name] >= minimum]
    rare = [name for name in counts.index if counts[name] < minimum]
    apart = patterns.map(first_and_third_differ).astype(bool)
    parts: list[tuple[str, str, pd.Series]] = [
        ("all puzzles", "all", patterns.notna()),
        ("1st target ≠ 3rd target", "headline", apart),
        *((name, "target_pattern", patterns == name) for name in large),
        (f"{len(rare)} rarer patterns", "pooled", patterns.isin(rare)),
    ]
    tables = []
    for name, kind, chosen in parts:
        if chosen.any():
            row = summarise(
                effects[chosen],
                by=(),
                value=value,
                confidence=confidence,
                resamples=resamples,
                seed=seed,
            )
            row.insert(0, "target_pattern", name)
            row.insert(1, "kind", kind)
            tables.append(row)
    return pd.concat(tables, ignore_index=True)


def exclusion_flow(reasons: pd.Series, order: Sequence[str]) -> pd.DataFrame:
    """How many puzzles each reason took out, in the order in which they were tried (W3).

    Args:
        reasons: one entry a puzzle: the first reason against it, missing where it was kept.
        order: all reasons, in the order of the steps; a reason that took none is listed with 0.

    Returns:
        Columns step, reason, excluded, remaining; step 0 is the start with reason "puzzles".

    Raises:
        ValueError: for a reason that is not in `order`, and for one that is in it twice.

    Example:
        >>> print(flow_text(exclusion_flow(pd.Series(["easy", None, "easy"]), ["easy", "wrong"])))
        puzzles   3
        - easy    2   1 left
        - wrong   0   1 left
    """
    if len(set(order)) != len(order):
        raise ValueError(f"a reason stands twice in order: {list(order)}")
    counts = reasons.value_counts()
    unknown = [str(name) for name in counts.index if name not in set(order)]
    if unknown:
        raise ValueError(f"reason {unknown[0]!r} is not in order: it has {', '.join(order)}")
    excluded = np.array([0, *(int(counts.get(name, 0)) for name in order)], dtype=np.int64)
    return pd.DataFrame(
        {
            "step": np.arange(len(excluded)),
            "reason": ["puzzles", *order],
            "excluded": excluded,
            "remaining": len(reasons) - np.cumsum(excluded),
        }
    )


def flow_text(flow: pd.DataFrame) -> str:
    """The table of `exclusion_flow` as lines of text."""
    names = [f"- {reason}" for reason in flow["reason"]]
    names[0] = str(flow["reason"].iloc[0])
    width = max(map(len, names))
    digits = len(f"{int(flow['remaining'].max()):,}") + 3
    lines = [f"{names[0]:{width}}{int(flow['remaining'].iloc[0]):>{digits},}"]
    for name, row in zip(names[1:], flow.iloc[1:].itertuples(), strict=True):
        lines.append(f"{name:{width}}{row.excluded:>{digits},}{row.remaining:>{digits},} left")
    return "\n".join(lines)


def _table(
    keys: pd.DataFrame, estimates: Estimates, missing: np.int64 | Int64[np.ndarray, " location"]
) -> pd.DataFrame:
    table = keys.assign(**estimates.columns())
    table.insert(table.columns.get_loc("estimate"), "missing", missing)
    return table
