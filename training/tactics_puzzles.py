"""Mates in two and three of the domain tactics as puzzles in Lichess's columns.

    python -m training.tactics_puzzles --count N --seed S --out FILE.csv

They come from the held-out split. Every move of the winning side is the only one that wins as
fast. Beside Lichess's words a theme says what experiments select by: `sacrifice` where the only
legal reply takes the man that moved and the third move goes elsewhere, `singleReply` where the
first reply is the only legal one, `pieceReady` where a bishop, knight or rook makes the third move
of a mate in three from where it stands. GameUrl names the family, here of one puzzle each.
"""

from __future__ import annotations

import hashlib
import string
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from training import puzzle_lines, records, tactics
from training.certificates import Split
from training.puzzle_lines import Dropped, PuzzleLine
from training.tactics import TacticsMix

__all__ = ["MIX", "family", "lines", "main", "pattern", "puzzle"]

MIX = TacticsMix(
    mates_in_two=18,
    mates_in_three=34,
    sacrifices_in_two=22,
    sacrifices_in_three=26,
    mates_in_one=0,
    later_mates_in_one=0,
    later_mates_in_two=0,
    defences=0,
    long_defences=0,
    near_misses=0,
)
"""What is generated: an eighth of the puzzles at least is of each kind that an experiment needs."""

_BLOCK = 32
_LETTERS = string.ascii_letters + string.digits


def lines(
    *, seed: int, count: int | None = None, split: Split = "held-out"
) -> Iterator[PuzzleLine | Dropped]:
    """Puzzles from the stream of generated positions, and what was dropped on the way.

    Args:
        seed: the stream, as in `tactics.generate`, and the choices within a puzzle.
        count: it ends after so many puzzles; by default it goes on.
        split: whose positions.
    """
    seen: set[str] = set()
    block = made = 0
    while count is None or made < count:
        for tactic in tactics.generate(seed=seed, block=block, count=_BLOCK, split=split, mix=MIX):
            found = puzzle(tactic, seed=seed)
            if isinstance(found, PuzzleLine) and found.fen in seen:
                found = Dropped(fen=found.fen, reason="twice")
            seen.add(found.fen)
            yield found
            made += isinstance(found, PuzzleLine)
            if made == count:
                return
        block += 1


def puzzle(tactic: np.void, *, seed: int) -> PuzzleLine | Dropped:
    """The puzzle of a record of `tactics.TACTIC`, if it has a line and a set-up move."""
    moves = tactics.line(tactic)
    if not moves:
        return Dropped(fen=records.board(tactic).fen(), reason="several winning moves")
    kind = "mate-in-3" if len(moves) == 5 else "mate-in-2"
    found = puzzle_lines.of_line(records.board(tactic), moves, seed=seed, kind=kind)
    if isinstance(found, Dropped):
        return found
    single = bool(tactic["forced"] & 1)
    themes = {
        "sacrifice": single and str(tactic["pattern"]).startswith("112"),
        "singleReply": single,
        "pieceReady": len(moves) == 5 and bool(tactic["ready"]),
    }
    more = tuple(theme for theme, holds in themes.items() if holds)
    return replace(found, themes=found.themes + more, game=family(int(tactic["game"]), seed=seed))


def family(number: int, *, seed: int) -> str:
    """The id of a family, with as many letters as the id of a game.

    Example:
        >>> family(65536, seed=1)
        'tphfCCA8'
    """
    digest = hashlib.sha256(f"tactics {seed} {number}".encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:8])


def pattern(found: PuzzleLine) -> str:
    """The target pattern of a puzzle's line.

    Example:
        >>> pattern(PuzzleLine(fen="", moves=("a7a8", "h1h8", "g8h8", "d1d8"), themes=()))
        '112'
    """
    numbers: dict[str, str] = {}
    return "".join(numbers.setdefault(m[2:4], str(len(numbers) + 1)) for m in found.moves[1:])


def main(
    count: Annotated[int, typer.Option(help="puzzles", min=1)],
    out: Annotated[Path, typer.Option(help="the CSV file to write")],
    seed: Annotated[int, typer.Option(help="another seed, other puzzles", min=0)] = 1,
) -> None:
    """Write puzzles from the held-out split, and say how many there are of what."""
    dropped: Counter[str] = Counter()
    of: Counter[str] = Counter()

    def kept() -> Iterator[PuzzleLine]:
        for found in lines(seed=seed, count=count):
            if isinstance(found, Dropped):
                dropped[found.reason] += 1
                continue
            of[f"of pattern {pattern(found)}"] += 1
            of[f"with {len(found.moves) - 1} plies"] += 1
            of.update(theme for theme in found.themes if theme in ("singleReply", "pieceReady"))
            yield found

    out.parent.mkdir(parents=True, exist_ok=True)
    written = puzzle_lines.write(out, kept(), seed=seed)
    print(f"{written:>10,} puzzles written to {out}")
    for name, number in of.most_common():
        print(f"{number:>10,} {name}")
    for reason, number in dropped.most_common():
        print(f"{number:>10,} positions dropped: {reason}", file=sys.stderr)


if __name__ == "__main__":
    typer.run(main)
