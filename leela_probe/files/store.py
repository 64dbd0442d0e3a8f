"""Stage files on disk: a table, the manifest beside it, and the parts of one that is under way.

A stage turns inputs into one table, `OUT` (Parquet or CSV), with `OUT.manifest.json` beside it.
While it runs, finished parts lie in the folder `OUT.partial` as Arrow files behind their SHA-256;
each is written under another name, forced to disk and renamed, so that it is there whole or not at
all. A stage that was killed goes on after its last finished part, and table and manifest come out
byte for byte as if it had never been stopped. A part that is damaged is made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Generic, TypeVar

import pyarrow
import pyarrow.feather

from leela_probe.files import bundled, disk, manifests, progress_display, tables
from leela_probe.files.manifests import DamagedError, manifest_path, versions
from leela_probe.files.progress import Progress, ResumedProgress
from leela_probe.files.unfinished import UnfinishedFolder, digest, warn_of_damage

__all__ = [
    "ChangedInputError",
    "Chunk",
    "Finished",
    "PlanChangedError",
    "Stage",
    "StageBusyError",
    "partial_path",
]

Row = TypeVar("Row")
Facts = Callable[[Iterator[pyarrow.Table]], Mapping[str, object]]
FINGERPRINT, BESIDE = b"fingerprint", b"beside"
_COMPLETE = {"output", "rows", "counts"}  # what the manifest of a finished table has


class PlanChangedError(ValueError):
    """A stage that was begun or finished with other inputs, options, networks or versions."""


class ChangedInputError(ValueError):
    """An input file whose content changed while the stage was under way."""


class StageBusyError(RuntimeError):
    """Another process is working on the same output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished stage.

    Attributes:
        path: the table.
        manifest_path: the manifest beside it.
        rows: how many rows it has.
        counts: how many rows have each verdict.
        facts: what else the manifest says of the table.
        reused: whether an earlier run with the same plan had finished it already.
    """

    path: Path
    manifest_path: Path
    rows: int
    counts: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk(Generic[Row]):
    """Rows of the input that become one part of the output."""

    index: int
    fingerprint: str
    rows: Sequence[Row]


def partial_path(path: str | Path) -> Path:
    """Where the finished parts of an unfinished output lie."""
    path = disk.behind_link(path)
    return path.with_name(path.name + ".partial")


class Stage:
    """An output under construction; a context manager that holds its folder.

    Go through the chunks that are `unfinished`, `add` a part of the table for each, in order, then
    `finish`. Leaving early, for whatever reason, keeps the finished parts. Where `assembled` is
    true there is nothing to do but to `finish`: the output is finished already, with the same plan,
    or only its parts have to be put in place.

    Args:
        path: the output, `.parquet` or `.csv`; where it is a link, the file that it points to.
        name: the stage ("filter", "corrupt").
        inputs: the files that it reads, by their part in it. Their SHA-256 is in the manifest.
        loaded: the SHA-256 of those that are in memory already, as they were when they were read.
        networks: the identities of the networks that take part, by their part in it, as JSON
            values (`Network.identity()`).
        options: whatever else the output depends on, as JSON values.
        schema: the columns.
        verdicts: the values of the column `verdict`, in the order in which they are counted.
        overwrite: make anew what is finished with another plan or damaged, and drop parts that
            were begun with another plan.
        progress: called after each part; by default a bar is shown in a terminal or notebook, with
            False nothing. See `progress_display.shown`.

    Raises:
        PlanChangedError: the output was begun or finished with other inputs, options, networks or
            versions, and `overwrite` is not set.
        FileExistsError: there is a file of that name which no stage has made, and `overwrite` is
            not set.
        DamagedError: an input is not what the manifest beside it says; or the output, its manifest
            or the plan of the unfinished output is damaged, and `overwrite` is not set.
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
        networks: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
        options: Mapping[str, object],
        schema: pyarrow.Schema,
        verdicts: Sequence[str],
        overwrite: bool = False,
        progress: Progress | bool | None = None,
    ) -> None:
        self.path = disk.behind_link(path)
        if self.path.suffix not in tables.FORMATS:
            raise ValueError(f"expected an output that ends in .parquet or .csv, got {str(path)!r}")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"the folder {str(self.path.parent)!r} for {self.path.name!r} does not exist"
            )
        self._folder = UnfinishedFolder(partial_path(self.path))
        self._table = self._folder.path / f"table{self.path.suffix}"
        self._schema = schema
        self._verdicts = tuple(verdicts)
        self._overwrite = overwrite
        self._display = progress_display.shown(progress, name)
        self._shown = ExitStack()
        self._progress: Progress | None = None
        self._reused: Finished | None = None
        self._total: int | None = None
        self._counts: Counter[str] = Counter()
        self._rows = 0
        self._done = 0
        self._parts = 0
        self._files = {key: bundled.resolve(file) for key, file in inputs.items()}
        self._refuse_inputs()
        self._stamps = {key: disk.stamp(file) for key, file in self._files.items()}
        facts = {key: manifests.file_facts(file) for key, file in self._files.items()}
        for key, file in self._files.items():
            manifests.check(file, str(facts[key]["sha256"]))
        for key, earlier in loaded.items():
            if earlier != facts[key]["sha256"]:
                raise ChangedInputError(self._change(key, earlier, str(facts[key]["sha256"])))
        self._plan: dict[str, Any] = {
            "stage": name,
            "inputs": facts,
            "networks": _plain({**networks}),
            "options": _plain(options),
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
            with self._naming_what_is_kept():
                self._open()
        except BaseException:
            self._leave()
            raise
        if not self.assembled:
            self._progress = self._shown.enter_context(self._display)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._shown.close()
        finally:
            self._leave()

    def _leave(self) -> None:
        try:
            if self._folder.is_held and not self._folder.keeps_something:
                with suppress(OSError):
                    self._folder.remove()  # there is nothing to go on with
        finally:
            self._folder.let_go()

    def _open(self) -> None:
        if not self._folder.path.exists():
            try:
                self._reused = self._finished_before()
            except (PlanChangedError, FileExistsError, DamagedError):
                if not self._overwrite:
                    raise
            if self._reused is not None:
                return
        self._hold()  # before anything is said of what another process may be working on
        refusal: Exception | None = None
        earlier, changes = None, []
        try:
            earlier = self._earlier_plan()
            changes = [] if earlier is None else list(manifests.differences(earlier, self._plan))
        except DamagedError as error:
            refusal = error
        ours = earlier is not None and not changes
        if ours and self._folder.is_assembled:
            self._drop_what_is_damaged()
            return
        try:
            self._reused = self._finished_before()
        except (PlanChangedError, FileExistsError, DamagedError) as error:
            refusal = refusal or self._with_begun(error, ours)
        if self._reused is not None:
            if earlier is None or ours or self._overwrite or not self._folder.keeps_something:
                self._folder.remove()
            self._folder.let_go()
            return
        if changes and self._folder.keeps_something:
            refusal = PlanChangedError(
                f"{str(self.path)!r} was begun with other settings: {'; '.join(changes)}. Run it "
                f"again with the earlier settings to go on, or say that it shall be overwritten "
                f"(or delete {str(self._folder.path)!r}) to start anew"
            )
        if refusal is not None and not self._overwrite:
            raise refusal
        if not ours:
            self._folder.clear()
            self._folder.write_plan(self._plan)

    def _hold(self) -> None:
        if not self._folder.hold():
            raise StageBusyError(
                f"another process is working on {str(self.path)!r}: wait until it is done, or "
                f"stop it first"
            )

    def _finished_before(self) -> Finished | None:
        """The output, if it was finished with this plan and is whole."""
        if not self.path.exists():
            return None
        advice = "name another output, or say that it shall be overwritten"
        if not manifest_path(self.path).exists():
            raise FileExistsError(
                f"{str(self.path)!r} exists already, without a manifest that says how it was made: "
                f"{advice}"
            )
        try:
            manifest = manifests.read(manifest_path(self.path))
            if not manifest.keys() >= _COMPLETE:
                raise DamagedError(f"{str(manifest_path(self.path))!r} is not that of a table")
            earlier = {key: manifest.get(key) for key in self._plan}
            changes = list(manifests.differences(earlier, self._plan))
            if changes:
                raise PlanChangedError(
                    f"{str(self.path)!r} is finished, with other settings: "
                    f"{'; '.join(changes)}. To go on, {advice}"
                )
            manifests.check(self.path)
            for name, checksum in manifest.get("beside", {}).items():
                self._check_beside(self.path.with_name(name), checksum)
        except DamagedError as error:
            raise DamagedError(
                f"{error}. Put the right file back, or say that it shall be overwritten to make it "
                f"anew"
            ) from None
        return self._finished(manifest, reused=True)

    def _check_beside(self, path: Path, checksum: str) -> None:
        if not path.exists():
            raise DamagedError(f"{str(path)!r} is missing, which belongs to {self.path.name!r}")
        if digest(path) != checksum:
            raise DamagedError(
                f"{str(path)!r} does not belong to {self.path.name!r} or is damaged: its SHA-256 "
                f"is not {checksum}"
            )

    def _with_begun(self, error: Exception, ours: bool) -> Exception:
        if not (ours and self._folder.keeps_something):
            return error
        return type(error)(f"{error}. A run that was to overwrite it has been begun")

    def _earlier_plan(self) -> dict[str, Any] | None:
        """What an unfinished run was begun with; None if there is none."""
        try:
            earlier = self._folder.begun_with()
        except DamagedError as error:
            raise DamagedError(
                f"{error}. Say that {str(self.path)!r} shall be overwritten, or delete "
                f"{str(self._folder.path)!r}, to start anew"
            ) from None
        return None if earlier is None else {key: earlier.get(key) for key in self._plan}

    @property
    def assembled(self) -> bool:
        """Whether `finish` is all that is left to do."""
        return self._reused is not None or self._folder.is_assembled

    def _drop_what_is_damaged(self) -> None:
        """Forget that the parts were joined, if the table or what goes beside it is not whole."""
        try:
            self._check_assembled(self._folder.begun_with() or {})
        except DamagedError as error:
            warn_of_damage(str(error))
            self._table.unlink(missing_ok=True)
            self._folder.drop_manifest(self._plan)

    def _check_assembled(self, manifest: Mapping[str, Any]) -> None:
        if not manifest.keys() >= _COMPLETE:
            raise DamagedError(f"the manifest in {str(self._folder.path)!r} is not that of a table")
        table = self._table if self._table.exists() else self.path
        if not table.exists():
            raise DamagedError(f"{str(table)!r} is gone")
        if disk.sha256(table) != manifest["output"]["sha256"]:
            raise DamagedError(f"{str(table)!r} is damaged")
        beside = manifest.get("beside", {}) | manifest.get("folders_beside", {})
        for name, checksum in beside.items():
            made = self.beside(name)
            self._check_beside(made if made.exists() else self.path.with_name(name), checksum)

    # Parts

    def unfinished(
        self, rows: Iterable[Row], *, size: int, total: int | None = None
    ) -> Iterator[Chunk[Row]]:
        """The rows in chunks, without those whose parts are finished already.

        A part counts as finished if it was made from just these rows, as their `repr` says, and is
        what was written.

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
            sha256 = hashlib.sha256()
            for row in chunk:
                sha256.update(repr(row).encode(errors="surrogatepass") + b"\n")
            self._parts = index + 1
            fingerprint = sha256.hexdigest()
            if self._is_finished(index, fingerprint):
                progress = self._progress
                kept = progress.kept if isinstance(progress, ResumedProgress) else progress
                self._report(chunk, kept)
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
        beside = json.dumps(self._folder.new_beside())
        facts = {FINGERPRINT: chunk.fingerprint, BESIDE: beside}
        marked = table.cast(self._schema).replace_schema_metadata(facts)
        stream = io.BytesIO()
        pyarrow.feather.write_feather(marked, stream, compression="lz4")
        with self._naming_what_is_kept():
            self._folder.write_checked(self._folder.part(chunk.index), stream.getbuffer())
        self._count(marked)
        self._report(chunk.rows, self._progress)

    def beside(self, name: str) -> Path:
        """Where to write what shall lie beside the table under a name: a file or a folder.

        It is moved there with the table, in place of an earlier one, and dropped where the parts
        are. The manifest has its checksum. Write it before the part is added that it belongs to.
        """
        return self._folder.beside(name)

    def keep(self, name: str, content: bytes) -> None:
        """Put an intermediate result on disk, for a run that goes on after this one was cut off."""
        with self._naming_what_is_kept():
            self._folder.write_checked(self._folder.intermediate(name), content)

    def kept(self, name: str) -> bytes | None:
        """An intermediate result that `keep` has put on disk; None if it is not there whole."""
        content = self._folder.read_checked(self._folder.intermediate(name))
        return None if content is None else bytes(content)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each verdict the finished parts hold."""
        return {verdict: self._counts[verdict] for verdict in self._verdicts}

    def _is_finished(self, index: int, fingerprint: str) -> bool:
        content = self._folder.read_checked(self._folder.part(index))
        if content is None:
            return False
        part = _table_in(content)
        facts = part.schema.metadata or {}
        if facts.get(FINGERPRINT) != fingerprint.encode():
            return False
        if not part.schema.remove_metadata().equals(self._schema.remove_metadata()):
            return False
        for name, checksum in json.loads(facts[BESIDE]).items():
            if not self._folder.is_whole_beside(name, checksum):
                return False
        self._count(part)
        return True

    def _report(self, rows: Sequence[object], progress: Progress | None) -> None:
        self._done += len(rows)
        if progress is not None:
            progress(self._done, self._total, self.counts)

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
            DamagedError: what was written is not what lies on the disk.
            OSError: something could not be written; the message says what is kept.
        """
        if self._reused is not None:
            return self._reused
        if not self.assembled:
            self._check_inputs()
        with self._naming_what_is_kept():
            if not self.assembled:
                self._assemble(facts)
            manifest = self._folder.begun_with() or {}
            if self._table.exists():
                os.replace(self._table, self.path)
            for name, made in self._folder.all_beside().items():
                place = self.path.with_name(name)
                if made.is_dir() and place.is_dir():
                    shutil.rmtree(place)
                os.replace(made, place)
            try:
                self._check_assembled(manifest)
            except DamagedError as error:
                raise DamagedError(f"{error}. {self._what_is_kept()}Run again to go on") from None
            manifests.write(
                manifest_path(self.path),
                manifest,
                temporary=self._folder.temporary("manifest.json"),
            )
            self._folder.remove()
        return self._finished(manifest)

    def _finished(self, manifest: Mapping[str, Any], *, reused: bool = False) -> Finished:
        return Finished(
            path=self.path,
            manifest_path=manifest_path(self.path),
            rows=manifest["rows"],
            counts=manifest["counts"],
            facts=manifest.get("facts", {}),
            reused=reused,
        )

    def _assemble(self, facts: Facts | None) -> None:
        write = tables.FORMATS[self.path.suffix]
        self._folder.write(
            self._table.name,
            lambda file: write(file, self._schema, tables.joined(self._finished_parts())),
        )
        manifest = self._plan | {
            "output": manifests.file_facts(self._table) | {"file": self.path.name},
            "rows": self._rows,
            "counts": self.counts,
        }
        beside = self._folder.checksums_beside()
        for kind, is_kind in (("beside", Path.is_file), ("folders_beside", Path.is_dir)):
            sums = {name: each for name, each in beside.items() if is_kind(self.beside(name))}
            if sums:
                manifest[kind] = sums
        if facts is not None:
            manifest["facts"] = dict(facts(tables.joined(self._finished_parts())))
        self._folder.write_manifest(manifest)

    def _finished_parts(self) -> Iterator[pyarrow.Table]:
        for index in range(self._parts):
            content = self._folder.read_checked(self._folder.part(index))
            if content is None:
                raise DamagedError(
                    f"{str(self._folder.part(index))!r} was damaged after it had been written. "
                    f"{self._what_is_kept()}Run again to make it again"
                )
            yield _table_in(content)

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
            f"is {now} now. {self._what_is_kept()}Put the earlier file back and run again to go on"
        )

    def _what_is_kept(self) -> str:
        """A sentence, or nothing if nothing is kept."""
        if not self._folder.keeps_something:
            return ""
        rows = f"{self._rows:,} finished rows are" if self._rows else "What is finished is"
        return f"{rows} kept in {str(self._folder.path)!r}. "

    @contextmanager
    def _naming_what_is_kept(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            kept = self._what_is_kept()
            raise OSError(
                error.errno,
                f"could not write {str(self.path)!r}: {error.strerror or error}. "
                f"{f'{kept}Run again to go on' if kept else 'Nothing has been begun'}",
            ) from error


def _table_in(content: memoryview) -> pyarrow.Table:
    return pyarrow.feather.read_table(pyarrow.BufferReader(content), memory_map=False)


def _plain(value: Mapping[str, object]) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
