"""The positions that `eval` evaluates: a FEN and moves, or a file with such a line for each.

What lc0 would refuse is refused here too, and so is a position that a network of ordinary chess
cannot evaluate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import chess

__all__ = ["BATCH", "Position", "batches", "position"]

BATCH = 1024
"""How many positions of a file are read before they are answered."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position to evaluate.

    Attributes:
        fen: as it was given.
        moves: played from it, in UCI notation.
        board: the position after them, which knows them.
    """

    fen: str
    moves: tuple[str, ...]
    board: chess.Board


def position(
    fen: str, moves: str, *, where: str = "--fen", where_moves: str = "--moves"
) -> Position:
    """The position of a FEN after moves in UCI notation, with spaces between them.

    Args:
        fen: the position.
        moves: moves from it; may be empty.
        where: what messages about the FEN begin with.
        where_moves: what messages about the moves begin with.

    Raises:
        ValueError: if it is not a FEN or not a position of ordinary chess, or a move is not legal.

    Example:
        >>> position("8/8/8/4k3/8/3QK3/8/8 w - - 0 1", "d3c4 e5f5").board.turn
        True
    """
    from leela_probe.positions.fen import board as board_of

    try:
        board = board_of(fen)
    except ValueError as error:
        raise ValueError(f"{where}: {fen!r} is not a FEN: {error}") from None
    reason = _reason(board)
    if reason:
        raise ValueError(f"{where}: {fen!r} is not a position: {reason}")
    played = tuple(moves.split())
    for move in played:
        before = board.fen()
        try:
            if not board.push_uci(move):
                raise ValueError("a null move")
        except ValueError:
            raise ValueError(
                f"{where_moves}: {move!r} is not a legal move in {before}: moves are written like "
                "e2e4, e7e8q, and e1g1 for castling"
            ) from None
        if board.king(board.turn) is None:
            raise ValueError(f"{where_moves}: {move!r} takes the king in {before}")
    return Position(fen=fen, moves=played, board=board)


def _reason(board: chess.Board) -> str:
    """Why a network cannot evaluate the position; empty if it can."""
    import chess

    status = board.status()
    no_kings = chess.STATUS_NO_WHITE_KING | chess.STATUS_NO_BLACK_KING
    if status & (no_kings | chess.STATUS_TOO_MANY_KINGS):
        return "expected one king of each colour"
    if status & chess.STATUS_PAWNS_ON_BACKRANK:
        return "a pawn stands on the first or last rank"
    if status & chess.STATUS_BAD_CASTLING_RIGHTS:
        if board.has_chess960_castling_rights():
            return (
                "its castling rights are those of Chess960, which is not supported: write - if "
                "nobody may castle"
            )
        return "a king or rook that may castle is not on its square"
    if status & chess.STATUS_INVALID_EP_SQUARE:
        return "no pawn has just gone past the en-passant square"
    return ""


def batches(path: Path) -> Iterator[list[Position]]:
    """The positions of a file, `BATCH` at a time: `FEN` or `FEN|uci uci` per line.

    Empty lines are passed over, and those that begin with #, spaces before it or not. Nothing is
    read beyond the batch that is being evaluated.

    Args:
        path: the file; - is standard input.

    Raises:
        ValueError: naming the line that cannot be read; or if there are no positions at all.
        OSError: if there is no such file.
    """
    name = "standard input" if str(path) == "-" else str(path)
    with _opened(path) as lines:
        positions = _positions(lines, name)
        first = list(islice(positions, BATCH))
        if not first:
            raise ValueError(f"{name} has no positions: expected one FEN, or FEN|moves, per line")
        yield first
        while batch := list(islice(positions, BATCH)):
            yield batch


def _positions(lines: BinaryIO, name: str) -> Iterator[Position]:
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.removeprefix(_BYTE_ORDER_MARK if number == 1 else b"").decode().strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is not text in UTF-8: line {number}, {error}") from None
        if line and not line.startswith("#"):
            fen, _, moves = line.partition("|")
            where = f"{name}, line {number}"
            yield position(fen.strip(), moves, where=where, where_moves=where)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:
        yield file
