"""What a network says of boards when its run is changed on the way."""

from __future__ import annotations

from collections.abc import Sequence

import chess
import torch

from leela_probe.networks import evaluation, patching
from leela_probe.networks.evaluation import Evaluation
from leela_probe.networks.inputs import Boards, Inputs, boards_of
from leela_probe.networks.interventions import Intervention
from leela_probe.networks.network import Network
from leela_probe.networks.patching import Job
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import History

__all__ = ["intervene"]


def intervene(
    network: Network,
    boards: Boards,
    interventions: Sequence[Intervention],
    *,
    others: Inputs | None = None,
    batch_size: int | None = None,
    history: History = History.FILLED,
) -> Evaluation:
    """What the network says of each board in a run with these interventions.

    Args:
        network: whose runs are changed.
        boards: the positions, one run each: boards, FENs or encoded boards.
        interventions: the changes, all of them made in every run.
        others: the positions that `Patch` takes activations from, one for each board, or their
            planes.
        batch_size: runs in one batch; by default as many as suit the device.
        history: what stands for positions before the known ones.

    Returns:
        The same as `Network.evaluate`, without the number of moves left.

    Raises:
        TypeError: if it is a single board, FEN or intervention.
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
    if isinstance(boards, chess.Board | str):
        raise TypeError(
            "a single position was given and a sequence is expected: "
            "intervene(network, [board], interventions)"
        )
    given = boards_of(boards, "intervene")
    encoded = network.encode(given, history=history)
    outputs = patching.run(
        network,
        encoded,
        [Job(board=i, interventions=tuple(interventions)) for i in range(len(encoded))],
        other=None if others is None else network.planes(others, history=history),
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
        shown=()
        if isinstance(given, EncodedBoards)
        else tuple(board.copy(stack=1) for board in given[: evaluation.BOARDS_SHOWN]),
    )
