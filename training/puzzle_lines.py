"""Certified mates in two as puzzles in Lichess's own columns.

    python -m training.puzzle_lines --count N --seed S --out FILE.csv

A Lichess puzzle begins one ply early, with the move that sets it up. That move is found by taking
back a quiet move of the side that is to be mated, so the line is: set-up, key, reply, mate. All
random-looking choices are by SHA-256 of the seed and the position, so a seed gives the same file
everywhere. Every line is proved again before it is written. Stands on `certificates`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import string
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import chess
import numpy as np

from leela_probe.files import disk
from training import certificates, records
from training.certificates import CertificateError, Mix, Split

__all__ = [
    "COLUMNS",
    "Dropped",
    "PuzzleLine",
    "certify",
    "line",
    "lines",
    "main",
    "puzzle_id",
    "retractions",
    "write",
]

COLUMNS = (
    "PuzzleId FEN Moves Rating RatingDeviation Popularity NbPlays Themes GameUrl OpeningTags"
).split()

_LETTERS = string.ascii_letters + string.digits
_IDS = len(_LETTERS) ** 5
_STRIDE = 387_420_489  # shares no factor with 62, so ids do not repeat before all are used
_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PuzzleLine:
    """A mate in two with the move before it.

    Args:
        fen: the position before the set-up move.
        moves: set-up, key, reply, mate in UCI.
        themes: in Lichess's words.
    """

    fen: str
    moves: tuple[str, str, str, str]
    themes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A mate in two that makes no puzzle, and why: "no set-up move", "several mates" or "twice"."""

    fen: str
    reason: str


def line(record: np.void, *, seed: int) -> PuzzleLine | Dropped:
    """The puzzle of a kind-0 record.

    The reply is one that leaves a single mating move; where every reply leaves more, or no quiet
    move leads to the position, the record is dropped.

    Raises:
        CertificateError: the record holds no mate in two with one first move.
    """
    board = records.board(record)
    key = certificates.mates(board).key
    if key is None:
        raise CertificateError(f"'{board.fen()}' has no single first move that mates in two")
    answers = certificates.answers(board, key)
    singles = [(reply, mates[0]) for reply, mates in answers.items() if len(mates) == 1]
    if not singles:
        return Dropped(fen=board.fen(), reason="several mates")
    reply, mate = min(singles, key=lambda pair: _rank(seed, board, pair[0]))
    earlier = min(retractions(board), key=lambda pair: _rank(seed, *pair), default=None)
    if earlier is None:
        return Dropped(fen=board.fen(), reason="no set-up move")
    start, setup = earlier
    moves = [setup, key, reply, mate]
    if _rank(seed, board, key)[0] % 2:
        start = start.mirror()
        moves = [_mirrored(move) for move in moves]
    themes = ["mate", "mateIn2", "short"]
    if board.gives_check(key):
        themes.append("checkingFirstMove")
    elif not board.is_capture(key) and key.promotion is None:
        themes.append("quietFirstMove")
    found = PuzzleLine(
        fen=start.fen(),
        moves=tuple(move.uci() for move in moves),  # type: ignore[arg-type]
        themes=tuple(themes),
    )
    certify(found)
    return found


def lines(
    *, seed: int, count: int | None = None, split: Split = "held-out"
) -> Iterator[PuzzleLine | Dropped]:
    """Puzzles from the stream of generated mates in two, and what was dropped on the way.

    Args:
        seed: the stream, as in `certificates.generate`, and the choices within a line.
        count: it ends after so many puzzles; by default it goes on.
        split: whose positions.
    """
    seen: set[str] = set()
    found = block = 0
    while count is None or found < count:
        mix = Mix(
            mates_in_two=1,
            mates_in_one=0,
            continuations=0,
            defences=0,
            near_misses=0,
            unrelated=0,
        )
        for record in certificates.generate(
            seed=seed, block=block, count=_BLOCK, split=split, mix=mix
        ):
            board = records.board(record)
            image = board.transform(chess.flip_horizontal).board_fen()
            who = min(board.board_fen(), image)
            if who in seen:
                yield Dropped(fen=board.fen(), reason="twice")
                continue
            seen.add(who)
            made = line(record, seed=seed)
            yield made
            found += isinstance(made, PuzzleLine)
            if found == count:
                return
        block += 1


def retractions(board: chess.Board) -> Iterator[tuple[chess.Board, chess.Move]]:
    """Every quiet move of the other side that may have led to a board, with the position before.

    No captures, castling, promotions or double pawn steps; the position before is legal.

    Example:
        >>> board = chess.Board("8/8/8/8/8/p7/k1K5/8 w - - 0 1")
        >>> sorted(move.uci() for _, move in retractions(board))
        ['a1a2', 'a4a3']
    """
    them = not board.turn
    for to in chess.scan_forward(board.occupied_co[them]):
        piece = board.piece_at(to)
        assert piece is not None
        if piece.piece_type == chess.PAWN:
            origin = to - 8 if them else to + 8
            on_board = chess.BB_SQUARES[origin] & ~(chess.BB_RANK_1 | chess.BB_RANK_8)
            origins = on_board & ~board.occupied
        else:
            origins = int(board.attacks(to)) & ~board.occupied
        for origin in chess.scan_forward(origins):
            earlier = board.copy(stack=False)
            earlier.remove_piece_at(to)
            earlier.set_piece_at(origin, piece)
            earlier.turn = them
            earlier.ep_square = None
            earlier.halfmove_clock, earlier.fullmove_number = 0, 1
            move = chess.Move(origin, to)
            if not earlier.is_valid() or not earlier.is_legal(move):
                continue
            after = earlier.copy(stack=False)
            after.push(move)
            same = after.board_fen() == board.board_fen()
            if same and after.clean_castling_rights() == board.clean_castling_rights():
                yield earlier, move


def certify(puzzle: PuzzleLine) -> None:
    """Prove a line from its text alone: legal, one first move, one mate.

    Raises:
        CertificateError: something does not hold; the message names the FEN.
    """

    def expect(holds: bool, what: str) -> None:
        if not holds:
            raise CertificateError(f"'{puzzle.fen}' {' '.join(puzzle.moves)}: {what}")

    board = chess.Board(puzzle.fen)
    expect(board.is_valid(), "the position is not legal")
    setup, key, reply, mate = map(chess.Move.from_uci, puzzle.moves)
    expect(board.is_legal(setup), "the set-up move is not legal")
    board.push(setup)
    expect(certificates.mates(board).key == key, "the second move is not the only mate in two")
    board.push(key)
    expect(board.is_legal(reply), "the reply is not legal")
    board.push(reply)
    expect(certificates.mates_in_one(board) == (mate,), "the last move is not the only mate")
    board.push(mate)
    expect(board.is_checkmate(), "the last move is not mate")


def puzzle_id(index: int, *, seed: int) -> str:
    """Five letters and digits, different for every index of a seed.

    Example:
        >>> len({puzzle_id(index, seed=1) for index in range(1000)})
        1000
    """
    offset = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little")
    number = (index * _STRIDE + offset) % _IDS
    found = ""
    for _ in range(5):
        number, digit = divmod(number, len(_LETTERS))
        found += _LETTERS[digit]
    return found


def write(path: Path, puzzles: Iterable[PuzzleLine], *, seed: int) -> int:
    """Write puzzles as a CSV file in Lichess's columns, whole or not at all; says how many.

    Nobody has played them: Rating is Lichess's 1500 of the beginning, RatingDeviation 500.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    count = 0
    for index, puzzle in enumerate(puzzles):
        certify(puzzle)
        moves, themes = " ".join(puzzle.moves), " ".join(puzzle.themes)
        name = puzzle_id(index, seed=seed)
        table.writerow([name, puzzle.fen, moves, 1500, 500, 0, 0, themes, "", ""])
        count += 1
    content = text.getvalue().encode()
    temporary = path.with_name(f".{path.name}.tmp")
    disk.write(path, lambda file: file.write(content), temporary=temporary)
    return count


def main() -> int:
    """The command: puzzles from the held-out split."""
    parser = argparse.ArgumentParser(
        prog="python -m training.puzzle_lines", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--count", type=int, required=True, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--split", choices=("train", "held-out"), default="held-out")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    arguments = parser.parse_args()
    dropped: dict[str, int] = {}

    def kept() -> Iterator[PuzzleLine]:
        for found in lines(seed=arguments.seed, count=arguments.count, split=arguments.split):
            if isinstance(found, Dropped):
                dropped[found.reason] = dropped.get(found.reason, 0) + 1
            else:
                yield found

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    count = write(arguments.out, kept(), seed=arguments.seed)
    print(f"{count:>10,} puzzles written to {arguments.out}")
    for reason, number in sorted(dropped.items()):
        print(f"{number:>10,} mates in two dropped: {reason}")
    return 0


def _rank(seed: int, board: chess.Board, move: chess.Move) -> bytes:
    """A number for a choice that looks random and is the same everywhere."""
    return hashlib.sha256(f"{seed} {board.fen()} {move.uci()}".encode()).digest()


def _mirrored(move: chess.Move) -> chess.Move:
    return chess.Move(
        chess.square_mirror(move.from_square), chess.square_mirror(move.to_square), move.promotion
    )


if __name__ == "__main__":
    sys.exit(main())
