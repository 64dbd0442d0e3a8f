"""What `leela-probe probe` and `attention` show of their tables, for a terminal of 80 columns.

Builds, and never prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best_heads", "best_layers", "steps"]

_SHORT = {
    "control task": "task",
    "random weights": "random",
    "input planes": "planes",
    "most frequent relation": "usual",
    "legal moves": "legal",
}
_WORDS = {"source given predicted target": "source|guess", "joint": "both"}


def best_layers(table: pd.DataFrame) -> Table:
    """The layer at which the network's own probes are right most often, beside the controls."""
    shown = Table(box=None, pad_edge=False)
    for name in ("what", "layer", "right", "interval", *_SHORT.values()):
        shown.add_column(name, no_wrap=True)
    shown.caption = (
        "The best layer, chosen on these puzzles, and at it the controls: task, answers made up; "
        "random, networks with random weights; planes, the input; usual, the most frequent "
        "relation; legal, the number of moves. source: given the true target; source|guess: "
        "given the predicted one. E: the embedding."
    )
    shown.caption_justify = "left"
    rows = _shown(table)
    for (ply, kind), some in rows.groupby(["ply", "kind"], sort=False):
        own = _best(some)
        cells = []
        for control in _SHORT:
            other = some[(some["control"] == control) & (some["instance"] == 0)]
            if other["site"].eq(own["site"]).any():
                other = other[other["site"] == own["site"]]
            cells.append("-" if other.empty else f"{100 * other['accuracy'].iloc[0]:.1f}")
        known = own["low"] == own["low"]
        shown.add_row(
            f"{_WORDS.get(str(kind), str(kind))} {ply}",
            _layer(own),
            f"{100 * own['accuracy']:.1f} %",
            f"{100 * own['low']:.1f} to {100 * own['high']:.1f}" if known else "none",
            *cells,
        )
    return shown


def steps(found: pd.DataFrame, table: pd.DataFrame) -> Table:
    """What steps along the probes' directions do at the layer whose probe is right most often.

    Args:
        found: of `causal.summary`.
        table: of `accuracies.of_predictions`.
    """
    shown = Table(box=None, pad_edge=False)
    for name in ("what", "layer", "direction", "nats", "effect", "interval", "n"):
        shown.add_column(name, no_wrap=True)
    shown.caption = (
        "The activation is moved so that the probe's score of the answer changes by so many nats. "
        "effect: what the first move's log odds lose, the mean, nats; intervals by game."
    )
    shown.caption_justify = "left"
    rows = _shown(table)
    for (ply, kind), some in found.groupby(["ply", "kind"], sort=False):
        best = _best(rows[(rows["ply"] == ply) & (rows["kind"] == kind)])
        some = some[some["site"] == best["site"]]
        for row in some[some["nats"].isin([some["nats"].min(), some["nats"].max()])].itertuples():
            shown.add_row(
                f"{kind} {ply}",
                _layer(best),
                str(row.direction),
                f"{row.nats:+g}",
                f"{row.effect:+.3f}",
                "none" if row.low != row.low else f"{row.low:.3f} to {row.high:.3f}",
                f"{row.n:,}",
            )
    return shown


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["top"] == 1) & (table["subset"] == "all") & (table["against"] == "")]


def _best(rows: pd.DataFrame) -> pd.Series:
    """The row of the network's own probes with the highest accuracy."""
    return rows[rows["control"] == "none"].sort_values("accuracy").iloc[-1]


def _layer(row: pd.Series) -> str:
    return "E" if row["site"] == "embedding" else str(row["layer"])


def best_heads(found: pd.DataFrame, relation: str) -> Table:
    """The ten heads with the most attention at a relation, out of `attention_tables.summary`."""
    shown = Table(box=None, pad_edge=False)
    for name in ("head", relation, "elsewhere", "rank", "top 1", "chance", "p", "nats", "n"):
        shown.add_column(name, no_wrap=True)
    shown.caption = (
        "elsewhere: the same entry in other puzzles. rank: the entry's among 4,096, the median. "
        "p: of so many games with such an entry by chance. "
        "nats: pattern times gradient of the first move's log odds, the mean."
    )
    shown.caption_justify = "left"
    rows = found[found["relation"] == relation]
    if rows.empty:
        shown.caption = f"{relation}: in every puzzle a square with itself, so no head is listed."
    for row in rows.sort_values("attention", ascending=False).head(10).to_dict("records"):
        taken = row["attribution"]
        shown.add_row(
            f"{row['layer']}.{row['head']}",
            f"{row['attention']:.4f}",
            f"{row['elsewhere']:.4f}",
            f"{row['rank']:.0f}",
            f"{row['top1']:.1%}",
            f"{row['chance1']:.2%}",
            f"{row['p1']:.1g}",
            "-" if taken != taken else f"{taken:+.4f}",
            f"{row['n']:,}",
        )
    return shown
