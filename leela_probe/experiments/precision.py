"""What lower precision does to effects: some of a sweep's, measured in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from leela_probe.experiments import effect_tables, effects
from leela_probe.experiments.effects import Settings
from leela_probe.experiments.sweeps import Sweep, SweepPoint
from leela_probe.networks.network import Network
from leela_probe.puzzles.pairs import Pair

__all__ = ["Precision", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How far effects in lower precision are from the same in float32, in the measure's unit.

    Attributes:
        puzzles: how many had an effect to compare.
        effects: how many effects that were.
        mean: the mean of the differences, each without its sign.
        largest: the largest of them.
        size: the mean of the float32 effects, each without its sign.
    """

    puzzles: int
    effects: int
    mean: float
    largest: float
    size: float


def compare(
    network: Network,
    exact: Network,
    pairs: Sequence[Pair],
    sweep: Sweep,
    settings: Settings | None = None,
    *,
    puzzles: int = 4,
    points: int = 64,
) -> Precision | None:
    """Measures some effects with both networks; None if no puzzle can be measured.

    Args:
        network: in lower precision.
        exact: the same network in float32.
        pairs: of which the first are taken.
        sweep: of whose points some are measured, spread over all of them.
        settings: see `effects.measure`.
        puzzles: how many of the pairs.
        points: how many points of each.
    """

    def some(pair: Pair) -> Sequence[SweepPoint]:
        every = sweep.points(pair)
        step = max(1, -(-len(every) // points))
        return every[step // 2 :: step]

    few = replace(sweep, points=some)
    tables = [effects.measure(each, pairs[:puzzles], few, settings) for each in (network, exact)]
    rough, fine = (effect_tables.measured(table) for table in tables)
    if fine.empty:
        return None
    apart = (rough["effect"] - fine["effect"]).abs()
    return Precision(
        puzzles=int(fine["puzzle_id"].nunique()),
        effects=len(fine),
        mean=float(apart.mean()),
        largest=float(apart.max()),
        size=float(fine["effect"].abs().mean()),
    )
