"""What a study found, a sentence an experiment, out of its tables and never without an interval.

Whether an effect exceeds its control is judged by the paired difference in the same puzzles, never
by whether two intervals overlap (W13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

__all__ = ["found", "number", "percent", "points"]

Tables = Callable[[str], "pd.DataFrame | None"]


def found(tables: Tables) -> dict[str, str]:
    """A sentence for each experiment that has a table, by experiment.

    Args:
        tables: gives a table of the study by its name, None where there is none.
    """
    said = {
        "E1": _residual(tables("plies"), tables("ply_margins")),
        "E2": _heads(tables("heads")),
        "E3": _shares(tables, "entry", "3->1", "zeroing the one entry from the third target to the "
                      "first", "all other entries"),
        "E4": _shares(tables, "piece-heads", "own heads", "hiding the third target from the heads "
                      "that follow its piece", "random column"),
        "E5": _probes(tables("probes")),
    }  # fmt: skip
    return {name: text for name, text in said.items() if text}


def _residual(table: pd.DataFrame | None, margins: pd.DataFrame | None) -> str:
    if table is None or table.empty:
        return ""
    third = table[(table["category"] == "ply3_target") & table["estimate"].notna()]
    if third.empty:
        return ""
    best = third.loc[third["estimate"].idxmax()]
    control = table[(table["category"] == "matched_control") & (table["layer"] == best["layer"])]
    text = (
        f"Corrupting the third move's target, where it is not the first's, lowers the first move's "
        f"log odds by {number(best)} nats at layer {int(best['layer'])}, where it does most (n = "
        f"{int(best['n']):,})"
    )
    if not control.empty:
        text += f"; a matched control square, by {number(control.iloc[0])}"
    if margins is not None:
        text += _difference(margins[margins["layer"] == best["layer"]])
    return text + "."


def _heads(table: pd.DataFrame | None) -> str:
    if table is None or table.empty:
        return ""
    every = table[(table["split"] == "all") & table["estimate"].notna()]
    if every.empty:
        return ""
    best = every.loc[every["estimate"].idxmax()]
    tested = every[every["p_max_t"] < 0.05]
    p = best["p_max_t"]
    clear = "" if pd.isna(p) else (", p < 0.001" if p < 0.001 else f", p = {p:.3f}")
    return (
        f"The head with the largest effect is layer {int(best['layer'])}, "
        f"head {int(best['head'])}: {number(best)} nats{clear} against {len(every)} heads, of "
        f"which {len(tested)} {'differs' if len(tested) == 1 else 'differ'} from 0."
    )


def _shares(tables: Tables, sweep: str, curve: str, deed: str, control: str) -> str:
    table, margins = tables("shares"), tables("ablation_margins")
    if table is None or table.empty:
        return ""
    rows = table[(table["sweep"] == sweep) & (table["targets"] == "differing")]
    own = rows[rows["curve"] == curve]
    mean, above = own[own["threshold"].isna()], own[own["threshold"] == 1.5]
    if mean.empty or above.empty:
        return ""
    other = rows[(rows["curve"] == control) & rows["threshold"].isna()]
    text = (
        f"{deed[0].upper()}{deed[1:]} costs {number(mean.iloc[0])} nats on average, more than 1.5 "
        f"in {percent(above.iloc[0])} of {int(mean.iloc[0]['n']):,} puzzles "
        "whose first and third target differ"
    )
    if not other.empty:
        text += f"; {control}, {number(other.iloc[0])}"
    if margins is not None:
        text += _difference(
            margins[
                (margins["sweep"] == sweep)
                & (margins["targets"] == "differing")
                & (margins["against"] == control)
            ]
        )
    return text + "."


def _probes(table: pd.DataFrame | None) -> str:
    if table is None or table.empty:
        return ""
    every = table[
        (table["kind"] == "joint")
        & (table["ply"] == 3)
        & (table["top"] == 1)
        & (table["subset"] == "differing")
        & (table["instance"] == 0)
    ]
    rows = every[every["against"].fillna("") == ""]
    own = rows[(rows["control"] == "none") & rows["layer"].notna()]
    if own.empty:
        return ""
    best = own.loc[own["accuracy"].idxmax()]
    text = (
        f"Probes read the third move, both squares right, in {percent(best, 'accuracy')} of "
        f"{int(best['n']):,} puzzles whose first and third target differ, at best "
        f"({_place(int(best['layer']))})"
    )
    drawn = rows[(rows["control"] == "random weights") & (rows["layer"] == best["layer"])]
    others = [(row, "random weights at that place") for _, row in drawn.iterrows()]
    for control in ("input planes", "legal moves"):
        flat = rows[rows["control"] == control]
        if not flat.empty:
            others.append((flat.loc[flat["accuracy"].idxmax()], control))
    told = [f"{name} {percent(row, 'accuracy')}" for row, name in others]
    text += f"; {', '.join(told)}" if told else ""
    margin = every[(every["against"] == "random weights") & (every["layer"] == best["layer"])]
    if not margin.empty:
        row = margin.iloc[0]
        text += f". Above random weights, puzzle by puzzle: {points(row)}{_verdict(row)}"
    return text + "."


def _difference(margin: pd.DataFrame) -> str:
    """The paired difference of a table of `margins`, with a test and what it says."""
    if margin.empty:
        return ""
    row = margin.iloc[0]
    p = row["wilcoxon_p"]
    test = "" if pd.isna(p) else f", Wilcoxon p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    return (
        f". In the {int(row['n']):,} puzzles that have both, the difference is {number(row)} nats"
        f"{test}{_verdict(row)}"
    )


def _verdict(difference: pd.Series) -> str:
    """What is to be said of a difference that is not clearly above 0."""
    low, high = difference["low"], difference["high"]
    if pd.isna(low) or low > 0:
        return ""
    return " (clearly less)" if high < 0 else " (no clear difference)"


def number(row: Mapping[str, Any] | pd.Series) -> str:
    """An effect with its interval, with as many decimals as it takes to see it.

    Example:
        >>> number({"estimate": 1.234, "low": 1.0, "high": 1.5})
        '1.23 [1.00, 1.50]'
        >>> number({"estimate": 0.0123, "low": -0.0001, "high": 0.02})
        '0.012 [0.000, 0.020]'
    """
    size = max(abs(row[name]) for name in ("estimate", "low", "high") if row[name] == row[name])
    places = 2 if size >= 0.1 else 3
    text = _rounded(row["estimate"], places)
    if pd.isna(row["low"]):
        return f"{text} [no interval]"
    return f"{text} [{_rounded(row['low'], places)}, {_rounded(row['high'], places)}]"


def percent(row: Mapping[str, Any] | pd.Series, column: str = "estimate") -> str:
    """A share with its interval, in percent."""
    return f"{100 * row[column]:.0f} %{_ends(row)}"


def points(row: Mapping[str, Any] | pd.Series, column: str = "accuracy") -> str:
    """A difference of shares with its interval, in percentage points.

    Example:
        >>> points({"accuracy": 0.5, "low": 0.41, "high": 0.6})
        '50 points [41, 60]'
    """
    return f"{_rounded(100 * float(row[column]), 0)} points{_ends(row)}"


def _ends(row: Mapping[str, Any] | pd.Series) -> str:
    if pd.isna(row["low"]):
        return " [no interval]"
    low, high = (_rounded(100 * float(row[name]), 0) for name in ("low", "high"))
    return f" [{low}, {high}]"


def _rounded(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\u2212")


def _place(layer: int) -> str:
    return "before layer 0" if layer < 0 else f"layer {layer}"
