"""How much the cascade of the filter saves: against evaluating every ply with both networks.

    python benchmarks/cascade.py DUMP --strong NET --weak NET [--rows N] [--workers N]

Both ways run in turn in this process, with the same rows, networks and workers.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet

from leela_probe.networks import network
from leela_probe.puzzles import filters


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dump", type=Path)
    parser.add_argument("--strong", type=Path, required=True)
    parser.add_argument("--weak", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=None, help="only the first so many")
    parser.add_argument("--workers", type=int, default=None, help="worker processes")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way runs")
    arguments = parser.parse_args()
    networks = {
        "strong": network.load(arguments.strong),
        "weak": network.load(arguments.weak),
    }
    seconds: dict[bool, list[float]] = {False: [], True: []}
    verdicts = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-1, arguments.rounds):
            for all_plies in (False, True):
                if number < 0 and all_plies:
                    continue  # the first run of all warms up and is not counted
                out = Path(folder, f"{number}-{all_plies}.parquet")  # a new one each time
                start = time.perf_counter()
                finished = filters.filter_puzzles(
                    arguments.dump,
                    out,
                    **networks,
                    all_plies=all_plies,
                    limit=arguments.rows,
                    workers=arguments.workers,
                    overwrite=True,
                )
                if number < 0:
                    continue
                seconds[all_plies].append(time.perf_counter() - start)
                verdicts[all_plies] = pyarrow.parquet.read_table(out, columns=["verdict"])
                name = "every ply" if all_plies else "cascade  "
                counts = ", ".join(
                    f"{count} {verdict}" for verdict, count in finished.counts.items()
                )
                print(f"{name} {seconds[all_plies][-1]:8.2f} s  {finished.rows} rows: {counts}")
    ratios = [every / cascade for every, cascade in zip(seconds[True], seconds[False], strict=True)]
    same = verdicts[True].equals(verdicts[False])
    print(
        f"the cascade is {sorted(ratios)[len(ratios) // 2]:.2f} times as fast "
        f"({', '.join(f'{ratio:.2f}' for ratio in ratios)}); "
        f"verdicts {'the same' if same else 'DIFFER'}"
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
