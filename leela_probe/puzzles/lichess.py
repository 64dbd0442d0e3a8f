"""One Lichess puzzle, and the dump it came from.

`rows` reads a dump as a stream of text rows, cheaply; `parse` checks one row with python-chess;
`read` does both. What cannot be read is a `MalformedRow` with its line number and the reason, and
the rest goes on. Files that `leela-probe filter` wrote are read the same way.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import chess

from leela_probe.files import bundled
from leela_probe.files.decompression import DAMAGE, decompressed
from leela_probe.positions import board_html, fen

if TYPE_CHECKING:
    import pyarrow.parquet

# pyarrow is loaded only where a Parquet file is read: worker processes start in half the time.

__all__ = [
    "MalformedRow",
    "NotAPuzzleDumpError",
    "Puzzle",
    "Row",
    "count",
    "parse",
    "parse_with_board",
    "read",
    "rows",
]

LONGEST_LINE = 1 << 16
LARGEST_NUMBER = 1 << 31  # of a rating, exclusive: the tables hold no larger ones
LONGEST_CLOCK = 1000  # half-moves without capture or pawn move; rules end a game long before
COLUMNS = {  # our name: the names it goes by in dumps, the first that is there counts
    "puzzle_id": ("PuzzleId", "puzzle_id"),
    "fen": ("FEN", "fen"),
    "moves": ("Moves", "moves"),
    "rating": ("Rating", "rating"),
    "themes": ("Themes", "themes"),
    "game": ("GameUrl", "GameId", "game_id"),
    "verdict": ("verdict",),
}
REQUIRED = ("puzzle_id", "fen", "moves")


class NotAPuzzleDumpError(ValueError):
    """The file as a whole is no puzzle dump."""


class Row(NamedTuple):
    """One row of a dump as text, not looked at yet.

    `line` counts from 1: lines of the file for CSV (the header is line 1), rows for Parquet.
    Columns that the dump lacks are empty. `verdict` is there only in files that the filter wrote.
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
    """A row that is no puzzle: where it stands and why it was not read.

    `fen` and `moves` are the row's text where the row could be cut into its columns, else empty.
    """

    line: int
    reason: str
    puzzle_id: str | None = None
    fen: str = ""
    moves: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Puzzle:
    """A Lichess puzzle: a position, the move that sets it up, and the solution.

    `fen` is the position before the set-up move `moves[0]`; `moves[1:]` is the principal
    variation, whose first move is the solver's. All of it is legal.

    Example:
        >>> puzzle = parse(Row(2, "0NVfF", "7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1", "a2e2 d1d8 e2e8"))
        >>> puzzle.board().fen()
        '7k/6pp/8/8/8/8/4r1PP/3R3K w - - 1 2'
        >>> [move.uci() for move in puzzle.principal_variation]
        ['d1d8', 'e2e8']
    """

    puzzle_id: str
    fen: str
    moves: tuple[str, ...]
    rating: int | None
    themes: tuple[str, ...]
    game_id: str | None
    line: int

    def board(self) -> chess.Board:
        """A new board with the solver to move; the set-up move is on its move stack."""
        board = fen.board(self.fen)
        board.push(_move(self.moves[0]))
        return board

    @property
    def principal_variation(self) -> tuple[chess.Move, ...]:
        """The solution: the solver's moves and the answers to them, in turn."""
        return tuple(map(_move, self.moves[1:]))

    def _repr_html_(self) -> str:
        """The position with the solution as arrows, as Jupyter shows it."""
        board, line = self.board(), self.principal_variation
        said = f"{self.puzzle_id}: {board.variation_san(line)}"
        if self.rating is not None:
            said += f" (rating {self.rating})"
        return board_html.row([board_html.board(board, caption=said, line=line)])


def read(path: str | Path) -> Iterator[Puzzle | MalformedRow]:
    """Every row of a dump in order, each a checked puzzle or the reason why it is none.

    Args:
        path: a CSV file (plain, zstandard or gzip) or a Parquet file, told apart by content, with
            the columns PuzzleId, FEN and Moves; the other columns of Lichess are used where
            they are there; or "bundled:mates". Memory does not grow with the file.

    Raises:
        NotAPuzzleDumpError: the file as a whole is something else.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "dump.csv")
        ...     _ = path.write_text("PuzzleId,FEN,Moves\\n1,8/8/8/8/8/8/8/8 w - - 0 1,a1a2 a2a3\\n")
        ...     [row.reason for row in read(path)]
        ["illegal position '8/8/8/8/8/8/8/8 w - - 0 1': no white king, no black king, empty"]
    """
    for row in rows(path):
        yield row if isinstance(row, MalformedRow) else parse(row)


def rows(path: str | Path) -> Iterator[Row | MalformedRow]:
    """Every row of a dump in order as text; only what cannot be cut into columns is malformed.

    Args:
        path: as in `read`.

    Raises:
        NotAPuzzleDumpError: the file as a whole is something else.
    """
    path = bundled.resolve(path)
    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            file.seek(0)
            yield from _csv_rows(path, decompressed(file))
            return
    yield from _parquet_rows(path)


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
        if file.read(4) == b"PAR1":
            return _parquet_file(path).metadata.num_rows
        file.seek(0)
        stream = decompressed(file)
        lines, last = 0, b"\n"
        try:
            while chunk := stream.read(1 << 20):
                lines, last = lines + chunk.count(b"\n"), chunk
        except DAMAGE:
            last = b""
        return max(lines + (not last.endswith(b"\n")) - 1, 0)


def parse(row: Row) -> Puzzle | MalformedRow:
    """The puzzle that a row holds, checked move by move, or the reason why it holds none.

    Example:
        >>> parse(Row(7, "00008", "8/8/8/4k3/8/8/4P3/4K3 w - - 0 1", "e2e4 e5e3")).reason
        "illegal move 'e5e3' (number 2 of 2) in '8/8/8/4k3/4P3/8/8/4K3 b - - 0 1'"
    """
    puzzle, _ = parse_with_board(row)
    return puzzle


def parse_with_board(row: Row) -> tuple[Puzzle, chess.Board] | tuple[MalformedRow, None]:
    """What `parse` gives, and the puzzle's `board()`, which is cheap to have at this point."""

    def malformed(reason: str) -> tuple[MalformedRow, None]:
        found = MalformedRow(
            line=row.line,
            reason=reason,
            puzzle_id=_one_line(row.puzzle_id) or None,
            fen=_one_line(row.fen),
            moves=_one_line(row.moves),
        )
        return found, None

    if not row.puzzle_id:
        return malformed("the puzzle has no id: PuzzleId is empty")
    for name, text in (("id", row.puzzle_id), ("FEN", row.fen)):
        if _CONTROL.search(text):
            return malformed(f"control characters in the {name} {_short(text)}")
    try:
        board = fen.board(row.fen)
    except ValueError as error:
        return malformed(f"bad FEN {_short(row.fen)}: {error}")
    status = board.status()
    if status != chess.STATUS_VALID:
        found = [flag for flag in chess.Status if flag & status]
        faults = ", ".join(str(flag.name).lower().replace("_", " ") for flag in found)
        return malformed(f"illegal position {_short(row.fen)}: {faults}")
    if board.halfmove_clock > LONGEST_CLOCK or board.fullmove_number >= LARGEST_NUMBER:
        return malformed(
            f"bad FEN {_short(row.fen)}: expected a half-move clock of at most {LONGEST_CLOCK:,} "
            f"and a move number below {LARGEST_NUMBER:,}"
        )
    words = row.moves.split()
    if len(words) < 2:
        return malformed(
            f"expected the set-up move and at least one move of the solution, "
            f"got {len(words)} move{'s' * (len(words) != 1)}: {_short(row.moves)}"
        )
    moves: list[str] = []
    first = board
    for number, word in enumerate(words, 1):
        try:
            moves.append(_play(board, word, last=number == len(words)))
        except chess.IllegalMoveError:
            return malformed(
                f"illegal move {_short(word)} (number {number} of {len(words)}) in {board.fen()!r}"
            )
        except ValueError:
            return malformed(
                f"{_short(word)} (number {number} of {len(words)}) is no move: "
                f"expected one like e2e4 or e7e8q"
            )
        if number == 1:
            first, board = board, board.copy(stack=False)
    try:
        rating = _rating(row.rating)
    except ValueError as error:
        return malformed(f"the rating {_short(row.rating)} is {error}")
    puzzle = Puzzle(
        puzzle_id=row.puzzle_id,
        fen=row.fen,
        moves=tuple(moves),
        rating=rating,
        themes=tuple(row.themes.split()),
        game_id=_game_id(row.game),
        line=row.line,
    )
    return puzzle, first


# Text


_move = cache(chess.Move.from_uci)  # there are only some thousand


def _play(board: chess.Board, word: str, *, last: bool) -> str:
    """Make a move that is written as UCI, unless it is the last, and give it as python-chess would.

    Whether it leaves the king in check is asked when it is made: that is faster.

    Raises:
        IllegalMoveError: it is illegal; the board is as before.
        ValueError: it is no move.
    """
    move = _move(word)
    takes_own = board.occupied_co[board.turn] >> move.to_square & 1  # castling as e1h1
    if takes_own or not (board.is_legal(move) if last else board.is_pseudo_legal(move)):
        move = board.parse_uci(word)
        if not move:
            raise chess.IllegalMoveError(word)  # the null move, which python-chess lets pass
        word = move.uci()
    if last:
        return word
    board.push(move)
    if board.was_into_check():
        board.pop()
        raise chess.IllegalMoveError(word)
    return word


def _short(text: str, longest: int = 90) -> str:
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _one_line(text: str) -> str:
    """The text with control characters as Python writes them, so that a row stays a line."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


_NO_RATING = ("", "<na>", "none", "null", "na")  # as programs write a gap


def _rating(text: str) -> int | None:
    """Whole numbers, also such as '1500.0'; a gap in the column and a fraction are no rating."""
    if text.lower() in _NO_RATING:
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if abs(number) >= LARGEST_NUMBER:
        raise ValueError(f"too large: expected less than {LARGEST_NUMBER:,}")
    return int(number) if number.is_integer() else None


def _game_id(url: str) -> str | None:
    """'https://lichess.org/q2SFqfYD/black#97' -> 'q2SFqfYD'."""
    address = url.partition("#")[0].rstrip("/").removesuffix("/black").removesuffix("/white")
    return _one_line(address.rpartition("/")[2]) or None


def _places(path: Path, names: Sequence[str], first_line: str) -> dict[str, int]:
    """Which of our columns stands where among a file's."""
    places = {
        ours: next(names.index(theirs) for theirs in candidates if theirs in names)
        for ours, candidates in COLUMNS.items()
        if any(theirs in names for theirs in candidates)
    }
    missing = [COLUMNS[ours][0] for ours in REQUIRED if ours not in places]
    if missing:
        raise NotAPuzzleDumpError(
            f"{str(path)!r} is not a puzzle dump: expected columns PuzzleId, FEN and Moves, as the "
            f"first line of lichess_db_puzzle.csv names them; {', '.join(missing)} not among "
            f"{first_line}"
        )
    return places


# CSV


def _csv_rows(path: Path, stream: BufferedIOBase) -> Iterator[Row | MalformedRow]:
    try:
        header = stream.readline(LONGEST_LINE)
    except DAMAGE as error:
        raise NotAPuzzleDumpError(
            f"{str(path)!r} is not a puzzle dump: expected CSV, plain or compressed whole, "
            f"but it cannot be decompressed: {error}"
        ) from error
    try:
        names = _fields(header.decode("utf-8-sig").rstrip("\r\n"))
    except (UnicodeDecodeError, csv.Error):
        raise NotAPuzzleDumpError(
            f"{str(path)!r} is not a puzzle dump: expected CSV in UTF-8 (plain, .zst or .gz) or "
            f"Parquet, got a first line {header[:40]!r}"
        ) from None
    first_line = _short(header.decode("utf-8-sig").rstrip("\r\n")) if header else "an empty file"
    places = _places(path, names, first_line)
    line = 1
    while True:
        line += 1
        try:
            data = stream.readline(LONGEST_LINE)
            if len(data) == LONGEST_LINE and not data.endswith(b"\n"):
                while (more := stream.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                    pass
                yield MalformedRow(
                    line=line, reason=f"the line is longer than {LONGEST_LINE:,} bytes"
                )
                continue
        except DAMAGE as error:
            yield MalformedRow(
                line=line,
                reason=f"the compressed file is cut short or damaged here ({error}); "
                f"nothing after it can be read",
            )
            return
        if not data:
            return
        if data.strip():
            yield _csv_row(line, data, len(names), places)


def _csv_row(line: int, data: bytes, width: int, places: dict[str, int]) -> Row | MalformedRow:
    try:
        fields = _fields(data.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        return MalformedRow(
            line=line, reason=f"not UTF-8: byte {data[error.start]:#04x} at column {error.start}"
        )
    except csv.Error as error:
        return MalformedRow(line=line, reason=f"not a row of CSV: {error}")
    if len(fields) != width:
        cut = "" if data.endswith(b"\n") else "; the file ends in the middle of this line"
        return MalformedRow(
            line=line,
            reason=f"expected {width} columns, got {len(fields)}{cut}",
            puzzle_id=fields[places["puzzle_id"]] if places["puzzle_id"] < len(fields) else None,
        )
    return Row(line, **{name: fields[place] for name, place in places.items()})


def _fields(text: str) -> list[str]:
    """A line cut at its commas; a line is a row, so a quoted field never goes on in the next."""
    return next(csv.reader([text], strict=True), [""]) if '"' in text else text.split(",")


# Parquet


def _parquet_rows(path: Path) -> Iterator[Row | MalformedRow]:
    import pyarrow

    file = _parquet_file(path)
    names = file.schema_arrow.names
    places = _places(path, names, f"the columns {_short(', '.join(names))}")
    columns = [names[place] for place in places.values()]
    line = 0
    try:
        for group in range(file.num_row_groups):  # one by one: damage costs no rows before it
            for batch in file.iter_batches(4096, row_groups=[group], columns=columns):
                by_name = {
                    ours: map(_text, batch.column(names[place]).to_pylist())
                    for ours, place in places.items()
                }
                for values in zip(*by_name.values(), strict=True):
                    line += 1
                    yield Row(line, **dict(zip(by_name, values, strict=True)))
    except (pyarrow.ArrowException, OSError) as error:
        yield MalformedRow(
            line=line + 1,
            reason=f"the Parquet file is damaged here ({error}); nothing after it can be read",
        )


def _parquet_file(path: Path) -> pyarrow.parquet.ParquetFile:
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False)
    except pyarrow.ArrowInvalid as error:
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
