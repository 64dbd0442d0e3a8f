"""Shares of puzzles with Wilson's interval."""

from __future__ import annotations

from scipy.stats import binomtest

__all__ = ["of"]


def of(count: int, total: int) -> dict[str, int | float]:
    """A share and its 95 % interval.

    Example:
        >>> {name: round(value, 2) for name, value in of(3, 12).items()}
        {'n': 3, 'total': 12, 'share': 0.25, 'low': 0.09, 'high': 0.53}
    """
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return {
        "n": count,
        "total": total,
        "share": count / total,
        "low": float(interval.low),
        "high": float(interval.high),
    }
