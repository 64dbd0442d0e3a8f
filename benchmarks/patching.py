"""How much faster sweeps are than the plain way, in one run on the same network and puzzles.

    python benchmarks/patching.py                    # the three networks, one puzzle
    python benchmarks/patching.py --puzzles 8 --networks small
    python benchmarks/patching.py --quick --json     # under a minute; the last line is JSON

(a) The plain way is onnx2torch and forward hooks: one full forward pass for each place, in
batches of 64. (b) nnsight does the same with its traces. Both live in an environment of their own
(benchmarks/README.md). Where onnx2torch is not installed, the plain way is this package's own
graph, every node by itself and every run from its planes on, and the output says so.

Passes of the plain way cost the same whatever place they change, so of its batches only some are
timed (`--plain-batches`) and the rest counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import resource
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.utils.flop_counter import FlopCounterMode

from leela_probe.experiments import effects, screen, sweeps
from leela_probe.networks import conversion, patching
from leela_probe.networks.network import Network, load
from leela_probe.networks.patching import Job
from leela_probe.puzzles.pairs import Pair
from leela_probe.weights import random_networks
from leela_probe.weights.architectures import PRESETS, Smolgen

SMALL = dataclasses.replace(
    PRESETS["attention"],
    layers=15,
    width=48,
    heads=24,
    feed_forward=64,
    policy_width=48,
    smolgen=Smolgen(channels=8, hidden=32, generated=32),
)
QUICK = dataclasses.replace(SMALL, layers=8, heads=8)
NETWORKS = {
    "quick": QUICK,
    "small": SMALL,
    "10x256": PRESETS["attention-10x256"],
    "15x768": PRESETS["attention-15x768"],
}

# Positions with the line that is asked about, and a partner that differs by one piece.
PUZZLES = [
    ("2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32", "f4g6 h7g6 d4h4",
     "2r2r1k/6pp/p1q2p1p/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32"),
    ("8/1R6/p1pk4/2q3bp/1QP5/P7/KP6/3r4 w - - 3 45", "b7d7 d6d7 b4c5",
     "8/1R6/p1pk4/2q4p/1QP5/P6b/KP6/3r4 w - - 3 45"),
    ("6k1/2P3pp/1P6/4b3/3p4/Br5P/4prP1/R5RK b - - 0 30", "b3h3 g2h3 f2h2",
     "6k1/2P4p/1P6/4b3/3p4/Br5P/4prP1/R5RK b - - 0 30"),
    ("6k1/5p2/3bbq2/p1Np2pp/3Pn3/P3PN1P/4BPP1/2Q3K1 b - - 1 31", "d6c5 d4c5 g5g4",
     "6k1/5p2/3bbq2/p1Np2pp/2nP4/P3PN1P/4BPP1/2Q3K1 b - - 1 31"),
    ("5rk1/n2P3p/1p2p1pQ/pP6/q3p1p1/8/5PPP/5RK1 w - - 0 35", "h6f8 g8f8 d7d8q",
     "6k1/n2P3p/1p1rp1pQ/pP6/q3p1p1/8/5PPP/5RK1 w - - 0 35"),
    ("4r1k1/pp2rp1p/5Rp1/1q6/P7/1P4Q1/5PPP/5RK1 b - - 0 22", "b5f1 g1f1 e7e1",
     "4rrk1/pp3p1p/5Rp1/1q6/P7/1P4Q1/5PPP/5RK1 b - - 0 22"),
    ("r5k1/pp3ppp/1qn2b2/3r4/4QB2/1P3N2/P4PPP/4R1K1 w - - 0 19", "e4e8 a8e8 e1e8",
     "r5k1/pp4pp/1qn2b2/3r4/4QB2/1P3N2/P4PPP/4R1K1 w - - 0 19"),
    ("2r5/3k1p2/5Pp1/PPBpP1P1/1K5P/5p2/8/8 b - - 2 45", "c8c5 b4c5 f3f2",
     "2r5/3k1pP1/5Pp1/PPBpP1P1/1K5P/5p2/8/8 b - - 2 45"),
]  # fmt: skip


def pairs(count: int) -> list[Pair]:
    return [
        Pair(
            puzzle_id=str(i),
            game_id=None,
            target_pattern="",
            clean_fen=clean,
            line=tuple(line.split()),
            corrupted_fen=corrupted,
        )
        for i, (clean, line, corrupted) in enumerate(PUZZLES[:count])
    ]


def timed(function: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def forget_peak() -> None:
    """Lets `peak_memory` count from here on, where the kernel can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        print("the peak of memory is that of the whole process so far", file=sys.stderr)


def peak_memory() -> float:
    """The most memory that the process has held, in GB."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024 / 1024


# -- the plain way --------------------------------------------------------------------------------


class Hooked:
    """onnx2torch and forward hooks: a full pass for each place, 64 places in a batch."""

    name = "onnx2torch"

    def __init__(self, path: Path) -> None:
        try:
            import torchvision  # noqa: F401
        except ImportError:
            # onnx2torch imports it for operators that no chess network has
            fake = types.ModuleType("torchvision")
            fake.ops = types.ModuleType("torchvision.ops")
            fake.ops.roi_align = None
            sys.modules.update({"torchvision": fake, "torchvision.ops": fake.ops})
        import onnx2torch

        warnings.simplefilter("ignore")
        self.module = onnx2torch.convert(onnx.load(path)).eval()
        self.modules = dict(self.module.named_modules())

    def _module(self, tensor: str) -> torch.nn.Module:
        return self.modules[tensor.removeprefix("/")]

    @torch.no_grad()
    def capture(self, planes: torch.Tensor, tensors: Sequence[str]) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        hooks = [
            self._module(t).register_forward_hook(
                lambda module, given, output, t=t: found.__setitem__(t, output)
            )
            for t in tensors
        ]
        self.module(planes)
        for hook in hooks:
            hook.remove()
        return found

    @torch.no_grad()
    def run(
        self, planes: torch.Tensor, edits: dict[str, Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        hooks = [
            self._module(t).register_forward_hook(lambda m, given, output, f=f: f(output))
            for t, f in edits.items()
        ]
        logits = self.module(planes)[0]
        for hook in hooks:
            hook.remove()
        return logits


class Unshared:
    """This package's graph, every node by itself, every run from its planes on."""

    name = "own graph, nothing shared or fused (onnx2torch is not installed)"

    def __init__(self, network: Network) -> None:
        self.graph = network.graph
        self.policy = network.site("policy.logits").tensor

    def capture(self, planes: torch.Tensor, tensors: Sequence[str]) -> dict[str, torch.Tensor]:
        return self.graph.run({self.graph.inputs[0]: planes}, tensors, fused=False)

    def run(
        self, planes: torch.Tensor, edits: dict[str, Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        feeds = {self.graph.inputs[0]: planes}
        return self.graph.run(feeds, [self.policy], edits=edits, fused=False)[self.policy]


class Traced:
    """nnsight over the same module: one trace for each batch of places."""

    name = "nnsight"

    def __init__(self, hooked: Hooked) -> None:
        import nnsight

        self.module = nnsight.NNsight(hooked.module)
        self.capture = hooked.capture

    @torch.no_grad()
    def run(
        self, planes: torch.Tensor, edits: dict[str, Callable[[torch.Tensor], torch.Tensor]]
    ) -> torch.Tensor:
        (tensor, edit), *rest = edits.items()
        assert not rest
        envoy = getattr(self.module, tensor.removeprefix("/"))
        with self.module.trace(planes):
            envoy.output = edit(envoy.output)
            found = self.module.output[0].save()
        return found  # noqa: RET504 - it is known only when the trace has ended


def plain_sweep(
    way, network: Network, some: Sequence[Pair], kind: str, *, batches: int | None
) -> tuple[float, np.ndarray, int]:
    """Seconds for the whole sweep, the logits of the places computed, and how many those are."""
    sites = [network.sites[f"layer{layer}.{kind}"].tensor for layer in range(network.layers)]
    each = 64 if kind == "residual_after" else network.heads
    spent, computed, counted = 0.0, [], 0
    total = len(some) * len(sites) * -(-each // 64)
    for pair in some:
        clean, corrupted = (
            torch.from_numpy(network.encode([board]).planes())
            for board in (pair.clean, pair.corrupted)
        )
        seconds, source = timed(lambda corrupted=corrupted: way.capture(corrupted, sites))
        spent += seconds
        for site in sites:
            if batches is not None and counted >= batches:
                break

            def edit(value: torch.Tensor, site=site, source=source) -> torch.Tensor:
                rows = torch.arange(each)
                value = value.clone()
                shaped = value.view(each, -1, *value.shape[1:]) if kind != "head_output" else value
                given = source[site]
                shaped[rows, rows] = given if kind != "head_output" else given[0]
                return value

            planes = clean.expand(each, -1, -1, -1).contiguous()
            seconds, logits = timed(lambda planes=planes, s=site, e=edit: way.run(planes, {s: e}))
            spent += seconds
            computed.append(logits)
            counted += 1
    return spent * total / counted, torch.cat(computed).numpy(), counted * each


# -- ours -----------------------------------------------------------------------------------------


def matrix_rate() -> float:
    """Floating point operations a second in plain float32 matrix products: the best of some."""
    a, b = torch.rand(4096, 768), torch.rand(768, 1024)
    return 2 * 4096 * 768 * 1024 / min(timed(lambda: a @ b)[0] for _ in range(8))


def jobs_of(sweep: sweeps.Sweep, some: Sequence[Pair]) -> list[Job]:
    return [
        Job(board=i, interventions=change.interventions)
        for i, pair in enumerate(some)
        for change in sweep.points(pair)
    ]


def some_of(sweep: sweeps.Sweep) -> sweeps.Sweep:
    """Every sixteenth change of a sweep: all its layers at a fraction of the cost."""
    return dataclasses.replace(sweep, points=lambda pair: sweep.points(pair)[::16])


def share_of_matrix_rate(network: Network, pair: Pair, sweep: sweeps.Sweep) -> tuple[float, float]:
    """How much of the matrix rate a sweep reaches, and that rate in Gflop/s.

    A shared machine is not equally fast at all times, so the rate is taken anew before and after
    each layer's part of the sweep, and the better of the two counts for it.
    """
    done = possible = spent = 0.0
    before = matrix_rate()
    for layer in range(network.layers):
        part = dataclasses.replace(
            sweep, points=lambda p, of=layer: [c for c in sweep.points(p) if c.layer == of]
        )
        with FlopCounterMode(display=False) as flops:
            our_logits(network, [pair], part)
        seconds, _ = timed(lambda part=part: our_logits(network, [pair], part))
        after = matrix_rate()
        done += flops.get_total_flops()
        possible += seconds * max(before, after)
        spent += seconds
        before = after
    return done / possible, possible / spent / 1e9


def our_logits(network: Network, some: Sequence[Pair], sweep: sweeps.Sweep) -> torch.Tensor:
    clean, corrupted = (
        torch.from_numpy(network.encode(boards).planes())
        for boards in ([pair.clean for pair in some], [pair.corrupted for pair in some])
    )
    return patching.run(network, clean, jobs_of(sweep, some), other=corrupted).logits


def compare(
    name: str, folder: Path, *, puzzles: int, batches: int | None, nnsight: bool
) -> dict[str, object]:
    path = folder / f"{name}.pb.gz"
    random_networks.write(path, NETWORKS[name], seed=1)
    onnx_path = conversion.to_onnx(path, cache=folder / "cache")
    network = load(onnx_path)
    some = pairs(puzzles)
    if nnsight:
        import nnsight as _  # before Hooked stands in for torchvision
    result: dict[str, object] = {
        "network": name,
        "puzzles": puzzles,
        "threads": torch.get_num_threads(),
    }
    kinds = {"residual": "residual_after", "heads": "head_output"}
    ours = {"residual": sweeps.residual(network), "heads": sweeps.heads(network)}
    for sweep in ours.values():  # so that nobody pays for what is done once a network
        our_logits(network, some[:1], some_of(sweep))
    forget_peak()
    timings = {
        key: timed(lambda sweep=sweep: our_logits(network, some, sweep))
        for key, sweep in ours.items()
    }
    result["peak_memory_gb"] = peak_memory()  # before the plain way comes in
    try:
        way = Hooked(onnx_path)
    except ImportError:
        way = Unshared(network)
    result["plain"] = way.name
    for key, sweep in ours.items():
        seconds, logits = timings[key]
        plain, expected, counted = plain_sweep(way, network, some, kinds[key], batches=batches)
        difference = (
            float(np.abs(logits[:counted].numpy() - expected).max())
            if puzzles == 1 or batches is None
            else float("nan")
        )
        result |= {
            f"{key}_seconds": seconds,
            f"{key}_plain_seconds": plain,
            f"{key}_vs_plain": plain / seconds,
            f"{key}_difference_in_logits": difference,
        }
        if key == "residual":
            share, rate = share_of_matrix_rate(network, some[0], sweep)
            result |= {"residual_share_of_matrix_rate": share, "matrix_rate_gflops": rate}
        if nnsight and isinstance(way, Hooked):
            traced, _, _ = plain_sweep(Traced(way), network, some, kinds[key], batches=batches)
            result[f"{key}_vs_nnsight"] = traced / seconds
    layer, head = network.layers - 3, network.heads // 2
    chosen = [(query, key) for query in range(0, 64, 8) for key in range(0, 64, 2)]
    entry = sweeps.entries(network, layer, head, chosen=chosen)
    seconds, _ = timed(lambda: our_logits(network, some, entry))
    one_pass = float(result["residual_plain_seconds"]) / (network.layers * 64 * puzzles)
    result["entry_vs_plain"] = one_pass * len(jobs_of(entry, some)) / seconds
    squares = ours["residual"]
    screen.estimate(network, some, squares)
    plain = float(result["residual_plain_seconds"])
    seconds, estimates = timed(lambda: screen.estimate(network, some, squares))
    result["screen_vs_plain"] = plain / seconds
    seconds, _ = timed(lambda: screen.verify(network, some, squares))
    result["screen_8_vs_plain"] = plain / seconds
    exact = effects.measure(network, some, squares)
    result["screen_agreement"] = dataclasses.asdict(screen.agreement(estimates, exact))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="small,10x256,15x768")
    parser.add_argument("--puzzles", type=int, default=1)
    parser.add_argument("--plain-batches", type=int, default=6, help="0 times all of them")
    parser.add_argument("--nnsight", action="store_true", help="compare with nnsight too")
    parser.add_argument("--quick", action="store_true", help="a small network, under a minute")
    parser.add_argument("--json", action="store_true", help="results as JSON on the last line")
    args = parser.parse_args()
    names = ["quick"] if args.quick else args.networks.split(",")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            found = compare(
                name,
                Path(folder),
                puzzles=args.puzzles,
                batches=args.plain_batches or None,
                nnsight=args.nnsight,
            )
            results.append(found)
            print(f"{name}, {found['puzzles']} puzzle(s), plain way: {found['plain']}")
            for key, value in found.items():
                if isinstance(value, float):
                    print(f"  {key:32} {value:10.3f}")
            print(f"  agreement of the screen          {found['screen_agreement']}")
    if args.json:
        print(json.dumps(results[0] if len(results) == 1 else {"networks": results}))


if __name__ == "__main__":
    main()
