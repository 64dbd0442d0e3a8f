"""Numbers in words: each with its interval, and a remark only where nothing is clear."""

import pandas as pd
import pytest

from leela_probe.study import wording

NAN = float("nan")


def row(estimate, low=NAN, high=NAN, **more):
    return {"estimate": estimate, "low": low, "high": high, **more}


def test_an_effect_has_as_many_decimals_as_it_takes_to_see_it():
    assert wording.number(row(1.884, 1.84, 1.92)) == "1.88 [1.84, 1.92]"
    assert wording.number(row(0.0123, -0.0001, 0.02)) == "0.012 [0.000, 0.020]"
    assert wording.number(row(-0.5, -0.6, -0.4)) == "\u22120.50 [\u22120.60, \u22120.40]"


def test_without_an_interval_it_says_so():
    assert wording.number(row(0.2)) == "0.20 [no interval]"
    assert wording.percent(row(0.2)) == "20 % [no interval]"
    assert wording.points({"accuracy": 0.1, "low": NAN, "high": NAN}) == "10 points [no interval]"


def test_what_rounds_to_zero_has_no_sign():
    assert wording.number(row(-0.0001, -0.0002, 0.0001)) == "0.000 [0.000, 0.000]"


@pytest.mark.parametrize(
    ("low", "high", "remark"),
    [
        (-0.1, 0.3, " (no clear difference)"),
        (-0.3, -0.1, " (clearly less)"),
        (0.1, 0.3, ""),
        (NAN, NAN, ""),
    ],
)
def test_a_difference_that_is_not_clearly_above_zero_is_called_so(low, high, remark):
    assert wording.verdict(row(0.1, low, high)) == remark


def test_a_difference_is_told_with_its_test():
    rows = pd.DataFrame([row(1.7, 1.6, 1.8, n=48, wilcoxon_p=1e-6)])
    text = wording.difference(rows)
    assert "In the 48 puzzles that have both, the difference is 1.70 [1.60, 1.80] nats" in text
    assert text.endswith("Wilcoxon p < 0.001")
    assert wording.difference(rows.assign(wilcoxon_p=0.0124)).endswith("Wilcoxon p = 0.012")
    assert "Wilcoxon" not in wording.difference(rows.assign(wilcoxon_p=NAN))
    assert wording.difference(rows[:0]) == ""


def test_the_place_before_the_layers_has_a_name():
    assert wording.layer_name(-1) == "before layer 0"
    assert wording.layer_name(7) == "layer 7"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "under 1 s"), (1.0, "1 s"), (99.4, "99 s"), (100.0, "2 min"), (7300.0, "2 h 02 min")],
)
def test_durations(seconds, text):
    assert wording.time(seconds) == text
