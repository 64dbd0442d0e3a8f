"""How long a study will take, from a few seconds of measuring and the number of puzzles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import chess

from leela_probe.experiments import effects, held_out
from leela_probe.experiments.sweeps import Sweep
from leela_probe.networks.network import Network
from leela_probe.puzzles import dumps
from leela_probe.puzzles.pairs import Pair
from leela_probe.study.chapter import Measurement, Rates
from leela_probe.study.study import Networks, Study

__all__ = [
    "PAPERS_SHARE",
    "Estimate",
    "estimate",
    "rates",
    "rows",
    "seconds_each",
    "seconds_of",
    "sweep_seconds",
]

PAPERS_SHARE = 0.0246
"""Of the rows that are no mate in one, so many ended with a corrupted input in the paper."""

_DERIVED = 25.0  # tables, figures and page, in seconds
_DERIVED_EACH = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a stage is expected to take, in seconds, within a factor of two or so."""

    name: str
    seconds: float


def rates(networks: Networks) -> Rates:
    """Times the two networks on positions of random play."""
    boards = held_out.boards(64, seed=0)
    strong, weak = networks.strong, networks.weak
    return Rates(
        strong=seconds_of(lambda: strong.evaluate(boards)) / len(boards),
        weak=seconds_of(lambda: weak.evaluate(boards)) / len(boards),
    )


def rows(study: Study) -> int:
    """How many rows of the dump the study takes."""
    count = dumps.count(study.dump)
    return count if study.limit is None else min(count, study.limit)


def seconds_each(
    measurements: Iterable[Measurement], study: Study, networks: Networks
) -> dict[str, float]:
    """What each measurement takes for a puzzle (or row), timed; without those of no account."""
    timed = rates(networks)
    return {
        each.name: each.seconds_each(study, networks, timed)
        for each in measurements
        if each.seconds_each is not None
    }


def estimate(
    measurements: Iterable[Measurement], each: Mapping[str, float], *, rows: int, pairs: int
) -> list[Estimate]:
    """The time of measurements, and of what is made from them.

    Args:
        measurements: what there is to do.
        each: of `seconds_each`.
        rows: of the dump.
        pairs: puzzles that end with a corrupted input, known or expected.
    """
    estimates = [
        Estimate(name=one.name, seconds=each[one.name] * (rows if one.rows else pairs))
        for one in measurements
        if each.get(one.name)
    ]
    return [*estimates, Estimate(name="page", seconds=_DERIVED + _DERIVED_EACH * pairs)]


def sweep_seconds(network: Network, sweep: Sweep) -> float:
    """What a sweep takes for a puzzle."""
    return seconds_of(lambda: effects.measure(network, [_pair()], sweep))


def seconds_of(work: Callable[[], object]) -> float:
    """What something takes the second time: what is done once does not count."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _pair() -> Pair:
    """An example that any network can be timed on."""
    clean = "6k1/pp3ppp/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1"
    board = chess.Board(clean)
    board.remove_piece_at(chess.G7)
    return Pair(
        puzzle_id="timing",
        game_id=None,
        target_pattern="112",
        clean_fen=clean,
        line=("c2c8", "e6c8", "e1e8"),
        corrupted_fen=board.fen(),
    )
