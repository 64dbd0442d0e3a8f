"""A study small enough for tests: random play, random networks, thresholds that most pass."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import puzzle_dumps

from leela_probe.networks.network import load
from leela_probe.puzzles.criteria import Criteria
from leela_probe.puzzles.partners import Search
from leela_probe.study import reproduction
from leela_probe.study.records import Records
from leela_probe.study.study import Networks, Study

ROWS = 90


def dump(path: Path, rows: int = ROWS) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, puzzle_dumps.COLUMNS)
        writer.writeheader()
        writer.writerows(puzzle_dumps.random_rows(5, rows))
    return path


def study(folder: Path, dump: Path, strong: Path, weak: Path) -> Study:
    return Study(
        dump=dump,
        strong=strong,
        weak=weak,
        out=folder,
        criteria=Criteria(hard=1.0, correct=0.0, forcing=0.0),
        search=Search(
            log_odds=5.0, value=0.0005, probability=0.95, divergence=0.69, kinds=("remove",)
        ),
        share=0.02,
        minimum=8,
        resamples=99,
        random_networks=1,
        epochs=2,
        workers=0,
    )


def results(folder: Path) -> dict[str, str]:
    """A digest of every table and figure of a study."""
    endings = ("parquet", "csv", "png", "svg")
    files = [path for ending in endings for path in folder.rglob(f"*.{ending}")]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }


def run(study: Study, cache: Path, *, overwrite: bool = True, **more: Any) -> dict[str, bool]:
    """Does a study; says which stages ran now."""
    fresh: dict[str, bool] = {}
    networks = Networks(study, lambda path, **how: load(path, cache=cache, **how))
    with Records(study.out) as records:
        reproduction.reproduce(
            study,
            networks,
            records,
            overwrite=overwrite,
            report=lambda record, now: fresh.update({record.name: now}),
            **more,
        )
    return fresh
