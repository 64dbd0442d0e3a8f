"""Regression within puzzles against plain least squares with indicators, and its coverage."""

import numpy as np
import pandas as pd
import pytest

from leela_probe.statistics import regression


def puzzles(rng, games=60, effect=0.5):
    puzzle = np.repeat(np.arange(games * 2), 8)
    game = puzzle // 2
    rows = len(puzzle)
    king = rng.integers(1, 8, rows)
    third = (np.arange(rows) % 8 == 0).astype(float)
    king = np.where(third == 1, np.minimum(king, 3), king)
    noise = rng.exponential(1.0, rows) - 1 + rng.normal(0, 1, games)[game] * third
    table = pd.DataFrame(
        {"puzzle": puzzle, "game": game, "king": king, "third": third,
         "kind": rng.choice(["empty", "own", "enemy"], rows)}
    )  # fmt: skip
    constant = rng.normal(0, 3, games * 2)[puzzle]
    return table.assign(effect=constant + effect * third + 1.5 / king + noise)


def test_coefficients_are_those_of_least_squares_with_an_indicator_per_puzzle():
    table = puzzles(np.random.default_rng(0))
    found = regression.within(
        table, "effect", ["third", "king", "kind"], by="puzzle", clusters="game"
    )
    design = pd.get_dummies(
        table[["third", "king", "kind", "puzzle"]].astype({"puzzle": str}), drop_first=True
    ).astype(float)
    design.insert(0, "one", 1.0)
    slow, *_ = np.linalg.lstsq(design.to_numpy(), table["effect"].to_numpy(), rcond=None)
    expected = dict(zip(design.columns, slow, strict=True))
    assert [c.name for c in found] == ["third", "king", "kind=enemy", "kind=own"]
    for coefficient in found:
        assert coefficient.value == pytest.approx(expected[coefficient.name.replace("=", "_")])
        assert coefficient.clusters == 60


def test_intervals_hold_the_truth_at_their_rate():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):
        table = puzzles(rng)
        table["inverse"] = 1 / table["king"]
        third, *_ = regression.within(
            table, "effect", ["third", "inverse"], by="puzzle", clusters="game"
        )
        held.append(third.low <= 0.5 <= third.high)
    assert 0.915 <= np.mean(held) <= 0.985  # 0.95, five standard errors either way at most


def test_a_regressor_that_puzzles_determine_is_refused_by_name():
    table = puzzles(np.random.default_rng(2)).assign(size=lambda t: t["puzzle"] % 3)
    with pytest.raises(ValueError, match="size does not vary within a puzzle"):
        regression.within(table, "effect", ["third", "size"], by="puzzle", clusters="game")


def test_one_game_is_too_few():
    table = puzzles(np.random.default_rng(3)).assign(game=1)
    with pytest.raises(ValueError, match="two games or more, got 1"):
        regression.within(table, "effect", ["third"], by="puzzle", clusters="game")
