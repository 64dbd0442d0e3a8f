"""Third moves that could have been played and were not: where they go.

A square that another third move goes to is a control for the square that the right one goes to: it
is as reachable and, for other checks, as close to the king; only the line does not go there.
"""

from __future__ import annotations

from collections.abc import Sequence

from leela_probe.positions.squares import NetSquare, from_board
from leela_probe.puzzles.pairs import Pair

__all__ = ["KINDS", "third_targets"]

KINDS = {
    "other_check": "the target of another legal third move that gives check",
    "same_piece": "the target of another legal third move of the same piece",
}


def third_targets(pair: Pair, kind: str) -> Sequence[NetSquare]:
    """The squares that other third moves of a kind go to, after the first two moves of the line.

    Squares that moves 1 to 3 of the line go to or come from, and squares that the corruption
    changed, are left out: they have effects of their own.

    Args:
        pair: the puzzle.
        kind: one of `KINDS`.

    Returns:
        Squares of the mover's board in ascending order, each once; none where the line has fewer
        than three moves.

    Raises:
        ValueError: if there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of third move: choose {', '.join(KINDS)}")
    moves = pair.moves
    if len(moves) < 3:
        return ()
    board = pair.clean
    for move in moves[:2]:
        board.push(move)
    third = moves[2]
    targets = {
        from_board(move.to_square, pair.turn)
        for move in board.legal_moves
        if move.to_square != third.to_square
        and (
            board.gives_check(move) if kind == "other_check"
            else move.from_square == third.from_square
        )
    }  # fmt: skip
    line = {
        square
        for ply in (1, 2, 3)
        for square in (pair.target(ply), pair.source(ply))
        if square is not None
    }
    return sorted(targets - line - set(pair.changed_squares()))
