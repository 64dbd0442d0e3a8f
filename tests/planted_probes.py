"""Activations in which a bilinear relation is planted, in the second of two layers."""

from __future__ import annotations

import numpy as np
import torch

from leela_probe.probing.probes import Probes
from leela_probe.probing.rows import MemoryRows
from leela_probe.probing.targets import Target


def planted(count: int, *, seed: int, width: int = 12, tensor: bool = False):
    """Activations, the target whose answer they hold, and the true scores of all squares."""
    draw = np.random.default_rng(seed)
    values = draw.standard_normal((2, count, 64, width)).astype(np.float32)
    w_x, w_z = draw.standard_normal((2, 3, width))
    given = draw.integers(0, 64, count)
    told = values[1, np.arange(count), given] @ w_z.T
    truth = np.einsum("bsw,rw,br->bs", values[1], w_x, told)
    target = Target(
        name="target 3",
        kind="target",
        ply=3,
        answer=truth.argmax(axis=1),
        given=given,
        known=np.ones(count, dtype=bool),
    )
    found = torch.from_numpy(values)
    return found if tensor else MemoryRows(found, ["layer0", "layer1"]), target, truth


def read_out(probes: Probes, rows: MemoryRows, target: Target, splits) -> np.ndarray:
    """Whether each layer's probe is right, puzzle by puzzle, each on its own test side."""
    hits = np.full((len(probes.sites), rows.boards), np.nan)
    for number, split in enumerate(splits):
        boards = np.flatnonzero(split.test)
        given = torch.from_numpy(target.given[boards])
        places = probes.select(target.name, number)
        scores = probes.scores(rows.read(boards), given.expand(len(hits), 1, -1), places)
        hits[:, boards] = scores[:, 0].argmax(dim=-1).numpy() == target.answer[boards]
    return hits
