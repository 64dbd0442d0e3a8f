"""Whether a loaded network answers as lc0, onnxruntime and the CPU do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import chess
import numpy as np

from leela_probe.networks import conversion, evaluation, lc0_answers, onnx_files
from leela_probe.networks.network import Network
from leela_probe.positions import symmetry
from leela_probe.positions.planes import InputFormat

__all__ = ["POSITIONS", "Comparison", "against_lc0", "between_engines", "boards"]

_START = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"
_SHUFFLE = "g1f3 g8f6 f3g1 f6g8 g1f3 g8f6 f3g1 f6g8"

POSITIONS: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (fen, tuple(moves.split()))
    for fen, moves in (
        (_START, ""),
        (_START, "e2e4 c7c5 g1f3 d7d6 d2d4 c5d4 f3d4 g8f6 b1c3 a7a6"),
        (_START, _SHUFFLE),
        (_START, f"{_SHUFFLE} {_SHUFFLE} e2e4"),
        (_START, "e2e4 a7a6 e4e5 d7d5"),
        ("r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R b KQkq - 6 8", "e8c8"),
        ("r3k2r/pppq1ppp/2npbn2/2b1p3/2B1P3/2NPBN2/PPPQ1PPP/R3K2R b KQ - 6 8", "a7a6"),
        ("rnbqkbnr/ppp1p1pp/8/3pPp2/8/8/PPPP1PPP/RNBQKBNR w KQkq f6 0 3", "b1c3"),
        ("2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32", "f4g6"),
        ("8/P6k/8/8/8/8/6K1/8 w - - 0 1", "g2g3 h7g7"),
        ("1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1", "e1e2 e8e7"),
        ("8/8/8/4k3/8/3QK3/8/8 w - - 96 120", "d3c4 e5f5"),
        ("8/2k5/8/8/4R3/8/1K6/8 w - - 0 1", "e4e7 c7d6 e7e4 d6c6"),
        ("8/8/8/8/8/1k6/8/K6q w - - 10 90", ""),
        ("5rk1/n2P3p/1p2p1pQ/pP6/q3p1p1/8/5PPP/5RK1 w - - 0 35", "h6f8 g8f8"),
        ("6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1", "a1a8"),
    )
)
"""Positions for comparing: castling, en passant, repetition, promotion, long clocks, mate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The largest differences found between two ways to evaluate the same positions.

    Attributes:
        what: which two.
        positions: how many were compared.
        planes: how many of the positions' planes differ; None if both took the same planes.
        probability: largest difference in the probability of a legal move.
        value: largest difference in Q (or in the scalar value).
        tolerance: what either may be at most.
        turned: positions that the input format turns, for which lc0's Python module gives no
            policy of lc0's: its policy is then read from its logits where lc0's engine reads it.
    """

    what: str
    positions: int
    planes: int | None
    probability: float
    value: float
    tolerance: float
    turned: int = 0

    @property
    def agrees(self) -> bool:
        """True if the two give the same answers."""
        near = self.probability <= self.tolerance and self.value <= self.tolerance
        return not self.planes and near  # a NaN is no agreement


def boards(positions: Sequence[tuple[str, Sequence[str]]]) -> list[chess.Board]:
    """The boards of positions given as a FEN and moves from it."""
    made = []
    for fen, moves in positions:
        board = chess.Board(fen)
        for move in moves:
            board.push_uci(move)
        made.append(board)
    return made


def against_lc0(network: Network, *, tolerance: float = 1e-5) -> Comparison:
    """The network as this package runs it against lc0 on the same file.

    The planes, the logits and the values are those of lc0's Python module. From input format 3 on
    some positions are turned, and lc0's engine turns the policy slots with them, as this package
    does; the Python module alone reads the slots of the unturned board. For these positions
    (`Comparison.turned` counts them) its logits are read by the engine's rule.

    Raises:
        ValueError: if the network did not come from a file that lc0 reads.
        ModuleNotFoundError: if lc0's Python module is not installed.

    Example:
        >>> import leela_probe as lp
        >>> lp.verify(lp.load("bundled:planted")).agrees
        True
    """
    if onnx_files.is_named_so(network.path):
        raise ValueError(
            f"{network.path} cannot be compared with lc0, which takes .pb.gz files: verify the "
            "file it was converted from"
        )
    # lc0's module cannot take a position without moves, or one that starts within a count of
    # half-moves, in the formats that skip history, and none without legal moves at all
    skips = network.input_format in (InputFormat.CANONICAL_V2, InputFormat.CANONICAL_V2_ARMAGEDDON)
    positions = [
        (fen, moves)
        for (fen, moves), board in zip(POSITIONS, boards(POSITIONS), strict=True)
        if any(board.legal_moves) and moves and not (skips and board.root().halfmove_clock)
    ]
    answers = lc0_answers.ask(
        network.path,
        positions,
        policy_head=conversion.lc0_head(onnx_files.head(network.metadata, "policy")),
        value_head=onnx_files.head(network.metadata, "value"),
    )
    compared = boards(positions)
    found = network.evaluate(compared)
    probability = max(
        abs(value - answer.policy.get(move.uci(), np.nan))
        for i, answer in enumerate(answers)
        for move, value in found.policy(i).items()
    )
    masks = np.stack([answer.masks for answer in answers])
    values = np.stack([answer.values for answer in answers])
    ours = found.encoded
    wrong = (masks != ours.masks) & (values != 0)
    wrong[:, 109] = (values[:, 109] != ours.clocks) & (ours.clocks != 0)
    q = np.array([answer.q for answer in answers])
    return Comparison(
        what="leela-probe and lc0",
        positions=len(positions),
        planes=int(wrong.sum()),
        probability=float(probability),
        value=0.0 if found.q is None else float(np.abs(found.q - q).max()),
        tolerance=tolerance,
        turned=sum(bool(symmetry.choose(board, network.input_format)) for board in compared),
    )


def between_engines(network: Network, *, tolerance: float | None = None) -> Comparison:
    """The torch graph on the network's device against onnxruntime on the CPU."""
    encoded = network.encode(boards(POSITIONS))
    planes = encoded.planes()
    graph = network.evaluate_planes(planes, engine="torch")
    reference = network.evaluate_planes(planes, engine="onnxruntime")
    found, expected = (
        evaluation.from_logits(
            encoded, out.logits, wdl=out.wdl, value=out.value, moves_left=out.moves_left
        )
        for out in (graph, reference)
    )
    value = (
        0.0 if found.q is None or expected.q is None else float(np.abs(found.q - expected.q).max())
    )
    return Comparison(
        what=f"torch graph on {network.device} in {network.dtype} and onnxruntime on the CPU",
        positions=len(POSITIONS),
        planes=None,
        probability=float(np.abs(found.probabilities - expected.probabilities).max()),
        value=value,
        tolerance={"float32": 1e-5}.get(network.dtype, 0.05) if tolerance is None else tolerance,
    )
