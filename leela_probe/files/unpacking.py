"""Files that may be gzipped, unpacked in memory, but not beyond what their size can explain.

A gzip stream of a few megabytes can stand for gigabytes. Weights are close to noise, so a network's
file hardly shrinks: what grows far beyond its file is damage or malice, and is refused early.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from leela_probe.files.decompression import DamagedError

__all__ = ["unpacked"]

_MAGIC = b"\x1f\x8b"
_BLOCK = 1 << 20
_MOST = (1 << 31) - 1  # bytes of a protobuf message, which every network is
_FREE = 192 << 20  # bytes that any file may grow to: networks of all zeros are networks too
_RATIO = 16  # how many times its file a larger one may be


def unpacked(path: Path, *, most: int = _MOST) -> bytes:
    """A file's content, unpacked if it is gzipped, whatever its name.

    Args:
        path: the file.
        most: how many bytes it may have.

    Raises:
        DamagedError: its gzip stream is cut off or damaged; or it has more bytes, or more than
            192 MB and 16 times its compressed size. No more than that is in memory by then.
        OSError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "one.gz")
        ...     _ = path.write_bytes(gzip.compress(b"one two"))
        ...     unpacked(path)
        b'one two'
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        packed = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        if not packed:
            if size > most:
                raise DamagedError(f"{path} has {size:,} bytes: at most {most:,} are read")
            return file.read()
        most = min(most, max(_FREE, _RATIO * size))
        content = io.BytesIO()
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                while content.tell() <= most and (block := stream.read(_BLOCK)):
                    content.write(block)
        except EOFError as error:
            raise DamagedError(
                f"{path} is cut off: its gzip stream does not end after {size} bytes; get the file "
                "again"
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DamagedError(f"{path} is damaged: {error}; get the file again") from error
        if content.tell() > most:
            raise DamagedError(
                f"{path} unpacks to more than {most >> 20:,} MB from {size:,} bytes, which no "
                "network does: it is damaged, or made to fill the memory"
            )
        return content.getvalue()
