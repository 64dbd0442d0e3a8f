"""E2: heads with known effects are found, by split and target pattern; the choice is on a half."""

import numpy as np
import pandas as pd
import pytest
import simulated_study

from leela_probe.study import subsets
from leela_probe.study.chapter import Undrawn
from leela_probe.study.chapters import heads
from leela_probe.study.chapters.heads import CHAPTER
from leela_probe.study.results import Results

PLACES = [{"layer": layer, "head": head, "label": "x"} for layer in (0, 1) for head in (0, 1, 2)]
MEANS = [0.0, 0.0, 0.0, 0.0, 0.5, 0.0]  # head 1 of layer 1
DRAWS = {"resamples": 199, "seed": 0}


@pytest.fixture
def path(tmp_path):
    table = simulated_study.effects(80, PLACES, MEANS)
    return simulated_study.write(table, tmp_path / "heads.parquet")


def test_every_head_has_its_mean_in_every_split(path):
    curves = heads.curves(path, **DRAWS)
    assert set(curves["split"]) == set(subsets.SPLITS)
    for _, part in curves.groupby("split"):
        assert part.set_index(["layer", "head"])["estimate"].to_numpy() == pytest.approx(
            MEANS, abs=0.1
        )
    table = pd.read_parquet(path)
    plain = table.groupby(["layer", "head"])["effect"].mean()
    whole = curves[curves["split"] == "all"].set_index(["layer", "head"])["estimate"]
    assert np.allclose(whole, plain, atol=1e-6)


def test_only_the_head_with_an_effect_is_significant(path):
    curves = heads.curves(path, **DRAWS)
    whole = curves[curves["split"] == "all"].set_index(["layer", "head"])["p_max_t"]
    assert whole[1, 1] < 0.01
    assert (whole.drop((1, 1)) > 0.05).all()
    assert curves[curves["split"] != "all"]["p_max_t"].isna().all()


def test_target_patterns_with_enough_puzzles_are_told_apart(path):
    ratings = pd.Series({f"p{number}": 2000 if number < 44 else 1500 for number in range(80)})
    table = heads.by_target_pattern(path, ratings, minimum=12, **DRAWS)
    assert set(table["rating"]) == {"all"}  # 11 of each pattern have 1950 or more
    assert sorted(table["target_pattern"].unique()) == sorted(simulated_study.PATTERNS)
    assert set(table["n"]) == {20}
    both = heads.by_target_pattern(path, ratings, minimum=11, **DRAWS)
    assert set(both[both["rating"] == ">=1950"]["n"]) == {11}
    none = heads.by_target_pattern(path, ratings, minimum=21, **DRAWS)
    assert none.empty
    assert {"rating", "target_pattern", "estimate"} <= set(none.columns)


def test_the_head_is_chosen_on_one_half_only(tmp_path):
    table = simulated_study.effects(80, PLACES[:3], [0.0, 0.0, 0.0])
    own = subsets.half(table["puzzle_id"], table["game_id"])
    table["effect"] = (table["head"] == np.where(own, 1, 2)).astype(float)  # the halves disagree
    path = simulated_study.write(table, tmp_path / "heads.parquet")
    assert heads.strongest_head(path) == (0, 1)
    path = simulated_study.write(table[own], tmp_path / "half.parquet")
    assert heads.strongest_head(path) is None


def table_of(best, p, others=0.9):
    rows = [(1, 1, *best, p), (0, 0, 0.0, -0.1, 0.1, others), (0, 1, 0.0, -0.1, 0.1, others)]
    names = ["layer", "head", "estimate", "low", "high", "p_max_t"]
    return {"heads": pd.DataFrame(rows, columns=names).assign(split="all")}


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (0.0001, "nats, p < 0.001 against 3 heads, of which 1 differs from 0."),
        (0.2, "nats, p = 0.200 against 3 heads, of which 0 differ from 0."),
        (float("nan"), "nats against 3 heads, of which 0 differ from 0."),
    ],
)
def test_the_sentence_names_the_head_and_how_many_differ(p, words):
    text = CHAPTER.summary(table_of((0.5, 0.4, 0.6), p))
    assert text.startswith("The head with the largest effect is layer 1, head 1: 0.50 [0.40, 0.60]")
    assert text.endswith(words)


def test_without_heads_there_is_no_sentence_no_table_and_the_reason_in_place_of_the_figure(
    results,
):
    assert CHAPTER.summary({}) == ""
    assert [*CHAPTER.short_tables({})] == []
    (undrawn,) = CHAPTER.figures(Results(results.study, {}), {})
    assert isinstance(undrawn, Undrawn)
    assert undrawn.reason == "the stage heads is not done"


def test_the_short_table_has_the_three_largest_heads_of_each_pattern(path):
    table = heads.by_target_pattern(path, pd.Series(dtype=float), minimum=5, **DRAWS)
    (shown,) = CHAPTER.short_tables({"heads_by_target_pattern": table})
    assert [row[0] for row in shown.rows] == [
        f"pattern {name}" for name in sorted(simulated_study.PATTERNS)
    ]
    assert all(row[1] == "20" for row in shown.rows)
    assert all(row[2].startswith("1.1: 0.") and len(row) == 5 for row in shown.rows)
