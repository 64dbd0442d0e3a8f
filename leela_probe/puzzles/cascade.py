"""Puzzles judged with as few network evaluations as the verdicts take.

The weak network's first move comes first, then the strong network's, then the later plies of what
is left. Chunks of rows are asked about in a few threads, so that worker processes encode the next
ones, and this process keeps the books of the last, while the networks run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from leela_probe.files.workers import Pool, prefetch
from leela_probe.puzzles import lichess, plies
from leela_probe.puzzles.criteria import Criteria, Verdict, verdict
from leela_probe.puzzles.dumps import MalformedRow, Row
from leela_probe.puzzles.lichess import Puzzle
from leela_probe.puzzles.plies import Ply, Positions, View

if TYPE_CHECKING:
    import chess

    from leela_probe.files.store import Chunk
    from leela_probe.networks.network import Network

__all__ = ["Judged", "judge"]

_ASKERS = 3  # chunks in work: one at each network, one with its books
PliesOfPuzzles = list[tuple[int, Puzzle, Sequence[int]]]


@dataclass(slots=True, kw_only=True)
class Judged:
    """A chunk of rows with what is known of them; answers and verdicts come step by step.

    `weak` and `strong` hold the networks' answers for each row by ply; a verdict is None as long as
    it is not known.
    """

    chunk: Chunk[Row | MalformedRow]
    puzzles: Sequence[Puzzle | MalformedRow]
    verdicts: list[Verdict | None]
    weak: list[dict[int, Ply]]
    strong: list[dict[int, Ply]]

    def settle(self, criteria: Criteria) -> list[tuple[int, Puzzle]]:
        """Give the verdicts that the answers allow; what is left, with the places."""
        left = []
        for place, puzzle in enumerate(self.puzzles):
            if self.verdicts[place] is None and isinstance(puzzle, Puzzle):
                found = verdict(puzzle, criteria, weak=self.weak[place], strong=self.strong[place])
                self.verdicts[place] = found
                if found is None:
                    left.append((place, puzzle))
        return left


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

    same = views.weak == views.strong  # one encoding serves both
    encode = partial(_encode_wanted, views=views)

    def parsed() -> Iterator[tuple[Judged, _Encoded]]:
        prepare = partial(_prepare, criteria=criteria, views=views, all_plies=all_plies)
        for chunk, (puzzles, verdicts, encoded) in pool.map_with_items(
            prepare, chunks, request=lambda chunk: chunk.rows
        ):
            judged = Judged(
                chunk=chunk,
                puzzles=puzzles,
                verdicts=verdicts,
                weak=[{} for _ in puzzles],
                strong=[{} for _ in puzzles],
            )
            yield judged, encoded

    left_early = Event()

    def ask(network: Network, answers: list[dict[int, Ply]], positions: Positions) -> None:
        for start in range(0, len(positions), batch_size):
            if left_early.is_set():
                raise CancelledError
            batch = plies.ask(network, positions[start : start + batch_size])
            for (place, ply), answer in batch.items():
                answers[place][ply] = answer

    def ask_all(chunk: tuple[Judged, _Encoded]) -> None:
        judged, encoded = chunk
        ask(weak, judged.weak, encoded.weak)
        ask(strong, judged.strong, encoded.weak if same else encoded.strong)
        judged.settle(criteria)

    def ask_in_turn(chunk: tuple[Judged, _Encoded]) -> None:
        judged, encoded = chunk
        ask(weak, judged.weak, encoded.weak)
        left = judged.settle(criteria)
        if same:
            first = encoded.weak.take((place, 0) for place, _ in left)
        else:
            first = pool.call(encode, _Wanted(strong=[(*puzzle, (0,)) for puzzle in left])).strong
        ask(strong, judged.strong, first)
        rest = pool.call(encode, _rest(judged.settle(criteria)))
        ask(strong, judged.strong, rest.strong)
        ask(weak, judged.weak, rest.weak.take((place, 1) for place, _ in judged.settle(criteria)))
        judged.settle(criteria)

    answered = ask_all if all_plies else ask_in_turn
    try:
        for (judged, _), _ in prefetch(answered, parsed(), threads=_ASKERS):
            yield judged
    finally:
        left_early.set()


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
) -> tuple[list[Puzzle | MalformedRow], list[Verdict | None], _Encoded]:
    """The rows parsed, the verdicts that take no network, and what the weak network is asked first.

    That is all plies, or ply 0 of the puzzles without a verdict.
    """
    puzzles: list[Puzzle | MalformedRow] = []
    verdicts: list[Verdict | None] = []
    boards: dict[int, chess.Board] = {}
    wanted: PliesOfPuzzles = []
    for place, row in enumerate(rows):
        puzzle, board = (
            (row, None) if isinstance(row, MalformedRow) else lichess.parse_with_board(row)
        )
        puzzles.append(puzzle)
        verdicts.append(verdict(puzzle, criteria, weak={}, strong={}))
        if isinstance(puzzle, MalformedRow) or board is None:
            continue
        boards[place] = board
        if all_plies:
            wanted.append((place, puzzle, range(len(puzzle.moves) - 1)))
        elif verdicts[place] is None:
            wanted.append((place, puzzle, (0,)))
    both = all_plies and views.weak != views.strong
    encoded = _Encoded(
        weak=plies.encode(wanted, views.weak, boards=boards),
        strong=plies.encode(wanted if both else [], views.strong, boards=boards),
    )
    return puzzles, verdicts, encoded


def _rest(found: Sequence[tuple[int, Puzzle]]) -> _Wanted:
    """What is left to ask where the strong network finds the first move."""
    return _Wanted(
        weak=[(place, puzzle, (1,)) for place, puzzle in found if len(puzzle.moves) > 2],
        strong=[(place, puzzle, range(2, len(puzzle.moves) - 1, 2)) for place, puzzle in found],
    )


def _encode_wanted(wanted: _Wanted, *, views: _Views) -> _Encoded:
    return _Encoded(
        weak=plies.encode(wanted.weak, views.weak),
        strong=plies.encode(wanted.strong, views.strong),
    )
