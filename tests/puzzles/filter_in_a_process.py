"""Runs the filter or the search on its own, to be killed: DUMP OUT FOLDER STAGE WORKERS."""

import sys
from pathlib import Path

from puzzle_dumps import HashNetwork

from leela_probe.puzzles import corruptions, filters
from leela_probe.puzzles.criteria import Criteria
from leela_probe.puzzles.partners import Search

CRITERIA = Criteria(hard=0.1, correct=0.02, forcing=0.05)


def networks(folder):
    return {
        "weak": HashNetwork(Path(folder) / "weak.txt"),
        "strong": HashNetwork(Path(folder) / "strong.txt", sharpness=2.0),
    }


def run(source, out, folder, stage, workers, **options):
    if stage == "filter":
        return filters.filter_puzzles(
            source,
            out,
            **networks(folder),
            criteria=CRITERIA,
            workers=workers,
            **{"chunk_rows": 16, **options},
        )
    return corruptions.corrupt(
        source,
        out,
        **networks(folder),
        search=Search(favourite=False),
        verdicts=("kept", "not_forcing", "not_correct"),
        workers=workers,
        **{"chunk_rows": 2, **options},
    )


if __name__ == "__main__":
    source, out, folder, stage, workers = sys.argv[1:]
    print("begun", flush=True)
    run(source, out, folder, stage, int(workers))
