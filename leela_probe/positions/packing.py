"""Encoded boards on their way between processes.

An `EncodedBoards` holds every legal move as a python-chess object, which is slow to send.
`PackedBoards` holds them as numbers. Stands on `encoding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import chess
import numpy as np
from jaxtyping import Float32, Int16, Int64, UInt16, UInt64

from leela_probe.positions.encoding import EncodedBoards

__all__ = ["PackedBoards", "move_of", "number_of", "pack"]


def number_of(move: chess.Move) -> int:
    """A number for a move: from-square, to-square and promotion in 15 bits.

    Example:
        >>> move_of(number_of(chess.Move.from_uci("a7b8q"))).uci()
        'a7b8q'
    """
    return move.from_square | move.to_square << 6 | (move.promotion or 0) << 12


@cache
def move_of(number: int) -> chess.Move:
    """The move of a number; not to be changed, since all callers get the same object."""
    return chess.Move(number & 63, number >> 6 & 63, number >> 12 or None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedBoards:
    """A batch of positions as arrays alone; `numbers` has a number for each legal move."""

    masks: UInt64[np.ndarray, "board plane"]
    clocks: Float32[np.ndarray, " board"]
    slots: Int16[np.ndarray, " legal_move"]
    offsets: Int64[np.ndarray, " board_plus_1"]
    numbers: UInt16[np.ndarray, " legal_move"]

    def __len__(self) -> int:
        return len(self.masks)

    def unpack(self) -> EncodedBoards:
        """The batch as a network takes it."""
        moves = list(map(move_of, self.numbers.tolist()))
        offsets = self.offsets.tolist()
        return EncodedBoards(
            masks=self.masks,
            clocks=self.clocks,
            moves=tuple(tuple(moves[start:end]) for start, end in pairwise(offsets)),
            slots=self.slots,
            offsets=self.offsets,
        )

    def take(self, boards: Sequence[int]) -> PackedBoards:
        """Some of the boards, in the order given.

        Args:
            boards: their places in the batch.
        """
        chosen = np.asarray(boards, dtype=np.int64)
        starts, counts = self.offsets[chosen], np.diff(self.offsets)[chosen]
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
        legal = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
        return PackedBoards(
            masks=self.masks[chosen],
            clocks=self.clocks[chosen],
            slots=self.slots[legal],
            offsets=offsets,
            numbers=self.numbers[legal],
        )


def pack(encoded: EncodedBoards) -> PackedBoards:
    """The batch in the form that is quick to send.

    Example:
        >>> from leela_probe.positions.encoding import encode
        >>> packed = pack(encode([chess.Board(), chess.Board("4k3/8/8/8/8/8/8/4K3 w - - 0 1")]))
        >>> [move.uci() for move in packed.take([1]).unpack().moves[0]]
        ['e1f2', 'e1e2', 'e1d2', 'e1f1', 'e1d1']
    """
    return PackedBoards(
        masks=encoded.masks,
        clocks=encoded.clocks,
        slots=encoded.slots,
        offsets=encoded.offsets,
        numbers=np.array(
            [number_of(move) for moves in encoded.moves for move in moves], dtype=np.uint16
        ),
    )
