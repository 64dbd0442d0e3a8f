"""Squares as a network sees them: always from the side to move.

The network's board is the mover's: square 0 is the mover's own a1 corner. For White that is python-
chess's own numbering; for Black the ranks are mirrored and the files are not, so that Black's king
starts on e1 too.

Example:
    >>> import leela_probe as lp
    >>> lp.squares.name(lp.squares.from_board(chess.E8, chess.BLACK))
    'e1'
"""

from typing import NewType

import chess

__all__ = ["NetSquare", "from_board", "name", "parse_name", "to_board"]

NetSquare = NewType("NetSquare", int)
"""A square of the mover's board, 0 (the mover's a1) to 63 (the mover's h8)."""


def from_board(square: chess.Square, turn: chess.Color) -> NetSquare:
    """The square of the mover's board that a square of the chess board is.

    Args:
        square: a square of the chess board.
        turn: the side to move.

    Raises:
        ValueError: the square is not one of the 64.

    Example:
        >>> name(from_board(chess.E8, chess.BLACK))
        'e1'
    """
    _check(square)
    return NetSquare(square if turn else square ^ 56)


def to_board(net_square: NetSquare, turn: chess.Color) -> chess.Square:
    """The square of the chess board behind a square of the mover's; the inverse of `from_board`.

    Args:
        net_square: a square of the mover's board.
        turn: the side to move.

    Raises:
        ValueError: the square is not one of the 64.

    Example:
        >>> chess.square_name(to_board(NetSquare(4), chess.BLACK))
        'e8'
    """
    _check(net_square)
    return net_square if turn else net_square ^ 56


def name(net_square: NetSquare) -> str:
    """The square's name on the mover's board, such as `'e1'` where the mover's king starts.

    Args:
        net_square: a square of the mover's board.

    Raises:
        ValueError: the square is not one of the 64.

    Example:
        >>> name(NetSquare(63))
        'h8'
    """
    _check(net_square)
    return chess.SQUARE_NAMES[net_square]


def parse_name(text: str) -> NetSquare:
    """The square of the mover's board with that name; the inverse of `name`.

    Args:
        text: a file letter and a rank digit, such as `'e1'`.

    Raises:
        ValueError: no square has that name.

    Example:
        >>> parse_name("h8")
        63
    """
    if text not in chess.SQUARE_NAMES:
        raise ValueError(f"no square is called {text!r}: names run from 'a1' to 'h8'")
    return NetSquare(chess.SQUARE_NAMES.index(text))


def _check(square: int) -> None:
    if not 0 <= square < 64:
        raise ValueError(f"{square} is not a square: squares run from 0 (a1) to 63 (h8)")
