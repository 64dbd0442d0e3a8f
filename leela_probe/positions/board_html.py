"""Boards as HTML, for objects that show themselves in Jupyter.

python-chess draws; here its pictures get a size, a caption and a place beside one another. Stands
on python-chess and markupsafe alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import chess
import chess.svg
from markupsafe import Markup, escape

__all__ = ["board", "row", "table"]

_ARROWS = ("#117733", "#332288", "#882255", "#88CCEE")


def board(
    position: chess.Board,
    *,
    caption: str = "",
    line: Sequence[chess.Move] = (),
    changed: Iterable[chess.Square] = (),
    size: int = 260,
) -> Markup:
    """A board seen from the side to move, as an HTML figure.

    Args:
        position: its last move is marked, if it knows one.
        caption: below the board.
        line: moves to draw as arrows, in python-chess's squares.
        changed: squares to mark.
        size: of the board, in pixels.

    Example:
        >>> html = board(chess.Board(), caption="the start", line=[chess.Move.from_uci("e2e4")])
        >>> html.count("<svg"), "the start" in html
        (1, True)
    """
    picture = chess.svg.board(
        position,
        orientation=position.turn,
        lastmove=position.peek() if position.move_stack else None,
        check=position.king(position.turn) if position.is_check() else None,
        arrows=[
            chess.svg.Arrow(move.from_square, move.to_square, color=_ARROWS[i % len(_ARROWS)])
            for i, move in enumerate(line)
        ],
        fill=dict.fromkeys(changed, "#DDCC7799"),
        size=size,
    )
    return Markup(
        '<figure style="margin:0;max-width:{size}px">{picture}<figcaption>{caption}</figcaption>'
        "</figure>"
    ).format(size=size, picture=Markup(picture), caption=caption)


def row(parts: Iterable[Markup], *, note: str = "") -> str:
    """Pieces of HTML beside one another, with a note below; they wrap on a narrow page."""
    beside = Markup('<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start">')
    below = Markup("<p>{}</p>").format(note) if note else Markup()
    return str(beside + Markup().join(parts) + Markup("</div>") + below)


def table(rows: Sequence[Mapping[str, object]]) -> Markup:
    """A small HTML table, its columns named by the first row's keys.

    Example:
        >>> print(table([{"move": "e4", "probability": "31 %"}]))
        <table><tr><th>move</th><th>probability</th></tr><tr><td>e4</td><td>31 %</td></tr></table>
    """

    def line(tag: str, cells: Iterable[object]) -> Markup:
        inside = Markup().join(Markup(f"<{tag}>{escape(cell)}</{tag}>") for cell in cells)
        return Markup("<tr>{}</tr>").format(inside)

    lines = [line("th", rows[0]), *(line("td", each.values()) for each in rows)] if rows else []
    return Markup("<table>{}</table>").format(Markup().join(lines))
