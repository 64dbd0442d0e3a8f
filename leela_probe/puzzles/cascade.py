"""Puzzles judged with as few network evaluations as the verdicts take.

The weak network's first move comes first, then the strong network's, then the later plies of what
is left. Each step is a generator over chunks of rows, so that worker processes encode the next
chunks, and this one keeps the books of the last, while a network runs. Stands on `criteria`,
`plies` and `files.workers`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from leela_probe.files.workers import Pool, beside
from leela_probe.puzzles import lichess, plies
from leela_probe.puzzles.criteria import Criteria, verdict
from leela_probe.puzzles.lichess import MalformedRow, Puzzle, Row
from leela_probe.puzzles.plies import Ply, Positions, View

if TYPE_CHECKING:
    import chess

    from leela_probe.files.store import Chunk
    from leela_probe.networks.network import Network

__all__ = ["Judged", "judge"]

PliesOfPuzzles = list[tuple[int, Puzzle, Sequence[int]]]


@dataclass(slots=True, kw_only=True)
class Judged:
    """A chunk of rows with what is known of them, filled in step by step.

    `weak` and `strong` hold the networks' answers for each row by ply.
    """

    chunk: Chunk[Row | MalformedRow]
    puzzles: Sequence[Puzzle | MalformedRow] = ()
    weak: list[dict[int, Ply]] = field(default_factory=list)
    strong: list[dict[int, Ply]] = field(default_factory=list)

    def verdict(self, place: int, criteria: Criteria) -> str | None:
        """The verdict on one row, as far as it is known."""
        return verdict(
            self.puzzles[place], criteria, weak=self.weak[place], strong=self.strong[place]
        )

    def undecided(self, criteria: Criteria) -> list[tuple[int, Puzzle]]:
        """The puzzles that have no verdict yet, with their places in the chunk."""
        return [
            (place, puzzle)
            for place, puzzle in enumerate(self.puzzles)
            if isinstance(puzzle, Puzzle) and self.verdict(place, criteria) is None
        ]


def judge(
    chunks: Iterable[Chunk[Row | MalformedRow]],
    *,
    strong: Network,
    weak: Network,
    criteria: Criteria,
    all_plies: bool,
    batch_size: int,
    pool: Pool,
) -> Iterator[Judged]:
    """Each chunk with all that its verdicts take, in order.

    Args:
        chunks: rows of a dump.
        strong: the strong network.
        weak: the weak network.
        criteria: thresholds and kinds of history.
        all_plies: ask both networks about every ply of every puzzle.
        batch_size: positions that go through a network at once.
        pool: the workers that parse and encode.
    """
    views = _Views(
        weak=plies.view(weak, criteria.weak_history),
        strong=plies.view(strong, criteria.strong_history),
    )

    def ask_weak(judged: Judged, positions: Positions) -> None:
        for (place, ply), answer in plies.ask(weak, positions, batch_size=batch_size).items():
            judged.weak[place][ply] = answer

    def ask_strong(judged: Judged, positions: Positions) -> None:
        for (place, ply), answer in plies.ask(strong, positions, batch_size=batch_size).items():
            judged.strong[place][ply] = answer

    same = views.weak == views.strong  # one encoding serves both

    def parsed() -> Iterator[tuple[Judged, _Encoded]]:
        prepare = partial(_prepare, criteria=criteria, views=views, all_plies=all_plies)
        begun = (Judged(chunk=chunk) for chunk in chunks)
        for judged, (puzzles, encoded) in beside(pool, prepare, begun, lambda j: j.chunk.rows):
            judged.puzzles = puzzles
            judged.weak = [{} for _ in puzzles]
            judged.strong = [{} for _ in puzzles]
            yield judged, encoded

    def ask_all(judged: Judged, encoded: _Encoded) -> None:
        ask_weak(judged, encoded.weak)
        ask_strong(judged, encoded.weak if same else encoded.strong)

    def ask_first(judged: Judged, encoded: _Encoded) -> None:
        ask_weak(judged, encoded.weak)
        if same:
            alive = [(place, 0) for place, _ in judged.undecided(criteria)]
            ask_strong(judged, encoded.weak.take(alive))

    def ask_strong_first(judged: Judged, encoded: _Encoded) -> None:
        ask_strong(judged, encoded.strong)

    def ask_rest(judged: Judged, encoded: _Encoded) -> None:
        ask_strong(judged, encoded.strong)
        ask_weak(judged, encoded.weak.take((at, 1) for at, _ in judged.undecided(criteria)))

    with ThreadPoolExecutor(1) as runner:
        if all_plies:
            yield from _asked(runner, ask_all, parsed())
            return
        encode = partial(_encode_wanted, views=views)
        first = _asked(runner, ask_first, parsed())
        if not same:
            first = _asked(
                runner, ask_strong_first, beside(pool, encode, first, partial(_first, criteria))
            )
        yield from _asked(runner, ask_rest, beside(pool, encode, first, partial(_rest, criteria)))


def _asked(
    runner: ThreadPoolExecutor,
    ask: Callable[[Judged, _Encoded], None],
    chunks: Iterable[tuple[Judged, _Encoded]],
) -> Iterator[Judged]:
    """Each chunk when the networks have answered; the next is asked about in the meantime."""
    waiting: deque[tuple[Judged, Future[None]]] = deque()
    for judged, encoded in chunks:
        waiting.append((judged, runner.submit(ask, judged, encoded)))
        if len(waiting) > 1:
            done, answer = waiting.popleft()
            answer.result()
            yield done
    for done, answer in waiting:
        answer.result()
        yield done


# Work for other processes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Views:
    weak: View
    strong: View


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    weak: PliesOfPuzzles = field(default_factory=list)
    strong: PliesOfPuzzles = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    weak: Positions
    strong: Positions


def _prepare(
    rows: Sequence[Row | MalformedRow], *, criteria: Criteria, views: _Views, all_plies: bool
) -> tuple[list[Puzzle | MalformedRow], _Encoded]:
    """The rows parsed, and encoded what the weak network is asked first: all plies, or ply 0."""
    puzzles: list[Puzzle | MalformedRow] = []
    boards: dict[int, chess.Board] = {}
    wanted: PliesOfPuzzles = []
    for place, row in enumerate(rows):
        puzzle, board = (
            (row, None) if isinstance(row, MalformedRow) else lichess.parse_with_board(row)
        )
        puzzles.append(puzzle)
        if isinstance(puzzle, MalformedRow) or board is None:
            continue
        boards[place] = board
        if all_plies:
            wanted.append((place, puzzle, range(len(puzzle.moves) - 1)))
        elif verdict(puzzle, criteria, weak={}, strong={}) is None:
            wanted.append((place, puzzle, (0,)))
    both = all_plies and views.weak != views.strong
    return puzzles, _Encoded(
        weak=plies.encode(wanted, views.weak, boards=boards),
        strong=plies.encode(wanted if both else [], views.strong, boards=boards),
    )


def _first(criteria: Criteria, judged: Judged) -> _Wanted:
    """What the strong network is asked first."""
    return _Wanted(strong=[(at, puzzle, (0,)) for at, puzzle in judged.undecided(criteria)])


def _rest(criteria: Criteria, judged: Judged) -> _Wanted:
    """What is left to ask where the strong network finds the first move."""
    undecided = judged.undecided(criteria)
    return _Wanted(
        weak=[(place, puzzle, (1,)) for place, puzzle in undecided if len(puzzle.moves) > 2],
        strong=[(place, puzzle, range(2, len(puzzle.moves) - 1, 2)) for place, puzzle in undecided],
    )


def _encode_wanted(wanted: _Wanted, *, views: _Views) -> _Encoded:
    return _Encoded(
        weak=plies.encode(wanted.weak, views.weak),
        strong=plies.encode(wanted.strong, views.strong),
    )
