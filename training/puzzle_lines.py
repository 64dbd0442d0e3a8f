"""Certified positions as puzzles in Lichess's own columns.

    python -m training.puzzle_lines --count N --seed S [--kind KIND] --out FILE.csv

A Lichess puzzle begins one ply early, with the move that sets it up. That move is found by taking
back a quiet move of the side that is to be mated. The line of a mate in two is then: set-up, key,
reply, mate; that of a mate in one: set-up, mate. A near miss, in which nothing mates, is a mate in
two with a man moved, taken away or added; its line is: set-up, the move that was the key, and a
reply after which there is no mate. All random-looking choices are by SHA-256 of the seed and the
position, so a seed gives the same file everywhere. Every line is proved again before it is written.
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
from training import arguments as arguments_of
from training import certificates, records
from training.certificates import CertificateError, Mates, Mix, Split

__all__ = [
    "COLUMNS",
    "KINDS",
    "Dropped",
    "PuzzleLine",
    "certify",
    "following",
    "line",
    "lines",
    "main",
    "of_line",
    "of_position",
    "puzzle_id",
    "retractions",
    "write",
]

COLUMNS = (
    "PuzzleId FEN Moves Rating RatingDeviation Popularity NbPlays Themes GameUrl OpeningTags"
).split()

KINDS = {
    "mate-in-2": Mix(
        mates_in_two=1, mates_in_one=0, continuations=0, defences=0, near_misses=0, unrelated=0
    ),
    "mate-in-1": Mix(
        mates_in_two=0, mates_in_one=1, continuations=0, defences=0, near_misses=0, unrelated=0
    ),
    "near-miss": Mix(
        mates_in_two=1, mates_in_one=0, continuations=0, defences=0, near_misses=1, unrelated=0
    ),
}
"""What can be written, and what is generated for it: near misses come with the mates they miss."""

_THEMES = {
    "mate-in-2": ("mate", "mateIn2", "short"),
    "mate-in-1": ("mate", "mateIn1", "oneMove"),
    "near-miss": ("nearMiss",),
    "mate-in-3": ("mate", "mateIn3", "long"),
}
_PLIES = {"mate-in-3": 5, "mate-in-2": 3, "mate-in-1": 1, "near-miss": 2}
_NUMBERS = {"mate-in-2": 0, "mate-in-1": 1, "near-miss": 3}  # among `records.KINDS`
_LETTERS = string.ascii_letters + string.digits
_IDS = len(_LETTERS) ** 5
_STRIDE = 387_420_489  # shares no factor with 62, so ids do not repeat before all are used
_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PuzzleLine:
    """A certified position with its line and the move before it.

    Args:
        fen: the position before the set-up move.
        moves: the set-up move and the line, in UCI.
        themes: in Lichess's words; near misses have a word of ours, `nearMiss`.
        kind: one of `KINDS`, or a mate in three.
        name: its PuzzleId; by default `write` gives one.
        rating: Lichess's 1500 of the beginning where nobody has played it.
        game: the address of the game it is from.
    """

    fen: str
    moves: tuple[str, ...]
    themes: tuple[str, ...]
    kind: str = "mate-in-2"
    name: str | None = None
    rating: int = 1500
    game: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A position that makes no puzzle, and why.

    The reasons: "no set-up move", "several mates", "twice", "the key is not legal" and "no
    refutation", which is a stalemate.
    """

    fen: str
    reason: str


def line(
    record: np.void, *, seed: int, kind: str = "mate-in-2", tried: chess.Move | None = None
) -> PuzzleLine | Dropped:
    """The puzzle of a record.

    The reply to a key is one that leaves a single mating move; where every reply leaves more, a
    mate in one is not the only one, or no quiet move leads to the position, the record is dropped.

    Args:
        record: of that kind.
        seed: of the choices within the line.
        kind: one of `KINDS`.
        tried: of a near miss, the key of the mate in two that it misses.

    Raises:
        CertificateError: the record is not of that kind.
    """
    board = records.board(record)
    moves = following(board, seed=seed, kind=kind, tried=tried)
    if isinstance(moves, Dropped):
        return moves
    return of_line(board, moves, seed=seed, kind=kind)


def of_line(
    board: chess.Board, moves: tuple[chess.Move, ...], *, seed: int, kind: str
) -> PuzzleLine | Dropped:
    """The puzzle of a position whose line is known, either colour to move by lot.

    Args:
        board: is not changed.
        moves: the line.
        seed: of the set-up move and the colour.
        kind: one of `KINDS`, or a mate in three.

    Raises:
        CertificateError: the line is not of that kind.
    """
    earlier = min(retractions(board), key=lambda pair: _rank(seed, *pair), default=None)
    if earlier is None:
        return Dropped(fen=board.fen(), reason="no set-up move")
    start, setup = earlier
    mirror = bool(_rank(seed, board, moves[0])[0] % 2)
    return _puzzle(start.mirror() if mirror else start, setup, moves, kind, mirror=mirror)


def following(
    board: chess.Board, *, seed: int, kind: str, tried: chess.Move | None = None
) -> tuple[chess.Move, ...] | Dropped:
    """The line from a position on, or why there is none; the arguments are those of `line`.

    Raises:
        CertificateError: the position is not of that kind.
    """
    found = certificates.mates(board)
    if kind == "mate-in-1":
        if not found.in_one:
            raise CertificateError(f"'{board.fen()}' has no mate in one")
        single = len(found.in_one) == 1
        return found.in_one if single else Dropped(fen=board.fen(), reason="several mates")
    if kind == "near-miss":
        if found.in_one or found.in_two:
            raise CertificateError(f"'{board.fen()}' has a mate")
        if tried is None or not board.is_legal(tried):
            return Dropped(fen=board.fen(), reason="the key is not legal")
        answers = certificates.answers(board, tried)
        refutations = [reply for reply, mates in answers.items() if not mates]
        if not refutations:
            return Dropped(fen=board.fen(), reason="no refutation")
        return tried, min(refutations, key=lambda reply: _rank(seed, board, reply))
    if found.key is None:
        raise CertificateError(f"'{board.fen()}' has no single first move that mates in two")
    answers = certificates.answers(board, found.key)
    singles = [(reply, mates[0]) for reply, mates in answers.items() if len(mates) == 1]
    if not singles:
        return Dropped(fen=board.fen(), reason="several mates")
    return found.key, *min(singles, key=lambda pair: _rank(seed, board, pair[0]))


def of_position(
    start: chess.Board, setup: chess.Move, *, seed: int, kind: str
) -> PuzzleLine | Dropped:
    """The puzzle of a mate that a given move leads to, such as a puzzle of Lichess.

    Args:
        start: the position before the set-up move.
        setup: legal there.
        seed: of the choices within the line.
        kind: a mate of `KINDS`.

    Raises:
        CertificateError: the position after the set-up move is not of that kind.
    """
    board = start.copy(stack=False)
    board.push(setup)
    moves = following(board, seed=seed, kind=kind)
    return moves if isinstance(moves, Dropped) else _puzzle(start, setup, moves, kind)


def _puzzle(
    start: chess.Board,
    setup: chess.Move,
    moves: tuple[chess.Move, ...],
    kind: str,
    *,
    mirror: bool = False,
) -> PuzzleLine:
    """A certified line; `mirror` says that the start is, and the moves are to be."""
    whole = [_mirrored(move) if mirror else move for move in (setup, *moves)]
    board = start.copy(stack=False)
    board.push(whole[0])
    themes = _THEMES[kind]
    if kind != "mate-in-1":  # where every first move gives check
        if board.gives_check(whole[1]):
            themes += ("checkingFirstMove",)
        elif not board.is_capture(whole[1]) and whole[1].promotion is None:
            themes += ("quietFirstMove",)
    found = PuzzleLine(
        fen=start.fen(), moves=tuple(move.uci() for move in whole), themes=themes, kind=kind
    )
    certify(found)
    return found


def lines(
    *, seed: int, count: int | None = None, split: Split = "held-out", kind: str = "mate-in-2"
) -> Iterator[PuzzleLine | Dropped]:
    """Puzzles from the stream of generated positions, and what was dropped on the way.

    Args:
        seed: the stream, as in `certificates.generate`, and the choices within a line.
        count: it ends after so many puzzles; by default it goes on.
        split: whose positions; of near misses, whose mates in two.
        kind: one of `KINDS`.
    """
    seen: set[str] = set()
    found = block = 0
    while count is None or found < count:
        keys: dict[int, chess.Move] = {}
        for record in certificates.generate(
            seed=seed, block=block, count=_BLOCK, split=split, mix=KINDS[kind]
        ):
            if record["kind"] == _NUMBERS["mate-in-2"]:
                (keys[int(record["game"])],) = records.moves(record, bits=records.STRONG)
            if record["kind"] != _NUMBERS[kind]:
                continue
            board = records.board(record)
            image = board.transform(chess.flip_horizontal).board_fen()
            who = min(board.board_fen(), image)
            if who in seen:
                yield Dropped(fen=board.fen(), reason="twice")
                continue
            seen.add(who)
            made = line(record, seed=seed, kind=kind, tried=keys.get(int(record["game"])))
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
    """Prove a line from its text alone: legal, one first move, one mate; or no mate at all.

    Raises:
        CertificateError: something does not hold; the message names the FEN.
    """

    def expect(holds: bool, what: str) -> None:
        if not holds:
            raise CertificateError(f"'{puzzle.fen}' {' '.join(puzzle.moves)}: {what}")

    board = chess.Board(puzzle.fen)
    expect(board.is_valid(), "the position is not legal")
    setup, *line = map(chess.Move.from_uci, puzzle.moves)
    expect(board.is_legal(setup), "the set-up move is not legal")
    expect(len(line) == _PLIES[puzzle.kind], f"a {puzzle.kind} has {_PLIES[puzzle.kind]} plies")
    board.push(setup)
    if puzzle.kind == "mate-in-1":
        expect(certificates.mates_in_one(board) == tuple(line), "its move is not the only mate")
        return
    if puzzle.kind == "near-miss":
        expect(certificates.mates(board) == Mates(in_one=(), in_two=()), "there is a mate")
        for move in line:
            expect(board.is_legal(move), f"{move} is not legal")
            board.push(move)
        expect(not certificates.mates_in_one(board), "the reply is answered by a mate")
        return
    which = "second"
    if puzzle.kind == "mate-in-3":
        which = "fourth"
        first, reply, *line = line
        expect(not any(_mates_before_three(board)), "there is a faster mate")
        only = certificates.mates_in_three(board)
        expect(only == (first,), "the second move is not the only mate in three")
        board.push(first)
        expect(board.is_legal(reply), "the reply is not legal")
        board.push(reply)
    key, reply, mate = line
    expect(certificates.mates(board).key == key, f"the {which} move is not the only mate in two")
    board.push(key)
    expect(board.is_legal(reply), "the reply is not legal")
    board.push(reply)
    expect(certificates.mates_in_one(board) == (mate,), "the last move is not the only mate")
    board.push(mate)
    expect(board.is_checkmate(), "the last move is not mate")


def _mates_before_three(board: chess.Board) -> tuple[tuple[chess.Move, ...], ...]:
    found = certificates.mates(board)
    return found.in_one, found.in_two


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

    RatingDeviation is Lichess's 500 of the beginning: nobody has played these lines.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    count = 0
    for index, puzzle in enumerate(puzzles):
        certify(puzzle)
        moves, themes = " ".join(puzzle.moves), " ".join(puzzle.themes)
        name = puzzle_id(index, seed=seed) if puzzle.name is None else puzzle.name
        rating, game = puzzle.rating, puzzle.game
        table.writerow([name, puzzle.fen, moves, rating, 500, 0, 0, themes, game, ""])
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
    parser.add_argument("--count", type=arguments_of.positive, required=True, metavar="N")
    parser.add_argument("--kind", choices=tuple(KINDS), default="mate-in-2")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--split", choices=("train", "held-out"), default="held-out")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    arguments = parser.parse_args()
    dropped: dict[str, int] = {}

    def kept() -> Iterator[PuzzleLine]:
        for found in lines(
            seed=arguments.seed,
            count=arguments.count,
            split=arguments.split,
            kind=arguments.kind,
        ):
            if isinstance(found, Dropped):
                dropped[found.reason] = dropped.get(found.reason, 0) + 1
            else:
                yield found

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    count = write(arguments.out, kept(), seed=arguments.seed)
    print(f"{count:>10,} puzzles written to {arguments.out}")
    for reason, number in sorted(dropped.items()):
        print(f"{number:>10,} positions dropped: {reason}")
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
