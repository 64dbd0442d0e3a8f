"""Chess moves and the 1858 slots of a network's policy, by rule.

A slot is a move on the mover's board (see `squares`), turned with it where the input format is
canonical (see `symmetry`). The slots are every move that a queen or a knight could make between two
squares, by from-square and then to-square, followed by the promotions to queen, rook and bishop
from the seventh rank. A promotion to knight is the plain move. Castling is the king taking its own
rook inside the slots; outside it is written as python-chess writes it.

Moves in bulk are numbers here: python-chess's objects are slow to make, send and compare.

lc0 transposes slots as here until version 0.31; 0.32 turns them by half where it transposes planes
(pawnless positions), which no network was trained for. lc0's Python bindings never turn slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import chess
import numpy as np

from leela_probe.positions.squares import NetSquare, from_board, to_board
from leela_probe.positions.symmetry import Transform, turn_square, unturn_square

if TYPE_CHECKING:
    from jaxtyping import Int16, Int64, UInt8, UInt16

__all__ = [
    "POLICY_SIZE",
    "SLOT_MOVES",
    "legal",
    "legal_moves",
    "move",
    "move_of",
    "number_of",
    "numbers_of",
    "slot",
    "slots",
]

_PROMOTIONS = (chess.QUEEN, chess.ROOK, chess.BISHOP)


def _reachable(from_square: int, to_square: int) -> bool:
    ranks = abs(from_square // 8 - to_square // 8)
    files = abs(from_square % 8 - to_square % 8)
    if from_square == to_square:
        return False
    return ranks == 0 or files == 0 or ranks == files or {ranks, files} == {1, 2}


_SLOTS: tuple[tuple[int, int, int], ...] = (
    *((a, b, 0) for a in range(64) for b in range(64) if _reachable(a, b)),
    *(
        (chess.square(file, 6), chess.square(to_file, 7), piece)
        for file in range(8)
        for to_file in range(max(0, file - 1), min(8, file + 2))
        for piece in _PROMOTIONS
    ),
)

POLICY_SIZE = 1858
"""How many slots a policy has."""

SLOT_MOVES: tuple[str, ...] = tuple(
    chess.Move(from_square, to_square, piece or None).uci()
    for from_square, to_square, piece in _SLOTS
)
"""The move of each slot on the mover's board: slot 0 is 'a1b1', slot 1857 'h7h8b'."""

_SLOT_OF = {key: index for index, key in enumerate(_SLOTS)}
_CASTLING_FILES_APART = 2
# Kings that castle from here go two files in python-chess; others take the rook, as in the slots.
_AT_HOME = (chess.E1, chess.E8)


def number_of(move: chess.Move) -> int:
    """A number for a move: from-square, to-square and promotion in 15 bits.

    Example:
        >>> move_of(number_of(chess.Move.from_uci("a7b8q"))).uci()
        'a7b8q'
    """
    return move.from_square | move.to_square << 6 | (move.promotion or 0) << 12


@cache
def move_of(number: int) -> chess.Move:
    """The move of a number; not to be changed, since all callers get the same object."""
    return chess.Move(number & 63, number >> 6 & 63, number >> 12 or None)


def numbers_of(moves: Sequence[chess.Move]) -> list[int]:
    """The number of each move; faster than one by one."""
    return [move.from_square | move.to_square << 6 | (move.promotion or 0) << 12 for move in moves]


@cache
def _table(turn: chess.Color, transform: int) -> Int16[np.ndarray, " number"]:
    """The slot of the move of each number; -1 is none."""
    seen = [from_board(square, turn) for square in chess.SQUARES]
    turned = [turn_square(square, Transform(transform)) for square in seen]
    table = np.full(7 << 12, -1, dtype=np.int16)
    for a in chess.SQUARES:
        for b in chess.SQUARES:
            pair = a | b << 6
            plain = _SLOT_OF.get((turned[a], turned[b], 0), -1)
            table[pair] = plain
            if seen[a] // 8 == 6 and seen[b] // 8 == 7 and abs(a % 8 - b % 8) <= 1:
                table[chess.KNIGHT << 12 | pair] = plain
                for piece in _PROMOTIONS:
                    table[piece << 12 | pair] = _SLOT_OF.get((turned[a], turned[b], piece), -1)
    return table


def slot(move: chess.Move, board: chess.Board, transform: Transform = Transform.NONE) -> int:
    """The policy slot of a move, 0 to 1857.

    Args:
        move: a move on `board`; it need not be legal. Castling may be written e1g1 or e1h1.
        board: the position; its side to move and its castling rooks are read.
        transform: how the network's input format turns this board (`symmetry.choose`).

    Raises:
        ValueError: no slot holds such a move.

    Example:
        >>> board = chess.Board("4k2r/8/8/8/8/8/8/4K3 b k - 0 1")
        >>> SLOT_MOVES[slot(chess.Move.from_uci("e8g8"), board)]
        'e1h1'
    """
    to_square = move.to_square
    if board.kings & board.occupied_co[board.turn] & chess.BB_SQUARES[move.from_square]:
        to_square = _castling_rook(board, move.from_square, to_square)
    number = move.from_square | to_square << 6 | (move.promotion or 0) << 12
    found = int(_table(board.turn, transform)[number])
    if found < 0:
        raise ValueError(
            f"the move {move.uci()} has no policy slot: slots hold the moves of a queen or a "
            "knight, and promotions of a pawn on the mover's seventh rank"
        )
    return found


def legal(
    board: chess.Board, transform: Transform = Transform.NONE
) -> tuple[list[chess.Move], Int16[np.ndarray, " legal_move"]]:
    """The legal moves of a position in python-chess's order, and the policy slot of each.
    A position whose kings touch cannot arise, but people write such; there the moves are lc0's,
    which counts the other king as no check (python-chess would capture it).

    Args:
        board: the position.
        transform: how the network's input format turns this board (`symmetry.choose`).

    Example:
        >>> moves, slots = legal(chess.Board())
        >>> len(moves), SLOT_MOVES[slots[0]], moves[0].uci()
        (20, 'g1h3', 'g1h3')
    """
    found = legal_moves(board)
    numbers = np.array(numbers_of(found), dtype=np.uint16)
    ends = np.array([0, len(found)], dtype=np.int64)
    return found, slots(numbers, ends, [board], np.array([transform], dtype=np.uint8))


def move(slot: int, board: chess.Board, transform: Transform = Transform.NONE) -> chess.Move:
    """The move of a slot on this board; the inverse of `slot`. Whether it is legal is not checked.

    Args:
        slot: a policy slot, 0 to 1857.
        board: the position; it tells promotion to a knight and castling from plain moves.
        transform: how the network's input format turns this board (`symmetry.choose`).

    Raises:
        ValueError: the slot is outside the policy.

    Example:
        >>> move(SLOT_MOVES.index("e2e4"), chess.Board())
        Move.from_uci('e2e4')
    """
    if not 0 <= slot < POLICY_SIZE:
        raise ValueError(
            f"policy slot {slot} does not exist: slots run from 0 to {POLICY_SIZE - 1}"
        )
    a, b, piece = _SLOTS[slot]
    from_square = to_board(unturn_square(NetSquare(a), transform), board.turn)
    to_square = to_board(unturn_square(NetSquare(b), transform), board.turn)
    promotion: int | None = piece or None
    source, target = chess.BB_SQUARES[from_square], chess.BB_SQUARES[to_square]
    ours = board.occupied_co[board.turn]
    if promotion is None and source & board.pawns and target & (chess.BB_RANK_1 | chess.BB_RANK_8):
        promotion = chess.KNIGHT
    if source & board.kings & ours and target & board.castling_rights & ours and not board.chess960:
        side = 2 if to_square > from_square else -2
        return chess.Move(from_square, from_square + side)
    return chess.Move(from_square, to_square, promotion)


def slots(
    numbers: UInt16[np.ndarray, " legal_move"],
    offsets: Int64[np.ndarray, " board_plus_1"],
    boards: Sequence[chess.Board],
    transforms: UInt8[np.ndarray, " board"],
) -> Int16[np.ndarray, " legal_move"]:
    """The policy slots of the legal moves of several boards; checks nothing.

    Args:
        numbers: the moves (`number_of`), board after board.
        offsets: board i owns the entries from `offsets[i]` to `offsets[i + 1]`.
        boards: the positions.
        transforms: how the network's input format turns each (`symmetry.choose`).

    Example:
        >>> number = number_of(chess.Move.from_uci("e2e4"))
        >>> found = slots(np.array([number], dtype=np.uint16), np.array([0, 1]), [chess.Board()],
        ...               np.zeros(1, dtype=np.uint8))
        >>> [SLOT_MOVES[each] for each in found]
        ['e2e4']
    """
    views = np.array([board.turn for board in boards], dtype=np.uint8) << 3 | transforms
    owner = np.repeat(np.arange(len(boards)), np.diff(offsets))
    found = np.empty(len(numbers), dtype=np.int16)
    for view in np.unique(views).tolist():
        chosen = views[owner] == view
        found[chosen] = _table(bool(view >> 3), view & 7)[numbers[chosen]]
    start, end = (numbers & 63).astype(np.int8), (numbers >> 6 & 63).astype(np.int8)
    castles = np.isin(start, _AT_HOME) & (np.abs(start - end) == _CASTLING_FILES_APART)
    for index in np.flatnonzero(castles).tolist():
        board = boards[owner[index]]
        if board.castling_rights and not board.chess960:
            transform = Transform(int(transforms[owner[index]]))
            found[index] = slot(move_of(int(numbers[index])), board, transform)
    return found


def _castling_rook(board: chess.Board, from_square: int, to_square: int) -> int:
    """The square of the rook that the king castles with; `to_square` where it does not castle."""
    if abs(from_square - to_square) != _CASTLING_FILES_APART or not board.castling_rights:
        return to_square
    rank = chess.BB_RANKS[chess.square_rank(from_square)]
    rooks = board.castling_rights & rank & board.occupied_co[board.turn]
    for rook in chess.scan_forward(rooks):
        if (rook > from_square) == (to_square > from_square):
            return rook
    return to_square


def legal_moves(board: chess.Board) -> list[chess.Move]:
    """The legal moves of a position in python-chess's order.

    A position whose kings touch cannot arise, but people write such. Its moves here are lc0's, to
    which a king gives no check (python-chess would capture it).

    Args:
        board: the position.

    Example:
        >>> sorted(move.uci() for move in legal_moves(chess.Board("8/8/8/3k4/3K4/8/8/8 w - - 0 1")))
        ['d4c3', 'd4d3', 'd4e3']
    """
    if _kings_touch(board):
        return [move for move in board.generate_pseudo_legal_moves() if _lc0_allows(move, board)]
    return list(board.generate_legal_moves())


def _kings_touch(board: chess.Board) -> bool:
    kings = board.kings
    if not kings or not chess.BB_KING_ATTACKS[chess.lsb(kings)] & kings:
        return False
    own, their = board.king(board.turn), board.king(not board.turn)
    if own is None or their is None:
        return False
    return bool(chess.BB_KING_ATTACKS[own] & chess.BB_SQUARES[their])


def _lc0_allows(move: chess.Move, board: chess.Board) -> bool:
    after = board.copy(stack=False)
    after.push(move)
    own, their = after.king(board.turn), after.king(not board.turn)
    if own is None or their is None:
        return False
    attackers = after.attackers_mask(not board.turn, own)
    if own == board.king(board.turn):
        attackers &= ~chess.BB_SQUARES[their]
    return not attackers
