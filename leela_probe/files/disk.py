"""Files that are there whole or not at all, whatever happens to the program or the power."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = ["behind_link", "hold", "remove_abandoned", "scratch_folder", "sha256", "stamp", "write"]


def behind_link(path: str | Path) -> Path:
    """The file that a symbolic link points to, there or not; any other path as it is."""
    path = Path(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def write(
    path: Path,
    content: Callable[[io.BufferedIOBase], object],
    *,
    temporary: Path | None = None,
    before: Callable[[Path], object] | None = None,
) -> None:
    """Put a file in its place, complete and on disk, or leave everything as it was.

    Args:
        path: where it goes; a file that is there is replaced at the end, a link is followed.
        content: writes it, given the open file.
        temporary: where it grows, on the same file system; by default a new file beside it, and
            those that killed programs left there are removed.
        before: called with the complete temporary file before it is put in its place.

    Raises:
        OSError: it could not be written; nothing is left of it, and the error names the file.
    """
    path = behind_link(path)
    try:
        if temporary is None:
            with _temporary_file(path) as (place, file):
                _write(file, content)
                if before is not None:
                    before(place)
                os.replace(place, path)
        else:
            try:
                with temporary.open("wb") as file:
                    _write(file, content)
                if before is not None:
                    before(temporary)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _write(file: IO[bytes], content: Callable[[io.BufferedIOBase], object]) -> None:
    content(file)  # type: ignore[arg-type]
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder for the time of a block; those that killed programs left are removed.

    The folder is locked while it is in use, so that one whose program is gone can be told.

    Args:
        parent: where it is made.
        prefix: what its name begins with, and that of those that are removed.
    """
    remove_abandoned(parent, prefix)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with _locked(folder) as ours:
            if not ours:
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


@contextmanager
def _temporary_file(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    remove_abandoned(path.parent, f".{path.name}.", ".partial")
    while True:
        place = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        with place.open("xb") as file:
            if not (hold(file) and is_there(file.fileno(), place)):
                continue  # taken for an abandoned one before it was locked
            try:
                yield place, file
            finally:
                place.unlink(missing_ok=True)
            return


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Holds a folder; False if it is held by another process or gone."""
    if os.name != "posix":
        yield True
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield hold(handle) and is_there(handle, folder)
    finally:
        os.close(handle)


def is_there(handle: int, path: Path) -> bool:
    """Whether a path still leads to the file that is open."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def remove_abandoned(folder: Path, prefix: str, suffix: str = "") -> None:
    """Remove the temporary files and folders of that name which killed programs have left."""
    if os.name != "posix":  # without locks nobody can tell whose they are
        return
    for name in glob.glob(f"{glob.escape(prefix)}*{glob.escape(suffix)}", root_dir=folder):
        path = folder / name
        with suppress(OSError), _locked(path) as abandoned:
            if abandoned and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif abandoned:
                path.unlink(missing_ok=True)


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


def hold(file: IO[str] | IO[bytes] | int) -> bool:
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
