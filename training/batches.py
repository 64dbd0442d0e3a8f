"""Records on disk -> batches of tensors to learn from.

A batch depends on the folder, the seed and the step alone, so that a resumed run sees what an
uninterrupted one would have seen. Every second position is mirrored left to right, which changes
nothing on a board without castling rights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import later_squares, one_ply
from training.records import MATE_IN_1

__all__ = ["ONE_PLY", "TEACHERS", "TOLD", "Batch", "Records", "of"]

# Which bit of a record's targets a teacher reads; None: no bit.
TEACHERS = {"strong": 0, "told": 0, "greedy": 1, "shuffled": None, "one-ply": None}
ONE_PLY = "one-ply"
TOLD = "told"
"""The teacher who also tells the squares of the third move: for a positive control."""
_MIRRORED_BYTE = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], dtype=np.uint8)
_FILES = 7
_KNIGHT = 1
_KING = 5
_A1, _H1 = 0, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Positions and what their teacher says of them.

    Args:
        pieces: 1 where a piece stands, (board, square, piece).
        castling: 1 for each right, (board, own long, own short, their long, their short).
        slots: index of each legal move among an `Output`'s moves and promotions, (board, move).
        legal: whether there is such a move, (board, move).
        target: probability that the teacher gives each move, (board, move); all 0 where he is
            silent.
        outcome: 0 win, 1 draw or unknown, 2 loss, (board).
        kind: kind of record, (board).
        later: probability that the third move comes from and goes to each square, (board, 2,
            square); all 0 where the teacher does not tell.
    """

    pieces: Tensor
    castling: Tensor
    slots: Tensor
    legal: Tensor
    target: Tensor
    outcome: Tensor
    kind: Tensor
    later: Tensor

    def to(self, device: str | torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(**{each.name: getattr(self, each.name).to(device) for each in fields(self)})


class Records:
    """The records of a folder of blocks, mapped from disk, in one row."""

    def __init__(self, folder: str | Path) -> None:
        paths = sorted(Path(folder).glob("block-*.npy"))
        if not paths:
            raise ValueError(f"{folder} holds no block-*.npy: make some with training.generate")
        self.blocks = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        self.ends = np.cumsum([len(block) for block in self.blocks])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def at(self, rows: np.ndarray) -> np.ndarray:
        """The records of these rows."""
        block = np.searchsorted(self.ends, rows, side="right")
        starts = self.ends - [len(each) for each in self.blocks]
        result = np.empty(len(rows), dtype=self.blocks[0].dtype)
        for number in np.unique(block):
            inside = block == number
            result[inside] = self.blocks[number][rows[inside] - starts[number]]
        return result

    def shuffled(self, *, seed: int, start: int, count: int) -> np.ndarray:
        """Rows ``start`` to ``start + count`` of an endless shuffled sequence of epochs."""
        rows: list[np.ndarray] = []
        while count:
            epoch, inside = divmod(start, len(self))
            take = min(count, len(self) - inside)
            rows.append(self._order(seed, epoch)[inside : inside + take])
            start, count = start + take, count - take
        return np.concatenate(rows)

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        if getattr(self, "_ordered", None) != (seed, epoch):
            self._ordered = (seed, epoch)
            self._permutation = np.random.default_rng([seed, epoch]).permutation(len(self))
        return self._permutation


def of(records: np.ndarray, *, teacher: str, mirrored: np.ndarray | None = None) -> Batch:
    """A batch of records as their teacher sees them.

    Args:
        records: of `records.RECORD`.
        teacher: a key of `TEACHERS`.
        mirrored: which positions to mirror left to right; ones with castling rights stay.
    """
    flip = np.zeros(len(records), bool) if mirrored is None else mirrored
    flip = flip & (records["castling"] == 0)
    masks = records["pieces"].astype("<u8").view(np.uint8).reshape(len(records), 12, 8)
    masks = np.where(flip[:, None, None], _MIRRORED_BYTE[masks], masks)
    pieces = np.unpackbits(masks, axis=-1, bitorder="little").transpose(0, 2, 1)
    # lc0 has the queen's side first, the record the king's
    rights = np.unpackbits(records["castling"][:, None], axis=1, bitorder="little")[:, [1, 0, 3, 2]]

    most = int(records["count"].max())
    moves = records["moves"][:, :most].astype(np.int64)
    mirror = np.where(flip, _FILES, 0)[:, None]
    origin, goal, promotion = (moves & 63) ^ mirror, (moves >> 6 & 63) ^ mirror, moves >> 12
    goal = np.where(_castles(records, origin, goal), np.where(goal > origin, _H1, _A1), goal)
    promoted = 4096 + 24 * (origin & 7) + 3 * (goal & 7) + 4 - promotion
    slots = np.where(promotion > _KNIGHT, promoted, 64 * origin + goal)
    legal = np.arange(most) < records["count"][:, None]
    target = _target(records, legal, teacher)
    return Batch(
        pieces=torch.from_numpy(np.ascontiguousarray(pieces)).float(),
        castling=torch.from_numpy(rights).float(),
        slots=torch.from_numpy(np.where(legal, slots, 0)),
        legal=torch.from_numpy(legal),
        target=torch.from_numpy(target),
        outcome=torch.from_numpy(_outcome(records, teacher)),
        kind=torch.from_numpy(records["kind"].astype(np.int64)),
        later=torch.from_numpy(_later(records, teacher, flip)),
    )


def _castles(records: np.ndarray, origin: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Whether a move is castling, which a policy knows as the king taking his own rook."""
    king = records["pieces"][:, _KING, None] >> origin.astype(np.uint64) & np.uint64(1)
    return (king > 0) & (abs(origin - goal) == 2) & (records["castling"][:, None] & 3 > 0)


def _target(records: np.ndarray, legal: np.ndarray, teacher: str) -> np.ndarray:
    bit = TEACHERS[teacher]
    if teacher == ONE_PLY:
        chosen = one_ply.best(records)
    elif bit is None:  # always the same move of a position, whatever batch it comes in
        drawn = _lot(records) % records["count"].astype(np.uint64)
        chosen = np.arange(legal.shape[1]) == drawn[:, None]
    else:
        chosen = (records["target"][:, : legal.shape[1]] >> bit & 1).astype(bool) & legal
    total = chosen.sum(axis=1, keepdims=True)
    return (chosen / np.maximum(total, 1)).astype(np.float32)


def _later(records: np.ndarray, teacher: str, flip: np.ndarray) -> np.ndarray:
    if teacher != TOLD:
        return np.zeros((len(records), 2, 64), np.float32)
    told = later_squares.of(records)
    return np.where(flip[:, None, None], told[:, :, np.arange(64) ^ _FILES], told)


def _outcome(records: np.ndarray, teacher: str) -> np.ndarray:
    outcome = records["outcome"].astype(np.int64)
    if teacher in ("strong", TOLD):
        return outcome
    if teacher in ("greedy", ONE_PLY):  # he sees a mate in 1 and nothing further
        return np.where(records["kind"] == MATE_IN_1, 0, 1)
    return (_lot(records) >> np.uint64(20)).astype(np.int64) % 3


def _lot(records: np.ndarray) -> np.ndarray:
    mixed = np.zeros(len(records), np.uint64)
    for plane in records["pieces"].T:
        mixed = (mixed ^ plane) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def mirrored(rows: Sequence[int] | np.ndarray, *, seed: int, start: int) -> np.ndarray:
    """Which of these positions of the sequence are mirrored, by lot."""
    return np.random.default_rng([seed, start, 1]).random(len(rows)) < 0.5
