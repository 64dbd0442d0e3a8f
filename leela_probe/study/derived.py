"""All that is made from the measurements, anew each time: tables, comparison, figures and page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from leela_probe.figures import drawing
from leela_probe.files import derived as derived_tables
from leela_probe.files import disk
from leela_probe.study import comparison, contents, page, published
from leela_probe.study.chapter import Drawn, Undrawn
from leela_probe.study.records import BEGUN, DONE, Record, Records
from leela_probe.study.results import Results
from leela_probe.study.study import Networks, Study

__all__ = ["make", "tables"]

_TEXT = {
    "target_pattern": str,
    "game_id": str,
    "puzzle_id": str,
    "against": str,
    "reason": object,
}


def make(study: Study, networks: Networks, records: Records) -> Record:
    """Writes `tables`, `figures` and the page; what an earlier run made and this one not goes."""
    start = time.monotonic()
    notes = {each.name: records.result(each.name) for each in contents.measurements()}
    results = Results(study, {name: note for name, note in notes.items() if note is not None})
    files = _Files(study, records)
    made = {name: files.table(name, table) for name, table in tables(results).items()}
    made["comparison"] = files.table("comparison", _comparison(results, networks, made))
    drawn = {}
    for chapter in contents.chapters():
        drawn[chapter.id] = [*chapter.figures(results, made)]
        files.figures(drawn[chapter.id])
    spent = time.monotonic() - start
    text = page.render(results, networks, made, drawn, seconds=spent)
    files.write(page.NAME, text.encode())
    return files.end(time.monotonic() - start)


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """The tables of all chapters by name; those of one name below each other."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for chapter in contents.chapters():
        for name, table in chapter.tabulate(results):
            parts.setdefault(name, []).append(table)
    return {name: _joined(some) for name, some in parts.items()}


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if not part.empty]
    return pd.concat(filled, ignore_index=True) if len(filled) > 1 else (filled or parts)[0]


def _comparison(
    results: Results, networks: Networks, made: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    numbers = [number for chapter in contents.chapters() for number in chapter.published]
    return comparison.compare(
        [*numbers, *published.elsewhere()],
        made,
        same_shape=networks.has_papers_shape(),
        why_not=results.why_not,
    )


class _Files:
    """Writes files of the study's folder, each whole or not at all, and notes their names."""

    def __init__(self, study: Study, records: Records) -> None:
        self._study, self._records = study, records
        notes = (records.result(contents.DERIVED), records.begun(contents.DERIVED))
        self._earlier = {name for note in notes if note is not None for name in note.files}
        self._names: dict[str, None] = {}

    def table(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Writes a table as CSV; the table as it can be read back."""
        path = self._place(f"tables/{name}.csv")
        derived_tables.write(table, path)
        return pd.read_csv(path, dtype=_TEXT)

    def figures(self, drawn: Iterable[Drawn | Undrawn]) -> None:
        """Writes figures as PNG and SVG."""
        for each in drawn:
            if isinstance(each, Drawn):
                for ending in ("png", "svg"):
                    drawing.save(each.figure, self._place(f"figures/{each.name}.{ending}"), dpi=200)

    def write(self, name: str, content: bytes) -> None:
        path = self._place(name)
        temporary = path.with_name(f".{path.name}.tmp")
        disk.write(path, lambda file: file.write(content), temporary=temporary)

    def _place(self, name: str) -> Path:
        """Where a file goes; that it may be there is noted before it is."""
        self._names[name] = None
        if name not in self._earlier:
            self._earlier.add(name)
            self._records.begin(self._record(BEGUN, sorted(self._earlier)))
        path = self._study.table(name)
        path.parent.mkdir(exist_ok=True)
        return path

    def end(self, seconds: float) -> Record:
        """Removes what is no longer made."""
        for name in self._earlier - {*self._names}:
            self._study.table(name).unlink(missing_ok=True)
        record = self._record(DONE, sorted(self._names), round(seconds, 3))
        self._records.end(record)
        return record

    def _record(self, state: str, files: list[str], seconds: float = 0.0) -> Record:
        return Record(
            name=contents.DERIVED, state=state, plan={}, files=tuple(files), seconds=seconds
        )
