"""How often so many puzzles are enough to find what is planted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from leela_probe.statistics.resampling import ClusterSums, sign_flip_t

__all__ = ["DRAWS", "LEVEL", "SIZES", "estimate", "rank"]

SIZES = (10, 20, 50, 100, 200)
"""Numbers of puzzles that power is reported at."""

LEVEL = 0.05
"""Family-wise level of every test."""

DRAWS = 100
"""Sets of puzzles that a power is estimated from; its 95 % Wilson interval reaches 0.1 at most."""

_FLIPS = 499


def rank(means: Float64[np.ndarray, " location"], true: Sequence[int]) -> int:
    """The place of the worst of the true locations, 1 being the largest mean.

    Of equal means the others come first: where nothing is seen anywhere the rank is the last.

    Example:
        >>> rank(np.array([0.0, 3.0, 1.0]), [1]), rank(np.array([0.0, 3.0, 1.0]), [1, 0])
        (1, 3)
        >>> rank(np.zeros(3), [1])
        3
    """
    worst = min(means[index] for index in true)
    others = np.delete(means, list(true))
    return len(true) + int((others >= worst).sum())


def estimate(
    table: pd.DataFrame,
    true: Sequence[str],
    *,
    size: int,
    share: float = 1.0,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Share of random sets of puzzles in which every true location is ahead and significant.

    The sets are drawn with putting back, so this estimates the power of so many new puzzles, with
    the given ones standing for all there are. The test is that of random signs, one-sided,
    corrected by the maximum of t in a single step.

    Args:
        table: of a `contrasts.Contrast`.
        true: the planted locations.
        size: puzzles in a set; NaN comes back if there are fewer in the table.
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
        drawn = values[rng.integers(len(values), size=size)]
        drawn = drawn * (rng.permutation(size) < round(share * size))[:, None]
        sums = ClusterSums(sums=drawn, counts=np.ones((size, 1)))
        t, flipped = sign_flip_t(sums, flips=_FLIPS, seed=seed + draw)
        above = (flipped.max(axis=1) >= t[places].min()).sum()
        ahead = rank(sums.means, places) == len(true)
        hits += bool(ahead and (above + 1) / (_FLIPS + 1) <= LEVEL)
    return hits / draws
