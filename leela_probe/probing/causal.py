"""Does the network use what the probe reads? Steer the activation along the probe's direction.

At the answer's square the activation is moved so that the probe's score of that square changes by a
number of nats, and the policy is measured. The same step in a random direction, and the probe's
step at another square, are what it is held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from leela_probe.networks import measures, patching
from leela_probe.networks.interventions import Add, Intervention
from leela_probe.networks.network import Network
from leela_probe.networks.patching import Job
from leela_probe.networks.references import Reference
from leela_probe.positions.planes import History
from leela_probe.probing.folds import Split
from leela_probe.probing.probes import Probes
from leela_probe.probing.targets import Target
from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics import intervals
from leela_probe.statistics.resampling import add_up, cluster_codes

__all__ = ["BEYOND", "DIRECTIONS", "Steering", "measure", "summary"]

DIRECTIONS = ("probe", "random direction", "other square")
"""The probe's direction at the answer's square; a random direction of equal length there; the
probe's direction at a random square of the rest."""

BEYOND = "probe minus random direction"
"""The name of that difference, puzzle by puzzle, among the directions of a summary."""

_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """Which activations are moved, and how far.

    Attributes:
        nats: by how much the score of the answer's square is moved.
        sites: which layers; all that are probed by default.
        history: what stands for positions before the known ones: as in what the probes learned.
        seed: for the random directions and squares.
    """

    nats: tuple[float, ...] = (-8.0, -4.0, 4.0, 8.0)
    sites: tuple[str, ...] | None = None
    history: History = History.FILLED
    seed: int = 0


def measure(
    network: Network,
    probes: Probes,
    pairs: Sequence[Pair],
    target: Target,
    splits: Sequence[Split],
    steering: Steering | None = None,
    *,
    boards: Sequence[int],
) -> pd.DataFrame:
    """Effects of steering along a probe's direction, one row per puzzle, layer, direction and step.

    Each puzzle is moved along the direction of a probe that it tested and that was not trained on
    it; with several seeds, of the first.

    Args:
        network: whose probes these are.
        probes: of `probes.train`.
        pairs: the puzzles.
        target: which of the probes' targets.
        splits: those that the probes were trained on.
        steering: which activations are moved, and how far.
        boards: which of the puzzles; those without an answer, without a rival to the first move,
            or on no test side are left out.

    Returns:
        puzzle_id, game_id, site, layer, direction, nats, clean (log odds of the first move, nats),
        changed, effect (clean minus changed: positive where the step hurts the move), size (of the
        step, as a share of the activation's length).

    Raises:
        KeyError: if the probes know no such target or site.
    """
    steering = Steering() if steering is None else steering
    sites = probes.sites if steering.sites is None else steering.sites
    steering = replace(steering, sites=sites)
    for site in sites:
        if site not in probes.sites:
            raise KeyError(f"no probes of {site!r}: they read {', '.join(probes.sites)}")
    place = {
        int(board): probes.select(target.name, number)[0]
        for number, split in enumerate(splits)
        for board in np.flatnonzero(split.test & target.known)
    }
    good = [b for b in boards if b in place and pairs[b].clean.legal_moves.count() > 1]
    parts = [
        _batch(network, probes, pairs, target, good[start : start + _AT_ONCE], place, steering)
        for start in range(0, len(good), _AT_ONCE)
    ]
    columns = ["puzzle_id", "game_id", "site", "layer", "direction", "nats", "clean", "changed",
               "effect", "size"]  # fmt: skip
    return pd.DataFrame([row for part in parts for row in part], columns=columns)


def summary(
    table: pd.DataFrame, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Mean effects of steps over puzzles, with intervals by game.

    Args:
        table: of `measure`, with the columns kind and ply of the target.
        confidence: of the intervals.
        resamples: bootstrap samples of games.
        seed: of the samples.

    Returns:
        kind, ply, site, layer, direction (`BEYOND` too), nats, n, clusters, effect (nats), low,
        high, interval, reason (why there is no interval).

    Raises:
        ValueError: if the table has no rows.
    """
    if table.empty:
        raise ValueError("no steps to take means of: the table has no rows")
    keys = ["kind", "ply", "site", "layer", "direction", "nats"]
    puzzle = ["puzzle_id", "game_id", *(key for key in keys if key != "direction")]
    effects = table.set_index([*puzzle, "direction"])["effect"]
    beyond = effects.xs(DIRECTIONS[0], level="direction") - effects.xs(
        DIRECTIONS[1], level="direction"
    )
    rows = pd.concat([table, beyond.reset_index().assign(direction=BEYOND)], ignore_index=True)
    groups = rows.groupby(keys, sort=False, dropna=False)
    found = groups.size().reset_index()[keys]
    estimates = intervals.mean_intervals(
        add_up(
            rows["effect"].to_numpy(np.float64),
            cluster_codes(rows["puzzle_id"], rows["game_id"]),
            groups.ngroup().to_numpy(np.int64),
            n_locations=len(found),
        ),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    return found.assign(**estimates.columns("effect"))


def _batch(
    network: Network,
    probes: Probes,
    pairs: Sequence[Pair],
    target: Target,
    boards: Sequence[int],
    place: dict[int, int],
    steering: Steering,
) -> list[dict[str, object]]:
    sites = steering.sites or probes.sites
    encoded = network.encode([pairs[board].clean for board in boards], history=steering.history)
    planes = torch.from_numpy(encoded.planes())
    values = network.run(planes, sites)
    jobs = [Job(board=row, interventions=()) for row in range(len(boards))]
    facts: list[dict[str, object]] = []
    for row, board in enumerate(boards):
        pair, answer = pairs[board], int(target.answer[board])
        draw = np.random.default_rng([steering.seed, board])
        others = [square for square in range(64) if square != answer]
        for site in sites:
            activation = values[site][row].float().cpu()
            layer = probes.sites.index(site)
            along = probes.direction(
                activation[int(target.given[board])], layer=layer, probe=place[board]
            )
            aside = torch.from_numpy(draw.standard_normal(len(along))).float()
            steps = {
                DIRECTIONS[0]: (answer, _unit(along)),
                DIRECTIONS[1]: (answer, _unit(aside)),
                DIRECTIONS[2]: (int(draw.choice(others)), _unit(along)),
            }
            slope = float(along.norm())
            if slope == 0:
                continue
            for name, (square, unit) in steps.items():
                for step in steering.nats:
                    change = Intervention(
                        site=site, square=square, action=Add(direction=unit * (step / slope))
                    )
                    jobs.append(Job(board=row, interventions=(change,)))
                    facts.append(
                        {
                            "puzzle_id": pair.puzzle_id,
                            "game_id": pair.game_id,
                            "site": site,
                            "layer": network.site(site).layer,
                            "direction": name,
                            "nats": step,
                            "size": abs(step) / slope / float(activation[square].norm()),
                        }
                    )
    logits = patching.run(network, planes, jobs).logits
    index = torch.tensor([job.board for job in jobs])
    moves = [pairs[board].clean.parse_uci(pairs[board].line[0]) for board in boards]
    reference = Reference.of(encoded, moves, logits[: len(boards)])
    odds = measures.log_odds(reference.runs(logits, index)).tolist()
    for fact, job, changed in zip(facts, jobs[len(boards) :], odds[len(boards) :], strict=True):
        clean = odds[job.board]
        fact.update(clean=clean, changed=changed, effect=clean - changed)
    return facts


def _unit(direction: Float[Tensor, " width"]) -> Float[Tensor, " width"]:
    return direction / direction.norm().clamp(min=1e-30)
