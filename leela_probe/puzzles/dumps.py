"""The rows of a puzzle dump as text, whatever form the dump has.

Dumps are CSV (plain or compressed whole) or Parquet, with the columns of Lichess under the names
that it and others give them, or without a header, as Lichess wrote them before 2023. What
`leela-probe filter` wrote is read too. A row that cannot be cut into its columns is a
`MalformedRow` with its line and the reason, and the rest goes on.
"""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from leela_probe.files import bundled, csv_records
from leela_probe.files.csv_records import Fault, Line
from leela_probe.files.decompression import DamagedError, decompressed

if TYPE_CHECKING:
    import pyarrow.parquet

# pyarrow is loaded only where a Parquet file is read: worker processes start in half the time.

__all__ = [
    "MalformedRow",
    "NotAPuzzleDumpError",
    "RepeatedRow",
    "Row",
    "count",
    "ignored_columns",
    "one_line",
    "rows",
    "seekable",
    "short",
]

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {  # our name: the names it goes by, without capitals and signs; the first that is there counts
        "puzzle_id": ("puzzleid", "id"),
        "fen": ("fen",),
        "moves": ("moves",),
        "rating": ("rating",),
        "themes": ("themes",),
        "game": ("gameurl", "gameid", "url"),
        "verdict": ("verdict",),
    }
)
REQUIRED = {"puzzle_id": "PuzzleId", "fen": "FEN", "moves": "Moves"}
HEADERLESS = (
    "PuzzleId", "FEN", "Moves", "Rating", "RatingDeviation", "Popularity", "NbPlays", "Themes",
    "GameUrl", "OpeningFamily", "OpeningVariation",
)  # fmt: skip
"""The columns of Lichess's files before 2023; the last two came in 2022."""
LARGEST_ROW_GROUP = 1 << 30
"""Bytes of text in the part of a Parquet file that is unpacked at once; usual are some 100 MB."""


class NotAPuzzleDumpError(ValueError):
    """The file as a whole is not a puzzle dump."""


class Row(NamedTuple):
    """One row of a dump as text, not looked at yet.

    `line` counts from 1: lines of the file for CSV (a header is line 1), rows for Parquet. Columns
    that the dump lacks are empty. `verdict` is there only in files that the filter wrote.
    """

    line: int
    puzzle_id: str
    fen: str
    moves: str
    rating: str = ""
    themes: str = ""
    game: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedRow:
    """A row that is not a puzzle: where it stands and why it was not read.

    `fen` and `moves` are the row's text where the row could be cut into its columns, else empty.
    """

    line: int
    reason: str
    puzzle_id: str | None = None
    fen: str = ""
    moves: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedRow(MalformedRow):
    """A row whose puzzle id an earlier row has."""


def rows(path: str | Path) -> Iterator[Row | MalformedRow]:
    """Every row of a dump in order as text; only what cannot be cut into columns is malformed.

    Args:
        path: as in `lichess.read`. A CSV file may be a pipe.

    Raises:
        NotAPuzzleDumpError: the file as a whole is something else.
    """
    path = bundled.resolve(path)
    with path.open("rb") as file:
        if file.peek(4)[:4] != b"PAR1":
            layout, lines = _csv(path, file)
            yield from _csv_rows(layout, lines)
            return
        _refuse_pipe(path, file)
    yield from _parquet_rows(path)


def ignored_columns(path: str | Path) -> tuple[str, ...]:
    """The columns of a dump that nothing is made of, in its order.

    Raises:
        NotAPuzzleDumpError: the file as a whole is not a dump.

    Example:
        >>> ignored_columns("bundled:mates")
        ('RatingDeviation', 'Popularity', 'NbPlays', 'OpeningTags')
    """
    path = bundled.resolve(path)
    with path.open("rb") as file:
        if file.peek(4)[:4] != b"PAR1":
            layout, _ = _csv(path, file)
            return layout.ignored
        _refuse_pipe(path, file)
    names = _parquet_file(path).schema_arrow.names
    return _layout(path, names, "").ignored


def count(path: str | Path) -> int:
    """About how many rows a dump has, fast: lines without the header (blank ones included).

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "dump.csv")
        ...     _ = path.write_text("PuzzleId,FEN,Moves\\na,b,c\\nd,e,f")
        ...     count(path)
        2
    """
    path = bundled.resolve(path)
    with path.open("rb") as file:
        if file.peek(4)[:4] == b"PAR1":
            _refuse_pipe(path, file)
            return _parquet_file(path).metadata.num_rows
        stream = decompressed(file)
        lines, last = 0, b"\n"
        try:
            while chunk := stream.read(1 << 20):
                lines += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
                last = chunk
        except DamagedError:
            last = b""
        return max(lines + (not last.endswith((b"\n", b"\r"))) - 1, 0)


@contextmanager
def seekable(path: str | Path, *, copy: Path) -> Iterator[Path]:
    """A file that can be read several times: the dump itself, or a copy of what a pipe gives.

    Args:
        path: as in `rows`.
        copy: where what comes out of a pipe is kept until the end, as it comes.
    """
    path = bundled.resolve(path)
    if not (stat.S_ISFIFO(mode := path.stat().st_mode) or stat.S_ISSOCK(mode)):
        yield path
        return
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _refuse_pipe(path: Path, file: io.BufferedReader) -> None:
    if not file.seekable():
        raise NotAPuzzleDumpError(
            f"{str(path)!r} is a pipe with a Parquet file in it, whose end has to be read first: "
            f"give the file itself"
        )


# Text


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def one_line(text: str) -> str:
    """The text with control characters as Python writes them, so that a row stays a line."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def short(text: str, longest: int = 90) -> str:
    """The text as Python writes it, cut where it is long."""
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")


# Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Which of our columns stands where in a file.

    Attributes:
        places: of each column of `Row` but the line, in their order; None for those that lack.
        widths: how many columns a row may have.
        ignored: the names of the other columns.
    """

    places: tuple[int | None, ...]
    widths: range
    ignored: tuple[str, ...] = ()


def _layout(path: Path, names: Sequence[str], first_line: str) -> _Layout:
    """The layout of a file with these columns.

    Raises:
        NotAPuzzleDumpError: a column is missing without which there are no puzzles.
    """
    bare = [re.sub(r"[^a-z0-9]", "", name.casefold()) for name in names]
    places = {
        ours: next((bare.index(theirs) for theirs in candidates if theirs in bare), None)
        for ours, candidates in COLUMNS.items()
    }
    missing = [name for ours, name in REQUIRED.items() if places[ours] is None]
    if missing:
        raise NotAPuzzleDumpError(
            f"{str(path)!r} is not a puzzle dump: expected columns PuzzleId, FEN and Moves, as the "
            f"first line of lichess_db_puzzle.csv names them; {', '.join(missing)} not among "
            f"{first_line}"
        )
    used = set(places.values())
    return _Layout(
        places=tuple(places.values()),
        widths=range(len(names), len(names) + 1),
        ignored=tuple(name for place, name in enumerate(names) if place not in used),
    )


_PLACEMENT = re.compile(r"([pnbrqkPNBRQK1-8]{1,8}/){7}[pnbrqkPNBRQK1-8]{1,8} [wb] ")
_MOVES = re.compile(r"[a-h][1-8][a-h][1-8][nbrq]?( [a-h][1-8][a-h][1-8][nbrq]?)+")


def _is_headerless(names: Sequence[str]) -> bool:
    """Whether a first line is a row of one of Lichess's files before 2023."""
    return (
        9 <= len(names) <= len(HEADERLESS)
        and _PLACEMENT.match(names[1]) is not None
        and _MOVES.fullmatch(names[2]) is not None
    )


# CSV


def _csv(path: Path, file: io.BufferedReader) -> tuple[_Layout, Iterator[Line]]:
    """The layout of a CSV file and its lines, those of the header not among them.

    Raises:
        NotAPuzzleDumpError: the file as a whole is something else.
    """
    lines = csv_records.lines(decompressed(file))
    first = next(lines, Line(1, b""))
    if first.fault:
        raise NotAPuzzleDumpError(
            f"{str(path)!r} is not a puzzle dump: expected CSV, plain or compressed whole, "
            f"but its first line cannot be read: {first.fault}"
        )
    try:
        text = first.data.decode("utf-8-sig").rstrip("\r\n")
        names = csv_records.fields(text)
    except (UnicodeDecodeError, csv.Error):
        raise NotAPuzzleDumpError(
            f"{str(path)!r} is not a puzzle dump: expected CSV in UTF-8 (plain, .zst, .gz, .bz2 or "
            f".xz) or Parquet, got a first line {first.data[:40]!r}"
        ) from None
    if _is_headerless(names):
        layout = _layout(path, HEADERLESS, "")
        widths = range(9, len(HEADERLESS) + 1)
        first = Line(1, first.data.removeprefix(b"\xef\xbb\xbf"))
        return (
            _Layout(places=layout.places, widths=widths, ignored=layout.ignored),
            _chained(first, lines),
        )
    return _layout(path, names, short(text) if first.data else "an empty file"), lines


def _chained(first: Line, lines: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from lines


def _csv_rows(layout: _Layout, lines: Iterator[Line]) -> Iterator[Row | MalformedRow]:
    places = [-1 if place is None else place for place in layout.places]
    for record in csv_records.records(lines, layout.widths):
        fields = record.fields
        if isinstance(record, Fault):
            place = places[0]
            yield MalformedRow(
                line=record.line,
                reason=record.reason,
                puzzle_id=one_line(fields[place]) or None if place < len(fields) else None,
            )
        else:
            fields.append("")  # of the columns that lack
            yield Row(record.line, *[fields[place] for place in places])


# Parquet


def _parquet_rows(path: Path) -> Iterator[Row | MalformedRow]:
    import pyarrow

    file = _parquet_file(path)
    names = file.schema_arrow.names
    layout = _layout(path, names, f"the columns {short(', '.join(names))}")
    columns = [names[place] for place in layout.places if place is not None]
    line = 0
    try:
        for group in range(file.num_row_groups):  # one by one: damage costs no rows before it
            size = file.metadata.row_group(group).total_byte_size
            if size > LARGEST_ROW_GROUP:
                yield MalformedRow(
                    line=line + 1,
                    reason=f"a row group of the Parquet file unpacks to {size:,} bytes, expected "
                    f"at most {LARGEST_ROW_GROUP:,}; its rows cannot be read",
                )
                line += file.metadata.row_group(group).num_rows
                continue
            for batch in file.iter_batches(4096, row_groups=[group], columns=columns):
                values = [
                    [""] * len(batch)
                    if place is None
                    else list(map(_text, batch.column(names[place]).to_pylist()))
                    for place in layout.places
                ]
                for row in zip(*values, strict=True):
                    line += 1
                    yield Row(line, *row)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        yield MalformedRow(
            line=line + 1,
            reason=f"the Parquet file is damaged here ({' '.join(str(error).split())}); nothing "
            f"after it can be read",
        )


def _parquet_file(path: Path) -> pyarrow.parquet.ParquetFile:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise NotAPuzzleDumpError(
            f"{str(path)!r} begins like a Parquet file but cannot be read as one; it may be cut "
            f"short: {error}"
        ) from error


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return " ".join(map(_text, value)) if isinstance(value, Iterable) else str(value)
