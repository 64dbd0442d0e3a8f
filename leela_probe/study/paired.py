"""Paired differences: an intervention against its control, in the same puzzles.

Two intervals may overlap although the two effects differ clearly puzzle by puzzle, so differences
are judged by these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from leela_probe.statistics import comparisons

__all__ = ["COLUMNS", "difference", "joined"]

COLUMNS = (
    "of", "against", "n", "clusters", "estimate", "low", "high", "interval", "reason", "greater",
    "less", "equal", "sign_p", "wilcoxon_p",
)  # fmt: skip
"""of, against: the effect and what is taken from it. n: puzzles that have both. estimate: mean of
their differences in nats. greater, less, equal: games whose difference is above, below, at 0."""


def difference(
    table: pd.DataFrame, column: str, of: str, against: str, *, resamples: int, seed: int
) -> pd.DataFrame:
    """One row with the paired difference of two kinds of effects; none if no puzzle has both.

    Args:
        table: effects.
        column: says of which kind an effect is.
        of: the kind in question.
        against: its control.
        resamples: bootstrap samples of games.
        seed: of the samples.

    Returns:
        `COLUMNS`.
    """
    first, second = (_each_puzzle(table[table[column] == name]) for name in (of, against))
    if not set(first["puzzle_id"]) & set(second["puzzle_id"]):
        return pd.DataFrame(columns=COLUMNS)
    paired = comparisons.paired(first, second, names=(of, against), resamples=resamples, seed=seed)
    mean = paired.mean
    row = (
        of, against, mean.n, mean.clusters, mean.value, mean.low, mean.high, mean.interval,
        mean.reason, paired.greater, paired.less, paired.equal, paired.sign_p, paired.wilcoxon_p,
    )  # fmt: skip
    return pd.DataFrame([row], columns=COLUMNS)


def joined(parts: Sequence[pd.DataFrame], first: str) -> pd.DataFrame:
    """Tables of `difference` with one column more in front, below each other."""
    filled = [part for part in parts if not part.empty]
    names = [first, *COLUMNS]
    if not filled:
        return pd.DataFrame({name: np.array([], dtype=object) for name in names})
    return pd.concat(filled, ignore_index=True)[names]


def _each_puzzle(table: pd.DataFrame) -> pd.DataFrame:
    """The mean effect of each puzzle over the squares of the kind."""
    known = table[table["effect"].notna()]
    return known.groupby("puzzle_id", as_index=False, observed=True, sort=False).agg(
        game_id=("game_id", "first"), effect=("effect", "mean")
    )
