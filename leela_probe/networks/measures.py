"""One number a run from its policy logits and value logits: how much the network likes a move.

Every measure compares runs on the legal moves of the clean board and on a move that is named, so
that runs of a changed network stay comparable with runs of the unchanged one. Pure tensors; stands
on no other room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["MEASURES", "Runs", "kl", "log_odds", "probability", "q", "win_log_odds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The outputs of some runs and what they are judged by.

    Attributes:
        logits: the raw policy of each run.
        value: win, draw and loss logits of each run, or None.
        legal: the slots of the clean board's legal moves.
        slot: the slot of the move that is asked about; legal, and not the only legal move.
        clean_logits: the policy of the same board's clean run.
    """

    logits: Float[Tensor, "run slot"]
    value: Float[Tensor, "run outcome"] | None
    legal: Bool[Tensor, "run slot"]
    slot: Int[Tensor, " run"]
    clean_logits: Float[Tensor, "run slot"]


def log_odds(runs: Runs) -> Float[Tensor, " run"]:
    """ln(P / (1 - P)) of the move in nats, P its probability among the legal moves.

    Computed as the move's logit minus the log-sum-exp of the other legal moves' logits, which does
    not saturate where P rounds to 1 (Jenner et al. 2024 divide P by 1 - P).
    """
    logits = runs.logits.float()
    rows = torch.arange(len(logits), device=logits.device)
    others = logits.masked_fill(~runs.legal, -torch.inf)
    others[rows, runs.slot] = -torch.inf
    return logits[rows, runs.slot] - torch.logsumexp(others, dim=-1)


def probability(runs: Runs) -> Float[Tensor, " run"]:
    """The probability of the move among the legal moves, 0 to 1."""
    return torch.sigmoid(log_odds(runs))


def win_log_odds(runs: Runs) -> Float[Tensor, " run"]:
    """ln(W / (1 - W)) in nats, W the probability that the side to move wins."""
    value = _wdl_logits(runs)
    return value[:, 0] - torch.logsumexp(value[:, 1:], dim=-1)


def q(runs: Runs) -> Float[Tensor, " run"]:
    """Win minus loss for the side to move, -1 to 1."""
    wdl = torch.softmax(_wdl_logits(runs), dim=-1)
    return wdl[:, 0] - wdl[:, 2]


def kl(runs: Runs) -> Float[Tensor, " run"]:
    """Minus the Kullback-Leibler divergence of the run's policy from the clean one, in nats.

    It is 0 for the clean run and falls as the policy moves away, so that, as with every other
    measure, a lower number means a run that has been hurt more.
    """
    changed = torch.log_softmax(runs.logits.float().masked_fill(~runs.legal, -torch.inf), dim=-1)
    clean = torch.log_softmax(
        runs.clean_logits.float().masked_fill(~runs.legal, -torch.inf), dim=-1
    )
    terms = clean.exp() * (clean - changed)
    # rounding must not make a changed run nearer to the clean one than the clean one itself
    return -terms.masked_fill(~runs.legal, 0.0).sum(dim=-1).clamp(min=0.0)


def _wdl_logits(runs: Runs) -> Float[Tensor, "run outcome"]:
    if runs.value is None or runs.value.shape[-1] != 3:
        raise ValueError(
            "this measure needs a network with a win-draw-loss head, and this one has none: "
            "take log_odds, probability or kl"
        )
    return runs.value.float()


MEASURES: dict[str, Callable[[Runs], Float[Tensor, " run"]]] = {
    "log_odds": log_odds,
    "probability": probability,
    "win_log_odds": win_log_odds,
    "q": q,
    "kl": kl,
}
"""The measures by name."""
