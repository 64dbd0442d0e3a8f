"""What stands in words below a figure."""

from __future__ import annotations

import numpy as np

from leela_probe.statistics.comparisons import PairedComparison

__all__ = ["paired"]


def paired(comparison: PairedComparison, *, unit: str = "nats") -> str:
    """Three lines on a paired comparison, for a figure or a page."""
    mean = comparison.mean
    numbers = (mean.low, mean.value, mean.high)
    largest, decimals = max((abs(n) for n in numbers if np.isfinite(n)), default=0.0), 2
    while decimals < 9 and 0 < largest < 10.0 ** (1 - decimals):
        decimals += 1
    low, middle, high = (f"{number:.{decimals}f}" for number in numbers)
    ends = f"[{low}, {high}]" if mean.reason is None else f"({mean.reason})"
    return "\n".join(
        [
            f"Mean difference {middle} {ends} {unit},",
            f"[ ]: {mean.interval}." if mean.reason is None else f"n = {mean.n}.",
            f"Greater in {comparison.greater}, less in {comparison.less} of {mean.clusters} games: "
            f"sign test p = {comparison.sign_p:.2g}.",
        ]
    )
