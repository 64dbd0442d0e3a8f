"""How long a study will take, from a few seconds of measuring and the number of puzzles."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import chess

from leela_probe.experiments import effects, held_out, sweeps
from leela_probe.experiments.sweeps import Sweep
from leela_probe.puzzles import dumps
from leela_probe.puzzles.pairs import Pair
from leela_probe.study.study import Networks, Study

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["PAPERS_SHARE", "Estimate", "Rates", "estimate", "measure", "puzzles"]

PAPERS_SHARE = 0.0246
"""Of the rows that are no mate in one, so many ended with a partner in the paper."""

_ASKED_A_PUZZLE = 400  # candidates that the weak network sees; counted in the paper's examples
_POSITIONS_A_ROW = 1.5  # that go through each network when most rows fail early


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What was measured, in seconds.

    Attributes:
        strong: the strong network, a position.
        weak: the weak network, a position.
        residual: E1, a puzzle.
        heads: E2, a puzzle; 0 without heads.
        capture: all layers' activations, a puzzle.
    """

    strong: float
    weak: float
    residual: float
    heads: float
    capture: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a step is expected to take.

    Attributes:
        name: the step's.
        work: what there is to do, in words.
        seconds: within a factor of two or so.
    """

    name: str
    work: str
    seconds: float


def measure(networks: Networks) -> Rates:
    """Times the two networks on positions of random play."""
    boards = held_out.boards(64, seed=0)
    strong, weak = networks.strong, networks.weak
    pair = _pair()
    sites = [f"layer{layer}.residual_after" for layer in range(strong.layers)]
    return Rates(
        strong=_timed(lambda: strong.evaluate(boards)) / len(boards),
        weak=_timed(lambda: weak.evaluate(boards)) / len(boards),
        residual=_swept(strong, pair, sweeps.residual(strong, layers=[0])) * strong.layers,
        heads=_swept(strong, pair, sweeps.heads(strong)) if strong.heads else 0.0,
        capture=_timed(lambda: strong.capture(boards[:8], sites)) / 8,
    )


def puzzles(study: Study) -> int:
    """How many rows of the dump the study takes."""
    rows = dumps.count(study.dump)
    return rows if study.limit is None else min(rows, study.limit)


def estimate(
    study: Study, rates: Rates, *, rows: int, pairs: int, done: Callable[[str], bool]
) -> list[Estimate]:
    """The time of every step that is not done.

    Args:
        study: what is asked for.
        rates: of `measure`.
        rows: of the dump.
        pairs: puzzles that end with a partner, known or expected.
        done: whether a step is done.
    """
    both = rates.strong + rates.weak
    probed = pairs * (2 + study.random_networks)
    heads = [
        Estimate(name="heads", work=f"{pairs:,} puzzles", seconds=pairs * rates.heads),
        Estimate(name="entry", work="E3, E4", seconds=8 * pairs * rates.strong),
    ]
    every = [
        Estimate(name="filter", work=f"{rows:,} rows", seconds=rows * both * _POSITIONS_A_ROW),
        Estimate(
            name="corrupt",
            work=f"{pairs:,} puzzles",
            seconds=pairs * (_ASKED_A_PUZZLE * (rates.weak + 0.0001) + 16 * rates.strong),
        ),
        Estimate(name="residual", work=f"{pairs:,} puzzles", seconds=pairs * rates.residual),
        *(heads if rates.heads else ()),
        Estimate(
            name="probes",
            work=f"{2 + study.random_networks} readers",
            seconds=probed * (rates.capture + 0.02),
        ),
        Estimate(name="figures", work="tables, figures, page", seconds=25 + pairs * 0.002),
    ]
    return [each for each in every if not done(each.name)]


def _swept(network: Network, pair: Pair, sweep: Sweep) -> float:
    return _timed(lambda: effects.measure(network, [pair], sweep))


def _timed(work: Callable[[], object]) -> float:
    work()  # what is done once does not count
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
