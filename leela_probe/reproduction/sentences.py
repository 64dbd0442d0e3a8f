"""What a study found, a sentence an experiment, out of its tables and never without an interval.

Stands on no other room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

__all__ = ["found", "number", "percent"]

Tables = Callable[[str], "pd.DataFrame | None"]


def found(tables: Tables) -> dict[str, str]:
    """A sentence for each experiment that has a table, by experiment.

    Args:
        tables: gives a table of the study by its name, None where there is none.
    """
    said = {
        "E1": _residual(tables("plies")),
        "E2": _heads(tables("heads")),
        "E3": _shares(tables("shares"), "entry", "3->1", "zeroing the one entry from the third "
                      "target to the first", "all its other entries"),
        "E4": _shares(tables("shares"), "piece-heads", "own heads", "hiding the third target from "
                      "the heads that follow its piece", "random column"),
        "E5": _probes(tables("probes")),
    }  # fmt: skip
    return {name: text for name, text in said.items() if text}


def _residual(table: pd.DataFrame | None) -> str:
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
        row = control.iloc[0]
        text += f"; a matched control square, by {number(row)}"
        text += _verdict(best, row)
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


def _shares(table: pd.DataFrame | None, sweep: str, curve: str, deed: str, control: str) -> str:
    if table is None or table.empty:
        return ""
    rows = table[(table["sweep"] == sweep) & (table["targets"] == "differing")]
    own = rows[rows["curve"] == curve]
    mean, above = own[own["threshold"].isna()], own[own["threshold"] == 1.5]
    if mean.empty or above.empty:
        return ""
    name = "all other entries" if sweep == "entry" else control
    other = rows[(rows["curve"] == name) & rows["threshold"].isna()]
    text = (
        f"{deed[0].upper()}{deed[1:]} costs {number(mean.iloc[0])} nats on average, more than 1.5 "
        f"in {percent(above.iloc[0])} of {int(mean.iloc[0]['n']):,} puzzles "
        "whose first and third target differ"
    )
    if not other.empty:
        text += f"; {control}, {number(other.iloc[0])}"
    return text + "."


def _probes(table: pd.DataFrame | None) -> str:
    if table is None or table.empty:
        return ""
    rows = table[
        (table["kind"] == "joint")
        & (table["ply"] == 3)
        & (table["top"] == 1)
        & (table["subset"] == "differing")
        & (table["against"].fillna("") == "")
        & (table["instance"] == 0)
    ]
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
    return text + (_verdict(best, drawn.iloc[0]) if len(drawn) else "") + "."


def _verdict(one: pd.Series, other: pd.Series) -> str:
    if pd.isna(one["low"]) or pd.isna(other["high"]):
        return ""
    return "" if one["low"] > other["high"] else " (no clear difference: the intervals overlap)"


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
    text = f"{100 * row[column]:.0f} %"
    if pd.isna(row["low"]):
        return f"{text} [no interval]"
    return f"{text} [{_rounded(100 * row['low'], 0)}, {_rounded(100 * row['high'], 0)}]"


def _rounded(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\u2212")


def _place(layer: int) -> str:
    return "before layer 0" if layer < 0 else f"layer {layer}"
