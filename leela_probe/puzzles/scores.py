"""How each candidate of a puzzle's corrupted partner scores with the networks.

The weak network's scores say how little a change shows, the strong network's how much it spoils.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from leela_probe.positions.encoding import EncodedBoards
from leela_probe.puzzles import plies, similarity

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

    from leela_probe.networks.evaluation import Evaluation
    from leela_probe.networks.network import Network

__all__ = ["StrongAnswers", "WeakScores", "strong_answers", "weak_scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakScores:
    """The weak network's judgement of a puzzle's candidates, in their order.

    Attributes:
        clean_p: the probability of the first move in the clean position.
        d_log_odds: how far that move's log odds fall, in nats; negative if they rise.
        jsd: Jensen-Shannon divergence between the clean and the corrupted policy, in nats.
    """

    clean_p: float
    d_log_odds: Float64[np.ndarray, " candidate"]
    jsd: Float64[np.ndarray, " candidate"]


def weak_scores(
    weak: Network,
    boards: EncodedBoards,
    first_moves: Sequence[int],
    candidates: Sequence[int],
    *,
    batch_size: int,
) -> list[WeakScores]:
    """The weak network's judgement of the candidates of several puzzles.

    Args:
        weak: the weak network.
        boards: for each puzzle the clean board, then its candidates.
        first_moves: each puzzle's first move as a number (`moves.number_of`); legal in all of its
            boards.
        candidates: how many candidates each puzzle has.
        batch_size: positions that go through the network at once.
    """
    logs = _evaluate(weak, boards, batch_size).log_probabilities
    scores = []
    places = pairwise(accumulate((1 + count for count in candidates), initial=0))
    for (start, stop), first_move in zip(places, first_moves, strict=True):
        offsets = boards.offsets[start : stop + 1]
        moves, policy = boards.numbers[offsets[0] : offsets[-1]], logs[offsets[0] : offsets[-1]]
        offsets = offsets - offsets[0]
        clean, corrupted = slice(0, offsets[1]), slice(offsets[1], None)
        odds = similarity.log_odds(policy, offsets, np.flatnonzero(moves == first_move))
        with np.errstate(invalid="ignore"):  # forced in both positions: no difference
            d_log_odds = np.where(odds[1:] == odds[0], 0.0, odds[0] - odds[1:])
        jsd = np.zeros(0)
        if len(d_log_odds):
            jsd = similarity.jensen_shannon(
                moves[clean],
                policy[clean],
                moves[corrupted],
                policy[corrupted],
                offsets[1:] - offsets[1],
            )
        scores.append(
            WeakScores(clean_p=float(1 / (1 + np.exp(-odds[0]))), d_log_odds=d_log_odds, jsd=jsd)
        )
    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongAnswers:
    """The strong network's judgement of boards, each with one move that is asked about.

    Attributes:
        p: the probability of the move.
        value: of the board, win minus loss.
        favourite: the likeliest move as a number (`moves.number_of`); the move that is asked
            about where none is likelier.
    """

    p: Float64[np.ndarray, " board"]
    value: Float64[np.ndarray, " board"]
    favourite: Int64[np.ndarray, " board"]


def strong_answers(
    strong: Network,
    boards: EncodedBoards,
    moves: Int64[np.ndarray, " board"],
    *,
    batch_size: int,
) -> StrongAnswers:
    """The strong network's judgement of boards and of one move of each.

    Args:
        strong: the strong network.
        boards: the boards.
        moves: the move of each, as a number; legal.
        batch_size: positions that go through the network at once.

    Raises:
        ValueError: the network has no value head.
    """
    evaluation = _evaluate(strong, boards, batch_size)
    if evaluation.q is None:
        raise ValueError(
            f"the network {strong.name!r} has no value head, so it cannot say whether a change "
            f"spoils a position: the strong network needs one"
        )
    logs = evaluation.log_probabilities
    board = np.repeat(np.arange(len(boards)), np.diff(boards.offsets))
    asked = boards.numbers == moves[board]
    highest = np.maximum.reduceat(logs, boards.offsets[:-1])
    likeliest = np.flatnonzero(logs == highest[board])
    _, first = np.unique(board[likeliest], return_index=True)
    favourite = boards.numbers[likeliest[first]].astype(np.int64)
    return StrongAnswers(
        p=np.exp(logs[asked].astype(np.float64)),
        value=evaluation.q.astype(np.float64),
        favourite=np.where(logs[asked] == highest, moves, favourite),
    )


def _evaluate(network: Network, boards: EncodedBoards, batch_size: int) -> Evaluation:
    evaluation = network.evaluate(boards, batch_size=batch_size)
    plies.check_finite(network, evaluation)
    return evaluation
