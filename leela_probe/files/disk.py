"""Files that are there whole or not at all, whatever happens to the program or the power."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

__all__ = ["hold", "sha256", "stamp", "write"]


def write(path: Path, content: Callable[[io.BufferedIOBase], object], *, temporary: Path) -> None:
    """Put a file in its place, complete and on disk, or leave everything as it was.

    Args:
        path: where it goes; a file that is there is replaced at the end.
        content: writes it, given the open file.
        temporary: where it grows, on the same file system.

    Raises:
        OSError: it could not be written; nothing is left of it.
    """
    try:
        with temporary.open("wb") as file:
            content(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content in hexadecimal, read as a stream."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def stamp(path: Path) -> tuple[int, int, int]:
    """What changes when somebody writes to a file or puts another in its place."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _sync_folder(folder: Path) -> None:
    """Force a rename to disk, where the system can (Windows cannot open a folder)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def hold(file: IO[str]) -> bool:
    """Lock an open file for this process until it is closed; False if another process holds it.

    Systems without such locks (Windows) always say True.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
