"""The board symmetries of Leela's canonical input formats.

From format 3 on, a position without castling rights is turned so that the mover's king stands in a
fixed part of the board: files are mirrored so that it is on e to h; without pawns the ranks too, so
that it is on 1 to 4, and the board is reflected in the h1-a8 diagonal where that brings the king
below it. Policy slots are turned with the board.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

import chess
import numpy as np

from leela_probe.positions.squares import NetSquare

if TYPE_CHECKING:
    from jaxtyping import UInt8, UInt64

__all__ = ["Transform", "choose", "choose_each", "turn_masks", "turn_square", "unturn_square"]


class Transform(IntFlag):
    """Which reflections turn the mover's board into the network's, in the order of their values."""

    NONE = 0
    FLIP = 1
    """Files are mirrored: a becomes h."""
    MIRROR = 2
    """Ranks are mirrored: 1 becomes 8."""
    TRANSPOSE = 4
    """The board is reflected in its h1-a8 diagonal: a1 becomes h8, h1 stays."""


_CANONICAL = 3  # the first canonical input format; lc0 compares with "at least" too
_CASTLING = slice(104, 106)
_PAWNS = (0, 6)
_REVERSED_BITS = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], dtype=np.uint8)
_FILES_A_TO_D = np.uint64(0x0F0F_0F0F_0F0F_0F0F)
_RANKS_5_TO_8 = np.uint64(0xFFFF_FFFF_0000_0000)
_BELOW_DIAGONAL = np.uint64(0xE0C0_8000)
_ON_DIAGONAL = np.uint64(0x1020_4080)


def turn_square(square: NetSquare, transform: Transform) -> NetSquare:
    """Where a square of the mover's board lies after the transform.

    Args:
        square: a square of the mover's board.
        transform: the reflections.

    Example:
        >>> turn_square(NetSquare(chess.A1), Transform.FLIP) == chess.H1
        True
    """
    rank, file = divmod(int(square), 8)
    if transform & Transform.FLIP:
        file = 7 - file
    if transform & Transform.MIRROR:
        rank = 7 - rank
    if transform & Transform.TRANSPOSE:
        rank, file = 7 - file, 7 - rank
    return NetSquare(8 * rank + file)


def unturn_square(square: NetSquare, transform: Transform) -> NetSquare:
    """Where a square of the turned board lay before the transform; the inverse of `turn_square`.

    Args:
        square: a square of the turned board.
        transform: the reflections.

    Example:
        >>> unturn_square(turn_square(NetSquare(11), Transform(7)), Transform(7))
        11
    """
    rank, file = divmod(int(square), 8)
    if transform & Transform.TRANSPOSE:
        rank, file = 7 - file, 7 - rank
    if transform & Transform.MIRROR:
        rank = 7 - rank
    if transform & Transform.FLIP:
        file = 7 - file
    return NetSquare(8 * rank + file)


def turn_masks(
    masks: UInt64[np.ndarray, "board plane"], transforms: UInt8[np.ndarray, " board"]
) -> UInt64[np.ndarray, "board plane"]:
    """The masks with every board's transform applied to all of its planes, as a new array.

    Args:
        masks: bit masks, bit i = square i of the mover's board.
        transforms: one `Transform` a board, as its number.

    Example:
        >>> int(turn_masks(np.array([[1]], dtype=np.uint64), np.array([1], dtype=np.uint8))[0, 0])
        128
    """
    turned = masks.copy()
    for step, reflect in ((1, _flip), (2, _mirror), (4, _transpose)):
        chosen = (transforms & step) != 0
        if chosen.any():
            turned[chosen] = reflect(turned[chosen])
    return turned


def choose(board: chess.Board, input_format: int) -> Transform:
    """The transform that lc0 applies to this position in this input format.

    Args:
        board: the position.
        input_format: the network's input format; below 3 no board is turned.

    Example:
        >>> choose(chess.Board("8/8/8/4k3/8/8/8/K7 w - - 0 1"), 3)
        <Transform.FLIP: 1>
    """
    if input_format < _CANONICAL or board.clean_castling_rights():
        return Transform.NONE
    ours, theirs = board.occupied_co[board.turn], board.occupied_co[not board.turn]
    pieces = (board.pawns, board.knights, board.bishops, board.rooks, board.queens, board.kings)
    masks = np.zeros((1, 112), dtype=np.uint64)
    masks[0, :12] = [side & piece for side in (ours, theirs) for piece in pieces]
    if not board.turn:
        masks = masks.byteswap()
    return Transform(int(choose_each(masks)[0]))


def choose_each(
    masks: UInt64[np.ndarray, "board plane"],
) -> UInt8[np.ndarray, " board"]:
    """The transform of each board, as lc0 chooses it (`ChooseTransform` in its encoder.cc).

    Args:
        masks: the planes of a canonical format before they are turned; 0 to 11 (pieces), 104
            and 105 (castling) are read.

    Example:
        >>> choose_each(np.zeros((0, 112), dtype=np.uint64)).shape
        (0,)
    """
    transforms = np.zeros(len(masks), dtype=np.uint8)
    free = np.flatnonzero(~masks[:, _CASTLING].any(axis=1))
    king = masks[free, 5]

    flips = (king & _FILES_A_TO_D) != 0
    transforms[free[flips]] |= np.uint8(Transform.FLIP)
    king = np.where(flips, _flip(king), king)

    pawnless = ~masks[free][:, _PAWNS].any(axis=1)
    free, king = free[pawnless], king[pawnless]
    mirrors = (king & _RANKS_5_TO_8) != 0
    transforms[free[mirrors]] |= np.uint8(Transform.MIRROR)
    king = np.where(mirrors, _mirror(king), king)

    transposes = (king & _BELOW_DIAGONAL) != 0
    transforms[free[transposes]] |= np.uint8(Transform.TRANSPOSE)
    undecided = free[(king & _ON_DIAGONAL) != 0]
    if undecided.size:
        smaller = _smaller_transposed(masks[undecided], transforms[undecided])
        transforms[undecided[smaller]] |= np.uint8(Transform.TRANSPOSE)
    return transforms


def _smaller_transposed(
    masks: UInt64[np.ndarray, "board plane"], transforms: UInt8[np.ndarray, " board"]
) -> np.ndarray:
    """Where the first set of pieces that transposing changes becomes a smaller number by it."""
    ours, theirs = masks[:, :6], masks[:, 6:12]
    kinds = ours | theirs
    everyone = np.bitwise_or.reduce(kinds, axis=1)
    mine = np.bitwise_or.reduce(ours, axis=1)
    _, knight, bishop, rook, queen, king = kinds.T
    sets = turn_masks(
        np.stack([everyone, mine, king, queen, rook, knight, bishop], axis=1), transforms
    )
    alternatives = _transpose(sets)
    differ = sets != alternatives
    first = differ.argmax(axis=1)
    rows = np.arange(len(sets))
    return np.asarray(differ.any(axis=1) & (sets[rows, first] > alternatives[rows, first]))


def _flip(masks: np.ndarray) -> np.ndarray:
    return _REVERSED_BITS[np.ascontiguousarray(masks).view(np.uint8)].view(np.uint64)


def _mirror(masks: np.ndarray) -> np.ndarray:
    return masks.byteswap()


def _transpose(masks: np.ndarray) -> np.ndarray:
    """Reflect in the h1-a8 diagonal: blocks of 4x4, 2x2, 1x1 squares change places across it."""
    for shift, stay, down, up in _EXCHANGES:
        masks = (masks & stay) | ((masks & down) >> shift) | ((masks & up) << shift)
    return masks


_EXCHANGES = np.array(
    [
        (36, 0x0F0F_0F0F_F0F0_F0F0, 0xF0F0_F0F0_0000_0000, 0x0000_0000_0F0F_0F0F),
        (18, 0x3333_CCCC_3333_CCCC, 0xCCCC_0000_CCCC_0000, 0x0000_3333_0000_3333),
        (9, 0x55AA_55AA_55AA_55AA, 0xAA00_AA00_AA00_AA00, 0x0055_0055_0055_0055),
    ],
    dtype=np.uint64,
)
