"""What probing all layers in one pass saves, in time and in memory, in one run.

    python benchmarks/probing.py [--layers N] [--width N] [--puzzles N] [--rounds N] [--json]

The network is random, of the size that is asked for, and reads certified puzzles; the recipe is
`jenner2024`: five seeds, five epochs, no controls. Two ways take turns on the same puzzles, weights
and order of batches, and end with the same probes: all layers, targets and seeds in one pass over
float16 activations on disk, and one probe after another over a layer's float32 activations in
memory. Peak memory is that of a process of its own which does all of the first way, the network's
passes too; run at half the puzzles and at all of them it gives the growth a puzzle.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from leela_probe.files import bundled
from leela_probe.networks import activations, network
from leela_probe.networks.activations import StoredActivations
from leela_probe.probing import folds, probes, targets
from leela_probe.probing.folds import Split
from leela_probe.probing.probes import Probes, initial_weights
from leela_probe.probing.recipes import JENNER2024
from leela_probe.probing.rows import StoredRows
from leela_probe.probing.targets import Target
from leela_probe.puzzles import lichess
from leela_probe.puzzles.pairs import Pair
from leela_probe.weights import random_networks
from leela_probe.weights.architectures import Architecture, Embedding, PolicyFormat

PAPER = 22_517  # puzzles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=15, metavar="N")
    parser.add_argument("--width", type=int, default=768, metavar="N")
    parser.add_argument("--puzzles", type=int, default=300, metavar="N")
    parser.add_argument("--rounds", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--alone", type=Path, metavar="NET", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.alone is not None:
            stored = written(arguments.alone, arguments.puzzles, Path(scratch, "a"))
            together(stored, *asked(arguments.puzzles))
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            return
        path = Path(scratch, "network.pb.gz")
        random_networks.write(path, architecture(arguments.layers, arguments.width), seed=0)
        found = measure(path, arguments.puzzles, arguments.rounds, Path(scratch, "a"))
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):36} {value:>12,.2f}")


def architecture(layers: int, width: int) -> Architecture:
    """An attention body of the size."""
    return Architecture(
        layers=layers,
        width=width,
        heads=width // 32,
        feed_forward=width,
        embedding=Embedding.MAP,
        policy=PolicyFormat.ATTENTION,
        policy_width=width,
    )


def measure(path: Path, count: int, rounds: int, folder: Path) -> dict[str, float]:
    """Seconds of both ways, the ratio of each round's median, megabytes."""
    start = time.perf_counter()
    stored = written(path, count, folder)
    capturing = time.perf_counter() - start
    targets, splits = asked(count)
    fast, slow = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        ours = together(stored, targets, splits)
        fast.append(time.perf_counter() - start)
        start = time.perf_counter()
        plain = one_by_one(stored, targets, splits)
        slow.append(time.perf_counter() - start)
    half, whole = (alone(path, some) for some in (count // 2, count))
    each = (whole - half) / (count - count // 2)
    size = sum(file.stat().st_size for file in stored.files) / 2**20
    return {
        "capture_seconds": capturing,
        "fit_seconds": statistics.median(fast),
        "plain_seconds": statistics.median(slow),
        "plain_by_fit": statistics.median(s / f for s, f in zip(slow, fast, strict=True)),
        "largest_difference_of_weights": float((ours.x_weights - plain).abs().max()),
        "peak_mb_at_half": half,
        "peak_mb": whole,
        "mb_a_puzzle_more": each,
        f"peak_mb_at_{PAPER}": whole + each * (PAPER - count),
        "mb_on_disk_a_puzzle": size / count,
    }


def pairs(count: int) -> list[Pair]:
    """Certified puzzles that come along."""
    rows = list(lichess.read(bundled.path("bundled:mates")))[:count]
    return [
        Pair(
            puzzle_id=row.puzzle_id,
            game_id=None,
            target_pattern="",
            line=tuple(move.uci() for move in row.principal_variation),
            clean_fen=row.board().fen(),
        )
        for row in rows
        if isinstance(row, lichess.Puzzle)
    ]


def asked(count: int) -> tuple[list[Target], list[Split]]:
    """Where the third move goes to and comes from, and the ordered split."""
    return targets.targets_of(pairs(count), (3,)), folds.ordered(count)


def written(path: Path, count: int, folder: Path) -> StoredActivations:
    """The stream after every layer, float16 on disk."""
    loaded = network.load(path)
    sites = [f"layer{layer}.residual_after" for layer in range(loaded.layers)]
    boards = [pair.clean for pair in pairs(count)]
    return activations.write(loaded, boards, sites, folder, dtype="float16", batch_size=16)


def together(stored: StoredActivations, targets: list[Target], splits: list[Split]) -> Probes:
    """All probes in the same passes."""
    return probes.train(StoredRows(stored), targets, splits, JENNER2024)


def one_by_one(
    stored: StoredActivations, targets: list[Target], splits: list[Split]
) -> torch.Tensor:
    """W_x of each layer and probe, one probe trained after another, every square projected."""
    (split,) = splits
    train = np.flatnonzero(split.train)
    found = []
    for site in stored.axes:
        x = StoredRows(stored, [site]).read(train)[0]
        weights = []
        for target in targets:
            given, answer = (
                torch.from_numpy(part[train]) for part in (target.given, target.answer)
            )
            for seed in JENNER2024.seeds:
                w_x, w_z = (
                    torch.tensor(part, dtype=torch.float32, requires_grad=True)
                    for part in initial_weights(
                        site, target.name, seed=seed, rank=JENNER2024.rank, width=x.shape[2]
                    )
                )
                optimiser = torch.optim.Adam([w_x, w_z], lr=JENNER2024.learning_rate)
                for _ in range(JENNER2024.epochs):
                    for first in range(0, len(train), JENNER2024.batch_size):
                        part = slice(first, first + JENNER2024.batch_size)
                        batch, row = x[part], torch.arange(len(x[part]))
                        keys = F.linear(batch, w_x)
                        query = F.linear(batch[row, given[part]], w_z)
                        scores = torch.einsum("bsr,br->bs", keys, query) / JENNER2024.rank**0.5
                        loss = F.cross_entropy(scores, answer[part])
                        optimiser.zero_grad()
                        torch.autograd.backward(loss)
                        optimiser.step()
                weights.append(w_x.detach())
        found.append(torch.stack(weights))
    return torch.stack(found)


def alone(path: Path, count: int) -> float:
    """Peak megabytes of a process that captures and fits."""
    told = subprocess.run(
        [sys.executable, __file__, "--alone", str(path), "--puzzles", str(count)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(told.stdout)


if __name__ == "__main__":
    main()
