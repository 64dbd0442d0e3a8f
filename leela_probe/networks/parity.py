"""Whether the torch graph answers as onnxruntime does: what loading a network checks."""

from __future__ import annotations

from collections.abc import Mapping

import chess
import numpy as np
import torch
from torch import Tensor

from leela_probe.networks import evaluation
from leela_probe.networks.outputs import Outputs
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.moves import POLICY_SIZE

__all__ = ["TOLERANCE", "MismatchError", "boards", "check_file", "compare"]

TOLERANCE = {"float32": 1e-4, "tf32": 0.02, "bfloat16": 0.25, "float16": 0.05}
"""What the engines may differ by, by the type that torch computes in: in the probability of a legal
move, in those of win, draw and loss, or in the scalar value."""

_FENS = (  # opening, attack, endgame, promotion
    "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1",
    "2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32",
    "8/1R6/p1pk4/2q3bp/1QP5/P7/KP6/3r4 b - - 3 45",
    "5rk1/n2P3p/1p2p1pQ/pP6/q3p1p1/8/5PPP/5RK1 w - - 0 35",
)


class MismatchError(ValueError):
    """The torch graph and onnxruntime answer differently for the same network."""


def boards() -> list[chess.Board]:
    """The positions to compare on."""
    return [chess.Board(fen) for fen in _FENS]


def compare(
    graph: Outputs,
    session: Outputs,
    encoded: EncodedBoards,
    *,
    dtype: str,
    device: torch.device,
    constants: Mapping[str, Tensor],
) -> float:
    """The largest difference between the engines in the probability of a legal move.

    Args:
        graph: what the torch graph gives.
        session: what onnxruntime gives for the same boards.
        encoded: the boards.
        dtype: what torch computes in, a key of `TOLERANCE`.
        device: where.
        constants: of the graph, by name.

    Raises:
        ValueError: if an output has another width than expected, or an answer is no number.
        MismatchError: if the engines differ by more than the tolerance.
    """
    for outputs in (graph, session):
        _check_width("policy", outputs.logits, POLICY_SIZE)
        _check_width("WDL", outputs.wdl, 3)
    policy, value = _differences(graph, session, encoded)
    tolerance = TOLERANCE[dtype]
    if not (policy <= tolerance and value <= tolerance):  # a NaN is a mismatch
        _refuse_no_numbers(graph, session, dtype, constants)
        raise MismatchError(
            f"the torch graph on {device} in {dtype} and onnxruntime differ by {policy:.2g} in the "
            f"probability of a move and {value:.2g} in the value, more than {tolerance:g}: "
            "the graph is read wrongly, please report it with this file"
        )
    return policy


def check_file(read: Outputs, file: Outputs, encoded: EncodedBoards, *, dtype: str) -> None:
    """Compares a network as it was read here with its file as onnxruntime runs it unchanged.

    Args:
        read: the answers of the network that was read.
        file: those of the file itself; where they are not numbers nothing is compared.
        encoded: the boards.
        dtype: the narrowest type in the file, a key of `TOLERANCE`.

    Raises:
        MismatchError: if they differ by more than the tolerance.
    """
    policy, value = _differences(read, file, encoded)
    tolerance = TOLERANCE[dtype]
    if np.isfinite(file.logits).all() and not (policy <= tolerance and value <= tolerance):
        raise MismatchError(
            f"the network as it is read here and the file itself in onnxruntime differ by "
            f"{policy:.2g} in the probability of a move and {value:.2g} in the value, more than "
            f"{tolerance:g}: the file is read wrongly, please report it"
        )


def _differences(first: Outputs, second: Outputs, encoded: EncodedBoards) -> tuple[float, float]:
    """The largest differences in the probability of a legal move, and in WDL or value."""
    policies = [
        np.exp(evaluation.log_softmax_over_legal_moves(outputs.logits, encoded))
        for outputs in (first, second)
    ]
    values = [_difference(first.wdl, second.wdl), _difference(first.value, second.value)]
    return _difference(*policies), float(np.max(values))


def _check_width(head: str, values: np.ndarray | None, width: int) -> None:
    if values is not None and values.shape[1:] != (width,):
        raise ValueError(
            f"its {head} output gives {values.shape[1:]} numbers a position: expected {width}"
        )


def _difference(first: np.ndarray | None, second: np.ndarray | None) -> float:
    return 0.0 if first is None or second is None else float(np.abs(first - second).max())


def _refuse_no_numbers(
    graph: Outputs, session: Outputs, dtype: str, constants: Mapping[str, Tensor]
) -> None:
    """Says where NaN comes from, where the answers hold any."""
    wrong = [
        name
        for name, value in constants.items()
        if value.is_floating_point() and bool(value.isnan().any())
    ]
    if wrong:
        raise ValueError(
            f"the file holds NaN (not a number) in {len(wrong)} of its tensors, {wrong[0]!r} "
            "for one: its training or export went wrong"
        )
    if np.isnan(session.logits).any():
        raise ValueError("its answers are NaN in onnxruntime too: its weights overflow")
    if np.isnan(graph.logits).any():
        raise ValueError(
            f"its answers are NaN in {dtype}, in which they overflow: take float32 or bfloat16"
        )
