"""The sentences say what the tables say, with the interval, and when nothing is clear."""

import pandas as pd
import pytest

from leela_probe.study import sentences


def curves(third, control, difference=None):
    rows = [("ply3_target", *third), ("matched_control", *control)]
    table = pd.DataFrame(rows, columns=["category", "estimate", "low", "high"])
    tables = {"plies": table.assign(layer=3, n=50)}
    if difference is not None:
        names = ["estimate", "low", "high", "wilcoxon_p"]
        margins = pd.DataFrame([difference], columns=names)
        tables["ply_margins"] = margins.assign(layer=3, n=48)
    return tables.get


def probes(difference):
    of = {"kind": "joint", "ply": 3, "top": 1, "subset": "differing", "instance": 0, "n": 60}
    columns = ["control", "against", "accuracy", "low", "high"]
    rows = [
        ("none", "", 0.6, 0.5, 0.7),
        ("random weights", "", 0.45, 0.3, 0.6),
        ("none", "random weights", *difference),
    ]
    return {"probes": pd.DataFrame(rows, columns=columns).assign(layer=2.0, **of)}.get


def test_effect_and_control_are_told_with_their_difference_in_the_same_puzzles():
    tables = curves((1.88, 1.84, 1.92), (0.1, 0.0, 0.2), (1.7, 1.6, 1.8, 1e-6))
    text = sentences.found(tables)["E1"]
    assert "1.88 [1.84, 1.92] nats at layer 3" in text
    assert "0.10 [0.00, 0.20]" in text
    assert "In the 48 puzzles that have both, the difference is 1.70 [1.60, 1.80] nats" in text
    assert "Wilcoxon p < 0.001" in text
    assert "no clear difference" not in text


def test_intervals_that_overlap_are_no_verdict_where_the_paired_difference_is_clear():
    tables = curves((0.91, 0.39, 1.54), (0.12, -0.12, 0.42), (0.62, 0.23, 1.09, 0.001))
    text = sentences.found(tables)["E1"]
    assert "0.62 [0.23, 1.09] nats, Wilcoxon p = 0.001" in text
    assert "no clear difference" not in text
    text = sentences.found(probes((0.15, 0.05, 0.25)))["E5"]
    assert "15 points [5, 25]" in text
    assert "no clear difference" not in text


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.1, 0.3, "no clear difference"), (-0.3, -0.1, "clearly less")]
)
def test_a_difference_that_is_not_clearly_above_zero_is_called_so(low, high, verdict):
    tables = curves((0.2, 0.1, 0.3), (0.1, -0.04, 0.06), ((low + high) / 2, low, high, 0.4))
    assert f"({verdict})" in sentences.found(tables)["E1"]
    text = sentences.found(probes(((low + high) / 2, low, high)))["E5"]
    assert f"({verdict})" in text


def test_without_an_interval_it_says_so():
    nan = float("nan")
    text = sentences.found(curves((0.2, nan, nan), (0.1, 0.0, 0.2)))["E1"]
    assert "0.20 [no interval]" in text


def test_what_was_not_measured_has_no_sentence():
    assert sentences.found(lambda name: None) == {}
