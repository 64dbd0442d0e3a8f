"""Figures out of a table of probing accuracies; nothing is computed here.

Each function takes the table of `accuracies` and gives back a matplotlib figure, with the number of
puzzles and the name of every band in it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from leela_probe.figures.drawing import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    VERMILION,
    require_columns,
    style,
)

__all__ = ["accuracy_by_layer", "accuracy_panels", "margin_by_layer"]

_NEEDED = ["control", "instance", "against", "site", "layer", "kind", "ply", "top", "subset",
           "accuracy", "low", "high", "n", "interval", "chance"]  # fmt: skip
_FEW_LAYERS = 8  # up to here intervals of margins are bars beside one another, above it bands
_GUESSING = (0, (1, 3))
_Line = str | tuple[int, tuple[int, ...]]
_WHO: dict[str, tuple[str, str, _Line, str]] = {
    "none": ("network", BLUE, "-", "o"),
    "random weights": ("random weights", VERMILION, "--", "s"),
    "control task": ("control task", PURPLE, "-.", "v"),
    "input planes": ("input planes", GREEN, "--", ""),
    "most frequent relation": ("most frequent relation", ORANGE, (0, (6, 1, 1, 1, 1, 1)), ""),
    "legal moves": ("legal moves", SKY, "-.", ""),
}
_TITLES = {
    "target": "target",
    "source": "source, given target",
    "source given predicted target": "source, given predicted target",
    "joint": "target and source",
}


def accuracy_by_layer(
    table: pd.DataFrame,
    *,
    kind: str = "joint",
    ply: int = 3,
    top: int = 1,
    subset: str = "all",
    controls: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Accuracy of the probes over layers beside the controls (Jenner et al. 2024, Figure 8).

    Controls without layers are horizontal lines; random networks are drawn one by one, thin, and
    all of them together.

    Args:
        table: of `accuracies.of_predictions`.
        kind: "target", "source", "source given predicted target" or "joint".
        ply: of the move that was asked about.
        top: the answer is among so many best squares.
        subset: of the puzzles that are tested. The probes are the same for every subset, trained on
            all puzzles, while the paper's appendix trains new ones on each.
        controls: which to draw; all by default.
        title: above the axes.

    Raises:
        ValueError: if the table lacks columns, or holds no such rows.
    """
    rows = _rows(table, kind, ply, top, subset)
    with style():
        figure = Figure(figsize=(COLUMN, 3.4), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, rows, controls)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(f"accuracy: {_ordinal(ply)} move, {_TITLES[kind]}")
        if title is not None:
            axes.set_title(title)
        note = _note(rows, top, subset)
        _legend(figure, axes, note)
    return figure


def accuracy_panels(
    table: pd.DataFrame,
    *,
    ply: int = 3,
    top: int = 1,
    subset: str = "all",
    controls: Sequence[str] | None = None,
) -> Figure:
    """Target, source given the true and the predicted target, and both together, side by side.

    Args:
        table: see `accuracy_by_layer`.
        ply: see `accuracy_by_layer`.
        top: see `accuracy_by_layer`; the panel of both together is for 1 alone.
        subset: see `accuracy_by_layer`.
        controls: see `accuracy_by_layer`.
    """
    kinds = [kind for kind in _TITLES if top == 1 or kind != "joint"]
    with style():
        figure = Figure(figsize=(PAGE, 2.9), layout="constrained")
        panels = figure.subplots(1, len(kinds), sharey=True, sharex=True)
        for axes, kind in zip(panels, kinds, strict=True):
            rows = _rows(table, kind, ply, top, subset)
            _draw(axes, rows, controls)
            axes.set_title(_TITLES[kind])
        panels[0].set_ylim(bottom=0)  # of all of them
        panels[0].set_ylabel(f"accuracy, {_ordinal(ply)} move")
        _legend(figure, panels[0], _note(rows, top, subset), columns=6)
    return figure


def margin_by_layer(
    table: pd.DataFrame,
    *,
    kind: str = "joint",
    ply: int = 3,
    top: int = 1,
    subset: str = "all",
    against: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """How much more often the network's probes are right than each control, on the same puzzles.

    Args:
        table: see `accuracy_by_layer`.
        kind: see `accuracy_by_layer`.
        ply: see `accuracy_by_layer`.
        top: see `accuracy_by_layer`.
        subset: see `accuracy_by_layer`.
        against: which controls; all by default.
        title: above the axes.

    Raises:
        ValueError: if the table lacks columns, or holds no such rows.
    """
    rows = _rows(table, kind, ply, top, subset, margins=True)
    names = [name for name in _WHO if name in set(rows["against"])]
    with style():
        figure = Figure(figsize=(COLUMN, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
        wanted = names if against is None else list(against)
        few = rows["place"].nunique() <= _FEW_LAYERS  # bands over one another would hide curves
        for number, name in enumerate(wanted):
            _, colour, line, marker = _WHO[name]
            some = rows[rows["against"] == name]
            if some.empty:
                raise ValueError(f"no margin over {name!r}: the table has {', '.join(names)}")
            aside = 0.1 * (number - (len(wanted) - 1) / 2) if few else None
            _curve(axes, some, f"over {_WHO[name][0]}", colour, line, marker or "D", aside)
        _layer_axis(axes, rows)
        axes.set_ylabel(f"margin in accuracy\n{_ordinal(ply)} move, {_TITLES[kind]}")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        if title is not None:
            axes.set_title(title)
        _legend(figure, axes, _note(rows, top, subset, chance=False, bars=few))
    return figure


def _rows(
    table: pd.DataFrame, kind: str, ply: int, top: int, subset: str, *, margins: bool = False
) -> pd.DataFrame:
    require_columns(table, _NEEDED)
    if kind not in _TITLES:
        raise ValueError(f"unknown kind {kind!r}: choose {', '.join(_TITLES)}")
    given = table["against"].fillna("").astype(str)
    wanted = (
        (table["kind"] == kind)
        & (table["ply"] == ply)
        & (table["top"] == top)
        & (table["subset"] == subset)
    )
    rows = table[wanted & ((given != "") == margins)].copy()
    if rows.empty:
        raise ValueError(
            f"no rows of {kind}, ply {ply}, top {top}, subset {subset}: the table has plies "
            f"{', '.join(map(str, sorted(set(table['ply']))))} and subsets "
            f"{', '.join(sorted(set(table['subset'])))}"
        )
    rows["place"] = np.where(rows["site"] == "embedding", -1, rows["layer"])
    rows["layered"] = rows["site"].str.startswith("layer") | (rows["site"] == "embedding")
    return rows.sort_values("place")


def _draw(axes: Axes, rows: pd.DataFrame, controls: Sequence[str] | None) -> None:
    present = [name for name in _WHO if name in set(rows["control"])]
    wanted = present if controls is None else ["none", *controls]
    axes.axhline(
        float(rows["chance"].max()), color=BLACK, linewidth=0.6, linestyle=_GUESSING, gid="guessing"
    )
    for name in wanted:
        some = rows[rows["control"] == name]
        if some.empty:
            continue
        label, colour, line, marker = _WHO[name]
        if not some["layered"].any():
            row = some.iloc[0]
            axes.axhline(row["accuracy"], color=colour, linestyle=line, label=label, gid=name)
            if np.isfinite(row["low"]):
                axes.axhspan(row["low"], row["high"], color=colour, alpha=0.15, linewidth=0)
            continue
        for _, each in some[some["instance"] > 0].groupby("instance"):
            axes.plot(each["place"], each["accuracy"], color=colour, linewidth=0.4, alpha=0.6)
        count = int(some["instance"].max())
        together = some[some["instance"] == 0]
        _curve(axes, together, f"{label} ({count})" if count else label, colour, line, marker)
    _layer_axis(axes, rows)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _curve(
    axes: Axes,
    rows: pd.DataFrame,
    label: str,
    colour: str,
    line: _Line,
    marker: str,
    aside: float | None = None,
) -> None:
    """A curve with its intervals as a band, or as bars where it is to stand aside of others."""
    places = rows["place"].to_numpy(float) + (aside or 0.0)
    axes.plot(
        places, rows["accuracy"], color=colour, linestyle=line, marker=marker, label=label,
        gid=label,
    )  # fmt: skip
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    if aside is None:
        axes.fill_between(places, low, high, color=colour, alpha=0.25, linewidth=0)
    else:
        axes.vlines(places, low, high, color=colour, linewidth=0.9, gid="interval")


def _layer_axis(axes: Axes, rows: pd.DataFrame) -> None:
    layered = rows[rows["layered"]]
    axes.set_xlabel("layer")
    if layered.empty:
        return
    last = int(layered["place"].max())
    step = max(1, -(-(last + 1) // 8))
    places = [*range(0, last + 1, step)]
    names = [str(place) for place in places]
    if (layered["place"] == -1).any():
        axes.set_xlabel("layer (E: embedding)")
        places, names = [-1, *places], ["E", *names]
    axes.set_xticks(places, names)
    axes.xaxis.set_minor_locator(MaxNLocator(nbins="auto", integer=True))
    axes.tick_params(which="minor", length=0)


def _note(
    rows: pd.DataFrame, top: int, subset: str, *, chance: bool = True, bars: bool = False
) -> str:
    band = str(rows["interval"].iloc[0])
    counts = f"{int(rows['n'].min()):,}"
    parts = [
        f"{'Bar' if bars else 'Band'}: {band}; where none is drawn, none can be given.",
        f"n = {counts} puzzles",
    ]
    if subset != "all":
        words = {"differing": "1st target ≠ 3rd", "different": "three targets differ"}
        what = words.get(subset, "some of three targets coincide")
        parts[-1] += f" ({what}; probes trained on all)"
    if top > 1:
        parts[-1] += f"; answer among the best {top}"
    if chance:
        parts[-1] += "; dotted: guessing"
    return "\n".join([parts[0], parts[1] + "."])


def _legend(figure: Figure, axes: Axes, note: str, *, columns: int = 2) -> None:
    handles, labels = axes.get_legend_handles_labels()
    width = int(17 * figure.get_figwidth())
    note = "\n".join(textwrap.fill(line, width) for line in note.splitlines())
    lines = -(-len(labels) // columns) + note.count("\n") + 1
    figure.set_figheight(figure.get_figheight() - 0.5 + 0.15 * lines)
    figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=columns,
        columnspacing=1.0,
        handlelength=2.2,
        title=note,
        title_fontsize=7,
        alignment="left",
    )


def _ordinal(ply: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(ply if ply < 20 else ply % 10, "th")
    return f"{ply}{ending}"
