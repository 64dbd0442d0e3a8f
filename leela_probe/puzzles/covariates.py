"""What every square of a pair's boards is like before any network has seen it.

A control square is fair if it agrees with the square it is compared with in all that could matter
but the thing in question. These columns need the rules of chess only, and controls are matched on
them (`statistics.matching`).
"""

from __future__ import annotations

from collections.abc import Iterable

import chess
import numpy as np
import pandas as pd

from leela_probe.positions.squares import NetSquare, to_board
from leela_probe.puzzles.pairs import Pair

__all__ = ["COVARIATES", "of", "table"]

COVARIATES = {
    "occupancy": "empty, own or enemy: what stands there in the clean position",
    "enemy_king_distance": "moves of a king on an empty board to the enemy king",
    "own_king_distance": "moves of a king on an empty board to the mover's king",
    "own_attackers": "pieces of the mover that attack the square in the clean position",
    "enemy_attackers": "enemy pieces that attack the square in the clean position",
    "attackers_changed": "squares that attack it in one of the two positions only; 0 without a "
    "corrupted position",
    "corruption_distance": "king moves to the nearest square that the corruption changed; missing "
    "without a corrupted position",
    "first_target_distance": "king moves to the target of the first move",
    "first_target_line": "whether a rank, file or diagonal joins it with the target of the first "
    "move",
}
"""The columns that `table` gives for every square, and what each of them is."""

_DISTANCES = np.array(
    [[chess.square_distance(one, other) for other in chess.SQUARES] for one in chess.SQUARES]
)
_ON_A_LINE = np.array(
    [[bool(chess.ray(one, other)) for other in chess.SQUARES] for one in chess.SQUARES]
)


def of(pair: Pair) -> pd.DataFrame:
    """The covariates of the 64 squares of one pair, a row per square of the mover's board.

    Args:
        pair: with or without a corrupted position.

    Returns:
        The columns `puzzle_id`, `rank`, `square` (on the mover's board, 0 to 63) and `COVARIATES`.

    Example:
        >>> pair = Pair(puzzle_id="a", game_id=None, target_pattern="123", line=("e1e8",),
        ...             clean_fen="6k1/5ppp/8/8/8/8/8/4R1K1 w - - 0 1")
        >>> e8 = of(pair).loc[60]
        >>> e8["occupancy"], int(e8["enemy_king_distance"]), int(e8["own_attackers"])
        ('empty', 2, 1)
    """
    clean, turn = pair.clean, pair.turn
    squares = [to_board(NetSquare(square), turn) for square in range(64)]
    colors = [clean.color_at(square) for square in squares]
    rows = {
        "puzzle_id": pair.puzzle_id,
        "rank": pair.rank,
        "square": np.arange(64),
        "occupancy": ["empty" if c is None else "own" if c == turn else "enemy" for c in colors],
        "enemy_king_distance": _distance(squares, clean.king(not turn)),
        "own_king_distance": _distance(squares, clean.king(turn)),
        "own_attackers": [_count(clean, turn, square) for square in squares],
        "enemy_attackers": [_count(clean, not turn, square) for square in squares],
    }
    partner = pair.corrupted
    changed = [to_board(square, turn) for square in pair.changed_squares()]
    rows["attackers_changed"] = [
        0 if partner is None else _changed_attackers(clean, partner, square) for square in squares
    ]
    rows["corruption_distance"] = (
        _DISTANCES[np.ix_(squares, changed)].min(axis=1).astype(float) if changed else np.nan
    )
    first = pair.moves[0].to_square
    rows["first_target_distance"] = _distance(squares, first)
    rows["first_target_line"] = _ON_A_LINE[squares, first]
    return pd.DataFrame(rows)


def table(pairs: Iterable[Pair]) -> pd.DataFrame:
    """The covariates of every square of every pair; see `of`."""
    return pd.concat([of(pair) for pair in pairs], ignore_index=True)


def _distance(squares: list[chess.Square], to: chess.Square | None) -> object:
    return np.nan if to is None else _DISTANCES[squares, to]


def _count(board: chess.Board, color: chess.Color, square: chess.Square) -> int:
    return chess.popcount(board.attackers_mask(color, square))


def _changed_attackers(clean: chess.Board, corrupted: chess.Board, square: chess.Square) -> int:
    return sum(
        chess.popcount(
            clean.attackers_mask(color, square) ^ corrupted.attackers_mask(color, square)
        )
        for color in chess.COLORS
    )
