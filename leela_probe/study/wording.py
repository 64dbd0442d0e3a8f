"""Numbers of a study in words: an effect, a share, a difference, each with its interval.

Whether an effect exceeds its control is judged by the paired difference in the same puzzles, never
by whether two intervals overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = [
    "difference", "layer_name", "number", "p_value", "percent", "points", "time", "verdict",
]  # fmt: skip

Row = Mapping[Any, Any] | pd.Series


def number(row: Row) -> str:
    """An effect with its interval, with as many decimals as it takes to see it.

    Example:
        >>> number({"estimate": 1.234, "low": 1.0, "high": 1.5})
        '1.23 [1.00, 1.50]'
        >>> number({"estimate": 0.0123, "low": -0.0001, "high": 0.02})
        '0.012 [0.000, 0.020]'
    """
    given = [row[name] for name in ("estimate", "low", "high") if not pd.isna(row[name])]
    places = 2 if max(map(abs, given)) >= 0.1 else 3
    text = _rounded(row["estimate"], places)
    if pd.isna(row["low"]):
        return f"{text} [no interval]"
    return f"{text} [{_rounded(row['low'], places)}, {_rounded(row['high'], places)}]"


def percent(row: Row, column: str = "estimate") -> str:
    """A share with its interval, in percent."""
    return f"{100 * row[column]:.0f} %{_ends(row)}"


def points(row: Row, column: str = "accuracy") -> str:
    """A difference of shares with its interval, in percentage points.

    Example:
        >>> points({"accuracy": 0.5, "low": 0.41, "high": 0.6})
        '50 points [41, 60]'
    """
    return f"{_rounded(100 * float(row[column]), 0)} points{_ends(row)}"


def p_value(value: float) -> str:
    """A p-value for a table, "" where there is none.

    Example:
        >>> p_value(0.0004), p_value(0.0312), p_value(float("nan"))
        ('< 0.001', '0.031', '')
    """
    if pd.isna(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def difference(rows: pd.DataFrame) -> str:
    """A sentence on the paired difference in the first row of a table of `paired`; "" without."""
    if rows.empty:
        return ""
    row = rows.iloc[0]
    p = row["wilcoxon_p"]
    test = "" if pd.isna(p) else f", Wilcoxon p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    return (
        f". In the {int(row['n']):,} puzzles that have both, the difference is {number(row)} nats"
        f"{test}{verdict(row)}"
    )


def verdict(row: Row) -> str:
    """A remark on a difference that is not clearly above 0; "" if it is, or has no interval."""
    low, high = row["low"], row["high"]
    if pd.isna(low) or low > 0:
        return ""
    return " (clearly less)" if high < 0 else " (no clear difference)"


def layer_name(layer: int) -> str:
    """A place in the residual stream; -1 is before layer 0."""
    return "before layer 0" if layer < 0 else f"layer {layer}"


def time(seconds: float) -> str:
    """A duration.

    Example:
        >>> time(0.2), time(62.0), time(7300.0)
        ('under 1 s', '62 s', '2 h 02 min')
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def _ends(row: Row) -> str:
    if pd.isna(row["low"]):
        return " [no interval]"
    low, high = (_rounded(100 * float(row[name]), 0) for name in ("low", "high"))
    return f" [{low}, {high}]"


def _rounded(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\u2212")
