"""Calibration finds what is planted and, where nothing is, no more than chance allows."""

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


SEEDS = 20
RUN = """
import sys
from leela_probe.organisms import calibration
every = calibration.organisms(seeds=int(sys.argv[2]))
fewer = [each for each in every if each.name != "unrelated" or each.seed == 0]
calibration.run(sys.argv[1], fewer, puzzles=12)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    # in a process of its own, where arguments are not checked: four times as fast
    folder = tmp_path_factory.mktemp("calibration")
    subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(SEEDS)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return pd.read_parquet(folder / "calibration.parquet")


def test_every_planted_mechanism_is_found_by_the_experiments_that_can_see_it(found):
    table = found.set_index(["organism", "experiment"])
    for kind in planted.CONTINUATION:
        for experiment in contrasts.EXPERIMENTS:
            row = table.loc[kind, experiment]
            blind = row["to_find"] == "nothing"
            assert row["verdict"] == ("quiet" if blind else "found")
            if not blind:
                assert row["power_10"] == 1.0
                if experiment == "attention":
                    assert row["effect"] == pytest.approx(1, abs=1e-3)
                    continue  # the same in every puzzle: there is no interval
                assert row["low"] > 3 or experiment == "screen"
                assert row["low"] <= row["effect"] <= row["high"]
    blind = table[table["to_find"] == "nothing"].loc[list(planted.CONTINUATION)]
    assert {tuple(index) for index in blind.index} == {
        ("single", "joint"),
        ("redundant", "heads"),
        ("redundant", "entry"),
        ("sequence", "joint"),
        ("sequence", "entry"),
        ("sequence", "attention"),
    }


def test_a_pattern_network_is_exactly_quiet(found):
    rows = found[found["organism"] == "pattern"]
    assert (rows["verdict"] == "quiet").all()
    changed = rows[rows["experiment"] != "attention"]  # which is read where the squares are
    assert (changed["effect"] == 0).all()
    assert changed["low"].isna().all()


def test_a_network_that_learned_moves_drawn_by_lot_is_quiet(found):
    rows = found[found["organism"] == "shuffled"]
    assert set(rows["planted"]) == {"nothing"}
    # of seven independent tests at 5 % two or more are wrong with probability 0.04
    assert (rows["verdict"] == "alarm").sum() <= 1


def test_random_networks_reject_no_more_often_than_nominal(found):
    alarms = found[found["organism"] == "random"].groupby("experiment")["verdict"]
    assert alarms.size().to_dict() == dict.fromkeys(contrasts.EXPERIMENTS, SEEDS)
    # one in a thousand that any of the experiments goes beyond it
    bound = binom.ppf(1 - 0.001 / len(contrasts.EXPERIMENTS), SEEDS, power.LEVEL)
    assert alarms.agg(lambda verdicts: (verdicts == "alarm").sum()).max() <= bound


def test_the_contrast_is_planted_minus_placebo(tmp_path):
    random_networks.write(tmp_path / "n.pb.gz", TINY, seed=1)
    net = network.load(tmp_path / "n.pb.gz")
    puzzles = planted_puzzles.make(None, 6, seed=1)
    swapped = [
        planted_puzzles.PlantedPuzzle(planted=each.placebo, placebo=each.planted)
        for each in puzzles
    ]
    one, other = contrasts.measure(net, puzzles), contrasts.measure(net, swapped)
    for name in one:
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
    wanted = calibration.organisms(seeds=SEEDS)[-2:]

    class CutOffError(Exception):
        pass

    def stop(done, total, counts):
        raise CutOffError

    with pytest.raises(CutOffError):
        calibration.run(tmp_path, wanted, puzzles=12, progress=stop)
    seen = []
    finished = calibration.run(
        tmp_path, wanted, puzzles=12, progress=lambda done, total, counts: seen.append(done)
    )
    assert seen == [1, 2]
    table = pd.read_parquet(finished.path)
    same = found[found["organism"] == "random"].tail(len(table)).reset_index(drop=True)
    pd.testing.assert_frame_equal(table, same)


def test_a_network_without_heads_is_calibrated_on_its_stream(tmp_path):
    path = tmp_path / "tower.pb.gz"
    random_networks.write(path, PRESETS["se-convolution"], seed=0)
    wanted = calibration.organisms(seeds=1, files={"tower": path})[-1:]
    table = pd.read_parquet(calibration.run(tmp_path, wanted, puzzles=12).path)
    assert table["experiment"].tolist() == ["residual third", "residual first"]
    assert set(table["planted"]) == {"not known"}


def test_names_of_organisms_are_not_taken_twice():
    with pytest.raises(ValueError, match="'random' is an organism already"):
        calibration.organisms(files={"random": "n.pb.gz"})


def test_too_few_puzzles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="9 puzzles: no interval is possible below 10"):
        calibration.run(tmp_path, calibration.organisms(), puzzles=9)


def test_an_unknown_experiment_has_no_truth():
    with pytest.raises(ValueError, match="no experiment 'probe': choose one of residual third"):
        calibration.truth(None, "probe")


def test_nothing_can_be_measured_without_puzzles(tmp_path):
    random_networks.write(tmp_path / "n.pb.gz", TINY, seed=0)
    net = network.load(tmp_path / "n.pb.gz")
    with pytest.raises(ValueError, match="no puzzles to measure on"):
        contrasts.measure(net, [])
