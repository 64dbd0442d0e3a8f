"""Puzzles for planted networks: the third move's target decides about the first move, or does not.

Each comes twice. Both times the first move takes the enemy's only knight, and the same enemy man is
put on the square that the third move goes to. In the planted pair that square is the knight's
partner; in the placebo the line goes to another square that the same conditions allow, and nothing
is planted there. Where no network is given both squares are drawn alike, so that whatever a network
makes of the one it makes of the other, on average: any difference is chance.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import chess

from leela_probe.files import disk
from leela_probe.organisms.planted import Planted
from leela_probe.positions.squares import NetSquare, to_board
from leela_probe.puzzles import target_patterns
from leela_probe.puzzles.pairs import Pair

__all__ = ["COLUMNS", "PlantedPuzzle", "make", "write"]

COLUMNS = (
    "puzzle_id", "game_id", "fen", "moves", "target_pattern", "verdict", "clean_fen",
    "corrupted_fen", "rank",
)  # fmt: skip
"""The columns of a file of puzzles, those of `leela-probe corrupt` that `pairs.read` needs."""

_CORRUPTIONS = (chess.PAWN, chess.ROOK, chess.QUEEN)  # a second knight or bishop means something
_OWN = (chess.QUEEN, chess.ROOK, chess.ROOK, chess.BISHOP, chess.KNIGHT, *[chess.PAWN] * 3)
_THEIRS = (chess.QUEEN, chess.ROOK, *[chess.PAWN] * 3)
_ANSWERS = 4  # how many answers are tried before the position is given up
_ATTEMPTS = 2000  # positions for a puzzle; about 20 are needed


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedPuzzle:
    """One position with two lines and two partners.

    Attributes:
        planted: its third move goes to the knight's partner, which the corruption blocks.
        placebo: the same with another square, which no planted network asks about.
    """

    planted: Pair
    placebo: Pair


def make(planted: Planted | None, count: int, *, seed: int) -> list[PlantedPuzzle]:
    """Random legal positions with their lines, half of them with Black to move.

    Every move of both lines is legal, the first is the only one that takes the knight and stays
    legal with the corruption, the third targets are empty, the same answer precedes both.

    Args:
        planted: the network that they are for, or None for networks in which nothing is planted:
            the planted square is then drawn just as the placebo is.
        count: how many.
        seed: of all of it.

    Raises:
        RuntimeError: if no puzzle is found in very many positions.

    Example:
        >>> puzzle = make(None, 1, seed=3)[0]
        >>> puzzle.planted.changed_squares() == (puzzle.planted.target(3),)
        True
        >>> puzzle.planted.target(3) == puzzle.placebo.target(3)
        False
    """
    draw = random.Random(f"{seed}")
    return [_puzzle(planted, f"planted{seed}.{number}", draw) for number in range(count)]


def write(path: Path, puzzles: Sequence[PlantedPuzzle]) -> None:
    """The planted pairs as a table that `pairs.read` and the commands take; the same bytes always.

    No move sets these positions up; a null move stands for it.

    Args:
        path: a `.csv` file; one that is there is replaced.
        puzzles: their placebo lines are left out.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for pair in (puzzle.planted for puzzle in puzzles):
        before = pair.clean
        before.turn = not before.turn
        table.writerow(
            {
                "puzzle_id": pair.puzzle_id,
                "fen": before.fen(),
                "moves": " ".join((chess.Move.null().uci(), *pair.line)),
                "target_pattern": pair.target_pattern,
                "verdict": "found",
                "clean_fen": pair.clean_fen,
                "corrupted_fen": pair.corrupted_fen,
                "rank": pair.rank,
            }
        )
    content = text.getvalue().encode()
    disk.write(path, lambda file: file.write(content))


def _puzzle(planted: Planted | None, name: str, draw: random.Random) -> PlantedPuzzle:
    for _ in range(_ATTEMPTS):
        board = _position(planted, draw)
        if board is None:
            continue
        (knight,) = board.pieces(chess.KNIGHT, chess.BLACK)
        captures = [move for move in board.legal_moves if move.to_square == knight]
        if len(captures) != 1:
            continue
        for lines in _continuations(board, captures[0], draw):
            man = chess.Piece(draw.choice(_CORRUPTIONS), chess.BLACK)
            open_to = [target for target in lines if _corrupted(board, target, man, captures[0])]
            wanted = draw.choice(open_to) if planted is None and open_to else None
            if planted is not None:
                wanted = planted.partner[knight]
            others = [target for target in open_to if target != wanted]
            if wanted in open_to and wanted is not None and others:
                turn = draw.random() < 0.5
                both = [
                    _pair(board, lines[target], target, man, name, turn)
                    for target in (wanted, draw.choice(others))
                ]
                return PlantedPuzzle(planted=both[0], placebo=both[1])
    raise RuntimeError(
        f"no puzzle in {_ATTEMPTS} positions: some knight's partner is hardly ever reached; "
        "try another seed"
    )


def _position(planted: Planted | None, draw: random.Random) -> chess.Board | None:
    """A legal position with White to move and one black knight and bishop, or None."""
    squares = list(range(64))
    draw.shuffle(squares)
    board = chess.Board(None)

    def put(square: int, kind: int, colour: chess.Color) -> None:
        if kind != chess.PAWN or 1 <= chess.square_rank(square) <= 6:
            board.set_piece_at(square, chess.Piece(kind, colour))

    knight = squares.pop()
    put(knight, chess.KNIGHT, chess.BLACK)
    bishop: int = squares.pop()
    if planted is not None and planted.middle is not None:
        bishop = planted.middle[knight]
        squares = [square for square in squares if square != bishop]
    put(bishop, chess.BISHOP, chess.BLACK)
    if planted is not None:
        squares = [square for square in squares if square != planted.partner[knight]]
    kings = (chess.WHITE, chess.KING), (chess.BLACK, chess.KING)
    men = [(chess.WHITE, kind) for kind in draw.sample(_OWN, draw.randint(2, 5))]
    men += [(chess.BLACK, kind) for kind in draw.sample(_THEIRS, draw.randint(1, 4))]
    for colour, kind in (*kings, *men):
        put(squares.pop(), kind, colour)
    return board if board.is_valid() and not board.is_check() else None


def _continuations(
    board: chess.Board, first: chess.Move, draw: random.Random
) -> Iterator[Mapping[int, tuple[chess.Move, ...]]]:
    """For some answers to the first move: a line to each square that is free now."""
    board = board.copy(stack=False)
    free = ~board.occupied
    board.push(first)
    answers = sorted(board.legal_moves, key=chess.Move.uci)
    for answer in draw.sample(answers, min(_ANSWERS, len(answers))):
        board.push(answer)
        lines: dict[int, tuple[chess.Move, ...]] = {}
        thirds = sorted(board.legal_moves, key=chess.Move.uci)
        draw.shuffle(thirds)
        for third in thirds:
            if free >> third.to_square & 1 and third.promotion is None:
                lines[third.to_square] = (first, answer, third)
        board.pop()
        yield lines


def _corrupted(
    board: chess.Board, target: int, man: chess.Piece, first: chess.Move
) -> chess.Board | None:
    """The position with a man more, if it is one and the first move is legal in it."""
    partner = board.copy(stack=False)
    partner.set_piece_at(target, man)
    return partner if partner.is_valid() and partner.is_legal(first) else None


def _pair(
    board: chess.Board,
    line: tuple[chess.Move, ...],
    target: int,
    man: chess.Piece,
    name: str,
    turn: chess.Color,
) -> Pair:
    partner = board.copy(stack=False)
    partner.set_piece_at(target, man)
    if not turn:
        board, partner = board.mirror(), partner.mirror()
        line = tuple(
            chess.Move(
                to_board(NetSquare(move.from_square), turn),
                to_board(NetSquare(move.to_square), turn),
                move.promotion,
            )
            for move in line
        )
    return Pair(
        puzzle_id=name,
        game_id=None,
        target_pattern=target_patterns.label(line),
        clean_fen=board.fen(),
        corrupted_fen=partner.fen(),
        line=tuple(move.uci() for move in line),
    )
