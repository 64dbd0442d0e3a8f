"""Positions as the 112 input planes of a Leela network.

Planes 0 to 103 are eight positions, newest first, of 13 each: own pawn, knight, bishop, rook, queen
and king, theirs, and whether the position is a repetition. Planes 104 to 111 are castling, side to
move or en passant, the half-move clock, and constants; the input format says how. Everything is
seen from the side to move (`squares`) and, in canonical formats, turned (`symmetry`).

The rules are those of lc0 0.32 (`EncodePositionForNN` in its encoder.cc,
`ComputeLastMoveRepetitions` in its position.cc).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import chess
import numpy as np

from leela_probe.positions import symmetry

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64, UInt8, UInt64

__all__ = ["HISTORY_LENGTH", "PLANES", "History", "InputFormat", "expand", "masks"]

PLANES = 112
"""How many planes a network takes."""
HISTORY_LENGTH = 8
"""How many positions the planes hold, the current one included."""


class InputFormat(IntEnum):
    """Leela's input formats, numbered as in its weights files."""

    CLASSICAL = 1
    """Castling rights as whole planes, side to move, half-move clock as it is."""
    CASTLING_PLANE = 2
    """As classical, but the castling rooks stand on their squares in two planes."""
    CANONICAL = 3
    """Boards are turned by symmetry, history ends at irreversible moves, en passant has a plane."""
    CANONICAL_HECTOPLIES = 4
    """As canonical, with the half-move clock divided by 100."""
    CANONICAL_V2 = 5
    """As hectoplies, and only repeated positions of the history are kept."""
    CANONICAL_HECTOPLIES_ARMAGEDDON = 132
    """As hectoplies, with a plane that is set when Black is to move."""
    CANONICAL_V2_ARMAGEDDON = 133
    """As canonical v2, with a plane that is set when Black is to move."""


class History(str, Enum):
    """What stands in the planes of earlier positions."""

    FILLED = "filled"
    """The known positions; the oldest is repeated for the unknown ones, except for the standard
    starting position. This is what lc0 does."""
    KNOWN = "known"
    """The known positions only."""
    CURRENT = "current"
    """The current position only."""
    JENNER2024_WEAK = "jenner2024-weak"
    """The current position eight times, seven of them marked as repetitions: what the weak network
    of Jenner et al. (2024) was fed when their puzzles were chosen. Right for nothing else."""


_read: Callable[[Any], tuple[int, ...]] = attrgetter(
    "pawns", "knights", "bishops", "rooks", "queens", "kings",
    "occupied_w", "occupied_b", "castling_rights", "turn", "halfmove_clock",
)  # fmt: skip
_KING, _WHITE, _BLACK, _CASTLING, _TURN, _CLOCK, _EN_PASSANT = 5, 6, 7, 8, 9, 10, 11
_COLUMNS = 12
_SHORTEST_CYCLE = 4  # plies between a position and its repetition, at least

_POSITION = 13  # planes of one position
_AUXILIARY = HISTORY_LENGTH * _POSITION
_SIDE_PLANE, _CLOCK_PLANE, _ARMAGEDDON_PLANE = 108, 109, 110
_LAST_TURNED = 109  # planes from here on are constant

_REPEATS_ONLY = (InputFormat.CANONICAL_V2, InputFormat.CANONICAL_V2_ARMAGEDDON)
_ARMAGEDDON = (
    InputFormat.CANONICAL_HECTOPLIES_ARMAGEDDON,
    InputFormat.CANONICAL_V2_ARMAGEDDON,
)
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_NONE = np.uint64(0)
_RANK_1 = np.uint64(chess.BB_RANK_1)
_RANK_8 = np.uint64(chess.BB_RANK_8)
_BESIDE = [chess.BB_RANKS[s >> 3] & chess.BB_KING_ATTACKS[s] for s in chess.SQUARES]


def masks(
    boards: Sequence[chess.Board],
    input_format: InputFormat | int = InputFormat.CLASSICAL,
    history: History | str = History.FILLED,
) -> tuple[
    UInt64[np.ndarray, "board plane"], Float32[np.ndarray, " board"], UInt8[np.ndarray, " board"]
]:
    """The planes as bit masks, the value of each clock plane, and the transform of each board.

    A board's known history is its move stack, before which comes what its first position says: an
    en-passant square counts there as in a FEN. In masks, bit i is square i of the mover's board,
    after the transform. A plane's value is 1, but for plane 109, which holds the half-move clock
    (divided by 100 from format 4 on).

    Args:
        boards: the positions; they are not changed.
        input_format: the network's input format, or its number.
        history: what stands in the planes of earlier positions, or its value.

    Raises:
        ValueError: the format or history is unknown, a side has no king or several, a half-move
            clock is below 0 or beyond 64 bits, or a position's en-passant square has no pawn that
            could be captured.

    Example:
        >>> planes, clocks, transforms = masks([chess.Board()])
        >>> planes.shape, hex(planes[0, 0])
        ((1, 112), '0xff00')
    """
    input_format, history = _format(input_format), _history(history)
    states = _read_states(boards, input_format, history)
    planes = np.zeros((len(boards), PLANES), dtype=np.uint64)
    if not len(boards):
        return planes, np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.uint8)

    current = states.rows[states.first]
    black = current[:, _TURN] == 0
    _check_kings(boards, current)
    _write_positions(planes, states, black, input_format, history)
    _write_auxiliary(planes, current, black, input_format)

    clocks = current[:, _CLOCK].astype(np.float32)
    if input_format >= InputFormat.CANONICAL_HECTOPLIES:
        clocks /= np.float32(100)
    transforms = np.zeros(len(boards), dtype=np.uint8)
    if input_format >= InputFormat.CANONICAL:
        transforms = symmetry.choose_each(planes)
        turned = np.flatnonzero(transforms)
        planes[turned, :_LAST_TURNED] = symmetry.turn_masks(
            planes[turned, :_LAST_TURNED], transforms[turned]
        )
    return planes, clocks, transforms


def expand(
    masks: UInt64[np.ndarray, "board plane"], clocks: Float32[np.ndarray, " board"]
) -> Float32[np.ndarray, "board plane rank file"]:
    """The planes that a network takes, unpacked from bit masks.

    Args:
        masks: 112 bit masks a board, as `masks` returns them.
        clocks: the value of each board's clock plane.

    Example:
        >>> packed, clocks, _ = masks([chess.Board()])
        >>> expand(packed, clocks)[0, 0, :2, 0]  # the mover's pawns on the a-file: rank 1, rank 2
        array([0., 1.], dtype=float32)
    """
    octets = np.ascontiguousarray(masks, dtype="<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    planes = bits.astype(np.float32).reshape(len(masks), PLANES, 8, 8)
    planes[:, _CLOCK_PLANE] *= clocks[:, None, None]
    return planes


@dataclass(frozen=True, slots=True, kw_only=True)
class _States:
    """Every position that some board's planes show, and which board shows it where."""

    rows: UInt64[np.ndarray, "state column"]
    first: Int64[
        np.ndarray, " board"
    ]  # the row of each board's current position; older ones follow it
    known: Int64[np.ndarray, " board"]  # how many rows it has
    repeated: Bool[np.ndarray, " state"]


def _read_states(
    boards: Sequence[chess.Board], input_format: InputFormat, history: History
) -> _States:
    length = HISTORY_LENGTH if history in (History.FILLED, History.KNOWN) else 1
    if input_format in _REPEATS_ONLY and length > 1:
        return _read_repeats(boards)
    flat: list[int] = []
    depths: list[int] = []
    for board in boards:
        # The stack of python-chess is read where it lies: popping a copy costs many times as much.
        stack = board._stack
        depth = len(stack)
        depths.append(depth)
        flat += _board_row(board)
        for index in range(depth - 1, max(depth - length, -1), -1):
            flat += _state_row(board, index)
    rows = _rows(flat)
    known = np.minimum(np.array(depths, dtype=np.int64) + 1, length)
    first = np.cumsum(known) - known

    # A position repeats another only if it and its clock are old enough: most boards end here.
    owner = np.repeat(np.arange(len(boards)), known)
    ply = np.array(depths, dtype=np.int64)[owner] - (np.arange(len(rows)) - first[owner])
    possible = (ply >= _SHORTEST_CYCLE) & (rows[:, _CLOCK] >= _SHORTEST_CYCLE)
    repeated = np.zeros(len(rows), dtype=np.bool_)
    for index in np.unique(owner[possible]).tolist():
        start, count = int(first[index]), int(known[index])
        repeated[start : start + count] = _repetitions(boards[index], count)
    return _States(rows=rows, first=first, known=known, repeated=repeated)


def _read_repeats(boards: Sequence[chess.Board]) -> _States:
    """As `_read_states`, for formats that keep only those earlier positions that are repeats."""
    flat: list[int] = []
    known: list[int] = []
    repeated: list[bool] = []
    for board in boards:
        depth = len(board._stack)
        flags = _repetitions(board, depth + 1)
        flat += _board_row(board)
        repeated.append(flags[0])
        shown = 1
        for back in range(1, depth + 1):
            newer = board if back == 1 else board._stack[depth + 1 - back]
            older = board._stack[depth - back]
            if shown == HISTORY_LENGTH or newer.halfmove_clock == 0:
                break
            if older.castling_rights != board.castling_rights:
                break
            if flags[back]:
                flat += _state_row(board, depth - back)
                repeated.append(True)
                shown += 1
        known.append(shown)
    rows = _rows(flat)
    lengths = np.array(known, dtype=np.int64)
    return _States(
        rows=rows,
        first=np.cumsum(lengths) - lengths,
        known=lengths,
        repeated=np.array(repeated, dtype=np.bool_),
    )


def _rows(flat: Sequence[int]) -> UInt64[np.ndarray, "state column"]:
    try:
        return np.frombuffer(array("Q", flat), dtype=np.uint64).reshape(-1, _COLUMNS)
    except OverflowError:
        clocks = flat[_CLOCK::_COLUMNS]
        wrong = next(clock for clock in clocks if not 0 <= clock < 1 << 64)
        raise ValueError(
            f"a half-move clock of {wrong} is none: expected from 0 to about 150"
        ) from None


def _board_row(board: chess.Board) -> tuple[int, ...]:
    white, black = board.occupied_co[chess.WHITE], board.occupied_co[chess.BLACK]
    rights = board.castling_rights
    if (
        rights and not board._stack
    ):  # a FEN may claim rights that the position denies; a move clears them
        rights = board.clean_castling_rights()
    return (
        board.pawns, board.knights, board.bishops, board.rooks, board.queens, board.kings,
        white, black, rights, board.turn, board.halfmove_clock,
        0 if board.ep_square is None else _en_passant(board, board, white, black),
    )  # fmt: skip


def _state_row(board: chess.Board, index: int) -> tuple[int, ...]:
    state = board._stack[index]
    if state.ep_square is None:
        return (*_read(state), 0)
    return (*_read(state), _en_passant(board, state, state.occupied_w, state.occupied_b))


def _en_passant(board: chess.Board, state: Any, white: int, black: int) -> int:
    """The en-passant square as a bit mask, or 0 where lc0 sees none.

    After a move the square counts if a pawn of the side to move stands beside the pawn that
    passed, pinned or not; in a FEN it counts as it is written.
    """
    square = state.ep_square
    ours, pusher = (white, square - 8) if state.turn else (black, square + 8)
    if (state is board and board._stack) or (board._stack and state is not board._stack[0]):
        return chess.BB_SQUARES[square] if ours & state.pawns & _BESIDE[pusher] else 0
    theirs = black if state.turn else white
    if not 0 <= pusher < 64 or not theirs & state.pawns & chess.BB_SQUARES[pusher]:
        raise ValueError(
            f"no pawn can be captured on the en-passant square {chess.square_name(square)} "
            f"of {board.root().fen(en_passant='fen')!r}: clear the board's ep_square"
        )
    return chess.BB_SQUARES[square]


def _repetitions(board: chess.Board, count: int) -> list[bool]:
    """Whether each of the newest `count` known positions, newest first, occurred before it.

    Two positions are the same if pieces, castling rights, side to move and en-passant mask are.
    """
    stack = board._stack
    depth = len(stack)
    oldest = depth + 1 - count
    clock = stack[oldest].halfmove_clock if oldest < depth else board.halfmove_clock
    seen: set[tuple[int, ...]] = set()
    flags: list[bool] = []
    for index in range(max(0, oldest - clock), depth + 1):
        row = _board_row(board) if index == depth else _state_row(board, index)
        if row[_CLOCK] == 0:
            seen.clear()
        key = row[:_CLOCK] + row[_CLOCK + 1 :]
        flags.append(key in seen)
        seen.add(key)
    return flags[: -count - 1 : -1]


_STARTING = [*range(_CLOCK), _EN_PASSANT]  # every column but the clock
_STARTING_ROW = np.array(_board_row(chess.Board()), dtype=np.uint64)[_STARTING]


def _write_positions(
    planes: UInt64[np.ndarray, "board plane"],
    states: _States,
    black: Bool[np.ndarray, " board"],
    input_format: InputFormat,
    history: History,
) -> None:
    """Write planes 0 to 103 from each board's states."""
    rows, known = states.rows, states.known
    mirrored = np.repeat(black, known)
    whites = rows[:, :_WHITE] & rows[:, _WHITE, None]
    blacks = rows[:, :_WHITE] & rows[:, _BLACK, None]
    seen = np.empty((len(rows), _POSITION), dtype=np.uint64)
    seen[:, :6] = np.where(mirrored[:, None], blacks.byteswap(), whites)
    seen[:, 6:12] = np.where(mirrored[:, None], whites.byteswap(), blacks)
    seen[:, 12] = np.where(states.repeated, _ONES, _NONE)

    age = np.arange(HISTORY_LENGTH)
    where = states.first[:, None] + np.minimum(age, known[:, None] - 1)
    filled = age >= known[:, None]
    shown = ~filled
    if history is History.FILLED and input_format not in _REPEATS_ONLY:
        start = (rows[:, _STARTING] == _STARTING_ROW).all(axis=1)
        shown |= ~start[where]
    if input_format >= InputFormat.CANONICAL:
        shown &= _reversible(rows, where)
    if history is History.JENNER2024_WEAK:
        shown = np.ones_like(filled)

    positions = seen[where]
    if history is not History.JENNER2024_WEAK:
        _take_back_en_passant(positions, rows[where[:, -1]], black, filled)
    positions[~shown] = 0
    if history is History.JENNER2024_WEAK:
        positions[:, :-1, 12] = _ONES
        positions[:, -1, 12] = 0
    planes[:, :_AUXILIARY] = positions.reshape(len(planes), _AUXILIARY)


def _reversible(
    rows: UInt64[np.ndarray, "state column"], where: Int64[np.ndarray, "board age"]
) -> Bool[np.ndarray, "board age"]:
    """Where a canonical format shows history: until castling, en passant or a clock of 0."""
    castling = rows[where, _CASTLING]
    keeps = (castling == castling[:, :1]) & (rows[where, _EN_PASSANT] == 0)
    keeps[:, 1:] &= rows[where[:, :-1], _CLOCK] != 0
    keeps[:, 0] = True
    return np.asarray(np.logical_and.accumulate(keeps, axis=1))


def _take_back_en_passant(
    positions: UInt64[np.ndarray, "board age plane"],
    oldest: UInt64[np.ndarray, "board column"],
    black: Bool[np.ndarray, " board"],
    filled: Bool[np.ndarray, "board age"],
) -> None:
    """In repeated positions with an en-passant square, put the pawn back where it came from."""
    for board in np.flatnonzero((oldest[:, _EN_PASSANT] != 0) & filled[:, -1]).tolist():
        mask = int(oldest[board, _EN_PASSANT])
        step = np.uint64(mask << 8 | mask >> 8)
        mover_is_white = not black[board]
        pawn_is_white = not oldest[board, _TURN]
        plane = 0 if mover_is_white == pawn_is_white else 6
        positions[board, filled[board], plane] ^= step if mover_is_white else step.byteswap()


def _write_auxiliary(
    planes: UInt64[np.ndarray, "board plane"],
    current: UInt64[np.ndarray, "board column"],
    black: Bool[np.ndarray, " board"],
    input_format: InputFormat,
) -> None:
    """Write planes 104 to 111."""
    rights, kings = current[:, _CASTLING], current[:, _KING]
    queenside, kingside = np.zeros_like(rights), np.zeros_like(rights)
    for rank, side in ((_RANK_1, _WHITE), (_RANK_8, _BLACK)):
        king = kings & current[:, side]
        below = king - np.uint64(1)
        queenside |= rights & rank & below
        kingside |= rights & rank & ~below
    queenside = np.where(black, queenside.byteswap(), queenside)
    kingside = np.where(black, kingside.byteswap(), kingside)
    if input_format == InputFormat.CLASSICAL:
        for plane, rooks, rank in (
            (0, queenside, _RANK_1),
            (1, kingside, _RANK_1),
            (2, queenside, _RANK_8),
            (3, kingside, _RANK_8),
        ):
            planes[:, _AUXILIARY + plane] = np.where(rooks & rank != 0, _ONES, _NONE)
    else:
        planes[:, _AUXILIARY], planes[:, _AUXILIARY + 1] = queenside, kingside

    to_move = np.where(black, _ONES, _NONE)
    if input_format < InputFormat.CANONICAL:
        planes[:, _SIDE_PLANE] = to_move
    else:  # lc0 keeps the flag on the last rank of the en-passant file
        square = current[:, _EN_PASSANT]
        square = np.where(black, square.byteswap(), square)
        planes[:, _SIDE_PLANE] = (square << np.uint64(16)) & _RANK_8
    planes[:, _CLOCK_PLANE] = _ONES
    if input_format in _ARMAGEDDON:
        planes[:, _ARMAGEDDON_PLANE] = to_move
    planes[:, -1] = _ONES


def _check_kings(
    boards: Sequence[chess.Board], current: UInt64[np.ndarray, "board column"]
) -> None:
    for side, colour in ((_WHITE, "White"), (_BLACK, "Black")):
        king = current[:, _KING] & current[:, side]
        wrong = (king == 0) | (king & (king - np.uint64(1)) != 0)
        if wrong.any():
            index = int(wrong.argmax())
            count = int(king[index]).bit_count()
            raise ValueError(
                f"{colour} has {count} kings in board {index}, {boards[index].fen()!r}: "
                "a network needs one king a side; check boards with board.is_valid()"
            )


def _format(input_format: int) -> InputFormat:
    try:
        return InputFormat(input_format)
    except ValueError:
        formats = ", ".join(f"{known.value} ({known.name.lower()})" for known in InputFormat)
        raise ValueError(f"input format {input_format!r} is unknown; there are {formats}") from None


def _history(history: str) -> History:
    try:
        return History(history)
    except ValueError:
        modes = ", ".join(repr(mode.value) for mode in History)
        raise ValueError(f"history {history!r} is unknown; there are {modes}") from None
