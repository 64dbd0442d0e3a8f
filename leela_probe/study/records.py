"""What a study notes of its measurements: made with which settings, how long it took, why left out.

The stages themselves resume and refuse what does not fit (see `files.store`). The notes are there
so that a study can say what differs before it measures anything, and for its page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from leela_probe.files import disk, manifests, store

__all__ = ["BEGUN", "DONE", "LEFT_OUT", "Record", "Records"]

DONE, LEFT_OUT, BEGUN = "done", "left out", "begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The note on one measurement.

    Attributes:
        name: of the measurement.
        state: `DONE`, `LEFT_OUT` (it does not apply) or `BEGUN`.
        plan: its settings, the SHA-256 of what it reads, and the versions.
        table: its file within the study's folder; None if there is none.
        files: the files within the study's folder of what is made from all measurements.
        counts: how many puzzles got each verdict.
        rows: of the table.
        reason: why it was left out.
        note: why puzzles could not be measured, where the table cannot say so.
        seconds: how long it took when it was last at work.
    """

    name: str
    state: str
    plan: Mapping[str, Any]
    table: str | None = None
    files: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    reason: str = ""
    note: str = ""
    seconds: float = 0.0


class Records:
    """The notes in a study's folder; a context manager that keeps other processes out.

    Args:
        folder: the study's folder; it is made if it is not there.

    Raises:
        StageBusyError: on entering, if another process is at work in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._notes = folder / "manifests"
        self._lock: IO[str] | None = None
        self._hashes: dict[tuple[Path, tuple[int, int, int]], str] = {}

    def __enter__(self) -> Records:
        self._notes.mkdir(parents=True, exist_ok=True)
        self._lock = (self._notes / "lock").open("w")
        if not disk.hold(self._lock):
            self._lock.close()
            raise store.StageBusyError(
                f"another process is at work in {str(self.folder)!r}: wait for it or stop it first"
            )
        for path in self._notes.glob("*.begun.json"):
            self._drop_if_ended(path)
        return self

    def _drop_if_ended(self, path: Path) -> None:
        """Removes the note on begun work that had ended when the program was killed."""
        ended = path.with_name(path.name.removesuffix(".begun.json") + ".json")
        try:
            begun, result = self._read(path.name), self._read(ended.name)
        except manifests.DamagedError:
            return  # named when it is asked for
        if begun is not None and result is not None and begun.plan == result.plan:
            path.unlink()

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def result(self, name: str) -> Record | None:
        """The note on a measurement that was finished or left out."""
        return self._read(f"{name}.json")

    def begun(self, name: str) -> Record | None:
        """The note on work that was begun and is not finished."""
        return self._read(f"{name}.begun.json")

    def begin(self, record: Record) -> None:
        """Notes that a measurement begins; the note on an earlier result stays until it ends."""
        self._write(f"{record.name}.begun.json", record)

    def end(self, record: Record) -> None:
        """Notes what a measurement ended with."""
        self._write(f"{record.name}.json", record)
        (self._notes / f"{record.name}.begun.json").unlink(missing_ok=True)

    def sha256(self, path: Path) -> str | None:
        """The SHA-256 of a file, computed once; None if it is not there."""
        if not path.is_file():
            return None
        key = (path, disk.stamp(path))
        if key not in self._hashes:
            self._hashes[key] = disk.sha256(path)
        return self._hashes[key]

    def _read(self, name: str) -> Record | None:
        path = self._notes / name
        if not path.is_file():
            return None
        facts = manifests.read(path)
        return Record(**{**facts, "files": tuple(facts["files"])})

    def _write(self, name: str, record: Record) -> None:
        temporary = self._notes / f".{name}.tmp"
        manifests.write(self._notes / name, asdict(record), temporary=temporary)
