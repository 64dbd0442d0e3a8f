"""What a sweep does at its places, by name: patch, zero, mean, resample or scale.

Mean and resample ablation write what is found on ordinary positions that no puzzle set holds, so
that nothing is taken from the puzzles.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import torch

from leela_probe.experiments import held_out
from leela_probe.experiments.sweeps import Choice, Sweep, SweepPoint
from leela_probe.networks import patching
from leela_probe.networks.interventions import Action, Patch, Scale, Write, Zero
from leela_probe.networks.network import Network
from leela_probe.positions.planes import History
from leela_probe.puzzles.pairs import Pair

__all__ = ["NAMES", "with_action"]

NAMES = ("patch", "zero", "mean", "resample", "scale:FACTOR")
"""What `with_action` knows; a factor is a number, as in scale:0.5."""


def with_action(
    make: Callable[[Choice], Sweep],
    name: str,
    network: Network,
    *,
    boards: int = 64,
    seed: int = 0,
    history: History = History.FILLED,
) -> Sweep:
    """A sweep whose changes are made by the action of that name.

    - `patch` takes the activation of the other run of the pair;
    - `zero` sets it to zero, `scale:FACTOR` multiplies it;
    - `mean` writes its mean over held-out positions (mean ablation);
    - `resample` writes what it is in one held-out position, drawn for each puzzle by the seed and
      the puzzle alone (resample ablation).

    All but `patch` change the clean run and take nothing from partners.

    Args:
        make: makes the sweep with an action, such as `lambda action: sweeps.heads(network,
            action=action)`.
        name: one of `NAMES`.
        network: whose held-out activations are written.
        boards: how many held-out positions.
        seed: of these positions and of the draws.
        history: what stands for positions before the known ones; of held-out positions none are
            known, as of those of puzzles.

    Raises:
        ValueError: if the name is unknown, no board is asked for, or what `make` refuses.
    """
    if name == "patch":
        return make(Patch())
    if name == "zero":
        return _labelled(make(Zero()), name, boards)
    if name.startswith("scale:"):
        return _labelled(make(Scale(factor=_factor(name))), name, boards)
    if name not in NAMES:
        raise ValueError(f"unknown action {name!r}: choose {', '.join(NAMES)}")
    if boards < 1:
        raise ValueError(f"{boards} held-out boards asked for: take at least 1")
    positions = [board.copy(stack=False) for board in held_out.boards(boards, seed=seed)]
    planes = torch.from_numpy(network.encode(positions, history=history).planes())
    if name == "mean":
        mean = make(cache(lambda site: Write(values=patching.mean(network, planes, site))))
        return _labelled(mean, name, boards)

    def points(pair: Pair) -> Sequence[SweepPoint]:
        drawn = zlib.crc32(f"{seed} {pair.puzzle_id}".encode())

        def written(site: str) -> Action:
            return Write(values=patching.resample(network, planes, site, seed=drawn))

        return make(cache(written)).points(pair)

    return _labelled(replace(make(Zero()), points=points), name, boards)


def _labelled(sweep: Sweep, action: str, boards: int) -> Sweep:
    """The sweep with its action in the options that go into the manifest."""
    return replace(sweep, options={**sweep.options, "action": action, "boards": boards})


def _factor(name: str) -> float:
    try:
        return float(name.removeprefix("scale:"))
    except ValueError:
        raise ValueError(f"{name!r} has no number: write such as scale:0.5") from None
