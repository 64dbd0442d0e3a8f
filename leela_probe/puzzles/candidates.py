"""Small changes to a position, from which a puzzle's corrupted partner is chosen.

A pawn is removed, a pawn of either colour is added on an empty square, or a piece, kings included,
is put on an empty square (Jenner et al. 2024, `scripts/make_corruptions.py` of their code). A
candidate counts if the position stays a legal one and the solver's first move stays legal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import chess

__all__ = [
    "KINDS",
    "BoardEdit",
    "edited",
    "edits",
    "is_playable",
    "line_squares",
    "third_mover_square",
]

KINDS = ("remove", "add", "move")
"""The classes of edit, in the order in which they are generated."""


@dataclass(frozen=True, slots=True)
class BoardEdit:
    """One change to a position.

    Attributes:
        kind: one of `KINDS`.
        piece: what is removed, added or moved.
        squares: where; a move has two, from and to.
    """

    kind: str
    piece: chess.Piece
    squares: tuple[chess.Square, ...]

    @property
    def square_names(self) -> str:
        """The squares, separated by spaces."""
        return " ".join(map(chess.square_name, self.squares))


def edits(board: chess.Board) -> Iterator[BoardEdit]:
    """Every edit, sensible or not: removals, additions (White first), moves, each by square.

    Args:
        board: the clean position.

    Example:
        >>> board = chess.Board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1")
        >>> [(edit.kind, edit.square_names) for edit in edits(board)][:2]
        [('remove', 'e2'), ('add', 'a1')]
        >>> len(list(edits(board)))  # one pawn, two colours on 61 squares, two kings to 61
        245
    """
    empty = [square for square in chess.SQUARES if not board.occupied >> square & 1]
    pieces = board.piece_map()
    for square in chess.scan_forward(board.pawns):
        yield BoardEdit("remove", pieces[square], (square,))
    for square in empty:
        for colour in (chess.WHITE, chess.BLACK):
            yield BoardEdit("add", chess.Piece(chess.PAWN, colour), (square,))
    for square in chess.scan_forward(board.occupied & ~board.pawns):
        for target in empty:
            yield BoardEdit("move", pieces[square], (square, target))


def edited(board: chess.Board, edit: BoardEdit) -> chess.Board:
    """A copy of the position with the change made and no history.

    Example:
        >>> board = chess.Board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1")
        >>> edited(board, BoardEdit("move", chess.Piece(chess.KING, chess.BLACK), (60, 35))).fen()
        '8/8/8/3k4/8/8/4P3/4K3 w - - 0 1'
    """
    result = board.copy(stack=False)
    if edit.kind != "add":
        result.remove_piece_at(edit.squares[0])
    if edit.kind != "remove":
        result.set_piece_at(edit.squares[-1], edit.piece)
    return result


def is_playable(board: chess.Board, edit: BoardEdit, first: chess.Move) -> tuple[bool, bool]:
    """Whether the changed position is legal, and whether a move is legal in it.

    Args:
        board: the clean position, with the castling and en passant rights of the game.
        edit: what is changed.
        first: the move.

    Example:
        >>> board = chess.Board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1")
        >>> advance = chess.Move.from_uci("e2e4")
        >>> [is_playable(board, edit, advance) for edit in edits(board)][:3]
        [(True, False), (False, False), (False, False)]
    """
    result = edited(board, edit)
    valid = result.is_valid()
    return valid, valid and result.is_legal(first)


def line_squares(board: chess.Board, line: Sequence[chess.Move]) -> frozenset[chess.Square]:
    """The squares on which a line changes something.

    Those from and to which its moves go, those of the rooks that castle along, and those of pawns
    taken in passing.

    Args:
        board: the position before the line.
        line: legal moves.

    Example:
        >>> board = chess.Board("4k3/8/8/8/8/8/8/4K2R w K - 0 1")
        >>> castles = chess.Move.from_uci("e1g1")
        >>> [chess.square_name(square) for square in sorted(line_squares(board, [castles]))]
        ['e1', 'f1', 'g1', 'h1']
    """
    board = board.copy(stack=False)
    squares: set[chess.Square] = set()
    for move in line:
        squares |= {move.from_square, move.to_square}
        rank = chess.square_rank(move.from_square)
        if board.is_en_passant(move):
            squares.add(chess.square(chess.square_file(move.to_square), rank))
        elif board.is_castling(move):
            files = (7, 5) if board.is_kingside_castling(move) else (0, 3)
            squares |= {chess.square(file, rank) for file in files}
        board.push(move)
    return frozenset(squares)


def third_mover_square(board: chess.Board, line: Sequence[chess.Move]) -> chess.Square | None:
    """Where the piece that makes the third move of a line stands before the first.

    Args:
        board: the position before the line.
        line: the moves; None comes back if there are fewer than three.

    Example:
        >>> board = chess.Board("4k3/8/8/8/8/8/8/4K2R w K - 0 1")
        >>> line = [chess.Move.from_uci(uci) for uci in ("e1g1", "e8d7", "f1f8")]
        >>> chess.square_name(third_mover_square(board, line))
        'h1'
    """
    if len(line) < 3:
        return None
    first, mover = line[0], line[2].from_square
    if mover == first.to_square:
        return first.from_square
    if board.is_castling(first) and not board.occupied >> mover & 1:
        rank = chess.square_rank(first.from_square)
        return chess.square(7 if board.is_kingside_castling(first) else 0, rank)
    return mover
