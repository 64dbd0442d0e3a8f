"""Published numbers beside those of a study: "paper | here | interval | agrees?"."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from scipy.stats import binomtest

from leela_probe.study.published import Published
from leela_probe.study.study import PAPER_HEADS, PAPER_LAYERS

__all__ = ["ANSWERS", "Found", "agreement", "compare"]

ANSWERS: Mapping[str, str] = {
    "yes": "the intervals overlap, and ours is narrow enough to have disagreed; or the bound holds",
    "no": "the intervals do not overlap; or the bound does not hold",
    "too wide to tell": "the intervals overlap, but ours is wider than half the published number "
    "(and than twice the published interval, and than 0.05 nats); or it holds the bound",
    "no interval": "our number has no interval to judge by",
    "other shape": f"a layer or head of {PAPER_LAYERS} layers of {PAPER_HEADS} heads, which this "
    "network has not",
    "not run": "this study has no such number; the reason stands beside it",
}
"""What the column `agrees` says, in words."""

_FINE = 0.05
"""A width in nats that is narrow whatever the number; for shares there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The study's own number.

    Attributes:
        estimate: the number.
        low, high: its 95 % interval; NaN where it has none.
        n: how many puzzles it is of; None where that is not said.
        note: what else is to be known of it.
    """

    estimate: float
    low: float = math.nan
    high: float = math.nan
    n: int | None = None
    note: str = ""


def compare(
    numbers: Iterable[Published],
    tables: Mapping[str, pd.DataFrame],
    *,
    same_shape: bool,
    why_not: Callable[[str], str | None] = lambda stage: None,
) -> pd.DataFrame:
    """Every published number with the study's own.

    Args:
        numbers: what is published.
        tables: of the study, by name.
        same_shape: whether the network has as many layers and heads as the paper's.
        why_not: says why a stage has measured nothing, None if it has.

    Returns:
        Columns experiment, what, paper, paper_half_width, relation, here, low, high, n, agrees
        (of `ANSWERS`), reason (why it is "not run"), detail, note, source.
    """
    rows = []
    for number in numbers:
        found, answer, reason = _answer(number, tables, same_shape, why_not)
        rows.append(
            {
                "experiment": number.experiment,
                "what": number.what,
                "paper": number.value,
                "paper_half_width": number.half_width,
                "relation": number.relation,
                "here": math.nan if found is None else found.estimate,
                "low": math.nan if found is None else found.low,
                "high": math.nan if found is None else found.high,
                "n": None if found is None else found.n,
                "agrees": answer,
                "reason": reason,
                "detail": number.detail,
                "note": "" if found is None else found.note,
                "source": number.source,
            }
        )
    return pd.DataFrame(rows).astype({"n": "Int64"})


def _answer(
    number: Published,
    tables: Mapping[str, pd.DataFrame],
    same_shape: bool,
    why_not: Callable[[str], str | None],
) -> tuple[Found | None, str, str]:
    """The study's number, whether it agrees, and why it is not there."""
    if number.table is None:
        return None, "not run", number.missing
    if number.shape and not same_shape:
        return None, "other shape", ""
    table = tables.get(number.table)
    found = None if table is None else _found(number, table)
    if found is None:
        return None, "not run", _why_not(number, table, why_not)
    return found, agreement(number, found), ""


def agreement(number: Published, found: Found) -> str:
    """Whether a published number and ours agree; see `ANSWERS`.

    Example:
        >>> number = Published(experiment="E1", what="x", value=1.88, half_width=0.04, source="")
        >>> [agreement(number, Found(estimate=e, low=e - w, high=e + w))
        ...  for e, w in ((1.9, 0.1), (0.2, 0.1), (1.0, 3.0))]
        ['yes', 'no', 'too wide to tell']
    """
    if number.kind == "rank":
        return "yes" if found.estimate == number.value else "no"
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return "no interval"
    if number.relation == "above":
        if found.low > number.value:
            return "yes"
        return "no" if found.high < number.value else "too wide to tell"
    lowest, highest = number.value - number.half_width, number.value + number.half_width
    if found.high < lowest or found.low > highest:
        return "no"
    least = 0.0 if number.is_share else _FINE
    wide = found.high - found.low > max(abs(number.value) / 2, 4 * number.half_width, least)
    return "too wide to tell" if wide else "yes"


def _why_not(
    number: Published, table: pd.DataFrame | None, why_not: Callable[[str], str | None]
) -> str:
    reason = why_not(number.stage)
    if reason is not None:
        return reason
    if table is None or table.empty:
        return f"no table of {str(number.table).replace('_', ' ')} could be made"
    return "too few such puzzles"


def _found(number: Published, table: pd.DataFrame) -> Found | None:
    if number.kind in _OF_A_TABLE:
        return _OF_A_TABLE[number.kind](number, table)
    rows = table
    for column, value in number.where.items():
        if column not in rows.columns:
            return None
        if number.kind == "rank" and column in ("layer", "head"):
            continue
        series = rows[column].fillna("") if value == "" else rows[column]
        rows = rows[series == value]
    if number.column not in rows.columns:
        return None
    rows = rows[rows[number.column].notna()]
    if rows.empty:  # of the shares of a table, one that is not listed is 0
        listed = number.column == "share" and len(table) > 0
        return _share(0, int(table["n"].sum())) if listed else None
    return _OF_ROWS[number.kind](number, rows)


def _cell(number: Published, rows: pd.DataFrame, note: str = "") -> Found:
    row = rows.iloc[0]
    return Found(
        estimate=float(row[number.column]),
        low=float(row["low"]),
        high=float(row["high"]),
        n=int(row["total" if number.column == "share" else "n"]),
        note=note,
    )


def _peak(number: Published, rows: pd.DataFrame) -> Found | None:
    early = rows["layer"] < 0
    if early.all():
        return None
    rows = rows[~early]
    best = rows.loc[[rows[number.column].idxmax()]]
    layer = best["layer"].iloc[0]
    note = "" if pd.isna(layer) else f"layer {int(layer)}, "
    note += "chosen for being largest"
    note += "; without the place before layer 0, which the paper lacks" if early.any() else ""
    return _cell(number, best, note)


def _rank(number: Published, rows: pd.DataFrame) -> Found | None:
    own = rows[(rows["layer"] == number.where["layer"]) & (rows["head"] == number.where["head"])]
    if own.empty:
        return None
    better = int((rows["estimate"] > float(own["estimate"].iloc[0])).sum())
    return Found(estimate=float(better + 1), n=int(own["n"].iloc[0]), note=f"of {len(rows)} heads")


def _sum(number: Published, table: pd.DataFrame) -> Found:
    chosen = [
        fnmatch.fnmatch(str(name), str(number.where["target_pattern"]))
        for name in table["target_pattern"]
    ]
    return _share(int(table.loc[chosen, "n"].sum()), int(table["n"].sum()))


def _kept(number: Published, table: pd.DataFrame) -> Found | None:
    out = table.set_index("reason")["excluded"]
    rows = int(table["remaining"].iloc[0]) - int(out["mate_in_1"]) - int(out["malformed"])
    return _share(int(table["remaining"].iloc[-1]), rows) if rows else None


def _skipped(number: Published, table: pd.DataFrame) -> Found | None:
    if "measured" not in table.columns or table.empty:
        return None
    return _share(
        int(table["measured"].iloc[0] - table["used"].iloc[0]), int(table["measured"].iloc[0])
    )


def _share(count: int, total: int) -> Found:
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return Found(
        estimate=count / total, low=float(interval.low), high=float(interval.high), n=total
    )


_OF_A_TABLE: Mapping[str, Callable[[Published, pd.DataFrame], Found | None]] = {
    "kept": _kept,
    "skipped": _skipped,
    "sum": _sum,
}
_OF_ROWS: Mapping[str, Callable[[Published, pd.DataFrame], Found | None]] = {
    "cell": _cell,
    "peak": _peak,
    "rank": _rank,
}
