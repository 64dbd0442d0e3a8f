"""Which puzzles a probe is trained, stopped and tested on; a game is never on two sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64

from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics.resampling import cluster_codes

__all__ = ["Split", "by_game", "games", "ordered"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One division of the puzzles; no puzzle is on two sides.

    Attributes:
        name: such as "fold 0" or "ordered".
        train: puzzles that a probe learns from.
        validation: puzzles that say when to stop; None where nothing stops early.
        test: puzzles that it is judged on.
    """

    name: str
    train: Bool[np.ndarray, " board"]
    validation: Bool[np.ndarray, " board"] | None
    test: Bool[np.ndarray, " board"]


def games(pairs: Sequence[Pair]) -> Int64[np.ndarray, " board"]:
    """The number of each puzzle's game; a puzzle without one is a game of its own."""
    return cluster_codes(
        pd.Series([pair.puzzle_id for pair in pairs], dtype=object),
        pd.Series([pair.game_id for pair in pairs], dtype=object),
    )


def ordered(count: int, *, share: float = 0.7) -> list[Split]:
    """The first puzzles to train on, the last to test on, as Jenner et al. (2024) split them.

    Puzzles of one game may be on both sides, and the file's order may mean something: use it to
    compare with the paper alone.

    Args:
        count: how many puzzles.
        share: of the training side; its size is rounded down.

    Raises:
        ValueError: if a side would be empty.

    Example:
        >>> [int(split.train.sum()) for split in ordered(10)]
        [7]
    """
    first = int(count * share)
    if not 0 < first < count:
        raise ValueError(
            f"{count} puzzles and a share of {share} leave one side of the split empty: give more "
            "puzzles, or a share between 0 and 1"
        )
    train = np.arange(count) < first
    return [Split(name="ordered", train=train, validation=None, test=~train)]


def by_game(codes: Int64[np.ndarray, " board"], *, folds: int = 5, seed: int = 0) -> list[Split]:
    """As many splits as folds: each fold tests once and says once when to stop.

    Games are shuffled and go to the fold that has the fewest puzzles, so that folds are of like
    size. Split k tests on fold k, is stopped by fold k + 1 and trained on the others.

    Args:
        codes: the game of each puzzle.
        folds: at least 3.
        seed: of the shuffle.

    Raises:
        ValueError: if there are fewer than 3 folds, or fewer games than folds.

    Example:
        >>> codes = np.arange(10) // 2
        >>> [int(split.test.sum()) for split in by_game(codes, folds=5)]
        [2, 2, 2, 2, 2]
    """
    if folds < 3:
        raise ValueError(f"{folds} folds: one tests, one stops, one trains, so take at least 3")
    names, sizes = np.unique(codes, return_counts=True)
    if len(names) < folds:
        raise ValueError(
            f"{len(names)} games for {folds} folds: give more puzzles or take fewer folds"
        )
    draw = np.random.default_rng([seed, folds])
    load = np.zeros(folds, dtype=np.int64)
    fold_of = dict.fromkeys(names.tolist(), 0)
    for place in draw.permutation(len(names)):
        chosen = int(np.argmin(load))
        fold_of[int(names[place])] = chosen
        load[chosen] += sizes[place]
    fold = np.array([fold_of[int(code)] for code in codes], dtype=np.int64)
    return [
        Split(
            name=f"fold {number}",
            train=(fold != number) & (fold != (number + 1) % folds),
            validation=fold == (number + 1) % folds,
            test=fold == number,
        )
        for number in range(folds)
    ]
