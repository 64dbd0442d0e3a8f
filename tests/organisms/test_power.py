"""Power is the share of random sets of puzzles that show what is planted."""

import numpy as np
import pandas as pd
import pytest

from leela_probe.organisms import power


def table(effects):
    """Effects by location, a number a puzzle, as a contrast has them."""
    return pd.DataFrame(
        [
            {"puzzle_id": f"p{puzzle}", "game_id": None, "location": name, "effect": effect}
            for name, values in effects.items()
            for puzzle, effect in enumerate(values)
        ]
    )


def test_a_large_effect_is_always_found_and_none_hardly_ever():
    rng = np.random.default_rng(1)
    effects = table({"0.0": rng.normal(size=100), "0.1": 5 + rng.normal(size=100)})
    assert power.estimate(effects, ["0.1"], size=20) == 1.0
    assert power.estimate(effects, ["0.0"], size=20) == 0.0


def test_a_weak_effect_needs_more_puzzles():
    rng = np.random.default_rng(2)
    effects = table({"0.0": rng.normal(size=200), "0.1": 0.4 + rng.normal(size=200)})
    found = [power.estimate(effects, ["0.1"], size=size) for size in (10, 50, 200)]
    assert found[0] < 0.5 < found[2]
    assert found == sorted(found)


def test_an_effect_in_few_puzzles_needs_more_of_them():
    effects = table({"0.0": [0.0] * 50, "0.1": np.linspace(4, 6, 50)})
    assert power.estimate(effects, ["0.1"], size=10, share=0.2) == 0.0
    assert power.estimate(effects, ["0.1"], size=50, share=0.2) == 1.0


def test_sets_as_large_as_the_table_differ_from_one_another():
    rng = np.random.default_rng(3)
    effects = table({"0.0": rng.normal(size=40), "0.1": 0.45 + rng.normal(size=40)})
    assert 0.1 < power.estimate(effects, ["0.1"], size=40) < 0.9


def test_where_nothing_is_seen_the_true_location_comes_last():
    assert power.rank(np.zeros(5), [2]) == 5
    assert power.rank(np.array([0.0, 1.0, 1.0]), [1]) == 2


def test_more_puzzles_than_there_are_give_no_number():
    assert np.isnan(power.estimate(table({"0": [1.0, 2.0]}), ["0"], size=3))


@pytest.mark.parametrize(("true", "rank"), [([2], 1), ([0], 4), ([2, 1], 2), ([2, 3], 3)])
def test_the_rank_is_that_of_the_worst_true_location(true, rank):
    assert power.rank(np.array([0.0, 2.0, 3.0, 1.0]), true) == rank
