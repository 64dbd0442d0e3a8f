"""Which steps of a study are done, and which have to be done again.

Each step has a manifest in the study's folder: what it was made from (hashes), its options, the
code that made it, and what came out (hashes). A step of which all that still holds is left alone.
One that was begun and cut off is told so, and goes on where it was if it can; what it had finished
earlier, with other options, stays until the new result is complete.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from leela_probe.files import disk

__all__ = ["BEGUN", "DONE", "LEFT_OUT", "Ledger", "Outcome", "Record", "Step"]

DONE, LEFT_OUT, BEGUN = "done", "left out", "begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step has made.

    Attributes:
        outputs: its files, within the study's folder.
        facts: what is worth knowing of it, as JSON values.
        reason: why it does not apply and made nothing; None if it does.
    """

    outputs: Sequence[Path] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a study.

    Attributes:
        name: its name.
        title: what it does, in a few words.
        inputs: files from outside the study that it reads, by their part in it.
        needs: earlier steps whose files it reads; if one was left out, so is this one.
        takes: earlier steps whose files it reads where they made any.
        options: whatever else it depends on, as JSON values.
        code: the versions that make it.
        makes: patterns of the files that it may make, within the study's folder.
        costly: its result is not made anew unless that is asked for; see `Ledger.lost`.
        run: does it; told whether the very same step was begun before and cut off, and may have
            left files that are complete.
    """

    name: str
    title: str
    inputs: Mapping[str, Path] = field(default_factory=dict)
    needs: Sequence[str] = ()
    takes: Sequence[str] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    code: Mapping[str, str | None] = field(default_factory=dict)
    makes: Sequence[str] = ()
    costly: bool = False
    run: Callable[[bool], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the ledger knows of a step.

    Attributes:
        name: the step's.
        state: `DONE`, `LEFT_OUT` (it does not apply) or `BEGUN`.
        outputs: the SHA-256 of its files, by their names within the folder; of a step that is
            begun, those of its earlier result.
        facts: what the step said of itself.
        reason: why it was left out.
        seconds: how long its last run took.
        plan: inputs, options and code.
    """

    name: str
    state: str
    outputs: Mapping[str, str]
    facts: Mapping[str, Any]
    reason: str | None
    seconds: float
    plan: Mapping[str, Any]


class Ledger:
    """The manifests of a study's steps; a context manager that keeps other processes out.

    Args:
        folder: the study's folder; it is made if it is not there.

    Raises:
        RuntimeError: on entering, if another process is at work in the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     target = Path(name, "two.txt")
        ...     def run(resumed):
        ...         print("at work")
        ...         _ = target.write_text("2")
        ...         return Outcome(outputs=[target])
        ...     step = Step(name="two", title="writes 2", run=run)
        ...     with Ledger(Path(name)) as ledger:
        ...         for _ in range(2):
        ...             record = ledger.perform(step)
        at work
        >>> record.state
        'done'
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifests = folder / "manifests"
        self._lock: IO[str] | None = None
        self._hashes: dict[tuple[Path, tuple[int, int, int]], str] = {}

    def __enter__(self) -> Ledger:
        self._manifests.mkdir(parents=True, exist_ok=True)
        self._lock = (self._manifests / "lock").open("w")
        if not disk.hold(self._lock):
            self._lock.close()
            raise RuntimeError(
                f"another process is at work in {str(self.folder)!r}: wait for it or stop it first"
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def record(self, name: str) -> Record | None:
        """What is known of a step: its last result, else that it was begun; None if it was not."""
        return self._read(f"{name}.json") or self._read(f"{name}.begun.json")

    def find(self, file: str) -> Path | None:
        """A file by its name within the folder, if a step that is done has made it.

        Files that a step has left without finishing are not found.
        """
        done = (self._read(path.name) for path in sorted(self._manifests.glob("*.json")))
        named = any(r is not None and r.state == DONE and file in r.outputs for r in done)
        path = self.folder / file
        return path if named and path.is_file() else None

    def is_current(self, step: Step) -> bool:
        """Whether a step was done, or left out, as it would be now, and its files are unchanged."""
        record = self.record(step.name)
        return (
            record is not None
            and record.state != BEGUN
            and record.plan == self._plan(step)
            and self._is_whole(record)
        )

    def lost(self, step: Step) -> list[str]:
        """What to do a step now would replace: a result, or work begun, of another plan.

        Returns:
            How the plan has changed since, such as "limit was 200 and is null now"; empty if
            nothing would be lost.
        """
        plan = self._plan(step)
        record, begun = self.record(step.name), self._begun(step.name)
        done = record is not None and record.state == DONE and self._is_whole(record)
        if done and record is not None and record.plan != plan:
            return list(_differences(record.plan, plan))
        if begun is not None and begun.plan != plan and self._left(step):
            return list(_differences(begun.plan, plan))
        return []

    def perform(self, step: Step) -> Record:
        """Do a step, unless it is done.

        Raises:
            ValueError: if a step that it needs was not done.
            FileNotFoundError: if a file that it reads is not there.
        """
        for name in step.needs:
            if (needed := self.record(name)) is None or needed.state == BEGUN:
                raise ValueError(
                    f"the step {step.name} needs {name}, which is not done: run it first"
                )
        known, plan = self.record(step.name), self._plan(step)
        if known is not None and self.is_current(step):
            return known
        begun = self._begun(step.name)
        resumed = begun is not None and begun.plan == plan
        if not resumed:
            if begun is not None:
                for path in self._left(step):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            there = {} if known is None else self._unchanged(known)
            begun = self._write(step, BEGUN, plan, outputs=there)
        start = time.monotonic()
        # where a file of the earlier result still lies there, the new one cannot be complete
        resumed = resumed and begun is not None and not self._unchanged(begun)
        outcome = self._outcome(step, resumed)
        made = {path.relative_to(self.folder).as_posix(): path for path in outcome.outputs}
        for file in {} if known is None else known.outputs:
            if file not in made:
                (self.folder / file).unlink(missing_ok=True)
        record = self._write(
            step,
            DONE if outcome.reason is None else LEFT_OUT,
            plan,
            outputs={file: disk.sha256(path) for file, path in sorted(made.items())},
            facts=outcome.facts,
            reason=outcome.reason,
            seconds=time.monotonic() - start,
        )
        (self._manifests / f"{step.name}.begun.json").unlink(missing_ok=True)
        return record

    def _begun(self, name: str) -> Record | None:
        begun = self._read(f"{name}.begun.json")
        if begun is None and (known := self.record(name)) is not None and known.state == BEGUN:
            return known
        return begun

    def _left(self, step: Step) -> list[Path]:
        """Files and folders that a step may have made and that are no result of any."""
        known = (self._read(path.name) for path in self._manifests.glob("*.json"))
        kept = {file for record in known if record is not None for file in record.outputs}
        found = {path for pattern in step.makes for path in self.folder.glob(pattern)}
        return sorted(p for p in found if p.relative_to(self.folder).as_posix() not in kept)

    def _unchanged(self, record: Record) -> dict[str, str]:
        """The files of a record that still are what they were."""
        files = record.outputs.items()
        return {file: h for file, h in files if self._sha256(self.folder / file) == h}

    def _is_whole(self, record: Record) -> bool:
        return self._unchanged(record) == record.outputs

    def _read(self, name: str) -> Record | None:
        path = self._manifests / name
        return Record(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def _outcome(self, step: Step, resumed: bool) -> Outcome:
        for name in step.needs:
            needed = self.record(name)
            if needed is not None and needed.state == LEFT_OUT:
                return Outcome(reason=needed.reason)
        return step.run(resumed)

    def _plan(self, step: Step) -> dict[str, Any]:
        inputs = {role: self._sha256(path) for role, path in step.inputs.items()}
        for name in (*step.needs, *step.takes):
            record = self.record(name)
            if record is not None:
                inputs |= {f"{name}: {file}": digest for file, digest in record.outputs.items()}
                if record.reason is not None:
                    inputs[name] = record.reason
        plan = {"inputs": inputs, "options": dict(step.options), "code": dict(step.code)}
        return dict(json.loads(json.dumps(plan)))

    def _sha256(self, path: Path) -> str | None:
        if not path.is_file():
            return None
        key = (path, disk.stamp(path))
        if key not in self._hashes:
            self._hashes[key] = disk.sha256(path)
        return self._hashes[key]

    def _write(
        self,
        step: Step,
        state: str,
        plan: Mapping[str, Any],
        *,
        outputs: Mapping[str, str],
        facts: Mapping[str, Any] | None = None,
        reason: str | None = None,
        seconds: float = 0.0,
    ) -> Record:
        record = Record(
            name=step.name,
            state=state,
            outputs=dict(outputs),
            facts={} if facts is None else dict(facts),
            reason=reason,
            seconds=round(seconds, 3),
            plan=plan,
        )
        text = json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"
        file = f"{step.name}.begun.json" if state == BEGUN else f"{step.name}.json"
        disk.write(
            self._manifests / file,
            lambda out: out.write(text.encode()),
            temporary=self._manifests / f".{file}.tmp",
        )
        return record


def _differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """How two plans differ, in words; hashes are not told."""
    for role in earlier["inputs"] | now["inputs"]:
        if earlier["inputs"].get(role) != now["inputs"].get(role):
            yield f"another {role.partition(':')[0]}"
    for part in ("options", "code"):
        yield from _changed(earlier[part], now[part], "")


def _changed(earlier: object, now: object, name: str) -> Iterator[str]:
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in earlier | now:
            below = f"{name}.{key}" if name else key
            yield from _changed(earlier.get(key), now.get(key), below)
    elif earlier != now:
        yield f"{name} was {json.dumps(earlier)} and is {json.dumps(now)} now"
