"""All effects of a sweep estimated from gradients, at the cost of a few passes; the best verified.

The estimate is first order: the gradient of the measure with respect to an activation, times the
change of that activation (attribution patching, Nanda 2023; Syed et al. 2023). Averaging the
gradient over inputs between the two boards of a pair is the finer form (integrated gradients over
the input, Hanna et al. 2024). Estimates rank places; they are no effects, and `verify` measures the
best exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow
import torch
from torch import Tensor

from leela_probe.experiments import effect_tables, effects
from leela_probe.experiments.effect_tables import EffectTable
from leela_probe.experiments.effects import PreparedPairs
from leela_probe.experiments.sweeps import Sweep, SweepPoint
from leela_probe.files import progress_display
from leela_probe.files.progress import Progress
from leela_probe.networks.interventions import Intervention, Patch, Zero
from leela_probe.networks.measures import MEASURES
from leela_probe.networks.network import Network
from leela_probe.networks.places import Coordinates, Places
from leela_probe.puzzles.pairs import Pair

__all__ = ["SCHEMA", "Agreement", "Settings", "agreement", "estimate", "verify"]

SCHEMA = effect_tables.SCHEMA.append(pyarrow.field("estimate", pyarrow.float32()))
"""The columns of a screened effects table: `estimate` beside `effect`."""

_PAIRS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(effects.Settings):
    """What is measured, and how places are screened.

    Attributes:
        best: how many places of each puzzle are measured exactly.
        steps: 1 takes the gradient at the base board; more average it over that many inputs between
            base and other board (for sweeps that patch).

    Raises:
        ValueError: if `best` or `steps` is not positive.

    Example:
        >>> import leela_probe as lp
        >>> lp.ScreenSettings(best=3).measure
        'log_odds'
    """

    schema: ClassVar[pyarrow.Schema] = SCHEMA

    best: int = 8
    steps: int = 1

    @classmethod
    def of(cls, settings: effects.Settings, *, best: int = 8, steps: int = 1) -> Settings:
        """The same settings with a screen."""
        own = {field.name: getattr(settings, field.name) for field in fields(settings)}
        return cls(**{**own, "best": best, "steps": steps})

    def __post_init__(self) -> None:
        effects.Settings.__post_init__(self)
        if self.best < 1:
            raise ValueError(f"the best {self.best} places asked for: take at least 1")
        if self.steps < 1:
            raise ValueError(f"{self.steps} steps asked for: take at least 1")

    def rows_of(self, network: Network, sweep: Sweep) -> Callable[[PreparedPairs], pyarrow.Table]:
        """What makes rows of the schema from prepared pairs: the best places are measured."""
        attribution = _Attribution(network, sweep, self)
        return lambda prepared: _best_rows(attribution, prepared, self.best)

    def options(self) -> dict[str, object]:
        """What a table depends on, for its manifest."""
        return {
            "screen": self.best,
            "steps": self.steps,
            **effects.Settings.options(self),
        }


def estimate(
    network: Network,
    pairs: Sequence[Pair],
    sweep: Sweep,
    settings: Settings | None = None,
    *,
    progress: Progress | bool | None = None,
) -> EffectTable:
    """The effects table of a sweep with estimates in the column `estimate` and no effects.

    Args:
        network: whose runs would be changed.
        pairs: the puzzles.
        sweep: its points must patch, or zero without renormalising.
        settings: what is measured.
        progress: see `effects.measure`.

    Raises:
        ValueError: if a point does something else, the gradient of the measure says nothing (that
            of `kl` at the clean run, where it is largest), or what `effects.measure` refuses.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> table = lp.estimate_effects(network, pairs[:5], lp.sweeps.heads(network))
        >>> bool(table["estimate"].notna().all()), bool(table["effect"].isna().all())
        (True, True)
    """
    settings = Settings() if settings is None else settings
    attribution = _Attribution(network, sweep, settings)
    return effects.join(
        [
            prepared.table(None, estimate=attribution.estimates(prepared))
            for prepared in attribution.batches(pairs, progress)
        ]
    )


def verify(
    network: Network,
    pairs: Sequence[Pair],
    sweep: Sweep,
    settings: Settings | None = None,
    *,
    progress: Progress | bool | None = None,
) -> EffectTable:
    """The exact effects of each puzzle's best places by the size of their estimates.

    Args:
        network: whose runs are changed.
        pairs: the puzzles.
        sweep: see `estimate`.
        settings: what is measured, and of how many places.
        progress: see `effects.measure`.

    Returns:
        The effects table of these places alone, with the column `estimate` beside `effect`.

    Raises:
        ValueError: see `estimate`.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> sweep = lp.sweeps.residual(network)
        >>> table = lp.screen(network, pairs[:2], sweep, lp.ScreenSettings(best=3))
        >>> len(table)  # the three best of 256 places, for each puzzle
        6
    """
    settings = Settings() if settings is None else settings
    attribution = _Attribution(network, sweep, settings)
    return effects.join(
        [
            _best_rows(attribution, prepared, settings.best)
            for prepared in attribution.batches(pairs, progress)
        ]
    )


def _best_rows(attribution: _Attribution, prepared: PreparedPairs, best: int) -> pyarrow.Table:
    estimates = attribution.estimates(prepared)
    chosen = [np.sort(np.argsort(-np.abs(values), kind="stable")[:best]) for values in estimates]
    points = [
        [of_pair[place] for place in places]
        for of_pair, places in zip(prepared.points, chosen, strict=True)
    ]
    return prepared.table(
        prepared.run(points),
        points=points,
        estimate=[values[places] for values, places in zip(estimates, chosen, strict=True)],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well estimates rank the effects of the same runs.

    Attributes:
        puzzles: over how many puzzles the following are averaged.
        spearman: rank correlation of estimate and effect within a puzzle.
        found: share of puzzles whose largest effect is among the `best` largest estimates.
        overlap: share of the `best` largest effects that are among the `best` largest estimates.
        best: how many places that was.
    """

    puzzles: int
    spearman: float
    found: float
    overlap: float
    best: int


def agreement(estimates: pd.DataFrame, exact: pd.DataFrame, *, best: int = 8) -> Agreement:
    """How the estimates of a sweep compare with its exact effects.

    Args:
        estimates: from `estimate`.
        exact: from `effects.measure`, for the same pairs and sweep.
        best: how many places count as the best.

    Raises:
        ValueError: if the tables are not of the same runs, or hold no measured puzzle.
    """
    from scipy import stats

    keys = ["puzzle_id", "rank", "site", "label", "layer", "head", "square", "query", "key"]
    same = len(estimates) == len(exact) and all(
        estimates[key].astype(object).fillna("").tolist()
        == exact[key].astype(object).fillna("").tolist()
        for key in keys
    )
    if not same:
        raise ValueError("estimates and exact effects are of different runs: use the same sweep")
    joined = exact.assign(estimate=estimates["estimate"].to_numpy())
    joined = joined[joined["verdict"] == effect_tables.MEASURED]
    rows = []
    for _, puzzle in joined.groupby(["puzzle_id", "rank"], observed=True, sort=False):
        sizes, guesses = puzzle["effect"].abs().to_numpy(), puzzle["estimate"].abs().to_numpy()
        top = np.argsort(-guesses, kind="stable")[:best]
        true = np.argsort(-sizes, kind="stable")[:best]
        rows.append(
            (
                stats.spearmanr(puzzle["estimate"], puzzle["effect"]).statistic,
                true[0] in top,
                len(set(top) & set(true)) / len(true),
            )
        )
    if not rows:
        raise ValueError("no puzzle was measured: there is nothing to compare")
    spearman, found, overlap = (float(np.mean(column)) for column in zip(*rows, strict=True))
    return Agreement(puzzles=len(rows), spearman=spearman, found=found, overlap=overlap, best=best)


class _Attribution:
    """Where the points of a sweep read the attribution of each site; kept from batch to batch."""

    def __init__(self, network: Network, sweep: Sweep, settings: Settings) -> None:
        flat = MEASURES[settings.measure].flat_at_clean
        if flat and settings.direction == "noising" and settings.steps == 1:
            more = "take 2 steps or more" if sweep.needs_partner else "take another measure"
            raise ValueError(
                f"the gradient of {settings.measure} is 0 at the clean run, where it is largest, "
                f"so that every estimate would be 0: {more}"
            )
        self.network, self.sweep, self.settings = network, sweep, settings
        self.places = Places(network)
        self._readings: dict[int, tuple[Sequence[SweepPoint], _Reading]] = {}

    def batches(
        self, pairs: Sequence[Pair], progress: Progress | bool | None
    ) -> Iterator[PreparedPairs]:
        """The pairs prepared for measuring, as many at once as a gradient takes."""
        with progress_display.shown(progress, self.sweep.name, unit="pairs") as report:
            for start in range(0, len(pairs), _PAIRS_AT_ONCE):
                batch = pairs[start : start + _PAIRS_AT_ONCE]
                yield PreparedPairs(self.network, batch, self.sweep, self.settings, self.places)
                report(start + len(batch), len(pairs), {})

    def estimates(self, prepared: PreparedPairs) -> list[np.ndarray]:
        """For each good pair the estimated effect of each of its points."""
        if not prepared.pairs:
            return []
        readings = self._read_places(prepared.points)
        sites = list(dict.fromkeys(site for reading in readings for site in reading.sites))
        kinds = {kind for reading in readings for _, kind in reading.maps}
        maps = self._maps(prepared, sites, kinds)
        return [reading.read(maps, board) for board, reading in enumerate(readings)]

    def _read_places(self, lists: Sequence[Sequence[SweepPoint]]) -> list[_Reading]:
        """The readings of lists of points; those of the batch before are known, others forgotten.

        A list is kept with its reading, so that its id stays its own.
        """
        found: dict[int, tuple[Sequence[SweepPoint], _Reading]] = {}
        for points in lists:
            if id(points) not in found:
                known = self._readings.get(id(points))
                found[id(points)] = known or (points, _Reading(points, self.places))
        self._readings = found
        return [found[id(points)][1] for points in lists]

    def _maps(
        self, prepared: PreparedPairs, sites: Sequence[str], kinds: set[str]
    ) -> dict[tuple[str, str], np.ndarray]:
        """By site and kind of change, place by place: minus the first-order change it makes."""
        steps = self.settings.steps
        if "zero" in kinds and steps > 1:
            raise ValueError(
                "steps average over boards to patch from: take 1 where entries are zeroed"
            )
        network = self.network
        start = prepared.base_planes.to(network.device)
        end = prepared.other_planes.to(network.device)
        gradients: dict[str, Tensor] = {}
        values: dict[str, Tensor] = {}
        for step in range(steps):
            part = 0.0 if steps == 1 else (step + 0.5) / steps
            planes = (start + part * (end - start)).requires_grad_()
            run = network.run(planes, [*prepared.output_sites, *sites], gradients=True)
            total = prepared.judge({name: run[name] for name in prepared.output_sites}).sum()
            found = torch.autograd.grad(total, [run[name] for name in sites])
            for name, gradient in zip(sites, found, strict=True):
                part_of = gradient.float() / steps
                gradients[name] = gradients[name] + part_of if name in gradients else part_of
            if steps == 1:
                values = {name: run[name].detach().float() for name in sites}
        if not values:
            values = {s: v.float() for s, v in network.run(start, sites).items()}
        maps: dict[tuple[str, str], np.ndarray] = {}
        for site in sites:
            axes = network.site(site).axes
            for kind in kinds:
                after = prepared.base_runs.taken(site).float() if kind == "patch" else 0.0
                product = -gradients[site] * (after - values[site])
                if axes[-1] == "width":
                    product = product.sum(dim=-1)
                maps[site, kind] = product.cpu().numpy()
        return maps


class _Reading:
    """The places of a list of points, site by site, as indices into attribution maps."""

    def __init__(self, points: Sequence[SweepPoint], places: Places) -> None:
        self.count = len(points)
        self.sites: list[str] = []
        found: dict[tuple[str, str, tuple[bool, ...]], list[tuple[int, Coordinates]]]
        found = defaultdict(list)
        for index, point in enumerate(points):
            for made in point.interventions:
                coordinates = places.of(made)[: _place_axes(places, made)]
                whole = tuple(axis is None for axis in coordinates)
                found[made.site, _kind_of(made), whole].append((index, coordinates))
        self.maps = {(site, kind) for site, kind, _ in found}
        self.sites = list(dict.fromkeys(site for site, _, _ in found))
        self._steps: list[tuple[str, str, np.ndarray, dict[int, np.ndarray]]] = []
        for (site, kind, whole), entries in found.items():
            lengths = [
                next((len(axis) for axis in coordinates if axis is not None), 1)
                for _, coordinates in entries
            ]
            rows = np.repeat([index for index, _ in entries], lengths)
            given = {
                axis: np.concatenate([part for _, c in entries if (part := c[axis]) is not None])
                for axis, everywhere in enumerate(whole)
                if not everywhere
            }
            self._steps.append((site, kind, rows, given))

    def read(self, maps: Mapping[tuple[str, str], np.ndarray], board: int) -> np.ndarray:
        """The estimates of the points for one board."""
        result = np.zeros(self.count)
        for site, kind, rows, given in self._steps:
            values = maps[site, kind][board]
            rest = tuple(axis for axis in range(values.ndim) if axis not in given)
            values = values.sum(axis=rest)
            picked = values[tuple(given.values())] if given else np.broadcast_to(values, rows.shape)
            result += np.bincount(rows, weights=picked, minlength=self.count)
        return result


def _place_axes(places: Places, change: Intervention) -> int:
    axes = places.site(change.site).axes[1:]
    return len(axes) - (axes[-1] == "width")


def _kind_of(change: Intervention) -> str:
    if isinstance(change.action, Patch):
        return "patch"
    if change.action == Zero():
        return "zero"
    raise ValueError(
        f"{type(change.action).__name__} at {change.site} cannot be screened: gradients estimate "
        "patching and plain zeroing"
    )
