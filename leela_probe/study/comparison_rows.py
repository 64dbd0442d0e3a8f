"""The table of the comparison as the page shows it: what agrees, in detail, and what is apart."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from leela_probe.study import published
from leela_probe.study.comparison import ANSWERS

__all__ = ["Rows", "of"]

_TEXTS = ("reason", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The comparison as texts.

    Attributes:
        note: on the network's shape.
        answers: how many numbers got each answer.
        compared: the numbers that a study can have.
        details: of the long lists, those that this study has.
        not_compared: in words, those that it has not.
        apart: what is published and no part of a study.
    """

    note: str
    answers: list[dict[str, str]]
    compared: list[dict[str, str]]
    details: list[dict[str, str]]
    not_compared: str
    apart: list[dict[str, str]]


def of(table: pd.DataFrame, same_shape: bool) -> Rows:
    """The rows of a table of `comparison.compare`."""
    missing = {number.missing for number in published.elsewhere()}
    is_apart = (table["agrees"] == "not run") & table["reason"].isin(missing)
    text = {name: table[name].astype(object).where(table[name].notna(), "") for name in _TEXTS}
    table = table.assign(**text)
    has_number = table["here"].notna()
    return Rows(
        note=_note(same_shape),
        answers=_answers(table),
        compared=[_row(row) for row in _dicts(table[~table["detail"] & ~is_apart])],
        details=[_row(row) for row in _dicts(table[table["detail"] & has_number])],
        not_compared=_not_compared(table[table["detail"] & ~has_number]),
        apart=[
            {
                "experiment": row["experiment"],
                "what": row["what"],
                "paper": _number(row["paper"]),
                "reason": row["reason"],
            }
            for row in _dicts(table[is_apart])
        ],
    )


def _note(same_shape: bool) -> str:
    if same_shape:
        return "The network has the paper's shape."
    return (
        "The network is another one; numbers of single layers and heads are left out, as they name "
        "places that only the paper's network has."
    )


def _answers(table: pd.DataFrame) -> list[dict[str, str]]:
    counts = table["agrees"].value_counts()
    return [
        {"name": name, "count": f"{int(counts.get(name, 0)):,}", "meaning": meaning}
        for name, meaning in ANSWERS.items()
        if counts.get(name, 0)
    ]


def _dicts(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return table.to_dict("records")


def _row(row: Mapping[Hashable, Any]) -> dict[str, str]:
    here, paper, half = row["here"], row["paper"], row["paper_half_width"]
    whole = (pd.isna(here) or _is_whole(here)) and _is_whole(paper) and paper >= 1
    places = 0 if whole else 3
    bound = "above " if row["relation"] == "above" else ""
    reach = f" ± {half:.2g}" if half >= 0.001 else ""
    return {
        "experiment": row["experiment"],
        "what": row["what"],
        "note": row["note"],
        "paper": f"{bound}{_number(paper) if whole else f'{paper:.3f}'}{reach}",
        "here": "" if pd.isna(here) else f"{here:.{places}f}",
        "interval": ""
        if pd.isna(row["low"])
        else f"{row['low']:.{places}f} to {row['high']:.{places}f}",
        "n": "" if pd.isna(row["n"]) else f"{int(row['n']):,}",
        "agrees": row["agrees"],
        "reason": row["reason"],
        "source": row["source"],
    }


def _is_whole(value: float) -> bool:
    return bool(value == round(value))


def _number(value: float) -> str:
    """A count, or a share.

    Example:
        >>> _number(6152.0), _number(480.0), _number(0.4075)
        ('6,152', '480', '0.407')
    """
    return f"{value:,.0f}" if _is_whole(value) and value >= 1 else f"{value:.3f}"


def _not_compared(rows: pd.DataFrame) -> str:
    """In words, the rows of the long lists that have no number of ours."""
    keys = ["experiment", "agrees", "reason"]
    counts = rows.groupby(keys, sort=False, as_index=False).size()
    texts = []
    for row in _dicts(counts):
        why = ": ".join(text for text in (row["agrees"], row["reason"]) if text)
        texts.append(f"{row['experiment']}: {row['size']} ({why})")
    if not texts:
        return ""
    return "; ".join(texts) + ". They are listed one by one in tables/comparison.csv."
