"""The golden values of the paper's networks, and what it is to check one.

Values printed by public notebooks and pages for `lc0.onnx` and `LD2.onnx` (`golden.json` beside
this file).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import chess

from leela_probe.positions.squares import from_board
from leela_probe.puzzles.pairs import Pair

__all__ = [
    "FAIL", "NOT_CHECKED", "PASS", "Check", "before", "equal", "key", "line", "near", "pair",
    "skipped", "square", "start", "values",
]  # fmt: skip

PASS, FAIL, NOT_CHECKED = "pass", "fail", "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One golden value, or several of one kind in one position.

    Attributes:
        group: what kind of value.
        name: of which position.
        state: `PASS`, `FAIL` or `NOT_CHECKED`.
        worst: the largest difference, in the unit of the tolerance; None where nothing is measured.
        tolerance: how large it may be; 0 for things that are equal or not.
        text: what came and what was expected, or why it was not checked.
        count: how many checks this stands for, where they were not made.
    """

    group: str
    name: str
    state: str
    worst: float | None = None
    tolerance: float = 0.0
    text: str = ""
    count: int = 1


@cache
def values() -> dict[str, Any]:
    """All golden values, as in `golden.json`."""
    path = Path(__file__).with_name("golden.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def near(
    group: str, name: str, found: Sequence[float], known: Sequence[float], tolerance: float
) -> Check:
    """Numbers that are to be within a tolerance of known ones."""
    differences = [abs(a - b) for a, b in zip(found, known, strict=True)]
    worst = max(differences)
    at = differences.index(worst)
    return Check(
        group=group,
        name=name,
        state=PASS if worst <= tolerance else FAIL,
        worst=worst,
        tolerance=tolerance,
        text=f"{len(known)} values; farthest off: {found[at]:.6g}, expected {known[at]:.6g}",
    )


def equal(group: str, name: str, found: object, known: object) -> Check:
    """Something that is to be the same as is known."""
    same = found == known
    text = "as published" if same else f"got {found}, expected {known}"
    return Check(group=group, name=name, state=PASS if same else FAIL, text=text)


def skipped(group: str, name: str, reason: str, *, count: int = 1) -> Check:
    """What was not checked, and why."""
    return Check(group=group, name=name, state=NOT_CHECKED, text=reason, count=count)


def start(position: Mapping[str, Any]) -> chess.Board:
    """The position with the solver to move, and the position before it where that is known."""
    if "fen_before" not in position:
        return chess.Board(position["fen"])
    board = chess.Board(position["fen_before"])
    board.push_uci(position["setup"])
    return board


def before(fen: str) -> tuple[str, str]:
    """A position and a move that lead to a position: a piece's move that takes nothing.

    For networks that see no earlier positions it is as good as the true one, which is not published
    for every puzzle.

    Raises:
        ValueError: if no such move of the other side leads there.

    Example:
        >>> before("7k/6pp/8/8/8/8/4r1PP/3R3K w - - 1 2")
        ('7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1', 'a2e2')
    """
    after = chess.Board(fen)
    for target, piece in sorted(after.piece_map().items()):
        if piece.color == after.turn or piece.piece_type == chess.PAWN:
            continue
        for source in sorted(after.attacks(target)):
            if after.piece_at(source) is not None:
                continue
            board = chess.Board(fen)
            board.remove_piece_at(target)
            board.set_piece_at(source, piece)
            board.turn = piece.color
            board.ep_square, board.halfmove_clock = None, max(after.halfmove_clock - 1, 0)
            board.fullmove_number = max(after.fullmove_number - (piece.color == chess.BLACK), 1)
            earlier, move = board.fen(), chess.Move(source, target)
            if board.is_valid() and board.is_legal(move):
                board.push(move)
                if key(board.fen()) == key(fen):
                    return earlier, move.uci()
    raise ValueError(f"no move of a piece leads to {fen}")


def line(position: Mapping[str, Any]) -> tuple[str, ...]:
    """The solution; where the second move is not published the third stands in its place."""
    if "pv" in position:
        return tuple(position["pv"])
    third = position.get("third_move")
    return (position["first_move"], *((third, third) if third else ()))


def pair(position: Mapping[str, Any]) -> Pair:
    """The position as a puzzle with its corrupted partner."""
    return Pair(
        puzzle_id=position["id"],
        game_id=None,
        target_pattern=position.get("set_label", ""),
        clean_fen=position["fen"],
        line=line(position),
        corrupted_fen=position["corrupted_fen"],
    )


def square(name: str, pair: Pair) -> int:
    """A square by its name, in the mover's view."""
    return int(from_board(chess.parse_square(name), pair.turn))


def key(fen: str) -> str:
    """A position without its counters and rights, which the public prints give in several ways."""
    return " ".join(fen.split()[:2])
