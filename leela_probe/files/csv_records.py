"""CSV cut into records, so that a fault costs the line that it stands in and no other.

Lines end in LF, CR LF or CR, also in turn within a file. A field in quotes may go on over several
lines; where that gives no record of the right width, the quote is a fault of its own line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Container, Iterator
from io import BufferedIOBase
from typing import NamedTuple

from leela_probe.files.decompression import DamagedError

__all__ = ["LONGEST_RECORD", "Fault", "Line", "Record", "fields", "lines", "records"]

LONGEST_RECORD = 1 << 16
"""Bytes of a record with its line ends: thirty times what a puzzle takes with all its numbers."""
_CHUNK = 1 << 16


class Line(NamedTuple):
    """A line with its end, counted from 1; or why it cannot be had."""

    number: int
    data: bytes
    fault: str = ""


class Record(NamedTuple):
    """The fields of a record, and the line that it begins in."""

    line: int
    fields: list[str]


class Fault(NamedTuple):
    """A line that is not a record, and why; `fields` is what it could be cut into."""

    line: int
    reason: str
    fields: list[str] = []  # noqa: RUF012 - nobody changes it


def lines(stream: BufferedIOBase) -> Iterator[Line]:
    """The lines of a stream, in little memory whatever it holds.

    Args:
        stream: as `decompressed` gives it; damage ends the lines with one that says so.

    Example:
        >>> import io
        >>> [line.data for line in lines(io.BytesIO(b"a\\r\\nb\\rc"))]
        [b'a\\r\\n', b'b\\r', b'c']
    """
    number, rest, is_long, at_end = 0, b"", False, False
    while not at_end:
        try:
            chunk = stream.read1(_CHUNK)
        except DamagedError as error:
            yield Line(
                number + 1,
                b"",
                f"the compressed file is cut short or damaged here ({error}); nothing after it "
                f"can be read",
            )
            return
        at_end = not chunk
        pieces = (rest + chunk).splitlines(keepends=True)
        # a line goes on in the next chunk, and so does one that ends in the first half of CR LF
        rest = b"" if at_end or not pieces or pieces[-1].endswith(b"\n") else pieces.pop()
        for piece in pieces:
            number += 1
            if is_long or len(piece) > LONGEST_RECORD:
                is_long = False
                yield Line(number, b"", f"the line is longer than {LONGEST_RECORD:,} bytes")
            else:
                yield Line(number, piece)
        if len(rest) > LONGEST_RECORD:
            is_long, rest = True, rest[-1:]


def records(source: Iterator[Line], widths: Container[int]) -> Iterator[Record | Fault]:
    """The records of some lines in order; blank lines are passed over.

    Args:
        source: the lines, without the header.
        widths: how many fields a record may have.

    Example:
        >>> import io
        >>> text = b'1,"two\\n lines"\\n2,"open\\n3,x\\n'
        >>> for record in records(lines(io.BytesIO(text)), [2]):
        ...     print(record)
        Record(line=1, fields=['1', 'two\\n lines'])
        Fault(line=3, reason='not a row of CSV: unexpected end of data', fields=[])
        Record(line=4, fields=['3', 'x'])
    """
    ahead: deque[Line] = deque()
    while line := ahead.popleft() if ahead else next(source, None):
        number, data, fault = line
        if fault:
            yield Fault(number, fault)
            continue
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            reason = f"not UTF-8: byte {data[error.start]:#04x} at column {error.start}"
            yield Fault(number, reason)
            continue
        if '"' in text:
            try:
                found = _quoted(text, source, ahead, widths)
            except csv.Error as error:
                yield Fault(number, f"not a row of CSV: {error}")
                continue
        else:
            text = text.rstrip("\r\n")
            if not data.strip():
                continue
            found = text.split(",")
        if len(found) in widths:
            yield Record(number, found)
        else:
            yield Fault(number, _wrong_width(found, data, widths), found)


def fields(text: str) -> list[str]:
    """A single line cut at its commas.

    Raises:
        csv.Error: a quote is not closed, or stands where none may.
    """
    return next(csv.reader([text], strict=True), [""]) if '"' in text else text.split(",")


def _quoted(
    text: str, source: Iterator[Line], ahead: deque[Line], widths: Container[int]
) -> list[str]:
    """The fields of a record that begins with this line; the lines that it takes leave `ahead`.

    Raises:
        csv.Error: the line is not the beginning of a record.
    """
    try:
        return fields(text.rstrip("\r\n"))
    except csv.Error as error:
        if "end of data" not in str(error):
            raise
        reader = csv.reader(_continued(text, source, ahead), strict=True)
        try:
            found = next(reader)
        except csv.Error:
            raise error from None
        if len(found) not in widths:
            raise
        for _ in range(reader.line_num - 1):
            ahead.popleft()
        return found


def _continued(text: str, source: Iterator[Line], ahead: deque[Line]) -> Iterator[str]:
    """A line and those after it, as long as they can be of one record."""
    yield text
    length, place = len(text), 0
    while True:
        if place == len(ahead):
            line = next(source, None)
            if line is None:
                return
            ahead.append(line)
        line, place = ahead[place], place + 1
        length += len(line.data)
        if line.fault or length > LONGEST_RECORD:
            return
        try:
            yield line.data.decode()
        except UnicodeDecodeError:
            return


def _wrong_width(found: list[str], data: bytes, widths: Container[int]) -> str:
    expected = [str(width) for width in range(1, 1000) if width in widths]
    cut = "" if data.endswith((b"\n", b"\r")) else "; the file ends in the middle of this line"
    return f"expected {' or '.join(expected)} columns, got {len(found)}{cut}"
