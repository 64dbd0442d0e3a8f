"""What a probe is asked: the square that a future move goes to, or comes from.

Squares are the mover's throughout, the opponent's moves included. A probe is given one
square as a condition: the first move's target where a target is asked for, the asked move's own
target where its source is (Jenner et al. 2024, section 4; Cruz 2025 for other plies).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import chess
import numpy as np
from jaxtyping import Bool, Int64

from leela_probe.positions.squares import NetSquare, to_board
from leela_probe.puzzles.pairs import Pair

__all__ = ["SUBSETS", "Target", "control_tasks", "subset", "target_of", "targets_of"]

SUBSETS = ("all", "differing", "different", "same")
"""Which puzzles: all; those whose 1st and 3rd move have differing targets; those whose first three
targets are pairwise different (the paper's "different targets"); and the paper's "same targets"."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """The square that probes are trained to name, for every puzzle.

    Attributes:
        name: such as "target 3".
        kind: "target" or "source", or either with " (control task)".
        ply: of the move that is asked about; 1 is the first of the line.
        answer: the square asked for, 0 where there is none.
        given: the square that the probe is told, 0 where there is none.
        known: whether the line is long enough to have an answer.
    """

    name: str
    kind: str
    ply: int
    answer: Int64[np.ndarray, " board"]
    given: Int64[np.ndarray, " board"]
    known: Bool[np.ndarray, " board"]

    @property
    def trivial(self) -> float:
        """The share of the known answers that are the very square that is told; NaN of none."""
        if not self.known.any():
            return float("nan")
        return float((self.answer == self.given)[self.known].mean())


def target_of(pairs: Sequence[Pair], kind: str, ply: int) -> Target:
    """The target or source square of one ply.

    Args:
        pairs: the puzzles.
        kind: "target" or "source".
        ply: 1 for the first move of the line, 2 for the answer to it, ...

    Raises:
        ValueError: if there is no such kind or ply.

    Example:
        >>> pair = Pair(puzzle_id="a", game_id=None, target_pattern="112",
        ...             line=("c2c8", "e6c8", "e1e8"),
        ...             clean_fen="6k1/pp3ppp/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1")
        >>> asked = target_of([pair], "target", 3)
        >>> asked.answer.tolist() == [chess.E8], asked.given.tolist() == [chess.C8]
        (True, True)
    """
    if kind not in ("target", "source"):
        raise ValueError(f"{kind!r} is neither target nor source")
    if ply < 1:
        raise ValueError(f"ply {ply} asked for: plies count from 1, the first move of the line")
    if kind == "target":
        found = [(pair.target(ply), pair.target(1)) for pair in pairs]
    else:
        found = [(pair.source(ply), pair.target(ply)) for pair in pairs]
    return Target(
        name=f"{kind} {ply}",
        kind=kind,
        ply=ply,
        answer=np.array([0 if answer is None else answer for answer, _ in found], dtype=np.int64),
        given=np.array([0 if given is None else given for _, given in found], dtype=np.int64),
        known=np.array([answer is not None for answer, _ in found], dtype=bool),
    )


def targets_of(pairs: Sequence[Pair], plies: Sequence[int]) -> list[Target]:
    """Target and source of each ply, in that order.

    Raises:
        ValueError: if a ply is not counted from 1, comes twice, or no line is long enough for it.
    """
    if len(set(plies)) < len(plies):
        raise ValueError(f"plies {', '.join(map(str, plies))}: name each once")
    asked = [target_of(pairs, kind, ply) for ply in plies for kind in ("target", "source")]
    for each in asked:
        if not each.known.any():
            longest = max((len(pair.line) for pair in pairs), default=0)
            raise ValueError(
                f"no puzzle has a ply {each.ply}: the longest line has {longest}; ask for less"
            )
    return asked


def control_tasks(pairs: Sequence[Pair], asked: Sequence[Target], *, seed: int) -> list[Target]:
    """The same targets with arbitrary answers that depend on what stands on the given square.

    Control tasks (Hewitt and Liang 2019): each kind of input (the given square and the piece on it)
    has one answer, drawn once from the real answers of the set. What a probe learns of it, it can
    learn of anything; the real accuracy minus this one is the probe's selectivity. A source is told
    the arbitrary target of its ply, as the real one is told the real target, so that both together
    have a control task too.

    Args:
        pairs: the puzzles.
        asked: real targets; a source without the target of its ply is told the real target.
        seed: of the draws.
    """
    made: dict[str, Target] = {}
    for each in asked:
        target = made.get(f"target {each.ply}") if each.kind == "source" else None
        given = each.given if target is None else target.answer
        made[each.name] = _control_task(pairs, each, given, seed)
    return list(made.values())


def _control_task(
    pairs: Sequence[Pair], asked: Target, told: Int64[np.ndarray, " board"], seed: int
) -> Target:
    pool = asked.answer[asked.known]
    answer = np.zeros_like(asked.answer)
    for row, pair in enumerate(pairs):
        if asked.known[row]:
            given = int(told[row])
            piece = pair.clean.piece_at(to_board(NetSquare(given), pair.turn))
            word = f"{given} {_in_view(piece, pair.turn)}"
            draw = np.random.default_rng([seed, asked.ply, zlib.crc32(word.encode())])
            answer[row] = pool[draw.integers(len(pool))]
    return Target(
        name=f"{asked.name} (control task)",
        kind=f"{asked.kind} (control task)",
        ply=asked.ply,
        answer=answer,
        given=told,
        known=asked.known,
    )


def subset(pairs: Sequence[Pair], name: str) -> Bool[np.ndarray, " board"]:
    """Which of the puzzles are of a subset; see `SUBSETS`.

    Raises:
        ValueError: if there is no such subset.
    """
    if name not in SUBSETS:
        raise ValueError(f"unknown subset {name!r}: choose {', '.join(SUBSETS)}")
    chosen = []
    for pair in pairs:
        targets = [pair.target(ply) for ply in (1, 2, 3)]
        different = len(set(targets)) == 3 and None not in targets
        chosen.append(
            {
                "all": True,
                "differing": targets[2] is not None and targets[0] != targets[2],
                "different": different,
                "same": not different,
            }[name]
        )
    return np.array(chosen, dtype=bool)


def _in_view(piece: chess.Piece | None, turn: chess.Color) -> str:
    if piece is None:
        return "empty"
    return f"{'own' if piece.color == turn else 'enemy'} {chess.piece_name(piece.piece_type)}"
