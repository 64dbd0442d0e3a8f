"""Tables of estimates: numbers by hand, names of bands, and reasons."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from simulated_effects import game_sizes, long_table, values_of

from leela_probe.statistics import stats
from leela_probe.statistics.intervals import mean_interval


@pytest.fixture(scope="module")
def effects() -> pd.DataFrame:
    """60 puzzles, 3 layers, 3 squares: two "other" and one "ply3_target"."""
    generator = np.random.default_rng(0)
    rows = []
    for puzzle in range(60):
        pattern = "112" if puzzle < 40 else "111" if puzzle < 55 else "1231"
        for layer in range(3):
            for square, category in ((3, "other"), (9, "other"), (20, "ply3_target")):
                effect = generator.exponential() + (square == 20) * layer
                game = f"g{puzzle // 2}" if puzzle % 5 else None
                rows.append((f"p{puzzle}", game, pattern, layer, square, category, effect))
    names = ["puzzle_id", "game_id", "target_pattern", "layer", "square", "category", "effect"]
    return pd.DataFrame(rows, columns=names).assign(measure="log_odds", direction="noising")


@pytest.fixture(scope="module")
def single(effects: pd.DataFrame) -> pd.DataFrame:
    return effects[(effects["layer"] == 1) & (effects["square"] == 20)]


def test_layer_curves_average_squares_before_puzzles(effects: pd.DataFrame) -> None:
    table = stats.layer_curves(effects, resamples=200)
    assert list(zip(table["layer"], table["category"], strict=True))[:2] == [
        (0, "other"),
        (0, "ply3_target"),
    ]
    other = effects[(effects["layer"] == 2) & (effects["category"] == "other")]
    row = table[(table["layer"] == 2) & (table["category"] == "other")].iloc[0]
    each = other.groupby("puzzle_id")["effect"].mean()
    assert row["estimate"] == pytest.approx(each.mean())
    assert row["n"] == 60
    assert row["q25"] == pytest.approx(each.quantile(0.25))
    assert row["low"] < row["estimate"] < row["high"]


def test_a_maximum_is_called_one(effects: pd.DataFrame) -> None:
    table = stats.layer_curves(effects, squares="max", resamples=200)
    assert set(table["squares"]) == {"max"}
    mean = stats.layer_curves(effects, resamples=200)
    others = table["category"] == "other"
    assert (table["estimate"][others] > mean["estimate"][others]).all()
    assert table["estimate"][~others].tolist() == mean["estimate"][~others].tolist()


def test_quantiles_are_not_called_intervals(effects: pd.DataFrame) -> None:
    table = stats.layer_curves(effects, resamples=200, quantiles=(0.05, 0.5, 0.975))
    assert {"q05", "q50", "q97.5"} <= set(table.columns)
    assert set(table["interval"]) == {"95 % studentised bootstrap interval by game"}
    with pytest.raises(ValueError, match=r"quantile 95\.0"):
        stats.layer_curves(effects, resamples=200, quantiles=(95.0,))


def test_rows_without_category_are_an_error(effects: pd.DataFrame) -> None:
    rows = effects.assign(category=effects["category"].where(effects["square"] != 3))
    with pytest.raises(ValueError, match="180 rows have no category"):
        stats.layer_curves(rows)


def test_summaries_of_each_statistic_agree_with_numpy(single: pd.DataFrame) -> None:
    def value(**options: object) -> float:
        table = stats.summarise(single, by=("layer",), resamples=200, **options)
        assert table["layer"].tolist() == [1]
        assert table["low"][0] < table["estimate"][0] < table["high"][0]
        return float(table["estimate"][0])

    assert value() == pytest.approx(single["effect"].mean())
    assert value(statistic="median") == pytest.approx(single["effect"].median())
    ordered = np.sort(single["effect"])
    assert value(statistic="trimmed mean", trim=0.1) == pytest.approx(ordered[6:-6].mean())
    with pytest.raises(ValueError, match="statistic is 'mode'"):
        value(statistic="mode")


def test_games_widen_the_interval_and_missing_games_count_as_single_puzzles() -> None:
    sizes = np.full(60, 3)
    values = np.repeat(np.random.default_rng(0).normal(size=60), 3)[:, None]
    rows = long_table(values, sizes)
    by_game = stats.summarise(rows, by=("location",), resamples=500)
    alone = stats.summarise(rows.assign(game_id=None), by=("location",), resamples=500)
    assert (by_game["clusters"][0], alone["clusters"][0]) == (60, 180)
    ratio = (by_game["high"] - by_game["low"]) / (alone["high"] - alone["low"])
    assert ratio[0] == pytest.approx(np.sqrt(3), rel=0.15)


def test_patterns_stand_apart_with_the_rare_ones_pooled(single: pd.DataFrame) -> None:
    table = stats.target_pattern_effects(single, minimum=10, resamples=200)
    assert table["target_pattern"].tolist() == [
        "all puzzles", "1st target ≠ 3rd target", "112", "111", "1 rarer patterns",
    ]  # fmt: skip
    assert table["kind"].tolist() == [
        "all",
        "headline",
        "target_pattern",
        "target_pattern",
        "pooled",
    ]
    assert table["n"].tolist() == [60, 45, 40, 15, 5]
    assert table["reason"].iloc[-1] == "3 games: an interval needs at least 10"
    assert np.isnan(table["low"].iloc[-1])
    of_112 = single[single["target_pattern"] == "112"]["effect"]
    assert table["estimate"][2] == pytest.approx(of_112.mean())


def test_patterns_of_more_than_nine_targets_count_by_number(single: pd.DataFrame) -> None:
    long = {"112": "1-1-2-3-4-5-6-7-8-9-10", "111": "1-2-1-3-4-5-6-7-8-9-10"}
    rows = single.assign(pattern=single["target_pattern"].astype(object).replace(long))
    counts = stats.target_pattern_effects(rows, minimum=10, resamples=20)["n"].tolist()
    assert counts == stats.target_pattern_effects(single, minimum=10, resamples=20)["n"].tolist()


def test_percentile_curves_are_quantiles_with_order_statistics(single: pd.DataFrame) -> None:
    rows = single.assign(game_id=None)
    table = stats.percentile_curves(rows, by=("direction",), percentiles=(10.0, 50.0, 99.0))
    expected = np.quantile(single["effect"], [0.1, 0.5, 0.99], method="hazen")
    assert table["estimate"].to_numpy() == pytest.approx(expected)
    ordered = np.sort(single["effect"])
    assert table["low"][1] == ordered[22 - 1]
    assert table["high"][1] == ordered[38]
    assert table["high"][2] == np.inf
    assert set(table["interval"]) == {"95 % order-statistic interval"}
    with pytest.raises(ValueError, match="between 0 and 100"):
        stats.percentile_curves(rows, by=("direction",), percentiles=(100.0,))


def test_the_default_percentiles_are_finer_in_the_zoom() -> None:
    assert stats.PERCENTILES[:3] == (1.0, 2.0, 3.0)
    assert stats.PERCENTILES[-2:] == (99.8, 99.9)
    assert len(stats.PERCENTILES) == 93 + 60


def test_the_flow_counts_every_puzzle_once() -> None:
    reasons = pd.Series(["easy", None, "easy", "wrong", None])
    flow = stats.exclusion_flow(reasons, ["easy", "wrong", "unforced"])
    assert flow["excluded"].tolist() == [0, 2, 1, 0]
    assert flow["remaining"].tolist() == [5, 3, 2, 2]
    assert flow["remaining"].iloc[-1] == reasons.isna().sum()
    assert "- unforced   0   2 left" in stats.flow_text(flow)


def test_a_reason_out_of_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="reason 'odd' is not in order"):
        stats.exclusion_flow(pd.Series(["odd"]), ["easy"])
    with pytest.raises(ValueError, match="stands twice"):
        stats.exclusion_flow(pd.Series(["easy"]), ["easy", "easy"])


def test_the_same_seed_gives_the_same_table(single: pd.DataFrame) -> None:
    first = stats.summarise(single, by=("layer",), resamples=200, seed=7)
    shuffled = single.sample(frac=1.0, random_state=1)
    assert first.equals(stats.summarise(single, by=("layer",), resamples=200, seed=7))
    other = stats.summarise(shuffled, by=("layer",), resamples=200, seed=7)
    assert other["low"][0] == pytest.approx(first["low"][0], abs=0.1)
    assert other["estimate"][0] == pytest.approx(first["estimate"][0])


def test_tables_agree_with_single_intervals() -> None:
    sizes = game_sizes(50, seed=0)
    values = values_of("rare", sizes, 3, seed=1)
    table = stats.summarise(long_table(values, sizes), by=("location",), resamples=300)
    alone = mean_interval(values[:, 1], np.repeat(np.arange(50), sizes), resamples=300)
    assert table["low"][1] == pytest.approx(alone.low)
    assert table["high"][1] == pytest.approx(alone.high)


def test_statistics_and_figures_load_without_torch() -> None:
    code = (
        "import sys\n"
        "from leela_probe.statistics import comparisons, split_halves, stats\n"
        "assert not {'torch', 'scipy.stats', 'matplotlib'} & set(sys.modules)\n"
        "from leela_probe.figures import diagrams, figures\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
