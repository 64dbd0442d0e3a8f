"""Puzzle ids that come more than once in a dump.

Dumps have millions of rows, so ids are remembered as 64-bit numbers in sorted arrays: some 16 bytes
a row, where a set of texts takes a hundred. Ids of up to eight bytes, such as Lichess's five, are
these numbers; of longer ones they are a hash, for which two of six million ids are the same with a
probability of one in a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from leela_probe.puzzles import lichess
from leela_probe.puzzles.dumps import MalformedRow, RepeatedRow, Row

if TYPE_CHECKING:
    from jaxtyping import Bool, UInt64

__all__ = ["marked"]

_BATCH = 2048


def marked(rows: Iterable[Row | MalformedRow]) -> Iterator[Row | MalformedRow]:
    """The rows, with a `RepeatedRow` in place of each puzzle whose id an earlier row has.

    Example:
        >>> puzzle = {"fen": "7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1", "moves": "a2e2 d1d8 e2e8"}
        >>> rows = [Row(line, name, **puzzle) for line, name in enumerate("aba", 2)]
        >>> [type(row).__name__ for row in marked(rows)]
        ['Row', 'Row', 'RepeatedRow']
    """
    seen = _Seen()
    rows = iter(rows)
    while batch := list(islice(rows, _BATCH)):
        keys = [_key(row.puzzle_id) for row in batch if isinstance(row, Row) and row.puzzle_id]
        is_repeated = iter(seen.add(keys))
        for row in batch:
            if isinstance(row, Row) and row.puzzle_id and next(is_repeated):
                yield _repeated(row)
            else:
                yield row


def _repeated(row: Row) -> MalformedRow:
    puzzle = lichess.parse(row)
    if isinstance(puzzle, MalformedRow):
        return puzzle
    return RepeatedRow(
        line=row.line,
        reason="an earlier row has the same id",
        puzzle_id=row.puzzle_id,
        fen=row.fen,
        moves=row.moves,
    )


def _key(puzzle_id: str) -> int:
    name = puzzle_id.encode(errors="surrogatepass")
    return int.from_bytes(name if len(name) <= 8 else blake2b(name, digest_size=8).digest(), "big")


class _Seen:
    """A set of 64-bit numbers that only grows: sorted arrays, each at least twice as long as the
    next, of which the last ones are merged when they are of like length."""

    def __init__(self) -> None:
        self._arrays: list[UInt64[np.ndarray, " key"]] = []

    def add(self, keys: list[int]) -> list[bool]:
        """Add the numbers in turn; whether each was there already."""
        new = np.array(keys, dtype=np.uint64)
        old = self._contains(new)
        _, first = np.unique(new, return_index=True)
        is_first = np.zeros(len(new), dtype=bool)
        is_first[first] = True
        fresh = np.sort(new[is_first & ~old])
        if len(fresh):
            self._arrays.append(fresh)
        while len(self._arrays) > 1 and len(self._arrays[-2]) < 2 * len(self._arrays[-1]):
            last = self._arrays.pop()
            self._arrays[-1] = np.sort(np.concatenate([self._arrays[-1], last]), kind="stable")
        return (old | ~is_first).tolist()

    def _contains(self, keys: UInt64[np.ndarray, " key"]) -> Bool[np.ndarray, " key"]:
        found = np.zeros(len(keys), dtype=bool)
        for array in self._arrays:
            places = np.minimum(np.searchsorted(array, keys), len(array) - 1)
            found |= array[places] == keys
        return found
