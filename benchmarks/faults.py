"""Kills, flips bits and damages files on purpose, and counts what went wrong without a word.

    python benchmarks/faults.py [--quick] [--only KIND ...] [--seed N] [--jobs N] [--json FILE]

Kinds:
    crash       SIGKILL before the Nth file operation of every stage command; the command is run
                again and must leave the bytes, and only the files, of a run that nobody disturbed
    flips       a bit flipped in a part, a finished table or the cache of converted networks
    unfinished  a file in the folder of an unfinished stage cut, emptied, swapped or garbled
    rows        rows of a dump mutated; the others must come out as they were
    dumps       whole dumps damaged (.csv, .zst, .gz, .bz2, .parquet)
    networks    .pb.gz and .onnx files damaged, then evaluated
    manifests   manifests of finished tables mutated, then their tables read
    fens        FENs mutated, and compared with lc0 where it is installed

A trial is right if the result is the same, or the damage is refused in one line (and, for a stage,
made anew with --overwrite). Wrong are: another result, a traceback, a signal, five minutes without
an end, files left over. Each trial runs in a process forked from this one after the imports.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # forked processes share no threads

import torch
from fault_damage import flips, manifest_files, unfinished
from fault_inputs import dump_files, fen_texts, network_files, rows
from fault_processes import Trial, results
from fault_stages import World, crash

FULL = {"crash": 420, "flips": 300, "unfinished": 1500, "rows": 20, "dumps": 300, "networks": 200,
        "manifests": 100, "fens": 5}  # fmt: skip
"""Trials of a full run; those of `rows` and `fens` hold a thousand each."""
QUICK = {"crash": 60, "flips": 30, "unfinished": 100, "rows": 2, "dumps": 40, "networks": 20,
         "manifests": 20, "fens": 1}  # fmt: skip

MAKERS: dict[str, Callable[[World, int, random.Random], Iterator[Trial]]] = {
    "crash": crash, "flips": flips, "unfinished": unfinished, "rows": rows, "dumps": dump_files,
    "networks": network_files, "manifests": manifest_files, "fens": fen_texts,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", nargs="+", choices=[*MAKERS], default=[*MAKERS], metavar="KIND")
    parser.add_argument("--count", type=int, help="trials of each kind")
    parser.add_argument("--stage", help="crash: only stages whose name holds this text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    parser.add_argument("--json", type=Path, help="write the table there too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tried: Counter[str] = Counter()
    failed: dict[str, list[tuple[str, str]]] = {kind: [] for kind in arguments.only}
    seconds = {}
    with tempfile.TemporaryDirectory(prefix="faults-world-") as folder:
        world = World(Path(folder))
        if arguments.stage is not None:
            every = world.stages()
            chosen = [stage for stage in every if arguments.stage in stage.name]
            world.stages = lambda: chosen  # type: ignore[method-assign]
        for kind in arguments.only:
            start = time.monotonic()
            count = arguments.count or (QUICK if arguments.quick else FULL)[kind]
            trials = MAKERS[kind](world, count, random.Random(f"{arguments.seed} {kind}"))
            for trial, reason in results(trials, arguments.jobs):
                tried[kind] += 1
                if reason:
                    failed[kind].append((trial.name, reason))
                    print(f"  {kind}: {trial.name}: {reason[:400]}", flush=True)
            seconds[kind] = time.monotonic() - start
            wrong = len(failed[kind])
            print(
                f"{kind:10} {tried[kind]:6,} tried {tried[kind] - wrong:6,} right {wrong:4,} failed"
                f"  {seconds[kind]:6.0f} s",
                flush=True,
            )
        operations = dict(world.operations)
    if arguments.json is not None:
        table = {
            kind: {"tried": tried[kind], "right": tried[kind] - len(failed[kind]),
                   "failed": failed[kind], "seconds": round(seconds[kind], 1)}
            for kind in arguments.only
        }  # fmt: skip
        arguments.json.write_text(json.dumps({"kinds": table, "operations": operations}, indent=2))
    return int(any(failed.values()))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
