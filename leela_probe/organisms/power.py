"""How often so many puzzles would have been enough to find what is planted.

Stands on `statistics.resampling`; loads without torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from leela_probe.statistics.resampling import ClusterSums, sign_flip_t

__all__ = ["LEVEL", "SIZES", "estimate", "rank"]

SIZES = (10, 20, 50, 100, 200)
"""Numbers of puzzles that power is reported at."""

LEVEL = 0.05
"""Family-wise level of every test."""

_DRAWS, _FLIPS = 20, 499


def rank(means: Float64[np.ndarray, " location"], true: Sequence[int]) -> int:
    """The place of the worst of the true locations, 1 being the largest mean; ties are theirs.

    Example:
        >>> rank(np.array([0.0, 3.0, 1.0]), [1]), rank(np.array([0.0, 3.0, 1.0]), [1, 0])
        (1, 3)
    """
    worst = min(means[index] for index in true)
    others = np.delete(means, list(true))
    return len(true) + int((others > worst).sum())


def estimate(
    table: pd.DataFrame,
    true: Sequence[str],
    *,
    size: int,
    share: float = 1.0,
    draws: int = _DRAWS,
    seed: int = 0,
) -> float:
    """Share of random sets of puzzles in which every true location is ahead and significant.

    The test is that of random signs, one-sided, corrected by the maximum of t in a single step.

    Args:
        table: of a `contrasts.Contrast`.
        true: the planted locations.
        size: puzzles in a set, drawn without putting back; NaN comes back if there are fewer.
        share: of the puzzles of a set, those that have the planted effect at all. Every other one
            is given the effect 0 everywhere, which planted networks have on a placebo.
        draws: how many sets.
        seed: of the draws.
    """
    wide = table.pivot(index="puzzle_id", columns="location", values="effect")
    values = wide.to_numpy(dtype=np.float64)
    places = [list(wide.columns).index(name) for name in true]
    if size > len(values):
        return float("nan")
    rng = np.random.default_rng(seed)
    hits = 0
    for draw in range(draws):
        drawn = values[rng.permutation(len(values))[:size]]
        drawn = drawn * (rng.permutation(size) < round(share * size))[:, None]
        sums = ClusterSums(sums=drawn, counts=np.ones((size, 1)))
        t, flipped = sign_flip_t(sums, flips=_FLIPS, seed=seed + draw)
        above = (flipped.max(axis=1) >= t[places].min()).sum()
        ahead = rank(sums.means, places) == len(true)
        hits += bool(ahead and (above + 1) / (_FLIPS + 1) <= LEVEL)
    return hits / draws
