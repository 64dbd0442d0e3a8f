"""Ordinary positions that no puzzle set holds: random play, to choose heads and averages on.

What is chosen on them can be tested on puzzles without having been fitted to them.
"""

from __future__ import annotations

import random

import chess

__all__ = ["boards"]


def boards(count: int, *, seed: int, plies: tuple[int, int] = (8, 60)) -> list[chess.Board]:
    """Positions after random legal play from the starting position, none of them decided.

    Args:
        count: how many.
        seed: of the moves.
        plies: the least and the most moves played.

    Example:
        >>> [board.fullmove_number > 3 for board in boards(2, seed=0)]
        [True, True]
    """
    draw = random.Random(seed)
    found: list[chess.Board] = []
    while len(found) < count:
        board = chess.Board()
        for _ in range(draw.randint(*plies)):
            moves = sorted(board.legal_moves, key=chess.Move.uci)
            if not moves:
                break
            board.push(draw.choice(moves))
        if not board.is_game_over():
            found.append(board)
    return found
