"""The short tables of the page: a few rows of a long table, each number with its interval.

Each function gives the heads of the columns and the rows as texts, or None if there is nothing to
show.
"""

from __future__ import annotations

from typing import TypedDict

import pandas as pd

from leela_probe.study import sentences

__all__ = ["Shown", "heads", "margins", "probes", "relations", "shares"]

_TARGETS = {"all": "all puzzles", "differing": "1st target is not the 3rd"}
_KINDS = {
    "target": "target",
    "source": "source, true target told",
    "source given predicted target": "source, predicted target told",
    "joint": "target and source",
}
_CONTROLS = ("random weights", "input planes", "legal moves")


class Shown(TypedDict):
    """A table as texts."""

    head: list[str]
    rows: list[list[str]]


def heads(table: pd.DataFrame | None) -> Shown | None:
    """The three heads with the largest effects, for each pattern."""
    if table is None or table.empty:
        return None
    rows = []
    every = table[(table["rating"] == "all") & table["estimate"].notna()]
    for pattern, part in every.groupby("target_pattern"):
        named = [
            f"{int(row['layer'])}.{int(row['head'])}: {sentences.number(row)}"
            for row in part.nlargest(3, "estimate").to_dict("records")
        ]
        rows.append([f"pattern {pattern}", f"{int(part['n'].max()):,}", *named])
    return {"head": ["three largest heads", "n", "first", "second", "third"], "rows": rows}


def shares(table: pd.DataFrame | None, sweep: str) -> Shown | None:
    """Mean and shares above thresholds of an ablation and its controls."""
    if table is None or (part := table[table["sweep"] == sweep]).empty:
        return None
    rows = []
    for (targets, curve), some in part.groupby(["targets", "curve"], sort=False):
        mean = some[some["threshold"].isna()].iloc[0]
        above = [sentences.percent(some[some["threshold"] == t].iloc[0]) for t in (0.5, 1.5)]
        rows.append(
            [
                f"{curve}, {_TARGETS[targets]}", f"{int(mean['n']):,}", sentences.number(mean),
                *above,
            ]
        )  # fmt: skip
    head = ["ablation", "n", "mean effect", "above 0.5 nats", "above 1.5 nats"]
    return {"head": head, "rows": rows}


def margins(table: pd.DataFrame | None, sweep: str) -> Shown | None:
    """An ablation against its controls, puzzle by puzzle."""
    if table is None or (part := table[table["sweep"] == sweep]).empty:
        return None
    rows = [
        [
            f"{row['of']} over {row['against']}, {_TARGETS[row['targets']]}",
            f"{int(row['n']):,}",
            sentences.number(row),
            f"{int(row['greater']):,} to {int(row['less']):,}",
            _p(row["wilcoxon_p"]),
        ]
        for row in part.to_dict("records")
    ]
    head = ["same puzzles", "n", "mean difference", "games above and below 0", "Wilcoxon p"]
    return {"head": head, "rows": rows}


def relations(table: pd.DataFrame | None) -> Shown | None:
    """The heads whose entry from the third target to the first is most often their largest."""
    if table is None or table.empty:
        return None
    own = table[table["relation"] == "3->1"]
    if own.empty:
        return None
    best = own.sort_values(["top1", "attention"], ascending=False).head(5)
    rows = []
    for row in best.to_dict("records"):
        back = table[
            (table["layer"] == row["layer"])
            & (table["head"] == row["head"])
            & (table["relation"] == "1->3")
        ]
        rows.append(
            [
                f"head {int(row['layer'])}.{int(row['head'])}",
                f"{int(row['n']):,}",
                f"{row['attention']:.3f}",
                f"{back['attention'].iloc[0]:.3f}" if len(back) else "",
                f"{row['rank']:.0f}",
                sentences.percent(row, "top1"),
                f"{100 * row['chance1']:.2f} %",
                _p(min(row["p1"] * len(own), 1.0)),
            ]
        )
    head = [
        "attention, unchanged", "n", "3rd to 1st", "1st to 3rd", "median rank of 4,096",
        "largest entry", "by chance", f"p, times {len(own)} heads",
    ]  # fmt: skip
    return {"head": head, "rows": rows}


def probes(table: pd.DataFrame | None) -> Shown | None:
    """Every question about the third move, where both squares are read best, over its controls."""
    if table is None or table.empty:
        return None
    some = table[
        (table["ply"] == 3) & (table["subset"] == "differing") & (table["instance"] == 0)
    ].assign(against=lambda rows: rows["against"].fillna(""))
    own = some[(some["control"] == "none") & some["layer"].notna()]
    joint = own[(own["kind"] == "joint") & (own["top"] == 1) & (own["against"] == "")]
    if joint.empty:
        return None
    layer = joint.loc[joint["accuracy"].idxmax(), "layer"]
    own = own[own["layer"] == layer]
    rows = []
    for kind, words in _KINDS.items():
        for top in (1, 3):
            asked = own[(own["kind"] == kind) & (own["top"] == top)]
            value = asked[asked["against"] == ""]
            if value.empty:
                continue
            over = [asked[asked["against"] == name] for name in (*_CONTROLS, "control task")]
            rows.append(
                [
                    words + (f", among the best {top}" if top > 1 else ""),
                    f"{int(value['n'].iloc[0]):,}",
                    sentences.percent(value.iloc[0], "accuracy"),
                    *(sentences.points(each.iloc[0]) if len(each) else "" for each in over),
                ]
            )
    place = "before layer 0" if layer < 0 else f"layer {int(layer)}"
    head = [
        f"{place}, 1st target is not the 3rd", "n", "accuracy",
        *(f"over {name}" for name in _CONTROLS), "selectivity (over a control task)",
    ]  # fmt: skip
    return {"head": head, "rows": rows}


def _p(value: float) -> str:
    if pd.isna(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
