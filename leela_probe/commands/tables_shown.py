"""Tables that several commands show, made for 80 columns. Builds, and never prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

__all__ = ["funnel"]


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
