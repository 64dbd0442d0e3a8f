"""Certified mates in two and three with their lines, on sparse to crowded boards.

A record of `TACTIC` is a `records.RECORD` with these columns more; all but `share` are 0 where the
position is no mate in two or three, or has no line in which every move of the winning side is the
only one that wins as fast:

- `line`: the moves of such a line, both sides' in the view of the record; `plies`: how many.
- `pattern`: the squares that they go to, numbered as they first appear, as one number: 112 is a
  line whose reply takes the man that moved, and whose mate comes elsewhere.
- `forced`: bit 0 where the first reply of the line is the only legal move, bit 1 the second.
- `ready`: 1 knight, 2 bishop, 3 rook where such a man makes the third move from where it stands.
- `share`: the index in `SHARES` of what it was made as.

A forced reply shows at one ply, and so does much of what mates: the score of `one_ply` finds nine
of ten sacrifices that are made by chance. A network would learn that instead of looking ahead; so
most roots that a score finds are left out. There are two: one is fitted to all roots, one to the
sacrifices that the first leaves. Of the roots that are kept each finds a quarter; a score that is
fitted to the kept sacrifices alone finds 55 %, where the fewest replies find 46 %.

Everything is done by `tactics.c`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import chess
import numpy as np

from training import certificates, one_ply, records
from training.certificates import CertificateError, Split
from training.records import MATE_IN_2, MATE_IN_3

__all__ = [
    "ROOTS",
    "SACRIFICE_IN_2",
    "SACRIFICE_IN_3",
    "SHARES",
    "TACTIC",
    "TacticsMix",
    "generate",
    "groups",
    "is_held_out",
    "line",
    "verify",
]

TACTIC = np.dtype(
    [
        *((name, *records.RECORD.fields[name][:1]) for name in records.RECORD.names),
        ("pattern", "<u4"),
        ("line", "<u2", (5,)),
        ("plies", "u1"),
        ("forced", "u1"),
        ("ready", "u1"),
        ("share", "u1"),
        ("unused", "u1", (6,)),
    ]
)
SHARES = (
    "mates_in_two",
    "mates_in_three",
    "sacrifices_in_two",
    "sacrifices_in_three",
    "mates_in_one",
    "later_mates_in_one",
    "later_mates_in_two",
    "defences",
    "long_defences",
    "near_misses",
)
SACRIFICE_IN_2, SACRIFICE_IN_3 = 2, 3
ROOTS = 4
"""So many of the shares begin families."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TacticsMix:
    """How many parts of a block are what; whole numbers, so that all machines agree.

    Args:
        mates_in_two: from placements, as the next.
        mates_in_three: those from placements have a single legal first reply in one of four.
        sacrifices_in_two: the only legal reply takes the man that moved, the mate comes elsewhere.
        sacrifices_in_three: likewise, and the third move goes elsewhere.
        mates_in_one: from placements.
        later_mates_in_one: at the end of the line of a root of the first four shares.
        later_mates_in_two: after the first move and a reply of a mate in three.
        defences: after the first move of a mate in two.
        long_defences: after the first move of a mate in three.
        near_misses: a root with one man moved, removed or added that has no mate in three.
    """

    mates_in_two: int = 21
    mates_in_three: int = 18
    sacrifices_in_two: int = 16
    sacrifices_in_three: int = 12
    mates_in_one: int = 4
    later_mates_in_one: int = 6
    later_mates_in_two: int = 6
    defences: int = 3
    long_defences: int = 3
    near_misses: int = 11

    def counts(self, total: int) -> list[int]:
        """So many records in these proportions, by largest remainder."""
        return certificates.in_proportion(astuple(self), total)


def generate(
    *, seed: int, block: int, count: int, split: Split = "train", mix: TacticsMix | None = None
) -> np.ndarray:
    """A block of certified records, no position twice (mirror images count as one).

    The same arguments give the same bytes on every machine. Positions with a hash that 16 divides
    are held out, mirror images alike, those that the domain `mates` holds out among them. The two
    splits draw other random numbers: every record of a held-out block is such a position and none
    of a training block is.

    Args:
        seed: which stream of blocks, 0 to 2**64 - 1.
        block: which block of the stream, from 0 up.
        count: how many records. `game` is the block's number times 65,536 plus a running number.
        split: whose positions.
        mix: what in which proportions.

    Returns:
        An array of `TACTIC`. Families stand together; shares alternate all the way.

    Example:
        >>> block = generate(seed=1, block=0, count=100)
        >>> np.bincount(block["share"]).tolist()
        [21, 18, 16, 12, 4, 6, 6, 3, 3, 11]
    """
    certificates.check_stream(seed=seed, block=block, count=count, split=split)
    made = np.zeros(count, TACTIC)
    wanted = np.array((mix or TacticsMix()).counts(count), np.int64)
    selection = one_ply.weights("selection")
    library = certificates.library()
    assert library.mates_tactic_size() == TACTIC.itemsize
    failed = library.mates_generate_tactics(
        seed, block, int(split == "held-out"), wanted.ctypes.data,
        selection.ctypes.data, len(selection), made.ctypes.data,
    )  # fmt: skip
    if failed:
        raise MemoryError(f"no memory for the positions of a block of {count} records")
    return made


def groups(found: np.ndarray) -> dict[str, np.ndarray]:
    """Which records are of the groups that experiments need, (board), by name.

    Args:
        found: of `TACTIC`.
    """
    two, three = found["kind"] == MATE_IN_2, found["kind"] == MATE_IN_3
    five = found["plies"] == 5
    return {
        "mates in 2 by sacrifice": two & (found["share"] == SACRIFICE_IN_2),
        "mates in 3 by sacrifice": three & (found["share"] == SACRIFICE_IN_3),
        "five plies, single reply": five & (found["forced"] & 1 > 0),
        "five plies, a piece ready": five & (found["ready"] > 0),
    }


def is_held_out(claim: np.void) -> bool:
    """Whether a record's position, or its mirror image, belongs to the held-out split here."""
    men = np.ascontiguousarray(claim["pieces"])
    return bool(certificates.library().mates_held_out_tactic(men.ctypes.data, claim["castling"]))


def line(tactic: np.void) -> tuple[chess.Move, ...]:
    """The moves of a record's line on `records.board` of it, where white begins; or none."""
    return tuple(map(records.move_of, tactic["line"][: tactic["plies"]].tolist()))


def verify(claimed: np.ndarray) -> None:
    """Prove every record again: kind, moves and targets, and the line if it has one.

    Raises:
        CertificateError: at the first that is not what it says it is, with its FEN.
    """
    certificates.verify(claimed)
    for index, claim in enumerate(claimed):
        board = records.board(claim)
        moves = line(claim)
        expected = _columns(board, moves)
        for column, value in expected.items():
            if claim[column] != value:
                raise CertificateError(
                    f"record {index}: '{board.fen()}' has {column} {claim[column]} and its line "
                    f"{' '.join(map(chess.Move.uci, moves))} {value}"
                )
        for ply, move in enumerate(moves):
            if ply % 2 == 0 and _only_moves(board, len(moves) - ply) != (move,):
                raise CertificateError(
                    f"record {index}: '{board.fen()}': {move} is not the only fastest mate"
                )
            board.push(move)


def _only_moves(board: chess.Board, plies: int) -> tuple[chess.Move, ...]:
    """The first moves of the fastest mate, where that takes so many plies."""
    found = certificates.mates(board)
    if plies == 1 or found.in_one:
        return found.in_one if plies == 1 else ()
    if plies == 3 or found.in_two:
        return found.in_two if plies == 3 else ()
    return certificates.mates_in_three(board)


def _columns(board: chess.Board, moves: tuple[chess.Move, ...]) -> dict[str, int]:
    """What a line's columns are to say."""
    squares: dict[int, str] = {}
    pattern = "".join(squares.setdefault(m.to_square, str(len(squares) + 1)) for m in moves)
    forced, after = 0, board.copy(stack=False)
    for ply, move in enumerate(moves):
        forced |= (ply % 2 and after.legal_moves.count() == 1) << ply // 2
        after.push(move)
    ready = 0
    if moves and moves[0].from_square != moves[2].from_square:
        piece = board.piece_at(moves[2].from_square)
        if piece is not None and piece.color and piece.piece_type in (2, 3, 4):
            ready = piece.piece_type - 1
    return {"pattern": int(pattern or 0), "forced": forced, "ready": ready}
