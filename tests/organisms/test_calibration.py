"""Calibration finds what is planted and, where nothing is, no more than chance allows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

import leela_probe
from leela_probe.networks import network
from leela_probe.organisms import calibration, contrasts, planted, planted_puzzles, power
from leela_probe.weights import random_networks
from leela_probe.weights.architectures import PRESETS, Architecture, Embedding, PolicyFormat

ROOT = Path(leela_probe.__file__).parent.parent
TINY = Architecture(
    layers=2, width=16, heads=2, feed_forward=16, embedding=Embedding.MAP,
    policy=PolicyFormat.ATTENTION, policy_width=16, value_channels=2, moves_left=False,
)  # fmt: skip


SEEDS = 2
RUN = """
import sys
from leela_probe.organisms import calibration
calibration.calibrate(sys.argv[1], calibration.organisms(seeds=int(sys.argv[2])), puzzles=12)
"""

NETWORKS, SETS, SIZE = 6, 6, 10
NULLS = """
import sys
from pathlib import Path
import pandas as pd
from leela_probe.networks import network
from leela_probe.organisms import contrasts, planted, planted_puzzles
from leela_probe.statistics import comparisons

folder, sets, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
pattern = planted.write(folder / "pattern.pb.gz", "pattern", seed=7)
paths = [*sorted(folder.glob("random*.pb.gz")), pattern.path, "bundled:shuffled"]
rows = []
for number, path in enumerate(paths):
    made = pattern if path == pattern.path else None
    puzzles = planted_puzzles.make(made, sets * size, seed=100 + number)
    for experiment, contrast in contrasts.measure(network.load(path), puzzles, most=size).items():
        names = contrast.table["puzzle_id"].unique()
        for start in range(0, len(names), size):
            part = contrast.table[contrast.table["puzzle_id"].isin(names[start : start + size])]
            tests = comparisons.family(
                part, by=["location"], null="sign-flip", alternative="greater", resamples=199
            )
            alarm = bool((tests["p_max_t"] <= 0.05).any())
            rows.append((str(path), experiment, start // size, alarm))
table = pd.DataFrame(rows, columns=["network", "experiment", "set", "alarm"])
table.to_csv(folder / "alarms.csv", index=False)
"""


CUT_OFF = """
import json, sys
from pathlib import Path
from leela_probe.organisms import calibration

class CutOffError(Exception):
    pass

def stop(done, total, counts):
    raise CutOffError

folder = Path(sys.argv[1])
wanted = calibration.organisms(seeds=int(sys.argv[2]))[-2:]
try:
    calibration.calibrate(folder, wanted, puzzles=12, progress=stop)
except CutOffError:
    seen = []
    calibration.calibrate(folder, wanted, puzzles=12, progress=lambda done, *_: seen.append(done))
    (folder / "seen.json").write_text(json.dumps(seen))
"""


def elsewhere(script, *arguments):
    """Run in a process of its own, where arguments are not checked: four times as fast."""
    subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    elsewhere(RUN, folder, SEEDS)
    return pd.read_parquet(folder / "calibration.parquet")


@pytest.fixture(scope="module")
def alarms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nulls")
    for seed in range(NETWORKS):
        random_networks.write(folder / f"random{seed}.pb.gz", TINY, seed=seed)
    elsewhere(NULLS, folder, SETS, SIZE)
    return pd.read_csv(folder / "alarms.csv")


def test_every_planted_mechanism_is_found_by_the_experiments_that_can_see_it(found):
    table = found.set_index(["organism", "experiment"])
    for kind in planted.CONTINUATION:
        for experiment in contrasts.EXPERIMENTS:
            row = table.loc[kind, experiment]
            blind = row["to_find"] == "nothing"
            assert row["verdict"] == ("quiet" if blind else "found")
            if not blind:
                # a rank is by lot where entries are equal, as all that the planted head prefers are
                assert row["power_10"] >= (0.9 if experiment == "attention rank" else 1.0)
                assert row["power_draws"] == power.DRAWS
                if experiment == "attention":
                    assert row["effect"] == pytest.approx(1, abs=1e-3)
                    continue  # the same in every puzzle: there is no interval
                estimated = ("screen", "attribution", "attention rank")
                assert row["low"] > 3 or (experiment in estimated and row["low"] > 1)
                assert row["low"] <= row["effect"] <= row["high"]
    blind = table[table["to_find"] == "nothing"].loc[list(planted.CONTINUATION)]
    assert {tuple(index) for index in blind.index} == {
        ("single", "joint"),
        ("single", "residual other"),
        ("redundant", "heads"),
        ("redundant", "entry"),
        ("redundant", "complement"),
        ("redundant", "residual other"),
        ("sequence", "joint"),
        ("sequence", "entry"),
        ("sequence", "complement"),
        ("sequence", "attention"),
        ("sequence", "attention rank"),
        ("sequence", "attribution"),
    }


def test_of_all_squares_the_planted_one_has_the_largest_effect(found):
    table = found.set_index(["organism", "experiment"])
    for kind in planted.CONTINUATION:
        for name in ("third", "first"):
            assert table.loc[(kind, f"residual {name}"), "square_rank"] == 1
    others = table[~table.index.get_level_values("experiment").str.contains("third|first")]
    assert others["square_rank"].isna().all()


def test_where_no_square_has_an_effect_all_share_the_middle_rank(found):
    rows = found[(found["organism"] == "pattern") & found["experiment"].str.contains("third|first")]
    assert (rows["square_rank"] == 32.5).all()


def test_what_planted_networks_play_is_the_first_move(found):
    liked = found.groupby("organism")["first_move"].first()
    assert liked[list(planted.KINDS)].min() > 0.8
    assert liked["random"] < 0.1


def test_a_pattern_network_is_exactly_quiet(found):
    rows = found[found["organism"] == "pattern"]
    assert (rows["verdict"] == "quiet").all()
    # what is read, and not changed, is something everywhere
    changed = rows[~rows["experiment"].isin(["attention", "attention rank"])]
    assert (changed["effect"] == 0).all()
    assert changed["low"].isna().all()


def test_a_network_that_learned_moves_drawn_by_lot_is_quiet(found):
    rows = found[found["organism"] == "shuffled"]
    assert set(rows["planted"]) == {"nothing"}
    # of eleven independent tests at 5 % three or more are wrong with probability 0.02
    assert (rows["verdict"] == "alarm").sum() <= 2


def test_no_experiment_rejects_more_often_than_nominal_where_there_is_nothing(alarms):
    counts = alarms.groupby("experiment")["alarm"].agg(["sum", "size"])
    assert set(counts.index) == set(contrasts.EXPERIMENTS)
    assert counts["size"].max() == (NETWORKS + 2) * SETS
    # one in a thousand that any goes beyond its bound
    bounds = binom.ppf(1 - 0.001 / len(counts), counts["size"], power.LEVEL)
    assert (counts["sum"] <= bounds).all()


def test_together_the_experiments_reject_no_more_often_than_nominal(alarms):
    # sets of puzzles are independent of one another, what experiments make of one set is not
    rates = alarms.groupby(["network", "set"])["alarm"].mean()
    error = rates.std() / len(rates) ** 0.5
    assert error < 0.015
    assert rates.mean() <= power.LEVEL + 3.1 * error


def test_effect_and_p_are_of_one_location():
    rng = np.random.default_rng(0)
    effects = {"0": rng.normal(-9, 1, 40), "1": rng.normal(0.5, 0.1, 40), "2": rng.normal(size=40)}
    table = pd.DataFrame(
        [
            {"puzzle_id": f"p{n}", "game_id": None, "location": name, "effect": effect}
            for name, values in effects.items()
            for n, effect in enumerate(values)
        ]
    )
    contrast = contrasts.Contrast(table=table, plain=table, locations=tuple(effects))
    row = calibration.judge(contrast, ())
    assert (row["location"], row["verdict"]) == ("1", "alarm")
    assert row["effect"] == pytest.approx(0.5, abs=0.1)
    assert row["p"] < 0.01
    row = calibration.judge(contrast, ("1", "2"), with_power=False)
    assert (row["location"], row["verdict"]) == ("2", "in part")
    assert row["p"] > 0.05


def test_where_the_truth_is_not_known_there_is_something_or_nothing_and_no_alarm():
    values = np.linspace(4, 6, 20)
    rows = [("0", v, n) for n, v in enumerate(values)] + [("1", 0.0, n) for n in range(20)]
    table = pd.DataFrame(
        [
            {"puzzle_id": f"p{n}", "game_id": None, "location": name, "effect": effect}
            for name, effect, n in rows
        ]
    )
    for wanted, verdict in ((["0", "1"], "something"), (["1"], "nothing")):
        part = table[table["location"].isin(wanted)]
        contrast = contrasts.Contrast(table=part, plain=part, locations=tuple(wanted))
        row = calibration.judge(contrast, None)
        assert (row["verdict"], row["to_find"]) == (verdict, "not known")


def test_the_contrast_is_planted_minus_placebo(tmp_path):
    random_networks.write(tmp_path / "n.pb.gz", TINY, seed=1)
    net = network.load(tmp_path / "n.pb.gz")
    puzzles = planted_puzzles.make(None, 3, seed=1)
    swapped = [
        planted_puzzles.PlantedPuzzle(planted=each.placebo, placebo=each.planted)
        for each in puzzles
    ]
    one, other = contrasts.measure(net, puzzles), contrasts.measure(net, swapped)
    # the rank among equal entries is by lot
    for name in set(one) - {"attention rank"}:
        left, right = (
            each[name].table.sort_values(["puzzle_id", "location"])["effect"].to_numpy()
            for each in (one, other)
        )
        # what is below rounding counts as 0, in singles before pairs are taken together
        assert left == pytest.approx(-right, abs=4 * contrasts.ROUNDING)
        assert np.abs(left).max() > 0


def test_a_summary_counts_alarms_with_the_exact_binomial_interval(found):
    several = found[(found["organism"] == "random") & (found["seed"] < 2)].copy()
    several["significant"] = ["0.0" if seed == 0 else "nothing" for seed in several["seed"]]
    row = calibration.summary(several).iloc[0]
    expected = binomtest(1, 2).proportion_ci(method="exact")
    assert (row["networks"], row["rejections"], row["rate"]) == (2, 1, 0.5)
    assert (row["rate_low"], row["rate_high"]) == (expected.low, expected.high)
    assert calibration.summary(found)["organism"].drop_duplicates().tolist() == [
        *planted.KINDS, "shuffled", "unrelated", "random"
    ]  # fmt: skip


def test_a_run_cut_off_goes_on_and_ends_the_same(found, tmp_path):
    elsewhere(CUT_OFF, tmp_path, SEEDS)
    assert json.loads((tmp_path / "seen.json").read_text()) == [1, 2]
    table = pd.read_parquet(tmp_path / "calibration.parquet")
    same = found[found["organism"] == "random"].tail(len(table)).reset_index(drop=True)
    pd.testing.assert_frame_equal(table, same)


def test_a_network_without_heads_is_calibrated_on_its_stream(tmp_path):
    path = tmp_path / "tower.pb.gz"
    random_networks.write(path, PRESETS["se-convolution"], seed=0)
    wanted = calibration.organisms(seeds=1, files={"tower": path})[-1:]
    table = pd.read_parquet(calibration.calibrate(tmp_path, wanted, puzzles=12).path)
    assert table["experiment"].tolist() == [
        "residual third", "residual first", "residual other"
    ]  # fmt: skip
    assert set(table["planted"]) == set(table["to_find"]) == {"not known"}
    assert set(table["verdict"]) <= {"something", "nothing"}


def test_names_of_organisms_are_not_taken_twice():
    with pytest.raises(ValueError, match="'random' is an organism already"):
        calibration.organisms(files={"random": "n.pb.gz"})


def test_too_few_puzzles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="9 puzzles: no interval is possible below 10"):
        calibration.calibrate(tmp_path, calibration.organisms(), puzzles=9)


def test_an_unknown_experiment_has_no_truth():
    with pytest.raises(ValueError, match="no experiment 'probe': choose one of residual third"):
        calibration.truth(None, "probe")


def test_nothing_can_be_measured_without_puzzles(tmp_path):
    random_networks.write(tmp_path / "n.pb.gz", TINY, seed=0)
    net = network.load(tmp_path / "n.pb.gz")
    with pytest.raises(ValueError, match="no puzzles to measure on"):
        contrasts.measure(net, [])
