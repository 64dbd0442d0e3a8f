"""Figures about controls: how well they are matched, and what is left above each of them."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from leela_probe.figures.drawing import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    add_note,
    require_columns,
    style,
)  # fmt: skip

__all__ = ["above_controls", "love_plot"]

_SHADES = ((BLUE, "o"), (VERMILION, "^"), (GREEN, "s"), (PURPLE, "D"), (ORANGE, "v"))


def love_plot(table: pd.DataFrame, *, bound: float = 0.1) -> Figure:
    """Standardised mean differences of the covariates before and after matching, per control.

    Args:
        table: the columns `control`, `covariate`, `smd_before` and `smd_after`.
        bound: how large a difference is small; the band around 0 is shaded.

    Raises:
        ValueError: if the table has no rows or lacks a column.
    """
    require_columns(table, ["control", "covariate", "smd_before", "smd_after"])
    covariates = list(dict.fromkeys(table["covariate"]))
    height = 1.4 + 0.19 * len(covariates)
    with style():
        figure = Figure(figsize=(COLUMN, height), layout="constrained")
        axes = figure.add_subplot()
        axes.axvspan(-bound, bound, color=GREY, alpha=0.2, linewidth=0)
        axes.axvline(0, color=GREY, linewidth=0.6)
        places = {name: -place for place, name in enumerate(covariates)}
        for (name, rows), (colour, marker) in zip(
            table.groupby("control", sort=False), cycle(_SHADES)
        ):
            heights = rows["covariate"].map(places)
            axes.plot(
                rows["smd_before"], heights, marker, color=colour, markerfacecolor="none", alpha=0.6
            )
            axes.plot(rows["smd_after"], heights, marker, color=colour, label=_words(str(name)))
        axes.set_yticks(list(places.values()), [_words(name) for name in covariates])
        axes.set_xlabel("standardised mean difference")
        figure.legend(loc="outside upper center", ncols=2)
        add_note(figure, f"open: before matching; filled: after; grey: within ±{bound:g}")
    return figure


def above_controls(table: pd.DataFrame, *, unit: str = "nats") -> Figure:
    """The target's effect minus each control's over layers, with intervals side by side.

    Args:
        table: the columns `control`, `layer`, `estimate`, `low`, `high`, `n` and `interval`.
        unit: of the effect.

    Raises:
        ValueError: if the table has no rows or lacks a column.
    """
    require_columns(table, ["control", "layer", "estimate", "low", "high", "n", "interval"])
    table = table[table["n"] > 0]
    names = list(dict.fromkeys(table["control"]))
    with style():
        figure = Figure(figsize=(COLUMN, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=BLACK, linewidth=0.6, zorder=0)
        for place, (name, (colour, marker)) in enumerate(zip(names, cycle(_SHADES), strict=False)):
            rows = table[table["control"] == name].sort_values("layer")
            aside = 0.12 * (place - (len(names) - 1) / 2)
            estimate = rows["estimate"].to_numpy(float)
            ends = rows[["low", "high"]].to_numpy(float)
            axes.errorbar(
                rows["layer"].to_numpy(float) + aside,
                estimate,
                yerr=np.abs(ends.T - estimate),
                fmt=marker,
                color=colour,
                elinewidth=0.8,
                label=f"{_words(name)} (n = {int(rows['n'].max()):,})",
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("layer")
        axes.set_ylabel(f"third target minus control ({unit})")
        figure.legend(loc="outside upper center", ncols=2)
        add_note(figure, "\n".join(dict.fromkeys(table["interval"].dropna())))
    return figure


def _words(name: str) -> str:
    return name.replace("_", " ").replace("=", ": ")
