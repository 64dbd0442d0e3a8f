"""Tables that several commands show, made for 80 columns. Builds, and never prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

__all__ = ["funnel", "numbers", "texts"]


def funnel(
    counts: Mapping[str, int],
    meanings: Mapping[str, str],
    *,
    wanted: Sequence[str] = ("kept", "found", "measured"),
) -> Group:
    """How many rows got each verdict, in the order of the questions.

    Args:
        counts: by verdict.
        meanings: what each verdict says.
        wanted: the verdicts that are shown even where no row has them; the other empty ones share
            one line.
    """
    total = sum(counts.values())
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for verdict, count in counts.items():
        if count or verdict in wanted:
            share = f"{count / total:.1%}" if total else "-"
            table.add_row(f"{count:,}", share, verdict, meanings[verdict])
    table.add_row(f"{total:,}", "", "in all", "")
    empty = [verdict for verdict, count in counts.items() if not count and verdict not in wanted]
    return Group(table, *([Text(f"no row: {', '.join(empty)}")] if empty else []))


def numbers(
    columns: Mapping[str, Sequence[str]],
    *,
    width: int,
    words: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> tuple[Table, list[str]]:
    """A table in which nothing is broken, and the columns for which there was no room.

    Args:
        columns: the cells by heading.
        width: of the terminal; the table keeps to it where leaving out the spare columns helps.
        words: the columns that are not numbers, and begin at the left.
        spare: the columns that are left out first, the first of them first.
    """
    widths = {
        name: max(len(name), *map(len, cells)) if cells else len(name)
        for name, cells in columns.items()
    }
    left_out: list[str] = []
    between = 2
    while sum(widths.values()) + between * (len(widths) - 1) > width:
        if between == 2:
            between = 1
            continue
        rest = [name for name in spare if name in widths]
        if not rest:
            break
        between = 2
        left_out.append(rest[0])
        del widths[rest[0]]
    table = Table(box=None, pad_edge=False, padding=(0, between, 0, 0))
    for name in widths:
        table.add_column(name, justify="left" if name in words else "right", no_wrap=True)
    for row in zip(*(columns[name] for name in widths), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    return table, left_out


def texts(values: Sequence[Any], *, probability: bool = False) -> list[str]:
    """Numbers of a column with as many decimals as its largest needs; other values as they are.

    Example:
        >>> texts([0.5, -0.012]), texts([0.2, 1e-6], probability=True), texts([1200, 3])
        (['0.50', '-0.01'], ['0.2000', '1e-06'], ['1,200', '3'])
    """
    if not any(isinstance(value, float) for value in values):
        return [f"{value:,}" if type(value) is int else str(value) for value in values]
    if probability:
        return ["-" if math.isnan(p) else f"{p:.4f}" if p >= 1e-4 else f"{p:.0e}" for p in values]
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = 2
    while decimals < 6 and 0 < largest < 10.0 ** (1 - decimals):
        decimals += 1
    rounded = [round(value, decimals) + 0.0 for value in values]  # + 0.0: no minus before zero
    return ["-" if math.isnan(value) else f"{value:.{decimals}f}" for value in rounded]
