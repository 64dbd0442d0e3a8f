"""A puzzle with its corrupted partner, as the experiments take it.

Reads what `filter` and `corrupt` have written. Both positions of a pair come from a bare FEN, so
that they have the same kind of history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chess
import pyarrow

from leela_probe.files import bundled, manifests, tables
from leela_probe.positions import board_html
from leela_probe.positions.squares import NetSquare, from_board, to_board

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["Pair", "read", "remark"]

_TEXT = pyarrow.string()
_OPTIONAL = ("clean_fen", "corrupted_fen", "rank", "themes")
_SCHEMA = pyarrow.schema(
    [(name, _TEXT) for name in ("puzzle_id", "fen", "moves", "verdict", "target_pattern")]
    + [("game_id", _TEXT), ("clean_fen", _TEXT), ("corrupted_fen", _TEXT)]
    + [("rank", pyarrow.int32()), ("themes", _TEXT)]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A position, its principal variation and, where there is one, its corrupted partner.

    Attributes:
        puzzle_id: the puzzle's name.
        game_id: the game it is from, or None.
        target_pattern: the label of its target squares, such as "112".
        clean_fen: the position with the solver to move.
        line: the principal variation in UCI notation, the solver's move first.
        corrupted_fen: the partner, or None.
        rank: 1 for the nearest partner, 2 for the next.
        mate: whether the puzzle's themes say that it ends in mate; None where it has no themes.

    Example:
        A pair by hand: without the pawn on g7 the king escapes, and the sacrifice is a blunder.

        >>> import leela_probe as lp
        >>> pair = lp.Pair(
        ...     puzzle_id="back rank",
        ...     game_id=None,
        ...     target_pattern="112",
        ...     clean_fen="6k1/pp3ppp/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1",
        ...     corrupted_fen="6k1/pp3p1p/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1",
        ...     line=("c2c8", "e6c8", "e1e8"),
        ... )
        >>> [lp.squares.name(square) for square in pair.changed_squares()]
        ['g7']
    """

    puzzle_id: str
    game_id: str | None
    target_pattern: str
    clean_fen: str
    line: tuple[str, ...]
    corrupted_fen: str | None = None
    rank: int = 1
    mate: bool | None = None

    @property
    def clean(self) -> chess.Board:
        """A new board of the clean position."""
        return chess.Board(self.clean_fen)

    @property
    def corrupted(self) -> chess.Board | None:
        """A new board of the partner, or None."""
        return None if self.corrupted_fen is None else chess.Board(self.corrupted_fen)

    @property
    def moves(self) -> tuple[chess.Move, ...]:
        """The principal variation; ply n of the papers is `moves[n - 1]`."""
        return tuple(chess.Move.from_uci(move) for move in self.line)

    @property
    def turn(self) -> chess.Color:
        """The solver's colour."""
        return self.clean_fen.split()[1] == "w"

    def target(self, ply: int) -> NetSquare | None:
        """The square that the move of ply 1, 2, 3, ... goes to; None past the end of the line."""
        if not 1 <= ply <= len(self.line):
            return None
        return from_board(chess.parse_square(self.line[ply - 1][2:4]), self.turn)

    def source(self, ply: int) -> NetSquare | None:
        """The square that the move of ply 1, 2, ... comes from; None past the end of the line."""
        if not 1 <= ply <= len(self.line):
            return None
        return from_board(chess.parse_square(self.line[ply - 1][:2]), self.turn)

    def changed_squares(self) -> tuple[NetSquare, ...]:
        """The squares on which clean and corrupted position differ, in order."""
        partner = self.corrupted
        if partner is None:
            return ()
        clean = self.clean
        return tuple(
            sorted(
                from_board(square, self.turn)
                for square in chess.SQUARES
                if clean.piece_at(square) != partner.piece_at(square)
            )
        )

    def _repr_html_(self) -> str:
        """Both positions, the line as arrows and the changes marked, as Jupyter shows them."""
        clean, partner = self.clean, self.corrupted
        moves = clean.variation_san(self.moves)
        said = f"{self.puzzle_id}, target pattern {self.target_pattern}: {moves}"
        boards = [board_html.board(clean, caption=said, line=self.moves)]
        if partner is not None:
            changed = [to_board(square, self.turn) for square in self.changed_squares()]
            boards.append(board_html.board(partner, caption="corrupted partner", changed=changed))
        return board_html.row(boards)


def read(path: str | Path, *, ranks: Sequence[int] = (1,)) -> list[Pair]:
    """The pairs in a table that `corrupt` has written, or the kept puzzles of a `filter` table.

    Args:
        path: `.parquet` or `.csv`, or the name of pairs that come with the package.
        ranks: which partners of each puzzle: 1 is the nearest.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such table, or holds no pair.

    Example:
        >>> import leela_probe as lp
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> len(pairs), pairs[0].corrupted is None
        (100, False)
    """
    table = tables.read_arrow(
        path, _SCHEMA, columns=_SCHEMA.names, optional=_OPTIONAL,
        what="a table written by leela-probe corrupt or filter (run these on a puzzle dump first)",
    )  # fmt: skip
    pairs = list(_pairs(table.to_pylist(), ranks, corrupted="corrupted_fen" in table.column_names))
    if not pairs:
        counts = dict(Counter(table["verdict"].to_pylist()).most_common())
        raise ValueError(
            f"{path} holds no pair of rank {', '.join(map(str, ranks))} to experiment on: its "
            f"verdicts are {counts}"
        )
    return pairs


def remark(path: str | Path, network: Network) -> str | None:
    """What there is to say where pairs were made for other networks; None if there is nothing.

    Args:
        path: as in `read`.
        network: the network that is to be measured on them.
    """
    manifest = manifests.manifest_path(bundled.resolve(path))
    if not manifest.is_file():
        return None
    origin = manifests.read(manifest)
    made_for = {part: origin.get("networks", {}).get(part, {}) for part in ("strong", "weak")}
    names = {part: origin.get("inputs", {}).get(part, {}).get("file") for part in made_for}
    if not made_for["strong"] or made_for["strong"].get("sha256") == network.sha256:
        return None
    if made_for["weak"].get("sha256") == network.sha256:
        return (
            f"{network.name!r} is the weak network of these puzzles, which were chosen because it "
            f"does not solve them and {names['strong']!r} does"
        )
    return (
        f"these puzzles were chosen for {names['strong']!r} as the strong network and "
        f"{names['weak']!r} as the weak one; for {network.name!r} they need not be hard, solved or "
        f"spoiled by the corruption"
    )


def _pairs(
    rows: Iterable[dict[str, Any]], ranks: Sequence[int], *, corrupted: bool
) -> Iterator[Pair]:
    for row in rows:
        clean_fen, corrupted_fen, rank = row.get("clean_fen"), None, 1
        if corrupted:
            if row["verdict"] not in ("found", "further") or row["rank"] not in ranks:
                continue
            corrupted_fen, rank = row["corrupted_fen"], row["rank"]
        elif row["verdict"] != "kept":
            continue
        setup, *line = row["moves"].split()
        if clean_fen is None:
            board = chess.Board(row["fen"])
            board.push_uci(setup)
            clean_fen = board.fen()
        yield Pair(
            puzzle_id=row["puzzle_id"],
            game_id=row["game_id"],
            target_pattern=row["target_pattern"] or "",
            clean_fen=clean_fen,
            line=tuple(line),
            corrupted_fen=corrupted_fen,
            rank=rank,
            mate=_ends_in_mate(row.get("themes")),
        )


def _ends_in_mate(themes: object) -> bool | None:
    if not isinstance(themes, str):
        return None
    return any(theme.startswith("mate") for theme in themes.split())
