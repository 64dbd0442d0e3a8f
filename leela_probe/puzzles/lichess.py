"""One Lichess puzzle: a row of a dump, checked with python-chess.

`parse` checks one row; `read` gives all of a dump. What cannot be read is a `MalformedRow` with its
line number and the reason, and the rest goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import chess

from leela_probe.positions import board_html, fen
from leela_probe.puzzles import dumps
from leela_probe.puzzles.dumps import MalformedRow, NotAPuzzleDumpError, Row, one_line, short

__all__ = [
    "Puzzle",
    "check_readable",
    "game_id",
    "parse",
    "parse_with_board",
    "read",
    "words",
]

LARGEST_NUMBER = 1 << 31  # of a rating, exclusive: the tables hold no larger ones
LONGEST_CLOCK = 1000  # half-moves without capture or pawn move; rules end a game long before


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
    for row in dumps.rows(path):
        yield row if isinstance(row, MalformedRow) else parse(row)


def check_readable(path: str | Path, *, limit: int | None = None) -> None:
    """Refuse a dump in which not one row is a puzzle; what the filter wrote always passes.

    Args:
        path: as in `read`.
        limit: only the first so many rows are looked at.

    Raises:
        NotAPuzzleDumpError: saying what the first row lacks.
    """
    count, first = 0, None
    for row in islice(dumps.rows(path), limit):
        answer = row if isinstance(row, MalformedRow) else parse(row)
        if isinstance(answer, Puzzle) or (isinstance(row, Row) and row.verdict):
            return
        count, first = count + 1, first or answer
    reason = (
        "there is none below the header"
        if first is None
        else f"of {count:,} not one is a puzzle, and the first (line {first.line}) is malformed: "
        f"{first.reason}"
    )
    raise NotAPuzzleDumpError(f"no row of {str(path)!r} can be read: {reason}")


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
            puzzle_id=one_line(row.puzzle_id) or None,
            fen=one_line(row.fen),
            moves=one_line(row.moves),
        )
        return found, None

    if not row.puzzle_id:
        return malformed("the puzzle has no id: PuzzleId is empty")
    for name, text in (("id", row.puzzle_id), ("FEN", row.fen)):
        if not text.isprintable():
            return malformed(f"control characters in the {name} {short(text)}")
    try:
        board = fen.board(row.fen)
    except ValueError as error:
        return malformed(f"bad FEN {short(row.fen)}: {error}")
    status = board.status()
    if status != chess.STATUS_VALID:
        found = [flag for flag in chess.Status if flag & status]
        faults = ", ".join(str(flag.name).lower().replace("_", " ") for flag in found)
        return malformed(f"illegal position {short(row.fen)}: {faults}")
    if board.halfmove_clock > LONGEST_CLOCK or board.fullmove_number >= LARGEST_NUMBER:
        return malformed(
            f"bad FEN {short(row.fen)}: expected a half-move clock of at most {LONGEST_CLOCK:,} "
            f"and a move number below {LARGEST_NUMBER:,}"
        )
    line = words(row.moves) if row.moves.startswith(("[", "{", "(")) else tuple(row.moves.split())
    if len(line) < 2:
        return malformed(
            f"expected the set-up move and at least one move of the solution, "
            f"got {len(line)} move{'s' * (len(line) != 1)}: {short(row.moves)}"
        )
    moves: list[str] = []
    first = board
    for number, word in enumerate(line, 1):
        try:
            moves.append(_play(board, word, last=number == len(line)))
        except chess.IllegalMoveError:
            return malformed(
                f"illegal move {short(word)} (number {number} of {len(line)}) in {board.fen()!r}"
            )
        except ValueError:
            return malformed(
                f"{short(word)} (number {number} of {len(line)}) is not a move: "
                f"expected one like e2e4 or e7e8q"
            )
        if number == 1:
            first, board = board, board.copy(stack=False)
    try:
        rating = _rating(row.rating)
    except ValueError as error:
        return malformed(f"the rating {short(row.rating)} is {error}")
    puzzle = Puzzle(
        puzzle_id=row.puzzle_id,
        fen=row.fen,
        moves=tuple(moves),
        rating=rating,
        themes=words(row.themes),
        game_id=(one_line(row.game) or None) if row.verdict else game_id(row.game),
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
        ValueError: it is not a move.
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


_NO_RATING = ("", "<na>", "none", "null", "na")  # as programs write a missing value


def _rating(text: str) -> int | None:
    """Whole numbers, also such as '1500.0'; a missing value and a fraction are no rating."""
    if text.lower() in _NO_RATING:
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if abs(number) >= LARGEST_NUMBER:
        raise ValueError(f"too large: expected less than {LARGEST_NUMBER:,}")
    return int(number) if number.is_integer() else None


_GAME = re.compile(
    r"(?:(?:https?://)?(?:www\.)?lichess\.(?:org|dev)/)?"
    r"([a-zA-Z0-9]{8})(?:[a-zA-Z0-9]{4})?"  # twelve letters: the game as one player sees it
    r"(?:/(?:white|black))?/?(?:[?#].*)?"
)
_PAGES = frozenset(  # of Lichess, with as many letters as a game
    ("training", "analysis", "practice", "streamer", "insights", "timeline", "features")
)


def game_id(text: str) -> str | None:
    """The game that a link to Lichess leads to, or that an id names; None if there is none.

    Example:
        >>> game_id("https://lichess.org/q2SFqfYD/black#97"), game_id("https://lichess.org/training")
        ('q2SFqfYD', None)
    """
    match = _GAME.fullmatch(text)
    return None if match is None or match[1] in _PAGES else match[1]


_LIST_SIGNS = re.compile(r"[\[\]{}()'\",;|]")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_BETWEEN = re.compile(r"[\s\[\]{}()'\",;|]+")
_GAPS = ("nan", "<na>", "none", "null")  # as programs write a missing value


def words(text: str) -> tuple[str, ...]:
    """The words of a list as text: with spaces between, as Python, numpy, JSON or SQL write it.

    Example:
        >>> words("mate short") == words("['mate', 'short']") == words('["mate","short"]')
        True
        >>> words("{mate,short}") == words("mate,short") == words("['mate' 'short']")
        True
    """
    if not _LIST_SIGNS.search(text):
        found = text.split()
        return () if len(found) == 1 and found[0].lower() in _GAPS else tuple(found)
    text = re.sub(r"\barray\(|\bdtype=[^)]*", "", text.strip())
    quoted = [] if text.startswith("{") else _QUOTED.findall(text)
    if quoted:
        text = " ".join(single or double for single, double in quoted)
    return tuple(word for word in _BETWEEN.split(text) if word and word.lower() not in _GAPS)
