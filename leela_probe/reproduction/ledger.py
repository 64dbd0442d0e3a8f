"""Which steps of a study are done, and which have to be done again.

Each step has a manifest in the study's folder: what it was made from (hashes), its options, the
code that made it, and what came out (hashes). A step of which all that still holds is left alone.
One that was begun and cut off is told so, and goes on where it was if it can. Stands on
`files.disk`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
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
        run: does it; told whether the very same step was begun before and cut off.
    """

    name: str
    title: str
    inputs: Mapping[str, Path] = field(default_factory=dict)
    needs: Sequence[str] = ()
    takes: Sequence[str] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    code: Mapping[str, str | None] = field(default_factory=dict)
    run: Callable[[bool], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the ledger knows of a step.

    Attributes:
        name: the step's.
        state: `DONE`, `LEFT_OUT` (it does not apply) or `BEGUN`.
        outputs: the SHA-256 of its files, by their names within the folder.
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
        """What is known of a step; None if it was never begun."""
        path = self._manifests / f"{name}.json"
        return Record(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def is_current(self, step: Step) -> bool:
        """Whether a step was done, or left out, as it would be now, and its files are unchanged."""
        record = self.record(step.name)
        return (
            record is not None
            and record.state != BEGUN
            and record.plan == self._plan(step)
            and all(self._sha256(self.folder / file) == h for file, h in record.outputs.items())
        )

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
        resumed = known is not None and known.state == BEGUN and known.plan == plan
        if not resumed:
            for file in () if known is None else known.outputs:
                (self.folder / file).unlink(missing_ok=True)
            self._write(step, BEGUN, Outcome(), plan)
        start = time.monotonic()
        outcome = self._outcome(step, resumed)
        state = DONE if outcome.reason is None else LEFT_OUT
        return self._write(step, state, outcome, plan, seconds=time.monotonic() - start)

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
        outcome: Outcome,
        plan: Mapping[str, Any],
        *,
        seconds: float = 0.0,
    ) -> Record:
        record = Record(
            name=step.name,
            state=state,
            outputs={
                file.relative_to(self.folder).as_posix(): disk.sha256(file)
                for file in sorted(outcome.outputs)
            },
            facts=dict(outcome.facts),
            reason=outcome.reason,
            seconds=round(seconds, 3),
            plan=plan,
        )
        text = json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"
        disk.write(
            self._manifests / f"{step.name}.json",
            lambda file: file.write(text.encode()),
            temporary=self._manifests / f".{step.name}.json.tmp",
        )
        return record
