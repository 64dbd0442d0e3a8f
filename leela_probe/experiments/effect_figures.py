"""The figure of an effects table: which one suits its sweep, and what its axes say."""

from __future__ import annotations

import io

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from leela_probe.figures import drawing, figures
from leela_probe.networks.measures import MEASURES
from leela_probe.positions import board_html
from leela_probe.statistics import overlaps, stats

__all__ = ["DIRECTION_TITLES", "categories_shown", "figure", "html"]

DIRECTION_TITLES = {"denoising": "denoising: what the clean activations restore (below 0)"}
"""What figures say above effects whose sign is easily misread."""

_SHOWN = (
    "corrupted", "ply1_target", "ply2_target", "ply3_target", "ply5_target",
    "corrupted_favourite", "matched_control", "other",
)  # fmt: skip


def categories_shown(table: pd.DataFrame) -> list[str]:
    """The categories of squares that a figure shows unless told: known, and of half the puzzles.

    Args:
        table: effects with one category per row, as `overlaps` makes them.
    """
    puzzles = table.groupby("category", observed=True)["puzzle_id"].nunique()
    half = table["puzzle_id"].nunique() / 2
    return [name for name in _SHOWN if puzzles.get(name, 0) >= half]


def figure(table: pd.DataFrame, *, overlapping: bool = False) -> Figure | None:
    """Layer curves by category of squares, or a map of heads; intervals are resampled by game.

    Args:
        table: rows of `effect_tables.SCHEMA`, those of puzzles left out too.
        overlapping: True counts a square as each of its categories, False once; see `overlaps`.

    Returns:
        None for a table without effects, of several sweeps or measures, or of another sweep.
    """
    rows = table[table["effect"].notna()]
    if rows.empty or len(rows[["sweep", "direction", "measure", "rank"]].drop_duplicates()) > 1:
        return None
    measure = MEASURES[rows["measure"].iloc[0]]
    unit, what = measure.unit, measure.title
    title = DIRECTION_TITLES.get(rows["direction"].iloc[0])
    deep = rows["layer"].notna() | rows["site"].eq("embedding")
    if rows["category"].notna().all() and deep.all():
        plain = rows.assign(category=rows["category"].astype(object))
        each = overlaps.explode(plain) if overlapping else overlaps.prioritise(plain)
        shown = each[each["category"].isin(categories_shown(each))]
        return figures.layer_curves(stats.layer_curves(shown), unit=unit, what=what, title=title)
    places = rows[["layer", "head", "square", "query", "key", "label"]].notna()
    if places.all().tolist() == [True, True, False, False, False, False]:
        found = stats.summarise(rows, by=["layer", "head"])
        return figures.head_map(found, unit=unit, what=what, title=title)
    return None


def html(table: pd.DataFrame) -> str | None:
    """The figure as Jupyter shows it, with what the table holds below; None where there is none."""
    needed = {
        "effect", "sweep", "measure", "direction", "rank", "category", "site", "layer", "puzzle_id",
    }  # fmt: skip
    drawn = figure(table) if needed <= {*table.columns} else None
    if drawn is None:
        return None
    puzzles = table.drop_duplicates("puzzle_id")["verdict"].value_counts()
    said = ", ".join(f"{count} {verdict}" for verdict, count in puzzles.items() if count)
    stream = io.StringIO()
    with drawing.style():
        drawn.savefig(stream, format="svg")
    picture = stream.getvalue()
    return board_html.row(
        [Markup(picture[picture.index("<svg") :])],
        note=f"{', '.join(table['sweep'].unique())}: {len(table)} rows; puzzles: {said}",
    )
