"""Stage files on disk: a table, the manifest beside it, and the parts of one that is under way.

A stage turns inputs into one table, `OUT` (Parquet or CSV), with `OUT.manifest.json` beside it.
While it runs, finished parts lie in the folder `OUT.partial` as Arrow files, which are quick to
write; each is written under another name, forced to disk and renamed, so that it is there whole or
not at all. A stage that was killed goes on after its last finished part, and table and manifest
come out byte for byte as if it had never been stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from io import BufferedIOBase
from itertools import count, islice
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any, Generic, TypeVar

import pyarrow
import pyarrow.feather

from leela_probe.files import bundled, disk, tables

__all__ = [
    "ChangedInputError",
    "Chunk",
    "Finished",
    "PlanChangedError",
    "Progress",
    "Stage",
    "StageBusyError",
    "manifest_path",
    "partial_path",
    "versions",
]

Row = TypeVar("Row")
Progress = Callable[[int, "int | None", Mapping[str, int]], object]
"""Told input rows done, input rows in all (None if unknown) and how many of each verdict.

Where it has a method `kept`, that is told instead of parts that an earlier run had finished.
"""

Facts = Callable[[Iterator[pyarrow.Table]], Mapping[str, object]]
FINGERPRINT = b"fingerprint"
_BESIDE = "beside-"
_BEGUN = ("manifest.json", "plan.json")  # what an unfinished run is of, the later one first


class PlanChangedError(ValueError):
    """A stage that was begun with other inputs, options or versions."""


class ChangedInputError(ValueError):
    """An input file whose content changed while the stage was under way."""


class StageBusyError(RuntimeError):
    """Another process is working on the same output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished stage: where its files are, how many rows, how many of each verdict, what else."""

    path: Path
    manifest_path: Path
    rows: int
    counts: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk(Generic[Row]):
    """Rows of the input that become one part of the output."""

    index: int
    fingerprint: str
    rows: Sequence[Row]


def manifest_path(path: str | Path) -> Path:
    """Where the manifest of an output lies.

    Example:
        >>> manifest_path("kept.parquet").name
        'kept.parquet.manifest.json'
    """
    path = Path(path)
    return path.with_name(path.name + ".manifest.json")


def partial_path(path: str | Path) -> Path:
    """Where the finished parts of an unfinished output lie."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


def versions() -> dict[str, str | None]:
    """The versions of everything that an output may depend on; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("leela-probe", "chess", "numpy", "onnxruntime", "pyarrow", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


class Stage:
    """An output under construction; a context manager that holds its folder.

    Go through the chunks that are `unfinished`, `add` a part of the table for each, in order, then
    `finish`. Leaving early, for whatever reason, keeps the finished parts.

    Args:
        path: the output, `.parquet` or `.csv`.
        name: the stage ("filter", "corrupt").
        inputs: the files that it reads, by their part in it. Their SHA-256 is in the manifest.
        loaded: the SHA-256 of those that are in memory already, as they were when they were read.
        options: whatever else the output depends on, as JSON values.
        schema: the columns.
        verdicts: the values of the column `verdict`, in the order in which they are counted.
        overwrite: replace a finished output, and drop parts begun with another plan.
        progress: told after each part.

    Raises:
        FileExistsError: the output is finished and `overwrite` is not set.
        PlanChangedError: the output was begun with other inputs, options or versions.
        ChangedInputError: a file is no longer what was loaded.
        StageBusyError: another process is at work on it.
        ValueError: the name ends neither in .parquet nor in .csv, or is that of an input.

    Example:
        >>> import tempfile
        >>> schema = pyarrow.schema({"number": pyarrow.int64(), "verdict": pyarrow.string()})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Stage(Path(folder, "out.csv"), name="squares", inputs={}, options={},
        ...                schema=schema, verdicts=["even", "odd"]) as stage:
        ...         for chunk in stage.unfinished(range(3), size=2):
        ...             verdicts = [["even", "odd"][row % 2] for row in chunk.rows]
        ...             table = {"number": [row**2 for row in chunk.rows], "verdict": verdicts}
        ...             stage.add(chunk, pyarrow.table(table))
        ...         finished = stage.finish()
        ...     finished.path.read_text().split(), finished.counts
        (['number,verdict', '0,even', '1,odd', '4,even'], {'even': 2, 'odd': 1})
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str,
        inputs: Mapping[str, str | Path],
        loaded: Mapping[str, str] = MappingProxyType({}),
        options: Mapping[str, object],
        schema: pyarrow.Schema,
        verdicts: Sequence[str],
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix not in tables.FORMATS:
            raise ValueError(f"expected an output that ends in .parquet or .csv, got {str(path)!r}")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"the folder {str(self.path.parent)!r} for {self.path.name!r} is not there"
            )
        self._partial = partial_path(path)
        self._schema = schema
        self._verdicts = tuple(verdicts)
        self._overwrite = overwrite
        self._progress = progress
        self._lock: IO[str] | None = None
        self._total: int | None = None
        self._counts: Counter[str] = Counter()
        self._rows = 0
        self._done = 0
        self._parts = 0
        self._files = {key: bundled.resolve(file) for key, file in inputs.items()}
        self._refuse_inputs()
        self._stamps = {key: disk.stamp(file) for key, file in self._files.items()}
        facts = {
            key: {"file": file.name, "bytes": file.stat().st_size, "sha256": disk.sha256(file)}
            for key, file in self._files.items()
        }
        for key, earlier in loaded.items():
            if earlier != facts[key]["sha256"]:
                raise ChangedInputError(self._change(key, earlier, str(facts[key]["sha256"])))
        self._plan: dict[str, Any] = {
            "stage": name,
            "inputs": facts,
            "options": json.loads(json.dumps(options)),
            "versions": versions(),
            "format": self.path.suffix[1:],
        }

    def _refuse_inputs(self) -> None:
        for out in (self.path, manifest_path(self.path)):
            for key, file in self._files.items():
                if out.exists() and out.samefile(file):
                    raise ValueError(
                        f"the output {str(out)!r} is the file that {key} is read from: "
                        f"name another output"
                    )

    # Holding the folder

    def __enter__(self) -> Stage:
        try:
            with self._told_what_is_kept():
                self._open()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        try:
            if self._lock is not None and not self._has_parts and not self.assembled:
                with suppress(OSError):
                    self._remove()  # there is nothing to go on with
        finally:
            self._let_go()

    def _open(self) -> None:
        finished = self.path.exists() and not self._overwrite
        if not finished or self._partial.exists():
            self._hold()  # before anything is said of what another process may be working on
        earlier = self._earlier_plan()
        differences = [] if earlier is None else list(_differences(earlier, self._plan))
        kept = self._has_parts or self.assembled
        if differences and kept and not self._overwrite:
            raise PlanChangedError(
                f"{str(self.path)!r} was begun with other settings: {'; '.join(differences)}. "
                f"Run it again with the earlier ones to go on, or say that it shall be "
                f"overwritten (or delete {str(self._partial)!r}) to start anew"
            )
        if finished and not self.assembled:
            begun = " A run that was to overwrite it has been begun." if kept else ""
            raise FileExistsError(
                f"{str(self.path)!r} is finished; choose another name for the output, or say that "
                f"it shall be overwritten.{begun}"
            )
        if earlier is None or differences:
            self._clear()
            self._write("plan.json", lambda file: file.write(_json(self._plan)))

    def _hold(self) -> None:
        self._partial.mkdir(exist_ok=True)
        lock = (self._partial / "lock").open("w")
        if not disk.hold(lock):
            lock.close()
            raise StageBusyError(
                f"another process is working on {str(self.path)!r}: wait for it or stop it first"
            )
        self._lock = lock

    def _earlier_plan(self) -> dict[str, Any] | None:
        """What an unfinished run was begun with; None if there is none."""
        for name in _BEGUN:
            if (self._partial / name).exists():
                earlier = json.loads((self._partial / name).read_text("utf-8"))
                return {key: earlier.get(key) for key in self._plan}
        return None

    @property
    def assembled(self) -> bool:
        """Whether the parts are joined already, so that `finish` is all that is left to do."""
        return (self._partial / "manifest.json").exists()

    @property
    def _has_parts(self) -> bool:
        return any(self._partial.glob("part-*.arrow"))

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _remove(self) -> None:
        try:
            self._clear()
        finally:
            self._let_go()
        (self._partial / "lock").unlink(missing_ok=True)
        self._partial.rmdir()

    def _clear(self) -> None:
        """Empty the folder; what says how far it is goes last."""
        for file in list(self._partial.iterdir()):
            if file.is_dir():
                shutil.rmtree(file)
            elif file.name not in (*_BEGUN, "lock"):
                file.unlink()
        for name in reversed(_BEGUN):
            (self._partial / name).unlink(missing_ok=True)

    # Parts

    def unfinished(
        self, rows: Iterable[Row], *, size: int, total: int | None = None
    ) -> Iterator[Chunk[Row]]:
        """The rows in chunks, without those whose parts are finished already.

        A part counts as finished if it was made from just these rows, as their `repr` says.

        Args:
            rows: all rows of the input, the same in every run.
            size: rows of a chunk; the last may have fewer.
            total: how many rows there are, if known; for `progress`.
        """
        self._total = total
        rows = iter(rows)
        for index in count():
            chunk = tuple(islice(rows, size))
            if not chunk:
                return
            digest = hashlib.sha256()
            for row in chunk:
                digest.update(repr(row).encode(errors="surrogatepass") + b"\n")
            self._parts = index + 1
            fingerprint = digest.hexdigest()
            if self._is_finished(index, fingerprint):
                self._tell(chunk, getattr(self._progress, "kept", self._progress))
            else:
                yield Chunk(index=index, fingerprint=fingerprint, rows=chunk)

    def add(self, chunk: Chunk[Row], table: pyarrow.Table) -> None:
        """Put the part of a chunk on disk: from here on it survives whatever happens.

        Args:
            chunk: what it was made from.
            table: its rows.

        Raises:
            ChangedInputError: an input file is no longer what it was at the start.
            OSError: it could not be written; the message says what is kept.
        """
        self._check_inputs(only_if_touched=True)
        marked = table.cast(self._schema).replace_schema_metadata({FINGERPRINT: chunk.fingerprint})
        with self._told_what_is_kept():
            self._write(
                self._part(chunk.index).name,
                lambda file: pyarrow.feather.write_feather(marked, file, compression="lz4"),
            )
        self._count(marked)
        self._tell(chunk.rows, self._progress)

    def beside(self, name: str) -> Path:
        """Where to write what shall lie beside the table under a name: a file or a folder.

        It is moved there with the table, in place of an earlier one, and dropped where the parts
        are. The manifest has the SHA-256 of files.
        """
        return self._partial / f"{_BESIDE}{name}"

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each verdict the finished parts hold."""
        return {verdict: self._counts[verdict] for verdict in self._verdicts}

    def _is_finished(self, index: int, fingerprint: str) -> bool:
        try:
            part = pyarrow.feather.read_table(self._part(index), columns=["verdict"])
        except (FileNotFoundError, pyarrow.ArrowInvalid):
            return False
        if (part.schema.metadata or {}).get(FINGERPRINT) != fingerprint.encode():
            return False
        self._count(part)
        return True

    def _tell(self, rows: Sequence[object], progress: Progress | None) -> None:
        self._done += len(rows)
        if progress is not None:
            progress(self._done, self._total, self.counts)

    def _part(self, index: int) -> Path:
        return self._partial / f"part-{index:06d}.arrow"

    def _count(self, table: pyarrow.Table) -> None:
        self._rows += table.num_rows
        for item in table["verdict"].value_counts().to_pylist():
            self._counts[item["values"]] += item["counts"]

    # The end

    def finish(self, facts: Facts | None = None) -> Finished:
        """Join the parts, put table and manifest in their places, and what goes `beside` them.

        Args:
            facts: what else the manifest says of the table, given its pieces in order.

        Raises:
            ChangedInputError: an input file is no longer what it was at the start.
            OSError: something could not be written; the message says what is kept.
        """
        if not self.assembled:
            self._check_inputs()
        with self._told_what_is_kept():
            if not self.assembled:
                self._assemble([self._part(index) for index in range(self._parts)], facts)
            manifest = json.loads((self._partial / "manifest.json").read_text("utf-8"))
            table = self._partial / f"table.{self.path.suffix[1:]}"
            if table.exists():
                os.replace(table, self.path)
            for made in self._partial.glob(f"{_BESIDE}*"):
                place = self.path.with_name(made.name.removeprefix(_BESIDE))
                if made.is_dir() and place.is_dir():
                    shutil.rmtree(place)
                os.replace(made, place)
            disk.write(
                manifest_path(self.path),
                lambda file: file.write(_json(manifest)),
                temporary=self._partial / "manifest.json.tmp",
            )
            self._remove()
        return Finished(
            path=self.path,
            manifest_path=manifest_path(self.path),
            rows=manifest["rows"],
            counts=manifest["counts"],
            facts=manifest.get("facts", {}),
        )

    def _assemble(self, parts: list[Path], facts: Facts | None) -> None:
        name = f"table.{self.path.suffix[1:]}"
        write = tables.FORMATS[self.path.suffix]
        self._write(name, lambda file: write(file, self._schema, tables.joined(parts)))
        result = self._partial / name
        manifest = self._plan | {
            "output": {
                "file": self.path.name,
                "bytes": result.stat().st_size,
                "sha256": disk.sha256(result),
            },
            "rows": self._rows,
            "counts": self.counts,
        }
        beside = {
            made.name.removeprefix(_BESIDE): disk.sha256(made)
            for made in sorted(self._partial.glob(f"{_BESIDE}*"))
            if made.is_file()
        }
        if beside:
            manifest["beside"] = beside
        if facts is not None:
            manifest["facts"] = dict(facts(tables.joined(parts)))
        self._write("manifest.json", lambda file: file.write(_json(manifest)))

    def _check_inputs(self, *, only_if_touched: bool = False) -> None:
        for key, file in self._files.items():
            stamp = disk.stamp(file)
            if only_if_touched and stamp == self._stamps[key]:
                continue
            earlier, now = self._plan["inputs"][key]["sha256"], disk.sha256(file)
            if now != earlier:
                raise ChangedInputError(self._change(key, earlier, now))
            self._stamps[key] = stamp

    def _change(self, key: str, earlier: str, now: str) -> str:
        return (
            f"{str(self._files[key])!r} changed while it was in use: its SHA-256 was {earlier} and "
            f"is {now} now. {self._what_is_kept()} Put the earlier file back and run again to go on"
        )

    # Writing

    def _write(self, name: str, content: Callable[[BufferedIOBase], object]) -> None:
        disk.write(self._partial / name, content, temporary=self._partial / f"{name}.tmp")

    @property
    def _begun(self) -> bool:
        return any((self._partial / name).exists() for name in _BEGUN)

    def _what_is_kept(self) -> str:
        return f"{self._rows:,} finished rows are kept in {str(self._partial)!r}."

    @contextmanager
    def _told_what_is_kept(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            kept = f"{self._what_is_kept()} Run again to go on"
            raise OSError(
                error.errno,
                f"could not write {str(self.path)!r}: {error.strerror or error}. "
                f"{kept if self._begun else 'Nothing has been begun'}",
            ) from error


def _differences(earlier: object, now: object, name: str = "") -> Iterator[str]:
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in earlier | now:
            yield from _differences(
                earlier.get(key), now.get(key), f"{name}.{key}" if name else key
            )
    elif earlier != now:
        yield f"{name} was {json.dumps(earlier)} and is {json.dumps(now)} now"


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
