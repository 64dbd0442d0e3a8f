"""Compressed files read as streams: in little memory, and never taken for whole when cut short."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import zstandard

__all__ = ["DamagedError", "decompressed"]

LARGEST_WINDOW = 1 << 27
"""Bytes that a zstandard or xz file may ask for: 128 MiB, where zstd's own program stops too."""
LARGEST_RATIO, FREE = 200, 1 << 24
"""Tables unpack to some five times their size. What unpacks to more than 200 times its size, once
it is beyond 16 MiB, is refused: it was made to fill a disk or a night."""
_READ, _WRITE = 1 << 15, 1 << 17
_ZSTANDARD_PIECE = 1 << 11  # makes at most 64 MiB: 4 bytes can stand for a block of 128 KiB


class DamagedError(ValueError):
    """A compressed file that is cut short, damaged or beyond the limits."""


def decompressed(file: io.BufferedReader | io.BytesIO) -> io.BufferedIOBase:
    """The bytes of a plain, zstandard, gzip, bzip2 or xz file, told apart by its first bytes.

    Args:
        file: an open file at its beginning; it may be a pipe. Reading what comes back raises
            `DamagedError` where the file is damaged or ends early.

    Example:
        >>> import gzip
        >>> decompressed(io.BytesIO(gzip.compress(b"one two"))).read()
        b'one two'
    """
    if not isinstance(file, io.BufferedReader):
        file = io.BufferedReader(file)
    magic = file.peek(6)[:6]
    for begins, decoder in _KINDS:
        if begins(magic):
            return io.BufferedReader(_Members(file, decoder), 1 << 18)
    return file


@runtime_checkable
class _Decoder(Protocol):
    """What undoes the compression of one member of a file (a frame, a stream)."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)


class _Zstandard:
    """zstandard gives no bound on what comes out, so little goes in at a time."""

    def __init__(self) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        self._decoder = decompressor.decompressobj(write_size=_WRITE)
        self._input = b""

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._input

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data + self._input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._input += data
        piece, self._input = self._input[:_ZSTANDARD_PIECE], self._input[_ZSTANDARD_PIECE:]
        return self._decoder.decompress(piece)


def _xz() -> _Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LARGEST_WINDOW)


def _is_zstandard(magic: bytes) -> bool:
    frame = magic[:4] == b"\x28\xb5\x2f\xfd"
    return frame or (magic[1:4] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50)  # one to skip


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[], _Decoder]], ...] = (
    (_is_zstandard, _Zstandard),
    (lambda magic: magic[:2] == b"\x1f\x8b", _Gzip),
    (lambda magic: magic[:3] == b"BZh" and magic[3:4].isdigit(), bz2.BZ2Decompressor),
    (lambda magic: magic == b"\xfd7zXZ\x00", _xz),
)


class _Members(io.RawIOBase):
    """The members of a compressed file one after the other; one that is cut short is damage.

    (Python's and zstandard's own readers differ in what they make of the end of a file.)
    """

    def __init__(self, file: io.BufferedReader, new: Callable[[], _Decoder]) -> None:
        self._file = file
        self._new = new
        self._decoder: _Decoder | None = None
        self._input = b""
        self._output = memoryview(b"")
        self._read = self._written = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            if not self._decompress():
                return 0
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size

    def _decompress(self) -> bool:
        """Decompress a piece, which may come out empty; False at the end of the file."""
        if not self._input and (self._decoder is None or self._decoder.needs_input):
            self._input = self._file.read1(_READ)
            self._read += len(self._input)
            if not self._input:
                if self._decoder is not None:
                    raise DamagedError("the file ends in the middle of what was compressed")
                return False
        if self._decoder is None:
            self._input = self._input.lstrip(b"\0")  # padding, as tapes and xz put it
            if not self._input:
                return True
            self._decoder = self._new()
        try:
            output = self._decoder.decompress(self._input, _WRITE)
        except (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError) as error:
            raise DamagedError(" ".join(str(error).split())) from error
        self._input = b""
        if self._decoder.eof:
            self._input, self._decoder = self._decoder.unused_data, None
        self._output = memoryview(output)
        self._written += len(output)
        if self._written > max(FREE, LARGEST_RATIO * self._read):
            raise DamagedError(
                f"{self._read:,} bytes unpack to more than {self._written:,}: no table does"
            )
        return True
