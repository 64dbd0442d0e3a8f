"""One number a puzzle at each location: what every statistic here is taken over.

The effects table has a row per puzzle and intervention. A location is what a statistic is reported
for (a layer and a head, a layer and a category of squares); a puzzle must have one value at each,
or its squares would count as if they were puzzles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from leela_probe.statistics import overlaps
from leela_probe.statistics.resampling import ClusterSums, add_up, cluster_codes

__all__ = [
    "NormalisedEffects",
    "Observations",
    "expected_maximum",
    "normalise",
    "observe",
    "per_puzzle",
]

_ONE_KIND = ("measure", "direction", "sweep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """Finite values in rows, with the codes of their location and cluster.

    Attributes:
        keys: one row a location, with the columns it was grouped by.
        values: value of each row.
        locations: row number in `keys`.
        clusters: number of the game, or of the puzzle where it has no game.
        puzzles: number of the puzzle.
        missing: how many values were NaN at each location, and are left out.
    """

    keys: pd.DataFrame
    values: Float64[np.ndarray, " row"]
    locations: Int64[np.ndarray, " row"]
    clusters: Int64[np.ndarray, " row"]
    puzzles: Int64[np.ndarray, " row"]
    missing: Int64[np.ndarray, " location"]

    def sums(self) -> ClusterSums:
        """The cluster sums of every location."""
        return add_up(self.values, self.clusters, self.locations, n_locations=len(self.keys))

    def at(self, location: int) -> tuple[Float64[np.ndarray, " row"], Int64[np.ndarray, " row"]]:
        """Values and clusters of one location."""
        rows = self.locations == location
        return self.values[rows], self.clusters[rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedEffects:
    """Effects over the gap between the clean and the corrupted run, where it is wide enough.

    Attributes:
        table: the kept rows with the added columns `gap` (clean - corrupted) and `normalised`,
            (changed - corrupted) / gap: 1 = as clean, 0 = as corrupted.
        kept: number of puzzles kept.
        narrow: number of puzzles left out because their gap is not above `minimum_gap`.
        missing: number of puzzles left out because the clean or corrupted value is missing.
        minimum_gap: in the unit of the measure.
    """

    table: pd.DataFrame
    kept: int
    narrow: int
    missing: int
    minimum_gap: float


def observe(effects: pd.DataFrame, *, by: Sequence[str], value: str = "effect") -> Observations:
    """The values of one column, one per puzzle at each location.

    Args:
        effects: rows with `puzzle_id`, `game_id`, the columns `by` and `value`. A square of several
            categories counts once, see `overlaps`.
        by: columns that make a location; none of them for a single location.
        value: the column to take; NaN rows are counted as missing.

    Raises:
        ValueError: for an empty table, a column that is not there, an infinite value, a table
            that mixes measures, directions or sweeps, and a puzzle with several values at one
            location.
    """
    by = list(by)
    effects = overlaps.single(effects) if "category" in by else effects
    _require(effects, ["puzzle_id", "game_id", value, *by])
    for column in _ONE_KIND:
        if column in effects.columns and column not in by:
            kinds = list(effects[column].dropna().unique())
            if len(kinds) > 1:
                raise ValueError(
                    f"the table mixes {len(kinds)} values of {column!r} ({kinds[0]!r}, "
                    f"{kinds[1]!r}, ...): keep one, or put {column!r} into `by`"
                )
    if by:
        groups = effects.groupby(by, dropna=False, sort=True, observed=True)
        locations = groups.ngroup().to_numpy(dtype=np.int64)
        first = np.unique(locations, return_index=True)[1]
        keys = effects[by].iloc[first].reset_index(drop=True)
    else:
        locations = np.zeros(len(effects), np.int64)
        keys = pd.DataFrame(index=range(1))
    puzzles, names = pd.factorize(effects["puzzle_id"])
    clusters = cluster_codes(effects["puzzle_id"], effects["game_id"])
    twice = pd.Series(puzzles.astype(np.int64) * len(keys) + locations).duplicated().to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        where = ", ".join(f"{name}={keys[name].iloc[locations[row]]}" for name in by)
        raise ValueError(
            f"puzzle {names[puzzles[row]]!r} has several rows at one location "
            f"({where or 'the whole table'}): add the column that tells them apart to `by`, or "
            "take one value a puzzle first with `per_puzzle`"
        )
    values = effects[value].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(
            f"puzzle {names[puzzles[row]]!r} has {value} = {values[row]}: an infinite value has no "
            "mean; leave the puzzle out with a reason or use a measure that stays finite"
        )
    finite = ~np.isnan(values)
    return Observations(
        keys=keys,
        values=values[finite],
        locations=locations[finite],
        clusters=clusters[finite],
        puzzles=puzzles[finite].astype(np.int64),
        missing=np.bincount(locations[~finite], minlength=len(keys)).astype(np.int64),
    )


def per_puzzle(
    effects: pd.DataFrame,
    *,
    by: Sequence[str] = ("layer", "category"),
    value: str = "effect",
    squares: str = "mean",
    draws: int | pd.Series = 1,
) -> pd.DataFrame:
    """One row per puzzle and location, its squares taken together.

    A maximum over many squares is large by chance alone, so a maximum over a few cannot be held
    against it (W1, W2). "expected max" is the mean of the maximum over `draws` squares taken at
    random out of those that are there: with `draws` the number of squares of the category that is
    compared, it is what exchangeable squares would give.

    Args:
        effects: the effects table. A square of several categories counts once, see `overlaps`.
        by: columns that make a location.
        value: the column to take; NaN rows are left out, a puzzle with NaN only stays NaN.
        squares: "mean", "max" or "expected max": how the squares of one puzzle become one number.
        draws: for "expected max": a number, or a number per `puzzle_id` (the index).

    Returns:
        Columns puzzle_id, game_id, pattern (where there), measure, direction, sweep (where there),
        `by`, `value`, `squares` (the number of squares), `taken` ("mean", "max", "expected max").

    Raises:
        ValueError: when `draws` is below 1, or lacks a puzzle.

    Example:
        >>> rows = pd.DataFrame({"puzzle_id": "a", "game_id": None, "layer": 3,
        ...     "category": "other", "effect": [0.0, 1.0, 5.0]})
        >>> [round(float(per_puzzle(rows, squares=kind, draws=2)["effect"].iloc[0]), 3)
        ...     for kind in ("mean", "max", "expected max")]
        [2.0, 5.0, 3.667]
    """
    effects = overlaps.single(effects) if "category" in by else effects
    _require(effects, ["puzzle_id", "game_id", value, *by])
    if squares not in ("mean", "max", "expected max"):
        raise ValueError(f"squares is {squares!r}: give 'mean', 'max' or 'expected max'")
    kept = [name for name in ("game_id", "target_pattern", *_ONE_KIND) if name in effects.columns]
    kept = [name for name in kept if name not in by]
    keys = ["puzzle_id", *by, *(name for name in _ONE_KIND if name in kept)]
    groups = effects.groupby(keys, dropna=False, sort=False, observed=True)
    first = groups[[name for name in kept if name not in keys]].first()
    counts = groups[value].count()
    if squares == "mean":
        numbers = groups[value].mean().to_numpy()
    elif squares == "max":
        numbers = groups[value].max().to_numpy()
    else:
        numbers = _expected_maxima(effects, groups.ngroup(), counts, value, draws)
    first[value] = numbers
    table = first.assign(squares=counts, taken=squares).reset_index()
    order = ["puzzle_id", *kept, *by, value, "squares", "taken"]
    return table[order]


def expected_maximum(values: Float64[np.ndarray, " square"], draws: int) -> float:
    """Mean of the largest of `draws` values taken at random without putting back.

    With fewer values than draws it is their maximum. Source: the largest of k out of m is the
    i-th smallest with probability C(i - 1, k - 1) / C(m, k).

    Example:
        >>> round(expected_maximum(np.array([1.0, 2.0, 3.0]), 2), 6)
        2.666667
    """
    from scipy.special import gammaln

    if draws < 1:
        raise ValueError(f"draws is {draws}: give the number of squares to draw, at least 1")
    ordered = np.sort(values)
    m, k = len(ordered), min(draws, len(ordered))
    if m == 0:
        return float("nan")
    rank = np.arange(k, m + 1)
    log_ways = gammaln(rank) - gammaln(k) - gammaln(rank - k + 1)
    log_all = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1)
    weights = np.exp(log_ways - log_all)
    return float(weights @ ordered[k - 1 :] / weights.sum())


def normalise(effects: pd.DataFrame, *, minimum_gap: float | None = None) -> NormalisedEffects:
    """Effects as a share of the gap between clean and corrupted run (W10).

    The same formula serves both directions: (changed - corrupted) / (clean - corrupted).

    Args:
        effects: the effects table with clean, corrupted and changed.
        minimum_gap: smallest gap, itself excluded, in the unit of the measure; 1 nat for log odds.

    Raises:
        ValueError: for a measure other than log odds without `minimum_gap`.
    """
    _require(effects, ["puzzle_id", "measure", "clean", "corrupted", "changed"])
    if minimum_gap is None:
        others = sorted(set(effects["measure"].dropna()) - {"log_odds"})
        if others:
            raise ValueError(
                f"the measure is {others[0]!r}: a gap of 1 is meant for log odds in nats; "
                "give minimum_gap in the unit of the measure"
            )
        minimum_gap = 1.0
    clean, corrupted, changed = (
        effects[name].to_numpy(dtype=np.float64, na_value=np.nan)
        for name in ("clean", "corrupted", "changed")
    )
    gap = clean - corrupted
    known = np.isfinite(gap)
    wide = known & (gap > minimum_gap)
    table = effects.loc[wide].assign(
        gap=gap[wide], normalised=(changed[wide] - corrupted[wide]) / gap[wide]
    )
    puzzles = effects["puzzle_id"]
    kept = set(puzzles[wide])
    narrow = set(puzzles[known]) - kept
    return NormalisedEffects(
        table=table,
        kept=len(kept),
        narrow=len(narrow),
        missing=len(set(puzzles) - kept - narrow),
        minimum_gap=float(minimum_gap),
    )


def _expected_maxima(
    effects: pd.DataFrame,
    group: pd.Series,
    counts: pd.Series,
    value: str,
    draws: int | pd.Series,
) -> Float64[np.ndarray, " group"]:
    if isinstance(draws, pd.Series):
        puzzles = counts.index.get_level_values("puzzle_id")
        lacking = puzzles.difference(draws.index)
        if len(lacking):
            raise ValueError(f"draws has no number for puzzle {lacking[0]!r}: give one for each")
        wanted = draws.reindex(puzzles).to_numpy(dtype=np.int64)
    else:
        wanted = np.full(len(counts), draws, np.int64)
    values = effects[value].to_numpy(dtype=np.float64, na_value=np.nan)
    codes = group.to_numpy(dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    order = order[~np.isnan(values[order])]
    ends = np.cumsum(counts.to_numpy())
    ordered = values[order]
    return np.array(
        [
            expected_maximum(ordered[end - count : end], int(draw))
            for end, count, draw in zip(ends, counts.to_numpy(), wanted, strict=True)
        ],
        dtype=np.float64,
    )


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    lacking = [name for name in columns if name not in table.columns]
    if lacking:
        raise ValueError(
            f"the table has no column {lacking[0]!r}: it needs {', '.join(columns)}, "
            f"and has {', '.join(map(str, table.columns))}"
        )
    if len(table) == 0:
        raise ValueError("the table has no rows: there is nothing to take a statistic of")
