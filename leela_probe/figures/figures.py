"""Figures out of the tables of `stats` and `comparisons`; nothing is computed here but positions.

Each function takes one tidy table and gives back a matplotlib figure of the width of a column or a
page, with units, numbers of puzzles and the name of every band in it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import cycle, product

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    YELLOW,
    add_note,
    require_columns,
    signed,
    style,
)

__all__ = [
    "category_words",
    "exclusion_flow",
    "forest",
    "head_map",
    "layer_curves",
    "paired_scatter",
    "percentile_curves",
]

_CATEGORIES: Mapping[str, tuple[str, str, str]] = {
    "corrupted": (GREEN, "-", "s"),
    "ply1_target": (BLUE, "-", "o"),
    "ply1_source": (BLUE, ":", "o"),
    "ply2_target": (PURPLE, "--", "v"),
    "ply2_source": (PURPLE, ":", "v"),
    "ply3_target": (VERMILION, "-", "^"),
    "ply3_source": (VERMILION, ":", "^"),
    "ply4_target": (YELLOW, "--", "<"),
    "ply5_target": (ORANGE, "-", "D"),
    "ply7_target": (SKY, "-", "P"),
    "corrupted_favourite": (BLACK, "-.", "x"),
    "matched_control": (BLACK, "--", "+"),
    "other": (GREY, "-", "."),
}
_FEW_LAYERS = 8  # up to here intervals are bars beside one another, above it bands
_LINES = ("-", "--", "-.", ":")
_SPARE = ((SKY, "-.", "*"), (ORANGE, "-.", "h"), (GREEN, "-.", "p"), (PURPLE, "-.", "X"))


def category_words(name: str) -> str:
    """The name of a category of squares or of a head as it stands in figures; other names stay.

    Example:
        >>> category_words("ply3_target"), category_words("matched_control"), category_words("a_b")
        ('3rd move target', 'matched control', 'a_b')
        >>> category_words("2.7"), category_words("L2H7"), category_words("embedding")
        ('layer 2, head 7', 'layer 2, head 7', 'embedding')
    """
    head = re.fullmatch(r"L?(\d+)(?:\.|H)(\d+)", name)
    if head is not None:
        return f"layer {head[1]}, head {head[2]}"
    ply = re.fullmatch(r"ply(\d+)_(target|source)", name)
    if ply is not None:
        number = int(ply[1])
        ending = {1: "st", 2: "nd", 3: "rd"}.get(number if number < 20 else number % 10, "th")
        return f"{number}{ending} move {ply[2]}"
    return name.replace("_", " ") if name in _CATEGORIES else name


def layer_curves(
    table: pd.DataFrame,
    *,
    unit: str = "nats",
    what: str = "log-odds reduction",
    categories: Sequence[str] | None = None,
    quantiles: tuple[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Mean effect over layers, a curve for each category of squares.

    Intervals are bars beside one another where there are few layers, else bands. The embedding,
    which has no layer, stands before the first.

    Args:
        table: of `stats.layer_curves`.
        unit: of the effect.
        what: name of the effect.
        categories: which to draw, in this order; all of them when None.
        quantiles: two quantile columns to draw as a second, lighter band, ("q25", "q75").
        title: above the axes.

    Raises:
        ValueError: for a category that the table does not have.
    """
    require_columns(
        table, ["layer", "category", "estimate", "low", "high", "n", "interval", "squares"]
    )
    present = list(dict.fromkeys(table["category"]))
    known = [name for name in _CATEGORIES if name in present]
    wanted = [*known, *(n for n in present if n not in known)] if categories is None else categories
    spare = cycle(_SPARE)
    before = bool(table["layer"].isna().any())
    table = table.assign(layer=_positions(table["layer"]))
    drawn = table[table["category"].isin(wanted)]
    alike = drawn["n"].nunique() == 1
    with style():
        figure = Figure(figsize=(COLUMN, 3.5), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
        few = drawn["layer"].nunique() <= _FEW_LAYERS
        for place, name in enumerate(wanted):
            rows = table[table["category"] == name].sort_values("layer")
            if rows.empty:
                raise ValueError(f"no category {name!r}: the table has {', '.join(present)}")
            colour, line, marker = _CATEGORIES.get(name) or next(spare)
            layers = rows["layer"].to_numpy(dtype=float)
            aside = 0.05 * (place - (len(wanted) - 1) / 2) if few else 0.0
            axes.plot(
                layers + aside,
                rows["estimate"],
                color=colour,
                linestyle=line,
                marker=marker,
                label=_category_label(name, rows["squares"].iloc[0])
                + ("" if alike else f", n = {_range(rows['n'])}"),
                gid=name,
            )
            low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
            if few:  # bands over one another would hide the curves
                axes.vlines(layers + aside, low, high, color=colour, linewidth=0.9, gid="interval")
            else:
                axes.fill_between(layers, low, high, color=colour, alpha=0.3, linewidth=0)
            if quantiles is not None:
                ends = [rows[column].to_numpy(float) for column in quantiles]
                axes.fill_between(layers, *ends, color=colour, alpha=0.1, linewidth=0)
        axes.set_xlabel("layer")
        axes.set_ylabel(f"mean {what} ({unit})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        first, last = int(drawn["layer"].min()), int(drawn["layer"].max())
        if before:
            axes.set_xlabel("layer" if last > first else "")
            step = 1 if last - first <= 12 else 2
            clear = first + 0.16 * (last - first)  # of the word at the first place
            numbered = [n for n in range(first + 1, last + 1) if n >= clear and n % step == 0]
            axes.set_xticks([first, *numbered], ["embedding", *map(str, numbered)])
        room = 0.03 * (last - first) + 0.025 * few * len(wanted) or 0.5
        axes.set_xlim(first - room, last + room)
        if title is not None:
            axes.set_title(title)
        drawn_as = "Bar" if few else "Band"
        note = f"{drawn_as}: {table['interval'].iloc[0]}."
        if bool(drawn["low"].isna().any()):
            note += f"\nNo {drawn_as.lower()}: no interval can be given there."
        if quantiles is not None:
            light = "Band" if few else "Light band"
            note += f"\n{light}: {_percent(quantiles)} quantiles of puzzles."
        if alike:
            note += f"\nn = {_puzzles(drawn['n'])}."
        longest = max(len(str(text)) for text in axes.get_legend_handles_labels()[1])
        columns = 2 if len(wanted) > 3 and longest < 27 else 1
        lines = -(-len(wanted) // columns) + note.count("\n") + 1
        figure.set_figheight(2.7 + 0.15 * lines)
        figure.legend(
            loc="outside lower left",
            ncols=columns,
            columnspacing=1.0,
            handlelength=2.2,
            title=note,
            title_fontsize=7,
            alignment="left",
        )
    return figure


def head_map(
    table: pd.DataFrame,
    *,
    unit: str = "nats",
    what: str = "log-odds reduction",
    top: int = 5,
    p: str | None = None,
    title: str | None = None,
) -> Figure:
    """Mean effect of every head as a colour, the `top` largest (by size) numbered and listed.

    Args:
        table: of `comparisons.family` or `stats.summarise` with layer and head.
        unit: of the effect.
        what: name of the effect.
        top: how many heads to list.
        p: a column of p-values to list beside them, such as "p_max_t"; where there is none, the
            column `reason` says why.
        title: above the axes.
    """
    require_columns(table, ["layer", "head", "estimate", "n", *([p] if p else [])])
    layers, heads = table["layer"].to_numpy(int), table["head"].to_numpy(int)
    grid = np.full((heads.max() + 1, layers.max() + 1), np.nan)
    grid[heads, layers] = table["estimate"].to_numpy(float)
    limit = float(np.nanmax(np.abs(grid), initial=0.0)) or 1.0
    order = table["estimate"].abs().sort_values(ascending=False, kind="stable").index[:top]
    order = [i for i in order if re.search("[1-9]", signed(table.loc[i, "estimate"], limit))]
    with style():
        height = 1.4 + max(0.115 * len(grid), 1.6) + 0.13 * len(order)
        figure = Figure(figsize=(COLUMN, height), layout="constrained")
        axes = figure.add_subplot()
        colours = mpl.colormaps["RdBu_r"].with_extremes(bad="#BBBBBB")
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(grid),
            cmap=colours,
            norm=TwoSlopeNorm(0, -limit, limit),
            edgecolors="#DDDDDD",
            linewidth=0.2,
        )
        for axis, size in ((axes.xaxis, grid.shape[1]), (axes.yaxis, grid.shape[0])):
            step = 1 if size <= 12 else 2 if size <= 24 else 4
            axis.set_ticks(np.arange(0, size, step) + 0.5, np.arange(0, size, step))
            axis.set_tick_params(length=0)
        axes.set(xlabel="layer", ylabel="head")
        lines, bounded, tested = [], False, False
        for rank, index in enumerate(order, 1):
            row = table.loc[index]
            x, y, size = int(row["layer"]), int(row["head"]), float(row["estimate"])
            axes.text(
                x + 0.5,
                y + 0.46,
                str(rank),
                ha="center",
                va="center",
                fontsize=7,
                fontweight="bold",
                color="white" if abs(size) > 0.55 * limit else "black",
            )
            line = f"{rank}  layer {x}, head {y}: {signed(size, limit)}"
            if {"low", "high"} <= set(table.columns) and np.isfinite(row["low"]):
                line += f" [{signed(row['low'], limit)}, {signed(row['high'], limit)}]"
                bounded = True
            if p and not np.isnan(row[p]):
                line += f", {_p_text(float(row[p]))}"
                tested = True
            lines.append(line)
        bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
        bar.set_label(f"mean {what} ({unit})")
        bar.outline.set_linewidth(0.4)
        axes.set_title(title if title is not None else f"n = {_puzzles(table['n'])}")
        if bounded:
            lines.append(f"[ ]: {table['interval'].iloc[0]}")
        if tested:
            lines.append(f"p: {_P_NAMES.get(p or '', p)}")
        if p:
            shown = table if table[p].isna().all() else table.loc[order]
            lines += _no_test(shown[shown[p].isna()])
        if bool(np.isnan(grid).any()):
            lines.append("grey: no value")
        add_note(figure, "\n".join(lines))
    return figure


def percentile_curves(
    table: pd.DataFrame,
    *,
    curve: str,
    unit: str = "nats",
    what: str = "log-odds reduction",
    zoom: tuple[float, float] = (94.0, 100.0),
    bottom: float | None = None,
) -> Figure:
    """Percentiles of the effect over puzzles, whole and zoomed into the top.

    Args:
        table: of `stats.percentile_curves`.
        curve: column that names the curves; categories of squares look as in `layer_curves`.
        unit: of the effect.
        what: name of the effect.
        zoom: percentiles of the right panel.
        bottom: lowest effect shown.
    """
    require_columns(table, [curve, "percentile", "estimate", "low", "high", "n", "interval"])
    with style():
        figure = Figure(figsize=(PAGE, 2.9), layout="constrained")
        panels = figure.subplots(1, 2, width_ratios=(3, 2))
        present = list(dict.fromkeys(table[curve]))
        known = [name for name in _CATEGORIES if name in present]
        names = [*known, *(name for name in present if name not in known)]
        for name, (colour, line) in zip(names, _looks(names), strict=True):
            rows = table[table[curve] == name].sort_values("percentile")
            for axes, (start, end) in zip(panels, ((0, 100), zoom), strict=True):
                part = rows[(rows["percentile"] >= start) & (rows["percentile"] <= end)]
                at, low, high = (part[c].to_numpy(float) for c in ("percentile", "low", "high"))
                bounded = np.isfinite(low) & np.isfinite(high)
                axes.fill_between(
                    at, low, high, where=bounded, color=colour, alpha=0.25, linewidth=0
                )
                label = f"{category_words(str(name))}, n = {_range(rows['n'])}"
                axes.plot(
                    at, part["estimate"], color=colour, linestyle=line, label=label, gid=str(name)
                )
        for axes, (start, end) in zip(panels, ((0, 100), zoom), strict=True):
            axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
            axes.set_xlim(start, end)
            axes.set_xlabel("percentile of puzzles, each curve sorted by itself")
        panels[1].set_xlabel(f"percentiles {zoom[0]:g} to {zoom[1]:g}")
        panels[0].set_ylabel(f"{what} ({unit})")
        if bottom is not None:
            for axes in panels:
                axes.set_ylim(bottom=bottom)
        handles, labels = panels[0].get_legend_handles_labels()
        columns = 3 if len(labels) > 4 and max(map(len, labels)) < 32 else 2
        figure.set_figheight(2.6 + 0.15 * (1 - (-len(labels) // columns)))
        figure.legend(
            handles,
            labels,
            loc="outside lower left",
            ncols=columns,
            handlelength=3.2,
            title=f"Band: {table['interval'].iloc[0]} of each percentile, where it is bounded.",
            title_fontsize=7,
            alignment="left",
        )
    return figure


def paired_scatter(
    table: pd.DataFrame,
    *,
    names: tuple[str, str],
    unit: str = "nats",
    what: str = "log-odds reduction",
    note: str | None = None,
) -> Figure:
    """One point a puzzle, first against second effect; above the line the first is larger.

    Args:
        table: of `comparisons.paired`, with first and second.
        names: of the two.
        unit: of the effect.
        what: name of the effect.
        note: below the axes, such as `notes.paired`.
    """
    require_columns(table, ["first", "second"])
    first, second = table["first"].to_numpy(float), table["second"].to_numpy(float)
    ends = (min(first.min(), second.min()), max(first.max(), second.max()))
    room = 0.04 * (ends[1] - ends[0]) or 1.0
    limits = (ends[0] - room, ends[1] + room)
    with style():
        figure = Figure(figsize=(COLUMN, 3.7 if note is None else 4.1), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=GREY, linewidth=0.5, zorder=0)
        axes.axvline(0, color=GREY, linewidth=0.5, zorder=0)
        axes.plot(limits, limits, color=BLACK, linewidth=0.8, linestyle="--", zorder=1)
        axes.scatter(
            second,
            first,
            s=9 if len(table) < 1000 else 4,
            color=BLUE,
            alpha=0.6 if len(table) < 300 else 0.3 if len(table) < 5000 else 0.1,
            linewidths=0,
            rasterized=len(table) > 2000,
        )
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        axes.set_xlabel(f"{names[1]}: {what} ({unit})")
        axes.set_ylabel(f"{names[0]}: {what} ({unit})")
        axes.set_title(f"n = {_puzzles(pd.Series([len(table)]))}; dashed: equal")
        if note is not None:
            add_note(figure, note)
    return figure


def forest(
    table: pd.DataFrame,
    *,
    label: str = "target_pattern",
    unit: str = "nats",
    what: str = "log-odds reduction",
    title: str | None = None,
) -> Figure:
    """One line per target pattern: mean, interval, and number of puzzles.

    Args:
        table: of `stats.target_pattern_effects`, or any table with `label`, estimate, low,
            high, n, interval.
        label: column that names the lines.
        unit: of the effect.
        what: name of the effect.
        title: above the axes.
    """
    require_columns(table, [label, "estimate", "low", "high", "n", "interval"])
    with style():
        figure = Figure(figsize=(COLUMN, 1.1 + 0.19 * len(table)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
        open_rows = False
        for place, row in enumerate(table.to_dict("records")):
            whole = row.get("kind", "target_pattern") in ("all", "headline")
            known = bool(np.isfinite(row["low"]) and np.isfinite(row["high"]))
            open_rows = open_rows or not known
            colour = VERMILION if whole else BLUE
            if known:
                axes.plot([row["low"], row["high"]], [place, place], color=colour, gid="interval")
            axes.plot(
                [row["estimate"]],
                [place],
                marker="D" if whole else "o",
                markersize=4.5 if whole else 3.5,
                color=colour,
                markerfacecolor=colour if known else "white",
                linestyle="",
                gid="estimate",
            )
            axes.annotate(
                f"{row['n']:,}",
                (1.02, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=7,
            )
        axes.annotate(
            "n",
            (1.02, 1),
            xycoords="axes fraction",
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=7,
        )
        axes.set_yticks(range(len(table)), table[label].astype(str).tolist())
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"mean {what} ({unit})")
        if title is not None:
            axes.set_title(title)
        note = f"Line: {table['interval'].iloc[0]}."
        add_note(figure, note + ("\nOpen circle: no interval can be given." if open_rows else ""))
    return figure


def exclusion_flow(table: pd.DataFrame, *, title: str | None = None) -> Figure:
    """Puzzles left after each step as bars, what the step took out hatched at their ends.

    Args:
        table: of `stats.exclusion_flow`.
        title: above the axes.
    """
    require_columns(table, ["reason", "excluded", "remaining"])
    with style():
        figure = Figure(figsize=(COLUMN, 0.6 + 0.36 * len(table)), layout="constrained")
        axes = figure.add_subplot()
        most = max(int(table["remaining"].max()), 1)
        for place, row in enumerate(table.to_dict("records")):
            left, out = int(row["remaining"]), int(row["excluded"])
            axes.barh(place, left, height=0.5, color=SKY, gid="remaining")
            axes.barh(
                place,
                out,
                left=left,
                height=0.5,
                facecolor="white",
                edgecolor=VERMILION,
                hatch="////",
                linewidth=0.5 if out else 0.0,
                gid="excluded",
            )
            texts = [(0.0, str(row["reason"]), "left", BLACK)]
            texts.append((most, f"{left:,} left" if place else f"{left:,}", "right", BLACK))
            if place:
                count = f"−{out:,}" if out else "none"  # noqa: RUF001  a minus sign
                texts.append((0.74 * most, count, "right", VERMILION))
            for x, text, side, colour in texts:
                axes.text(x, place - 0.29, text, ha=side, va="bottom", fontsize=7, color=colour)
        axes.set_ylim(len(table) - 0.6, -0.85)
        axes.set_xlim(0, 1.004 * most)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_xlabel("puzzles (hatched: taken out by this step)")
        if title is not None:
            axes.set_title(title)
    return figure


_P_NAMES = {
    "p": "not corrected for the number of heads",
    "p_max_t": "step-down maximum of t, family-wise",
    "p_holm": "Holm, family-wise",
    "p_bh": "Benjamini-Hochberg, false discovery rate",
}


def _category_label(name: str, squares: str) -> str:
    return category_words(name) if squares == "mean" else f"{category_words(name)} ({squares})"


def _range(numbers: pd.Series) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"  # noqa: RUF001  a range takes a dash


def _puzzles(numbers: pd.Series) -> str:
    return f"{_range(numbers)} puzzle{'' if int(numbers.max()) == 1 else 's'}"


def _positions(layers: pd.Series) -> pd.Series:
    """Where layers stand on an axis; what has none, the embedding, stands before the first."""
    numbers = layers.astype("Float64").astype("float64")
    first = numbers.min()
    return numbers.fillna(-1.0 if np.isnan(first) else first - 1)


def _looks(names: Sequence[str]) -> list[tuple[str, str]]:
    """A colour and a line for each curve: a category's own, or one that no other has."""
    own = {name: _CATEGORIES[name][:2] for name in names if name in _CATEGORIES}
    first = (
        (BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"), (ORANGE, "-"),
        (BLACK, "--"), (SKY, "-."),
    )  # fmt: skip
    colours = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, BLACK, SKY, GREY)
    every = dict.fromkeys([*first, *((c, line) for line, c in product(_LINES, colours))])
    spare = cycle([look for look in every if look not in own.values()])
    return [own[name] if name in own else next(spare) for name in names]


def _no_test(untested: pd.DataFrame) -> list[str]:
    """Why heads have no test, the most frequent reasons, in lines that fit a column."""
    if untested.empty:
        return []
    if "reason" not in untested.columns or untested["reason"].isna().all():
        return ["no p: there is no test"]
    reasons = untested["reason"].value_counts().index[:2]
    return [line for why in reasons for line in textwrap.wrap(f"no p: {why}", 62)]


def _percent(columns: tuple[str, str]) -> str:
    return f"{float(columns[0][1:]):g} and {float(columns[1][1:]):g} %"


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
