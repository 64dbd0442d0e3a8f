"""Batches of positions in the packed form that worker processes produce and networks take.

`encode` turns boards into 112 bit masks each, with the legal moves as numbers and their policy
slots: arrays alone, quick to send between processes. `EncodedBoards.planes` unpacks the masks.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import chess
import numpy as np

from leela_probe.positions import moves as policy_moves
from leela_probe.positions import planes as input_planes
from leela_probe.positions.planes import History, InputFormat

if TYPE_CHECKING:
    from jaxtyping import Float32, Int16, Int64, UInt16, UInt64

__all__ = ["EncodedBoards", "concatenate", "encode"]

_HISTORY_PLANES = slice(12, 104)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EncodedBoards:
    """A batch of positions as a network takes them.

    Example:
        >>> encoded = encode([chess.Board(), chess.Board("4k3/8/8/8/8/8/4P3/4K3 b - - 0 1")])
        >>> len(encoded), encoded.planes().shape, [len(moves) for moves in encoded.moves]
        (2, (2, 112, 8, 8), [20, 5])
        >>> encoded
        <EncodedBoards: 2 positions, 25 legal moves>
        >>> encoded[1:].moves[0][0].uci()
        'e8f8'
    """

    masks: UInt64[np.ndarray, "board plane"]
    """112 bit masks a board, bit i = square i of the mover's board."""
    clocks: Float32[np.ndarray, " board"]
    """The value that fills plane 109: the half-move clock, divided by 100 from format 4 on."""
    numbers: UInt16[np.ndarray, " legal_move"]
    """Each board's legal moves in python-chess's order, as numbers (`moves.number_of`)."""
    slots: Int16[np.ndarray, " legal_move"]
    """The policy slot of each of them."""
    offsets: Int64[np.ndarray, " board_plus_1"]
    """Board i owns `slots[offsets[i]:offsets[i + 1]]`."""

    @cached_property
    def moves(self) -> tuple[tuple[chess.Move, ...], ...]:
        """The legal moves of each board in python-chess's order; not to be changed."""
        moves = list(map(policy_moves.move_of, self.numbers.tolist()))
        return tuple(tuple(moves[start:end]) for start, end in pairwise(self.offsets.tolist()))

    def __len__(self) -> int:
        return len(self.masks)

    def __repr__(self) -> str:
        return f"<EncodedBoards: {len(self):,} positions, {len(self.slots):,} legal moves>"

    def __getitem__(self, chosen: slice | int) -> EncodedBoards:
        """The boards of a range, such as `encoded[64:128]`; arrays are views.

        Raises:
            TypeError: a single board is asked for.
            ValueError: the range has a step.
        """
        if not isinstance(chosen, slice):
            raise TypeError(
                f"encoded boards are taken by range, such as encoded[0:1], not by {chosen!r}"
            )
        start, stop, step = chosen.indices(len(self))
        if step != 1:
            raise ValueError(f"encoded boards are taken by ranges of step 1, not {step}")
        stop = max(start, stop)
        offsets = self.offsets[start : stop + 1]
        return EncodedBoards(
            masks=self.masks[start:stop],
            clocks=self.clocks[start:stop],
            numbers=self.numbers[offsets[0] : offsets[-1]],
            slots=self.slots[offsets[0] : offsets[-1]],
            offsets=offsets - offsets[0],
        )

    def take(self, boards: Sequence[int]) -> EncodedBoards:
        """Some of the boards, in the order given.

        Args:
            boards: their places in the batch.

        Example:
            >>> encoded = encode([chess.Board(), chess.Board("4k3/8/8/8/8/8/8/4K3 w - - 0 1")])
            >>> [move.uci() for move in encoded.take([1]).moves[0]]
            ['e1f2', 'e1e2', 'e1d2', 'e1f1', 'e1d1']
        """
        chosen = np.asarray(boards, dtype=np.int64)
        starts, counts = self.offsets[chosen], np.diff(self.offsets)[chosen]
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
        legal = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
        return EncodedBoards(
            masks=self.masks[chosen],
            clocks=self.clocks[chosen],
            numbers=self.numbers[legal],
            slots=self.slots[legal],
            offsets=offsets,
        )

    def planes(self) -> Float32[np.ndarray, "board plane rank file"]:
        """The planes that the network takes, unpacked.

        Example:
            >>> encode([chess.Board()]).planes().sum(axis=(2, 3))[0, :6]
            array([8., 2., 2., 2., 1., 1.], dtype=float32)
        """
        return input_planes.expand(self.masks, self.clocks)


def encode(
    boards: Sequence[chess.Board],
    *,
    input_format: InputFormat | int = InputFormat.CLASSICAL,
    history: History | str = History.FILLED,
    no_history: bool = False,
) -> EncodedBoards:
    """The positions as a network of this input format takes them, with their legal moves.

    A board's known history is its move stack. The boards are not changed.

    Args:
        boards: the positions.
        input_format: the network's input format, or its number.
        history: what stands in the planes of earlier positions, or its value.
        no_history: the network was made to ignore history: planes 12 to 103 are zero.

    Raises:
        ValueError: the format or history is unknown, a side has no king or several, or a
            position's en-passant square has no pawn that could be captured.

    Example:
        >>> encoded = encode([chess.Board()])
        >>> encoded.moves[0][0].uci(), policy_moves.SLOT_MOVES[encoded.slots[0]]
        ('g1h3', 'g1h3')
    """
    masks, clocks, transforms = input_planes.masks(boards, input_format, history)
    if no_history:
        masks[:, _HISTORY_PLANES] = 0
    legal: list[int] = []
    ends = [0]
    with _no_collecting():
        for board in boards:
            legal += policy_moves.numbers_of(policy_moves.legal_moves(board))
            ends.append(len(legal))
    numbers, offsets = np.array(legal, dtype=np.uint16), np.array(ends, dtype=np.int64)
    return EncodedBoards(
        masks=masks,
        clocks=clocks,
        numbers=numbers,
        slots=policy_moves.slots(numbers, offsets, boards, transforms),
        offsets=offsets,
    )


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Pauses the search for garbage cycles: thousands of moves are made here, and no cycle.

    Going through all of them again and again would cost as much as making them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def concatenate(parts: Sequence[EncodedBoards]) -> EncodedBoards:
    """All boards of the parts in one batch, in order.

    Args:
        parts: batches; there may be none.

    Example:
        >>> len(concatenate([encode([chess.Board()]), encode([chess.Board()])]))
        2
    """
    parts = [*parts, encode([])]
    starts = np.cumsum([0, *(len(part.slots) for part in parts)], dtype=np.int64)
    return EncodedBoards(
        masks=np.concatenate([part.masks for part in parts]),
        clocks=np.concatenate([part.clocks for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        slots=np.concatenate([part.slots for part in parts]),
        offsets=np.concatenate(
            [np.zeros(1, dtype=np.int64)]
            + [part.offsets[1:] + start for part, start in zip(parts, starts[:-1], strict=True)]
        ),
    )
