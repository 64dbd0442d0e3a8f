"""Proofs of mates by exhaustive search, and positions generated with such proofs.

The work is done in C (`library.c` and what it includes), compiled on the spot with the machine's
C compiler and kept in `training/build/` until the sources change. The GIL is released during calls,
so threads help.

A mate in two is a first move after which there is a legal reply and every legal reply can be
answered by mate at once; a mate in three one after which every reply can be answered by a mate in
at most two.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import chess
import numpy as np

from training import records

__all__ = [
    "CertificateError",
    "Mates",
    "Mix",
    "NoCompilerError",
    "Split",
    "answers",
    "check_stream",
    "generate",
    "in_proportion",
    "is_held_out",
    "legal_moves",
    "library",
    "mates",
    "mates_in_one",
    "mates_in_three",
    "record",
    "source_hash",
    "verify",
]

Split = Literal["train", "held-out"]

_SOURCES = ("library.c", "rules.h", "records.h", "mates.c", "one_ply.h", "tactics.c")
_GENERATING = (*_SOURCES[1:], "one_ply_weights/selection.json")
_BUILD = Path(__file__).with_name("build")
_COMPILERS = ("cc", "gcc", "clang")
_OPTIONS = ("-std=c99", "-O3", "-shared", "-fPIC")  # no -march: the build may change machines
_REASONS = (
    "",
    f"it has more than {records.MOST_MOVES} legal moves",
    "it has no legal moves",
    "it has a mate in 1",
    "it has no mate in 1",
    "it has no mate in 2",
    "it has several first moves that mate in 2",
    "it has a mate in 2",
    "not every legal reply is answered by a mate",
    "there is no such kind",
    "it has no mate in 3",
    "it has a mate in 3",
    "every legal reply is answered by a mate at once",
)


class NoCompilerError(RuntimeError):
    """No C compiler was found, or it could not compile the sources."""


class CertificateError(ValueError):
    """A position is not what it is claimed to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mates:
    """What mates a position holds, on the board's own squares.

    Args:
        in_one: every move that mates at once.
        in_two: every move that mates at the second move by force, whatever the reply.
    """

    in_one: tuple[chess.Move, ...]
    in_two: tuple[chess.Move, ...]

    @property
    def key(self) -> chess.Move | None:
        """The only first move of a mate in two, where that is the fastest mate."""
        return self.in_two[0] if not self.in_one and len(self.in_two) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How many parts of a block are what; whole numbers, so that all machines agree.

    Args:
        mates_in_two: kind 0, the roots of families.
        mates_in_one: kind 1, unrelated to the roots.
        continuations: kind 1, after a root's key move and a random reply.
        defences: kind 2, after a root's key move.
        near_misses: kind 3, a root with one man moved, removed or added.
        unrelated: kind 3, unrelated to the roots.
    """

    mates_in_two: int = 50
    mates_in_one: int = 10
    continuations: int = 10
    defences: int = 10
    near_misses: int = 16
    unrelated: int = 4

    def counts(self, total: int) -> list[int]:
        """So many records in these proportions, by largest remainder.

        Example:
            >>> Mix().counts(101)
            [51, 10, 10, 10, 16, 4]
        """
        return in_proportion(astuple(self), total)


def in_proportion(parts: Sequence[int], total: int) -> list[int]:
    """So many whole things in these proportions, by largest remainder.

    Example:
        >>> in_proportion((1, 1, 2), 7)
        [2, 2, 3]
    """
    if min(parts) < 0 or sum(parts) == 0:
        raise ValueError(f"expected parts of which one at least is above 0, got {tuple(parts)}")
    counts = [total * part // sum(parts) for part in parts]
    largest = sorted(range(len(parts)), key=lambda i: -(total * parts[i] % sum(parts)))
    for index in largest[: total - sum(counts)]:
        counts[index] += 1
    return counts


def check_stream(*, seed: int, block: int, count: int, split: str) -> None:
    """Refuse what no stream of blocks has.

    Raises:
        ValueError: the message says which.
    """
    if split not in ("train", "held-out"):
        raise ValueError(f"expected the split 'train' or 'held-out', got {split!r}")
    if count < 0 or block < 0 or not 0 <= seed < 1 << 64:
        raise ValueError(
            "expected a seed from 0 to 2**64 - 1 and a block and a count from 0 up, "
            f"got seed {seed}, block {block}, count {count}"
        )


def generate(
    *, seed: int, block: int, count: int, split: Split = "train", mix: Mix | None = None
) -> np.ndarray:
    """A block of certified records, no position twice (mirror images count as one).

    The same arguments give the same bytes on every machine. Positions with a hash that 64 divides
    are held out; mirror images share their hash. A family is in the split of its root. A training
    block holds no held-out position at all, under whatever kind; held-out blocks hold held-out
    roots and unrelated positions, and what follows from the roots.

    Args:
        seed: which stream of blocks, 0 to 2**64 - 1.
        block: which block of the stream, from 0 up.
        count: how many records. `game` is the block's number times 65,536 plus a running number.
        split: whose families.
        mix: what in which proportions.

    Returns:
        An array of `records.RECORD`. Families stand together; kinds alternate all the way.

    Example:
        >>> block = generate(seed=1, block=0, count=100)
        >>> np.bincount(block["kind"]).tolist()
        [50, 20, 10, 20]
    """
    check_stream(seed=seed, block=block, count=count, split=split)
    found = np.zeros(count, records.RECORD)
    wanted = np.array((mix or Mix()).counts(count), np.int64)
    failed = library().mates_generate(
        seed, block, int(split == "held-out"), wanted.ctypes.data, found.ctypes.data
    )
    if failed:
        raise MemoryError(f"no memory for the positions of a block of {count} records")
    return found


def mates(board: chess.Board) -> Mates:
    """The mates in one and in two of a legal board, castling and en passant included.

    `in_two` is there also where there is a mate in one; it then holds the slower ways.

    Example:
        >>> found = mates(chess.Board("7k/8/5K2/8/8/8/8/6Q1 w - - 0 1"))
        >>> [move.uci() for move in found.in_one]
        ['g1g7']
    """
    return Mates(in_one=mates_in_one(board), in_two=_found(library().mates_two, board))


def mates_in_one(board: chess.Board) -> tuple[chess.Move, ...]:
    """Every move of a legal board that mates at once; much cheaper than `mates`."""
    return _found(library().mates_one, board)


def mates_in_three(board: chess.Board) -> tuple[chess.Move, ...]:
    """Every move of a legal board that mates in two or three by force, not at once.

    Where there is no faster mate these are the first moves of a mate in three.

    Example:
        >>> board = chess.Board("8/8/8/8/5K1k/8/8/6R1 w - - 0 1")
        >>> mates(board).in_two, [move.uci() for move in mates_in_three(board)]
        ((), ['g1a1', 'g1b1', 'g1c1', 'g1d1', 'g1e1'])
    """
    return _found(library().mates_three, board)


def answers(board: chess.Board, first: chess.Move) -> dict[chess.Move, tuple[chess.Move, ...]]:
    """Every legal reply to a first move, with the moves that mate at once after it.

    Args:
        board: is not changed.
        first: a legal move.

    Example:
        >>> board = chess.Board("7k/8/5K2/8/8/8/8/6Q1 w - - 0 1")
        >>> found = answers(board, chess.Move.from_uci("f6f7"))
        >>> {str(reply): [str(mate) for mate in mates] for reply, mates in found.items()}
        {'h8h7': ['g1h1', 'g1h2', 'g1g7']}
    """
    after = board.copy(stack=False)
    after.push(first)
    found = {}
    for reply in list(after.legal_moves):
        after.push(reply)
        found[reply] = mates_in_one(after)
        after.pop()
    return found


def legal_moves(board: chess.Board) -> tuple[chess.Move, ...]:
    """The legal moves of a board by `rules.h`, for comparison with python-chess."""
    return _found(library().mates_legal, board)


def record(board: chess.Board, *, kind: int | None = None, game: int = 0) -> np.void:
    """A certified record of a legal board.

    Args:
        board: is not changed.
        kind: index into `records.KINDS`; by default what mates in one and two say: 1, 0 or 3.
        game: the family's number.

    Raises:
        CertificateError: it is not of that kind, or of none (two first moves mate in two).
        ValueError: the board has an en passant capture.
    """
    if board.has_legal_en_passant():
        raise ValueError(f"a record has no room for an en passant capture: '{board.fen()}'")
    if kind is None:
        found = mates(board)
        kind = 1 if found.in_one else 0 if found.in_two else 3
    filled = np.zeros(1, records.RECORD)
    men = np.array(records.pieces(board), np.uint64)
    reason = library().mates_record(
        men.ctypes.data, records.castling_bits(board), kind, filled.ctypes.data
    )
    if reason:
        name = records.KINDS[kind] if 0 <= kind < len(records.KINDS) else str(kind)
        raise CertificateError(f"'{board.fen()}' is no record '{name}': {_REASONS[reason]}")
    filled["game"] = game
    return filled[0]


def verify(claimed: np.ndarray) -> None:
    """Prove every record again, moves and targets included.

    Raises:
        CertificateError: at the first that is not what it says it is, with its FEN.
    """
    filled = np.zeros(1, records.RECORD)
    for index, claim in enumerate(claimed):
        men = np.ascontiguousarray(claim["pieces"])
        kind = int(claim["kind"])
        board = records.board(claim)
        if not board.is_valid():
            raise CertificateError(f"record {index}: '{board.fen()}' is no legal position")
        reason = library().mates_record(
            men.ctypes.data, int(claim["castling"]), kind, filled.ctypes.data
        )
        name = records.KINDS[kind] if kind < len(records.KINDS) else str(kind)
        if reason:
            raise CertificateError(
                f"record {index}: '{board.fen()}' is no '{name}': {_REASONS[reason]}"
            )
        for column in ("outcome", "count", "moves", "target"):
            if not np.array_equal(filled[0][column], claim[column]):
                raise CertificateError(
                    f"record {index}: '{board.fen()}' has a wrong {column} for '{name}'"
                )


def is_held_out(claim: np.void) -> bool:
    """Whether a record's position, or its mirror image, belongs to the held-out split."""
    men = np.ascontiguousarray(claim["pieces"])
    return bool(library().mates_held_out(men.ctypes.data, int(claim["castling"])))


@cache
def library() -> ctypes.CDLL:
    """`library.c`, compiled if need be and loaded.

    Raises:
        NoCompilerError: there is none, or it failed.
    """
    if sys.byteorder != "little":
        raise NoCompilerError("records are little endian and this machine is not")
    loaded = ctypes.CDLL(str(_compiled()))
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name in ("mates_legal", "mates_one", "mates_two", "mates_three"):
        getattr(loaded, name).argtypes = [pointer, number, number, pointer]
    block = [ctypes.c_uint64, ctypes.c_uint64, number]
    loaded.mates_generate.argtypes = [*block, pointer, pointer]
    loaded.mates_generate_tactics.argtypes = [*block, pointer, pointer, number, pointer]
    loaded.mates_record.argtypes = [pointer, number, number, pointer]
    loaded.mates_one_ply.argtypes = [
        pointer, ctypes.c_int64, ctypes.c_int64, pointer, pointer, pointer
    ]  # fmt: skip
    loaded.mates_one_ply.restype = None
    for name in ("mates_held_out", "mates_held_out_tactic"):
        getattr(loaded, name).argtypes = [pointer, number]
    loaded.mates_init.restype = None
    loaded.mates_init()
    size = loaded.mates_record_size()
    assert size == records.RECORD.itemsize, (size, records.RECORD.itemsize)
    return loaded


def source_hash() -> str:
    """SHA-256 of the C sources that decide what is generated."""
    return _hash(_GENERATING)


def _hash(names: Sequence[str]) -> str:
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()


def _compiled() -> Path:
    how = repr((_hash(_SOURCES), _OPTIONS, sys.platform, platform.machine()))
    key = hashlib.sha256(how.encode())
    target = _BUILD / f"mates-{key.hexdigest()[:16]}.so"
    if target.exists():
        return target
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise NoCompilerError(
            f"no C compiler found (looked for {', '.join(_COMPILERS)}): install one, "
            "for example with `apt install gcc`"
        )
    _BUILD.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".tmp", dir=_BUILD)
    os.close(handle)
    try:
        command = [compiler, *_OPTIONS, "-o", name, str(Path(__file__).with_name(_SOURCES[0]))]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise NoCompilerError(f"`{' '.join(command)}` failed:\n{ran.stderr}")
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target


def _found(search: ctypes._NamedFuncPointer, board: chess.Board) -> tuple[chess.Move, ...]:
    men = np.array(records.pieces(board), np.uint64)
    codes = np.zeros(256, np.uint16)
    behind = board.ep_square if board.has_legal_en_passant() else None
    if behind is None:
        behind = -1
    elif not board.turn:
        behind ^= 56
    count = search(men.ctypes.data, records.castling_bits(board), behind, codes.ctypes.data)
    return tuple(records.move_of(code, board.turn) for code in codes[:count].tolist())
