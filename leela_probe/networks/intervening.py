"""What a network says of boards when its run is changed on the way."""

from __future__ import annotations

from collections.abc import Sequence

import chess
import torch

from leela_probe.networks import evaluation, patching
from leela_probe.networks.evaluation import Evaluation
from leela_probe.networks.interventions import Intervention
from leela_probe.networks.network import Network
from leela_probe.networks.patching import Job
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import History

__all__ = ["intervene"]


def intervene(
    network: Network,
    boards: Sequence[chess.Board],
    interventions: Sequence[Intervention],
    *,
    others: Sequence[chess.Board] | None = None,
    batch_size: int | None = None,
    history: History = History.FILLED,
) -> Evaluation:
    """What the network says of each board in a run with these interventions.

    Args:
        network: whose runs are changed.
        boards: the positions, one run each.
        interventions: the changes, all of them made in every run.
        others: the positions that `Patch` takes activations from, one for each board.
        batch_size: runs in one batch; by default as many as suit the device.
        history: what stands for positions before the known ones.

    Returns:
        The same as `Network.evaluate`, without the number of moves left.

    Raises:
        KeyError: if a site does not exist, with the nearest right names.
        IndexError: if a place is outside its axis.
        ValueError: if a site has no such axis, an action does not suit it, a change has no
            influence on policy or value, or `Patch` has nothing to take from.

    Example:
        >>> import chess
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:strong")
        >>> head = lp.Intervention(site="layer4.head_output", head=2, action=lp.Zero())
        >>> len(lp.intervene(network, [chess.Board()], [head]).policy(0))
        20
    """
    if isinstance(interventions, Intervention):
        raise TypeError(
            "interventions is a single Intervention: give a list, such as "
            "intervene(network, boards, [intervention])"
        )
    encoded = network.encode(boards, history=history)
    outputs = patching.run(
        network,
        torch.from_numpy(encoded.planes()),
        [Job(board=i, interventions=tuple(interventions)) for i in range(len(encoded))],
        other=None if others is None else _planes(network.encode(others, history=history)),
        batch_size=batch_size,
    )
    wdl = value = None
    if outputs.value is not None and outputs.value.shape[-1] == 3:
        wdl = torch.softmax(outputs.value.float(), dim=-1).numpy()
    elif outputs.value is not None:
        value = torch.tanh(outputs.value.float()).flatten().numpy()
    return evaluation.from_logits(
        encoded,
        outputs.logits.numpy(),
        wdl=wdl,
        value=value,
        moves_left=None,
        shown=tuple(board.copy(stack=1) for board in boards[: evaluation.BOARDS_SHOWN]),
    )


def _planes(encoded: EncodedBoards) -> torch.Tensor:
    return torch.from_numpy(encoded.planes())
