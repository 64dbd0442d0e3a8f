"""Trials in processes of their own: how they end, what files they touch, what they leave behind.

Each is forked from this process, which has loaded everything already; so this runs where there is
`os.fork`.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from leela_probe import cli

LONGEST = 300.0
"""Seconds after which a trial counts as one that hangs."""

Call = Sequence[str] | Callable[[], object]
"""What a process does: a command line of leela-probe, or a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One fault; `run` gets an empty folder and says what went wrong, or nothing."""

    kind: str
    name: str
    run: Callable[[Path], str]


# Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: its status, negative for a signal; None where it did not end in time."""

    status: int | None
    text: str

    def fault(self) -> str:
        """What nobody should see, whatever happened before; empty if there is nothing."""
        if self.status is None:
            return f"does not end in {LONGEST:.0f} s"
        if self.status < 0:
            return f"ends by signal {signal.Signals(-self.status).name}"
        if "Traceback (most recent call last)" in self.text:
            return f"traceback: {self.text.strip().splitlines()[-1][:200]}"
        if self.status:
            said = [line for line in self.text.splitlines() if line.startswith("leela-probe: ")]
            others = [line for line in self.text.splitlines() if " error" in line.lower()]
            if len(said) != 1 or len(others) > 1:
                return f"refused, but not in one line: {self.text.strip()[-300:]!r}"
        return ""


def ended(folder: Path, call: Call, *, prepare: Callable[[], object] | None = None) -> Ended:
    """Run a call in a process of its own, in a folder, and wait for its end."""
    with tempfile.TemporaryFile() as log:
        child = os.fork()
        if not child:
            _become(folder, call, log.fileno(), prepare)
        limit = time.monotonic() + LONGEST
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > limit:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return Ended(status=None, text="")
            time.sleep(0.004)
        log.seek(0)
        text = log.read().decode(errors="replace")
    return Ended(status=os.waitstatus_to_exitcode(status), text=text)


def _become(folder: Path, call: Call, log: int, prepare: Callable[[], object] | None) -> None:
    status = 1
    try:
        os.chdir(folder)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), write_through=True)
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), write_through=True)
        if prepare is not None:
            prepare()
        if callable(call):
            call()
        else:
            sys.argv = ["leela-probe", *call]
            cli.main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except (ValueError, OSError, LookupError, RuntimeError) as error:  # as the command line does
        print(f"leela-probe: {' '.join(str(error).split())}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def results(trials: Iterable[Trial], jobs: int) -> Iterator[tuple[Trial, str]]:
    """Each trial with what went wrong, several at a time, each in a process and a folder."""
    running: dict[int, tuple[Trial, Path]] = {}
    waiting = iter(trials)
    with tempfile.TemporaryDirectory(prefix="faults-") as top:
        number = 0
        while True:
            for trial in islice(waiting, jobs - len(running)):
                folder = Path(top, str(number := number + 1))
                (folder / "work").mkdir(parents=True)
                child = os.fork()
                if not child:
                    _try(trial, folder)
                running[child] = trial, folder
            if not running:
                return
            child, status = os.wait()
            trial, folder = running.pop(child)
            verdict = folder / "verdict"
            reason = (
                verdict.read_text() if verdict.exists() else f"the trial itself ended: {status}"
            )
            shutil.rmtree(folder)
            yield trial, reason


def _try(trial: Trial, folder: Path) -> None:
    try:
        reason = trial.run(folder / "work")
    except BaseException:
        reason = f"the trial itself failed: {traceback.format_exc()[-600:]}"
    (folder / "verdict").write_text(reason)
    os._exit(0)


# File operations


class Operations:
    """Counts what a process does to files below a folder, and ends it before one of them."""

    EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link",
              "os.symlink")  # fmt: skip

    def __init__(self, folder: Path, *, kill_before: int = 0, log: Path | None = None) -> None:
        self.folder = f"{folder}{os.sep}"
        self.kill_before = kill_before
        self.log = log
        self.count = 0

    def watch(self) -> None:
        """From here on, in this process."""
        sync = os.fsync

        def fsync(handle: int) -> None:
            self._operation("fsync")
            sync(handle)

        os.fsync = fsync
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in self.EVENTS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not writes and not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
        if os.path.abspath(os.fsdecode(arguments[0])).startswith(self.folder):
            self._operation(event)

    def _operation(self, event: str) -> None:
        self.count += 1
        if self.count == self.kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.log is not None:
            handle = os.open(self.log, os.O_WRONLY | os.O_APPEND)
            os.write(handle, f"{event}\n".encode())
            os.close(handle)


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder; folders are there too."""
    return {
        path.relative_to(folder).as_posix(): "folder"
        if path.is_dir()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
    }


def difference(found: dict[str, str], expected: dict[str, str]) -> str:
    """In words, where two sets of files differ; empty if they do not."""
    names = [name for name in found | expected if found.get(name) != expected.get(name)]
    kinds = {name: "left over" if name not in expected else "missing" if name not in found
             else "other bytes" for name in names}  # fmt: skip
    return "; ".join(f"{name}: {kind}" for name, kind in list(kinds.items())[:4])
