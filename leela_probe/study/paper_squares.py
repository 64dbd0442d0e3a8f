"""The paper's kinds of squares in E1, and its rule for skipping puzzles."""

from __future__ import annotations

from leela_probe.puzzles.pairs import Pair

__all__ = ["KINDS", "of"]

KINDS = ("corrupted", "first", "third_and_later", "other")
"""The paper's four kinds of squares."""


def of(pair: Pair) -> dict[str, tuple[int, ...]] | None:
    """The squares of each of the paper's kinds, or None where its rule skips the puzzle.

    First is the target of the first move; later are the targets of the third and of every move
    after it, the opponent's too; corrupted are the squares on which the boards differ. A puzzle is
    skipped if two of these share a square, or it has no third move.
    """
    first, third = pair.target(1), pair.target(3)
    if first is None or third is None:
        return None
    targets = [pair.target(ply) for ply in range(3, len(pair.line) + 1)]
    later = {int(square) for square in targets if square is not None}
    changed = {int(square) for square in pair.changed_squares()}
    if not changed or int(first) in later | changed or later & changed:
        return None
    rest = set(range(64)) - later - changed - {int(first)}
    return {
        "corrupted": tuple(sorted(changed)),
        "first": (int(first),),
        "third_and_later": tuple(sorted(later)),
        "other": tuple(sorted(rest)),
    }
