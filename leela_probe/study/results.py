"""What a study has measured: its finished tables, their options, and why others are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from leela_probe.experiments import effect_tables
from leela_probe.experiments.effect_tables import MEASURED
from leela_probe.files import manifests, tables
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair
from leela_probe.study.records import LEFT_OUT, Record
from leela_probe.study.study import Study

__all__ = ["Draws", "Results", "counts_text", "effects"]

_COLUMNS = (
    "puzzle_id", "game_id", "target_pattern", "label", "layer", "head", "clean", "corrupted",
    "changed",
    "effect", "measure", "direction", "sweep", "verdict",
)  # fmt: skip


class Draws(TypedDict):
    """How many bootstrap samples of games are drawn, and from which seed."""

    resamples: int
    seed: int


class Results:
    """The finished measurements of a study.

    Args:
        study: whose folder they lie in.
        records: of its measurements, by name.
    """

    def __init__(self, study: Study, records: Mapping[str, Record]) -> None:
        self.study, self.records = study, records

    @property
    def draws(self) -> Draws:
        """How many bootstrap samples of games are drawn, and from which seed."""
        return {"resamples": self.study.resamples, "seed": self.study.seed}

    def path(self, name: str) -> Path | None:
        """The table of a measurement; None if it is not finished or was left out."""
        record = self.records.get(name)
        if record is None or record.table is None:
            return None
        path = self.study.table(record.table)
        return path if path.is_file() else None

    def measured(self, name: str) -> Path | None:
        """The table of a sweep that could measure at least one puzzle."""
        path = self.path(name)
        return path if path is not None and self.records[name].counts.get(MEASURED) else None

    def options(self, name: str) -> Mapping[str, Any]:
        """The options that a table was made with; none if there is no such table."""
        path = self.path(name)
        if path is None:
            return {}
        return dict(manifests.read(manifests.manifest_path(path))["options"])

    def why_not(self, name: str) -> str | None:
        """Why a measurement has measured nothing; None if it has."""
        record = self.records.get(name)
        if record is None:
            return f"the stage {name} is not done"
        if record.state == LEFT_OUT:
            return record.reason.rstrip(".")
        if MEASURED not in record.counts or record.counts[MEASURED]:
            return None
        what = record.note or counts_text(record.counts)
        return f"none of {sum(record.counts.values()):,} puzzles could be measured: {what}"

    def pairs(self) -> list[Pair]:
        """The puzzles that have a corrupted input."""
        path = self.path("corrupt")
        return [] if path is None else pair_files.read(path)


def counts_text(counts: Mapping[str, int]) -> str:
    """How many puzzles got each verdict, without those that none got.

    Example:
        >>> counts_text({"measured": 1200, "no_partner": 0, "nothing_to_change": 3})
        'measured 1,200, nothing to change 3'
    """
    return ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count
    )


def effects(path: Path, columns: Sequence[str] = _COLUMNS) -> pd.DataFrame:
    """The measured rows of an effects table.

    Raises:
        ValueError: if no puzzle could be measured.
    """
    table = tables.read_arrow(
        path, effect_tables.SCHEMA, columns=columns, what="a table of effects"
    )
    measured = effect_tables.measured(pd.DataFrame(effect_tables.to_pandas(table)))
    if measured.empty:
        raise ValueError(f"{path} holds no measured puzzle: see its column verdict for the reasons")
    return measured.reset_index(drop=True)
