"""Parts of a study's puzzles: by the pattern of their target squares, and halves of the games."""

from __future__ import annotations

import zlib

import pandas as pd

from leela_probe.puzzles.target_patterns import targets

__all__ = ["SPLITS", "SPLIT_NAMES", "half", "held_out", "split"]

SPLITS = ("all", "different_targets", "same_targets")
"""All puzzles; those whose first three moves go to three squares; the others (the appendix)."""

SPLIT_NAMES = {
    "all": "all puzzles",
    "different_targets": "first three targets differ",
    "same_targets": "first three targets do not all differ",
}
"""The splits in words."""


def split(patterns: pd.Series, name: str) -> pd.Series:
    """Which puzzles belong to a split, by the pattern of their target squares.

    Example:
        >>> split(pd.Series(["112", "123"]), "different_targets").tolist()
        [False, True]
    """
    different = patterns.astype(str).map(lambda label: targets(label)[:3] == (1, 2, 3)).astype(bool)
    if name == "all":
        return different | True
    if name not in SPLITS:
        raise ValueError(f"no split {name!r}: choose {', '.join(SPLITS)}")
    return different if name == "different_targets" else ~different


def half(puzzle_ids: pd.Series, game_ids: pd.Series) -> pd.Series:
    """Whether each puzzle is in the half on which choices are made; whole games stay together.

    Example:
        >>> half(pd.Series(["a", "b"]), pd.Series(["game", "game"])).nunique()
        1
    """
    names = game_ids.astype(object).where(game_ids.notna(), puzzle_ids.astype(object))
    return names.map(lambda name: zlib.crc32(str(name).encode()) % 2 == 0).astype(bool)


def held_out(table: pd.DataFrame, on: str) -> pd.DataFrame:
    """The rows of "all" puzzles, or of the "held out" half of the games (see `half`).

    Raises:
        ValueError: if no puzzle is in the held-out half.
    """
    if on == "all":
        return table
    kept = table[~half(table["puzzle_id"], table["game_id"])].reset_index(drop=True)
    if kept.empty:
        raise ValueError("no puzzle is in the held-out half: take more puzzles")
    return kept
