"""One number per run from its policy logits and value logits: how much the network likes a move.

Every measure compares runs on the legal moves of the clean board and on a move that is named, so
that runs of a changed network stay comparable with runs of the unchanged one. A new measure is one
record of `MEASURES`, with all that tables and figures say of it. (Loads without torch, since
figures are drawn without it.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

__all__ = ["MEASURES", "Measure", "Runs", "kl", "log_odds", "probability", "q", "win_log_odds"]


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
    slot = runs.slot[:, None]
    others = logits.masked_fill(~runs.legal, -math.inf).scatter(1, slot, -math.inf)
    return logits.gather(1, slot)[:, 0] - others.logsumexp(dim=-1)


def probability(runs: Runs) -> Float[Tensor, " run"]:
    """The probability of the move among the legal moves, 0 to 1."""
    return log_odds(runs).sigmoid()


def win_log_odds(runs: Runs) -> Float[Tensor, " run"]:
    """ln(W / (1 - W)) in nats, W the probability that the side to move wins."""
    value = _wdl_logits(runs)
    return value[:, 0] - value[:, 1:].logsumexp(dim=-1)


def q(runs: Runs) -> Float[Tensor, " run"]:
    """Win minus loss for the side to move, -1 to 1."""
    wdl = _wdl_logits(runs).softmax(dim=-1)
    return wdl[:, 0] - wdl[:, 2]


def kl(runs: Runs) -> Float[Tensor, " run"]:
    """Minus the Kullback-Leibler divergence of the run's policy from the clean one, in nats.

    It is 0 for the clean run and falls as the policy moves away, so that, as with every other
    measure, a lower number means a run that has been hurt more.
    """
    changed, clean = (
        logits.float().masked_fill(~runs.legal, -math.inf).log_softmax(dim=-1)
        for logits in (runs.logits, runs.clean_logits)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure, and what is said of it wherever its numbers stand.

    Attributes:
        name: as options and tables have it.
        function: its number for each run.
        unit: of its numbers and effects.
        title: what its effects are called.
        needs_wdl: it reads the head of win, draw and loss.
        flat_at_clean: the clean run has the greatest number there is, so that the gradient is 0.
    """

    name: str
    function: Callable[[Runs], Float[Tensor, " run"]]
    unit: str
    title: str
    needs_wdl: bool = False
    flat_at_clean: bool = False

    def __call__(self, runs: Runs) -> Float[Tensor, " run"]:
        """Its number for each run."""
        return self.function(runs)


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        measure.name: measure
        for measure in (
            Measure(name="log_odds", function=log_odds, unit="nats", title="log-odds reduction"),
            Measure(name="probability", function=probability, unit="0 to 1",
                    title="reduction of the move's probability"),
            Measure(name="win_log_odds", function=win_log_odds, unit="nats",
                    title="win log-odds reduction", needs_wdl=True),
            Measure(name="q", function=q, unit="win minus loss", title="reduction of Q",
                    needs_wdl=True),
            Measure(name="kl", function=kl, unit="nats", title="reduction of minus KL",
                    flat_at_clean=True),
        )
    }
)  # fmt: skip
"""The measures by name."""
