"""Predictions of probes for puzzles that they were not trained on, a row per puzzle and target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from leela_probe.probing.folds import Split
from leela_probe.probing.prediction_tables import Kind, frame
from leela_probe.probing.probes import Probes
from leela_probe.probing.rows import Rows
from leela_probe.probing.targets import Target
from leela_probe.puzzles.pairs import Pair

__all__ = ["of_probes"]

_AT_ONCE = 64
_ROUNDING = 2e-6  # of the largest score: what float32 leaves uncertain


def of_probes(
    probes: Probes,
    rows: Rows,
    pairs: Sequence[Pair],
    targets: Sequence[Target],
    splits: Sequence[Split],
    *,
    seed: int = 0,
) -> pyarrow.Table:
    """The predictions of every probe on its own test side; see `prediction_tables.SCHEMA`.

    A source is asked for twice: with the true target as the condition, and with the target that
    the probe of the same layer, split and seed has predicted. The source of a control task goes by
    the target of the control task.

    Args:
        probes: of `probes.train`.
        rows: the activations.
        pairs: the puzzles, in the order of the rows.
        targets: those that the probes were trained on.
        splits: those that the probes were trained on.
        seed: of the lots that are drawn among squares with equal scores.
    """
    tables = []
    by_name = {each.name: each for each in targets}
    for number, split in enumerate(splits):
        test = np.flatnonzero(split.test)
        for start in range(0, len(test), _AT_ONCE):
            boards = test[start : start + _AT_ONCE]
            values, lots = rows.read(boards), _lots(boards, seed)
            seeds = [probe.seed for probe in probes.probes]
            for name, target in by_name.items():
                for kind, predicted, rank, loss in _ask(
                    probes, values, boards, target, number, by_name, lots
                ):
                    known = target.known[boards]
                    places = probes.select(name, number)
                    tables.append(
                        frame(
                            pairs,
                            boards[known],
                            sites=probes.sites,
                            kind=kind,
                            target=target,
                            split=split.name,
                            seeds=[seeds[place] for place in places],
                            predicted=predicted[:, :, known],
                            rank=rank[:, :, known],
                            loss=loss[:, :, known],
                        )
                    )
    return pyarrow.concat_tables(tables)


_Answers = tuple[str, np.ndarray, np.ndarray, np.ndarray]


@torch.no_grad()
def _ask(
    probes: Probes,
    values: Float[Tensor, "layer board square width"],
    boards: Int64[np.ndarray, " board"],
    target: Target,
    split: int,
    by_name: dict[str, Target],
    lots: Int64[Tensor, "board square"],
) -> Iterator[_Answers]:
    """Predicted square, rank of the answer and loss, by layer, seed and board."""
    places = probes.select(target.name, split)
    answer = torch.from_numpy(target.answer[boards])
    true = torch.from_numpy(target.given[boards]).expand(len(probes.sites), len(places), -1)
    yield (target.kind, *_judge(probes.scores(values, true, places), answer, lots))
    of_source = target.name.replace("source", "target", 1)
    if target.kind.startswith("source") and of_source in by_name:
        given = torch.from_numpy(by_name[of_source].given[boards]).expand_as(true)
        scores = probes.scores(values, given, probes.select(of_source, split))
        found = torch.from_numpy(_judge(scores, answer, lots)[0])
        kind = target.kind.replace("source", Kind.SOURCE_GIVEN_PREDICTED, 1)
        yield (kind, *_judge(probes.scores(values, found, places), answer, lots))


def _lots(boards: Int64[np.ndarray, " board"], seed: int) -> Int64[Tensor, "board square"]:
    """An order of the squares for each board, drawn at random: who goes first among equals."""
    orders = [np.random.default_rng([seed, int(board)]).permutation(64) for board in boards]
    return torch.from_numpy(np.stack(orders))


def _judge(
    scores: Float[Tensor, "layer seed board square"],
    answer: Int64[Tensor, " board"],
    lots: Int64[Tensor, "board square"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted square, rank of the answer, and minus its log probability.

    Squares whose scores differ by no more than rounding are equal (all empty squares are where the
    input planes are read), and lots are drawn among them: an answer is never right for free.
    """
    at = answer.expand(scores.shape[:3])[..., None]
    loss = torch.logsumexp(scores, dim=-1) - scores.gather(-1, at)[..., 0]
    step = _ROUNDING * scores.abs().amax(dim=-1, keepdim=True).clamp(min=1e-30).double()
    order = (scores.double() / step).round() * 64 + lots
    rank = 1 + (order > order.gather(-1, at)).sum(dim=-1)
    return order.argmax(dim=-1).numpy(), rank.numpy(), loss.numpy()
