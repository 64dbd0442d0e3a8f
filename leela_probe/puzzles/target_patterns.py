"""Which target squares of a principal variation coincide.

The label numbers the target squares by order of first appearance: in `112` the answer lands where
the first move landed (it takes back), and the third move goes elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import chess

__all__ = ["first_and_third_differ", "label", "same_target", "targets"]


def label(moves: Sequence[chess.Move]) -> str:
    """The target-pattern label of a line of moves.

    One digit a move; lines with more than nine distinct targets put a hyphen between numbers.

    Args:
        moves: the principal variation.

    Example:
        >>> label([chess.Move.from_uci(uci) for uci in ("c2h7", "g8h7", "g7g8q")])
        '112'
        >>> label([chess.Move(0, square) for square in (*range(10, 20), 10)])
        '1-2-3-4-5-6-7-8-9-10-1'
    """
    numbers: dict[chess.Square, int] = {}
    for move in moves:
        numbers.setdefault(move.to_square, len(numbers) + 1)
    return ("-" if len(numbers) > 9 else "").join(str(numbers[move.to_square]) for move in moves)


def targets(label: str) -> tuple[int, ...]:
    """The numbers of the target squares in a label, a number a move; none where it has none.

    Example:
        >>> targets("112"), targets("1-2-3-4-5-6-7-8-9-10-1")[-2:], targets("")
        ((1, 1, 2), (10, 1), ())
    """
    return tuple(map(int, re.findall(r"\d+" if "-" in label else r"\d", label)))


def first_and_third_differ(label: str) -> bool:
    """Whether a label says that the first and the third move go to different squares (W4).

    Example:
        >>> [first_and_third_differ(label) for label in ("112", "121", "11", "1-2-1-3-4-5-6-7-8")]
        [True, False, False, False]
    """
    numbers = targets(label)
    return len(numbers) >= 3 and numbers[0] != numbers[2]


def same_target(moves: Sequence[chess.Move], first: int, second: int) -> bool | None:
    """Whether two moves of a line, counted from 1, share a target; None where one is missing.

    Example:
        >>> line = [chess.Move.from_uci(uci) for uci in ("c2h7", "g8h7", "g7g8q")]
        >>> same_target(line, 1, 2), same_target(line, 1, 3), same_target(line, 1, 4)
        (True, False, None)
    """
    if max(first, second) > len(moves):
        return None
    return moves[first - 1].to_square == moves[second - 1].to_square
