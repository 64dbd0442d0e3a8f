"""A certified position and its legal moves as one row of a numpy array, and back to a board.

Everything is in the view of the side to move, which plays up the board as in Leela's planes: with
black to move the board is colour-mirrored, a8 becomes a1.

Columns of `RECORD`, which is what `records.h` writes:

- `pieces`: bitboards of the own P N B R Q K, then of theirs; a1 is bit 0, h8 bit 63.
- `kind`: one of `KINDS` by number. `outcome`: 0 win, 1 draw or unknown, 2 loss.
- `castling`: own O-O, own O-O-O, their O-O, their O-O-O from bit 0 up.
- `count`: how many legal moves there are; the first so many of `moves` and `target` count.
- `game`: the same number for the positions of one family.
- `moves`: from | to << 6 | promotion << 12; promotion is 0 none, 1 knight, 2 bishop, 3 rook,
  4 queen.
- `target`: what is true of the move, see the bits below.

En passant captures have no place here: no record's position has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import chess
import numpy as np

__all__ = [
    "CHECK",
    "DEFENCE",
    "FEWEST_REPLIES",
    "GREEDY",
    "KINDS",
    "LONG_DEFENCE",
    "MATE",
    "MATE_IN_1",
    "MATE_IN_2",
    "MATE_IN_3",
    "MOST_MOVES",
    "NO_MATE",
    "NO_MATE_IN_3",
    "RECORD",
    "STRONG",
    "board",
    "castling_bits",
    "move_code",
    "move_of",
    "moves",
    "of",
    "pieces",
]

MOST_MOVES = 96
RECORD = np.dtype(
    [
        ("pieces", "<u8", (12,)),
        ("kind", "u1"),
        ("outcome", "u1"),
        ("castling", "u1"),
        ("count", "u1"),
        ("game", "<u4"),
        ("moves", "<u2", (MOST_MOVES,)),
        ("target", "u1", (MOST_MOVES,)),
    ]
)
KINDS = (
    "mate in 2",
    "mate in 1",
    "defence",
    "no mate",  # in 1 or 2
    "mate in 3",
    "long defence",  # after the first move of a mate in 3
    "no mate in 3",
)
MATE_IN_2, MATE_IN_1, DEFENCE, NO_MATE, MATE_IN_3, LONG_DEFENCE, NO_MATE_IN_3 = range(len(KINDS))
OUTCOMES = (0, 0, 2, 1, 0, 2, 1)  # of each kind

STRONG = 1  # of the strong teacher: the key, a mate, a reply that leaves the fewest mates in 1
GREEDY = 2  # a move of the greedy teacher, who sees one ply
CHECK = 4  # gives check
MATE = 8  # mates at once
FEWEST_REPLIES = 16  # leaves the other side the fewest legal replies, stalemate counted as the most

_RIGHTS = (chess.BB_H1, chess.BB_A1, chess.BB_H8, chess.BB_A8)  # in the order of the bits


def board(record: np.void) -> chess.Board:
    """The position of a record as a new board with White to move.

    Example:
        >>> start = chess.Board()
        >>> board(of(start)) == start
        True
    """
    position = chess.Board(None)
    for index, men in enumerate(record["pieces"].tolist()):
        piece = chess.Piece(index % 6 + 1, chess.WHITE if index < 6 else chess.BLACK)
        for square in chess.scan_forward(men):
            position.set_piece_at(square, piece)
    bits = int(record["castling"])
    position.castling_rights = sum(right for i, right in enumerate(_RIGHTS) if bits >> i & 1)
    return position


def of(
    position: chess.Board,
    *,
    kind: int = 3,
    game: int = 0,
    target: Mapping[chess.Move, int] | None = None,
) -> np.void:
    """A record of a board as it is claimed to be; `certificates.verify` checks such claims.

    Args:
        position: any legal board.
        kind: what to call it, an index into `KINDS`.
        game: the family's number.
        target: bits of moves, in the board's own squares; other legal moves get none.

    Raises:
        ValueError: the board has an en passant capture or too many legal moves for a record.
    """
    if position.has_legal_en_passant():
        raise ValueError(f"a record has no room for an en passant capture: '{position.fen()}'")
    legal = list(position.legal_moves)
    if len(legal) > MOST_MOVES:
        raise ValueError(
            f"a record has room for {MOST_MOVES} moves, got {len(legal)}: '{position.fen()}'"
        )
    record = np.zeros((), RECORD)
    record["pieces"] = pieces(position)
    record["kind"] = kind
    record["outcome"] = OUTCOMES[kind]
    record["castling"] = castling_bits(position)
    record["count"] = len(legal)
    record["game"] = game
    record["moves"][: len(legal)] = [move_code(move, position.turn) for move in legal]
    record["target"][: len(legal)] = [(target or {}).get(move, 0) for move in legal]
    return record[()]  # type: ignore[return-value]


def moves(record: np.void, *, bits: int = 0) -> tuple[chess.Move, ...]:
    """The legal moves of a record whose targets have all of these bits, on `board(record)`."""
    count = int(record["count"])
    return tuple(
        move_of(code)
        for code, target in zip(
            record["moves"][:count].tolist(), record["target"][:count].tolist(), strict=True
        )
        if target & bits == bits
    )


def pieces(position: chess.Board) -> Sequence[int]:
    """The twelve bitboards of a board in the mover's view."""
    us = position.turn
    found = [
        int(position.pieces(piece, colour)) for colour in (us, not us) for piece in range(1, 7)
    ]
    return found if us else [chess.flip_vertical(men) for men in found]


def castling_bits(position: chess.Board) -> int:
    """The castling rights of a board, own short, own long, their short, their long."""
    rights = position.clean_castling_rights()
    if not position.turn:
        rights = chess.flip_vertical(rights)
    return sum(1 << i for i, right in enumerate(_RIGHTS) if rights & right)


def move_code(move: chess.Move, turn: chess.Color = chess.WHITE) -> int:
    """The 16 bits of a move, given who makes it.

    Example:
        >>> move_code(chess.Move.from_uci("a2b1q"), chess.BLACK)
        20080
    """
    view = 0 if turn else 56
    promotion = (move.promotion or 1) - 1
    return (move.from_square ^ view) | (move.to_square ^ view) << 6 | promotion << 12


def move_of(code: int, turn: chess.Color = chess.WHITE) -> chess.Move:
    """The move of 16 bits, given who makes it.

    Example:
        >>> move_of(20080, chess.BLACK).uci()
        'a2b1q'
    """
    view = 0 if turn else 56
    promotion = code >> 12 & 7
    return chess.Move(
        (code & 63) ^ view, (code >> 6 & 63) ^ view, promotion + 1 if promotion else None
    )
