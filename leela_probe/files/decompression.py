"""Compressed files read as streams, where a file that is cut short is an error."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any

import zstandard

__all__ = ["DAMAGE", "decompressed"]

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)
"""What reading a damaged or shortened file raises."""


def decompressed(file: io.BufferedIOBase) -> io.BufferedIOBase:
    """The bytes of a plain, zstandard or gzip file, told apart by its first bytes.

    Args:
        file: an open file at its beginning. Reading what comes back raises one of `DAMAGE` where
            the file is damaged or ends early.

    Example:
        >>> decompressed(io.BytesIO(gzip.compress(b"one two"))).read()
        b'one two'
    """
    magic = file.read(4)
    file.seek(0)
    if magic == b"\x28\xb5\x2f\xfd" or (magic[1:] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50):
        return io.BufferedReader(_ZstandardFrames(file), 1 << 18)
    if magic[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)
    return file


class _ZstandardFrames(io.RawIOBase):
    """Zstandard frames one after the other; a frame cut short is an EOFError.

    (zstandard's own reader ends such a file quietly, as if it were whole.)
    """

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            data = self._input or self._file.read(1 << 15)
            if not data:
                if self._frame is not None:
                    raise EOFError("the file ends inside a zstandard frame")
                return 0
            if self._frame is None:
                decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
                self._frame = decompressor.decompressobj()
            self._output = memoryview(self._frame.decompress(data))
            self._input = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size
