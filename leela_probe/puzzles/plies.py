"""What a network says of each ply of a puzzle when the solution is played (teacher forcing).

`encode` makes the positions, in a worker process or here; `ask` puts them to the network. A ply is
counted from 0: ply 0 is the solver's first move, ply 1 the answer to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from leela_probe.positions import encoding
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.moves import move_of, number_of
from leela_probe.positions.planes import History, InputFormat
from leela_probe.puzzles.lichess import Puzzle

if TYPE_CHECKING:
    import chess
    from jaxtyping import Int64

    from leela_probe.networks.evaluation import Evaluation
    from leela_probe.networks.network import Network

__all__ = [
    "Key",
    "Ply",
    "Positions",
    "View",
    "ask",
    "check_finite",
    "encode",
    "view",
]

Key = tuple[int, int]
"""A puzzle's place among others, and a ply of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a network takes boards: all that encoding for it depends on."""

    input_format: InputFormat
    no_history: bool
    history: History

    def encode(self, boards: Sequence[chess.Board]) -> EncodedBoards:
        """The boards as the network takes them; see `encoding.encode`."""
        return encoding.encode(
            boards,
            input_format=self.input_format,
            history=self.history,
            no_history=self.no_history,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Positions of puzzles, ready for a network, with the move that the solution plays in each.

    `played` is the solution's move as a place in the flat list of all legal moves.
    """

    keys: tuple[Key, ...]
    boards: EncodedBoards
    played: Int64[np.ndarray, " board"]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, chosen: slice) -> Positions:
        """The positions of a range, such as `positions[64:128]`."""
        start, stop, _ = chosen.indices(len(self))
        return Positions(
            keys=self.keys[chosen],
            boards=self.boards[chosen],
            played=self.played[start:stop] - self.boards.offsets[start],
        )

    def take(self, keys: Iterable[Key]) -> Positions:
        """The positions of some of the keys, in the order given."""
        keys = tuple(keys)
        place = {key: index for index, key in enumerate(self.keys)}
        chosen = [place[key] for key in keys]
        boards = self.boards.take(chosen)
        within = (self.played - self.boards.offsets[:-1])[chosen]
        return Positions(keys=keys, boards=boards, played=within + boards.offsets[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ply:
    """A network's answer in one position of a solution, from the side to move.

    Attributes:
        probability: of the solution's move, over the legal moves.
        top: the likeliest move, as UCI.
        legal: how many moves are legal.
        q: win minus loss, or a scalar value head; None without a value head.
        wdl: probabilities of win, draw and loss; None without such a head.
    """

    probability: float
    top: str
    legal: int
    q: float | None
    wdl: tuple[float, ...] | None


def view(network: Network, history: History) -> View:
    """How this network takes boards with this kind of history."""
    return View(input_format=network.input_format, no_history=network.no_history, history=history)


def check_finite(network: Network, evaluation: Evaluation) -> None:
    """Refuse answers that are not finite numbers, since every comparison with them is false.

    Raises:
        ValueError: one of them is not finite.
    """
    for values in (evaluation.log_probabilities, evaluation.q):
        if values is not None and not np.isfinite(values).all():
            raise ValueError(
                f"the network {network.name!r} gives answers that are not finite: its file may be "
                f"damaged, or {network.dtype} too narrow for it"
            )


def encode(
    wanted: Sequence[tuple[int, Puzzle, Sequence[int]]],
    view: View,
    *,
    boards: Mapping[int, chess.Board] = MappingProxyType({}),
) -> Positions:
    """The positions at some plies of some puzzles, in that order.

    Args:
        wanted: each puzzle with its number and the plies that are asked for, ascending.
        view: how the network takes boards.
        boards: the `board()` of puzzles by number, where the caller has it.

    Example:
        >>> puzzle = Puzzle(puzzle_id="x", fen="7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1", rating=None,
        ...                 moves=("a2e2", "d1d8", "e2e8"), themes=(), game_id=None, line=2)
        >>> format_one = View(input_format=InputFormat.CLASSICAL, no_history=False,
        ...                   history=History.FILLED)
        >>> positions = encode([(7, puzzle, [0, 1])], format_one)
        >>> positions.keys, positions.boards.moves[1]
        (((7, 0), (7, 1)), (Move.from_uci('e2e8'),))
    """
    keys: list[Key] = []
    positions: list[chess.Board] = []
    moves: list[int] = []
    for number, puzzle, plies in wanted:
        line = puzzle.principal_variation
        board = boards[number] if number in boards else puzzle.board()
        at = 0
        for ply in plies:
            if at < ply:
                board = board.copy()
                for move in line[at:ply]:
                    board.push(move)
                at = ply
            keys.append((number, ply))
            positions.append(board)
            moves.append(number_of(line[ply]))
    encoded = view.encode(positions)
    numbers, offsets = encoded.numbers.tolist(), encoded.offsets.tolist()
    played = [
        numbers.index(move, start, end)
        for move, start, end in zip(moves, offsets[:-1], offsets[1:], strict=True)
    ]
    return Positions(keys=tuple(keys), boards=encoded, played=np.array(played, dtype=np.int64))


def ask(network: Network, positions: Positions) -> dict[Key, Ply]:
    """The network's answer in each position, all in one batch.

    Raises:
        ValueError: an answer is not a finite number.
    """
    if not positions:
        return {}
    evaluation = network.evaluate(positions.boards, batch_size=len(positions))
    check_finite(network, evaluation)
    logs = evaluation.log_probabilities
    probabilities = np.exp(logs[positions.played]).tolist()
    offsets = positions.boards.offsets.tolist()
    q = None if evaluation.q is None else evaluation.q.tolist()
    wdl = None if evaluation.wdl is None else evaluation.wdl.tolist()
    answers = {}
    for index, key in enumerate(positions.keys):
        start, end = offsets[index], offsets[index + 1]
        top = start + int(logs[start:end].argmax())
        answers[key] = Ply(
            probability=probabilities[index],
            top=move_of(int(positions.boards.numbers[top])).uci(),
            legal=end - start,
            q=None if q is None else q[index],
            wdl=None if wdl is None else tuple(wdl[index]),
        )
    return answers
