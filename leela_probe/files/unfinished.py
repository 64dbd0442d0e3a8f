"""The folder of an output that is under way: one process holds it, and its files are whole.

What is written with a checksum lies behind the SHA-256 of its content, and is compared with it
before anything else sees it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any

from leela_probe.files import disk, manifests

__all__ = ["DamagedWarning", "UnfinishedFolder", "digest", "warn_of_damage"]

_BESIDE, _KEPT, _PART = "beside-", "kept-", "part-"
_MANIFEST, _PLAN, _LOCK = "manifest.json", "plan.json", "lock"
_SIZE = hashlib.sha256().digest_size
_Stamps = tuple[tuple[str, tuple[int, int, int]], ...]


class DamagedWarning(UserWarning):
    """Something that an earlier run had finished is damaged and is made again."""


def warn_of_damage(damage: str) -> None:
    """Warn that something is damaged and is made again."""
    warnings.warn(f"{damage}: it is made again", DamagedWarning, stacklevel=4)


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of the names and SHA-256 of all files in a folder."""
    if path.is_file():
        return disk.sha256(path)
    sums = [[file.relative_to(path).as_posix(), disk.sha256(file)] for file in _files_in(path)]
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()


class UnfinishedFolder:
    """A folder `OUT.partial`.

    It holds `plan.json` while the parts are made, and `manifest.json` once they are joined.

    Args:
        path: the folder, there or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None
        self._beside: dict[str, tuple[_Stamps, str]] = {}

    # Holding it

    @property
    def is_held(self) -> bool:
        """Whether this process holds the folder."""
        return self._lock is not None

    def hold(self) -> bool:
        """Make the folder, and keep other processes off it; False if one of them holds it."""
        while True:
            self.path.mkdir(exist_ok=True)
            try:
                lock = (self.path / _LOCK).open("w")
            except FileNotFoundError:
                continue  # removed by a process that has just finished
            if not disk.hold(lock):
                lock.close()
                return False
            if disk.is_there(lock.fileno(), self.path / _LOCK):
                self._lock = lock
                return True
            lock.close()

    def let_go(self) -> None:
        """Let other processes have the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        try:
            self.clear()
        finally:
            self.let_go()
        (self.path / _LOCK).unlink(missing_ok=True)
        self.path.rmdir()

    def clear(self) -> None:
        """Empty the folder; what says how far it is goes last."""
        for file in list(self.path.iterdir()):
            if file.is_dir():
                shutil.rmtree(file)
            elif file.name not in (_MANIFEST, _PLAN, _LOCK):
                file.unlink()
        for name in (_PLAN, _MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    # What is in it

    @property
    def is_assembled(self) -> bool:
        """Whether the parts are joined."""
        return (self.path / _MANIFEST).exists()

    @property
    def keeps_something(self) -> bool:
        """Whether there is anything to go on with."""
        if not self.path.is_dir():
            return False
        return self.is_assembled or any(
            file.name.startswith((_PART, _KEPT)) and not file.name.endswith(".tmp")
            for file in self.path.iterdir()
        )

    def begun_with(self) -> dict[str, Any] | None:
        """What the manifest says, or else the plan; None if there is neither.

        Raises:
            DamagedError: it is damaged.
        """
        for name in (_MANIFEST, _PLAN):
            if (self.path / name).exists():
                return manifests.read(self.path / name, sealed=True)
        return None

    def write_plan(self, plan: Mapping[str, object]) -> None:
        """Note what is being made."""
        self._write_manifest(_PLAN, plan)

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Note that the parts are joined, and what came out."""
        self._write_manifest(_MANIFEST, manifest)

    def drop_manifest(self, plan: Mapping[str, object]) -> None:
        """Forget that the parts were joined."""
        (self.path / _MANIFEST).unlink()
        if not (self.path / _PLAN).exists():
            self.write_plan(plan)

    def _write_manifest(self, name: str, content: Mapping[str, object]) -> None:
        manifests.write(self.path / name, content, temporary=self.temporary(name))

    def temporary(self, name: str) -> Path:
        """Where a file of that name grows."""
        return self.path / f"{name}.tmp"

    def write(self, name: str, content: Callable[[BufferedIOBase], object]) -> None:
        """Write a file, whole or not at all."""
        disk.write(self.path / name, content, temporary=self.temporary(name))

    # Files with a checksum

    def part(self, index: int) -> Path:
        """Where a part lies."""
        return self.path / f"{_PART}{index:06d}.arrow"

    def intermediate(self, name: str) -> Path:
        """Where an intermediate result lies."""
        return self.path / f"{_KEPT}{name}"

    def write_checked(self, path: Path, content: bytes | memoryview) -> None:
        """Write a file behind the SHA-256 of its content."""
        sha256 = hashlib.sha256(content).digest()
        self.write(path.name, lambda file: (file.write(sha256), file.write(content)))

    def read_checked(self, path: Path) -> memoryview | None:
        """The content of what `write_checked` has written; None if it is not there whole."""
        try:
            content = memoryview(path.read_bytes())
        except FileNotFoundError:
            return None
        if hashlib.sha256(content[_SIZE:]).digest() != content[:_SIZE]:
            warn_of_damage(f"{str(path)!r} is damaged")
            return None
        return content[_SIZE:]

    # What goes beside the output

    def beside(self, name: str) -> Path:
        """Where a file or folder grows that shall lie beside the output under that name."""
        return self.path / f"{_BESIDE}{name}"

    def all_beside(self) -> dict[str, Path]:
        """All of them that are there, by name."""
        return {
            made.name.removeprefix(_BESIDE): made for made in sorted(self.path.glob(f"{_BESIDE}*"))
        }

    def is_whole_beside(self, name: str, checksum: str) -> bool:
        """Whether one of them is there and what it was."""
        made = self.beside(name)
        if not made.exists() or digest(made) != checksum:
            warn_of_damage(f"{str(made)!r} is missing or damaged")
            return False
        self._beside[name] = _stamps(made), checksum
        return True

    def new_beside(self) -> dict[str, str]:
        """Checksums of those that are new or changed since this was called last."""
        new = {}
        for name, made in self.all_beside().items():
            stamps = _stamps(made)
            if name not in self._beside or self._beside[name][0] != stamps:
                new[name] = digest(made)
                self._beside[name] = stamps, new[name]
        return new

    def checksums_beside(self) -> dict[str, str]:
        """Checksums of all of them."""
        self.new_beside()
        return {name: checksum for name, (_, checksum) in sorted(self._beside.items())}


def _files_in(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _stamps(path: Path) -> _Stamps:
    return tuple((str(file.relative_to(path)), disk.stamp(file)) for file in _files_in(path))
