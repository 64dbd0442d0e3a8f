"""Puzzle dumps of random play, and a network without weights, for tests that need many of both."""

import hashlib
from pathlib import Path

import chess
import numpy as np

from leela_probe.files.disk import sha256
from leela_probe.networks import evaluation
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import InputFormat

COLUMNS = (
    "PuzzleId",
    "FEN",
    "Moves",
    "Rating",
    "RatingDeviation",
    "Popularity",
    "NbPlays",
    "Themes",
    "GameUrl",
    "OpeningTags",
)


def random_rows(seed: int, count: int) -> list[dict[str, str]]:
    """Rows as Lichess writes them: a position of random play, and moves of random play from it."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str]] = []
    while len(rows) < count:
        board = chess.Board()
        length = int(rng.integers(2, 8))
        start = int(rng.integers(0, 60))
        fen, moves = board.fen(), []
        for ply in range(start + length):
            legal = list(board.legal_moves)
            if not legal:
                break
            if ply == start:
                fen = board.fen()
            move = legal[int(rng.integers(len(legal)))]
            if ply >= start:
                moves.append(move.uci())
            board.push(move)
        if len(moves) < 2:
            continue
        rows.append(
            {
                "PuzzleId": f"p{seed}x{len(rows):04d}",
                "FEN": fen,
                "Moves": " ".join(moves),
                "Rating": str(int(rng.integers(600, 2800))),
                "RatingDeviation": "75",
                "Popularity": "90",
                "NbPlays": "1000",
                "Themes": "mateIn1 short" if rng.random() < 0.05 else "crushing middlegame",
                "GameUrl": f"https://lichess.org/g{seed}x{len(rows):05d}/black#{start}",
                "OpeningTags": "",
            }
        )
    return rows


def csv_text(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> str:
    """The rows as the text of a dump."""
    lines = [",".join(columns)] + [",".join(row[name] for name in columns) for row in rows]
    return "\n".join(lines) + "\n"


def write_dump(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text(csv_text(rows))
    return path


class HashNetwork:
    """Answers that depend on the position alone, from nowhere: a network for tests without one."""

    input_format = InputFormat.CLASSICAL
    no_history = False
    dtype = "float32"

    def __init__(self, path: Path, *, sharpness: float = 3.0) -> None:
        if not path.exists():
            path.write_text(f"sharpness {sharpness}")
        self.path = path
        self.name = path.stem
        self.sha256 = sha256(path)
        self.sharpness = sharpness
        self.evaluated = 0
        self._seed = int(self.sha256[:8], 16)

    def identity(self) -> dict[str, object]:
        return {"sha256": self.sha256, "no_history": self.no_history}

    def evaluate(self, encoded: EncodedBoards, *, batch_size: int = 256) -> evaluation.Evaluation:
        self.evaluated += len(encoded)
        logits = np.empty((len(encoded), 1858), dtype=np.float32)
        wdl = np.empty((len(encoded), 3), dtype=np.float32)
        for index, masks in enumerate(encoded.masks):
            digest = hashlib.sha256(masks.tobytes()).digest()
            rng = np.random.default_rng([self._seed, int.from_bytes(digest[:8], "little")])
            logits[index] = self.sharpness * rng.standard_normal(1858, dtype=np.float32)
            wdl[index] = rng.dirichlet([1, 1, 1])
        return evaluation.from_logits(encoded, logits, wdl=wdl, value=None, moves_left=None)
