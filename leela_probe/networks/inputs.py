"""What a network takes: boards, FENs, encoded boards or planes, always several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import chess
import numpy as np
import torch
from torch import Tensor

from leela_probe.positions.encoding import EncodedBoards

__all__ = ["Boards", "Inputs", "boards_of", "check_names", "check_planes", "planes_of"]

if TYPE_CHECKING:
    Boards = Sequence[chess.Board] | Sequence[str] | EncodedBoards
    Inputs = Boards | np.ndarray | Tensor
else:  # anything else is refused here, in our own words
    Boards = Inputs = Any


def boards_of(boards: Boards, call: str) -> Sequence[chess.Board] | EncodedBoards:
    """The boards, those that are given as FENs read.

    Args:
        boards: boards, FENs or encoded boards.
        call: what an error shows the right call of, such as "network.evaluate".

    Raises:
        TypeError: it is a single board or FEN, planes, or something else.
        ValueError: a text is not a FEN.

    Example:
        >>> boards_of(chess.Board(), "network.evaluate")
        Traceback (most recent call last):
        TypeError: a single board was given and a sequence is expected: network.evaluate([board])
    """
    if isinstance(boards, EncodedBoards):
        return boards
    if isinstance(boards, chess.Board):
        raise TypeError(f"a single board was given and a sequence is expected: {call}([board])")
    if isinstance(boards, str):
        raise TypeError(f"a single FEN was given and a sequence is expected: {call}([fen])")
    if isinstance(boards, np.ndarray | Tensor):
        raise TypeError(
            f"{call} takes boards: planes do not say which moves are legal. For planes there are "
            "network.evaluate_planes, network.run and network.capture"
        )
    try:
        given: list[Any] = list(boards)
    except TypeError:
        raise TypeError(
            f"{call} takes a sequence of boards, FENs or encoded boards, not {_kind(boards)}"
        ) from None
    if all(isinstance(board, chess.Board) for board in given):
        return given
    return [_board(board, place, call) for place, board in enumerate(given)]


def _board(given: object, place: int, call: str) -> chess.Board:
    if isinstance(given, chess.Board):
        return given
    if not isinstance(given, str):
        raise TypeError(
            f"{call} takes a sequence of boards, FENs or encoded boards, and number {place} is "
            f"{_kind(given)}"
        )
    try:
        return chess.Board(given)
    except ValueError as error:
        raise ValueError(f"board {place}, {given!r}, is not a FEN: {error}") from error


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def planes_of(
    given: Inputs, encode: Callable[[Sequence[chess.Board]], EncodedBoards], call: str
) -> Tensor:
    """The planes of what is given, as a float tensor.

    Args:
        given: boards, FENs, encoded boards or planes, of numpy or torch.
        encode: how the network takes boards.
        call: see `boards_of`.

    Raises:
        TypeError: see `boards_of`.
        ValueError: planes have another shape than `board plane rank file`, or a text is not a FEN.
    """
    if isinstance(given, np.ndarray):
        given = torch.from_numpy(np.ascontiguousarray(given))
    if isinstance(given, Tensor):
        check_planes(given.shape)
        return given if given.is_floating_point() else given.float()
    boards = boards_of(given, call)
    encoded = boards if isinstance(boards, EncodedBoards) else encode(boards)
    return torch.from_numpy(encoded.planes())


def check_planes(shape: Sequence[int]) -> None:
    """Refuses planes of another shape.

    Raises:
        ValueError: with the shape.
    """
    if len(shape) != 4 or tuple(shape[1:]) != (112, 8, 8):
        raise ValueError(f"planes have the shape {tuple(shape)}: expected (boards, 112, 8, 8)")


def check_names(wanted: Sequence[str], call: str) -> list[str]:
    """The names of sites as a list.

    Raises:
        TypeError: a single name was given.
    """
    if isinstance(wanted, str):
        raise TypeError(
            f"a single name was given and a sequence is expected: {call}(boards, [{wanted!r}])"
        )
    return list(wanted)
