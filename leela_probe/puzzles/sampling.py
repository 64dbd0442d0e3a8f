"""A uniform random sample of rows that are read as a stream.

The first rows of a Lichess dump are no sample of it: the file is sorted by puzzle id.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["draw"]

Row = TypeVar("Row")


def draw(rows: Iterable[Row], *, count: int, total: int, seed: int) -> Iterator[Row]:
    """Exactly `count` of the rows in their order, each set of so many as likely as any other.

    This is selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S): of
    `left` rows with `wanted` still to be drawn the next one is taken with probability
    `wanted / left`. It takes no memory, keeps the order, and gives the number that was asked for;
    a reservoir keeps the sample in memory until the end, and a hash of each row gives a number that
    is only about right. Its price is that the rows are counted first. The draw depends on `total`
    and `seed` alone, so that a stage that goes on draws the same rows again; and with the same seed
    a larger sample holds the smaller ones.

    Args:
        rows: as many as `total` says.
        count: how many to draw; if there are no more than that, all are drawn.
        total: how many rows there are.
        seed: of the random numbers.

    Example:
        >>> "".join(draw("abcdefghijklmnopqrstuvwxyz", count=5, total=26, seed=1))
        'aijnt'
        >>> "".join(draw("abcdefghijklmnopqrstuvwxyz", count=3, total=26, seed=1))
        'ijn'
    """
    random_numbers = random.Random(seed)
    wanted = count
    for left, row in zip(range(total, 0, -1), rows, strict=False):
        if not wanted:
            return
        if random_numbers.random() * left < wanted:
            wanted -= 1
            yield row
