"""What each square of a puzzle's board is to its line: the squares that effects are averaged over.

A square can be several things at once (the target of the first and of the third ply, say); it then
carries all their names.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import chess

from leela_probe.positions.squares import NetSquare, from_board, to_board
from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics import overlaps

__all__ = ["OTHER", "joined", "matched_control", "of"]

OTHER = "other"


def of(
    pair: Pair, *, favourite: chess.Move | None = None, seed: int = 0
) -> dict[NetSquare, tuple[str, ...]]:
    """The names of every square of the mover's board.

    - `corrupted`: clean and corrupted board differ there;
    - `ply1_target`, `ply1_source`, `ply2_target`, ...: where a ply of the line goes and comes from;
    - `corrupted_favourite`: the target of the network's favourite move in the corrupted position
      (it explains effects in the last layers);
    - `matched_control`: an unnamed square of the same kind as the third ply's target (see
      `matched_control`);
    - `other`: none of these.

    Args:
        pair: the puzzle.
        favourite: the network's top move in the corrupted position.
        seed: of the choice of the control square.
    """
    names: dict[NetSquare, list[str]] = {NetSquare(square): [] for square in range(64)}
    for square in pair.changed_squares():
        names[square].append("corrupted")
    for ply in range(1, len(pair.line) + 1):
        target, source = pair.target(ply), pair.source(ply)
        assert target is not None
        assert source is not None
        names[target].append(f"ply{ply}_target")
        names[source].append(f"ply{ply}_source")
    if favourite is not None:
        names[from_board(favourite.to_square, pair.turn)].append("corrupted_favourite")
    control = matched_control(pair, {s for s, found in names.items() if found}, seed=seed)
    if control is not None:
        names[control].append("matched_control")
    return {square: tuple(found) or (OTHER,) for square, found in names.items()}


def joined(names: Sequence[str]) -> str:
    """The names of a square as the effects table has them.

    Example:
        >>> joined(("corrupted", "ply3_target"))
        'corrupted+ply3_target'
    """
    return overlaps.SEPARATOR.join(names)


def matched_control(pair: Pair, named: set[NetSquare], *, seed: int = 0) -> NetSquare | None:
    """A square like the third ply's target that has no name; None if there is no third ply.

    Of the squares in the same state on the clean board (empty, own piece, enemy piece), one whose
    distance in king's moves from the first ply's target is as near as can be to the third target's.
    Among equals the choice is random and depends on the seed and the puzzle alone.
    """
    first, third = pair.target(1), pair.target(3)
    if first is None or third is None:
        return None
    board = pair.clean

    def state(square: NetSquare) -> object:
        return board.color_at(to_board(square, pair.turn))

    wanted = chess.square_distance(first, third)
    candidates = [
        square
        for square in map(NetSquare, range(64))
        if square not in named and state(square) == state(third)
    ]
    if not candidates:
        return None
    distance = {s: abs(chess.square_distance(first, s) - wanted) for s in candidates}
    best = [square for square in candidates if distance[square] == min(distance.values())]
    return best[zlib.crc32(f"{seed} {pair.puzzle_id}".encode()) % len(best)]
