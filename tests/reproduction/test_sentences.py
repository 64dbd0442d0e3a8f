"""The sentences say what the tables say, with the interval, and when nothing is clear."""

import pandas as pd

from leela_probe.reproduction import sentences


def curves(third, control):
    rows = [("ply3_target", *third), ("matched_control", *control)]
    table = pd.DataFrame(rows, columns=["category", "estimate", "low", "high"])
    return {"plies": table.assign(layer=3, n=50)}.get


def test_a_clear_difference_from_the_control_is_told_plainly():
    text = sentences.found(curves((1.88, 1.84, 1.92), (0.1, 0.0, 0.2)))["E1"]
    assert "1.88 [1.84, 1.92] nats at layer 3" in text
    assert "0.10 [0.00, 0.20]" in text
    assert "no clear difference" not in text


def test_overlapping_intervals_are_called_no_clear_difference():
    text = sentences.found(curves((0.2, 0.1, 0.3), (0.1, -0.04, 0.26)))["E1"]
    assert "no clear difference" in text
    assert "0.10 [\u22120.04, 0.26]" in text


def test_without_an_interval_it_says_so():
    nan = float("nan")
    text = sentences.found(curves((0.2, nan, nan), (0.1, 0.0, 0.2)))["E1"]
    assert "0.20 [no interval]" in text


def test_what_was_not_measured_has_no_sentence():
    assert sentences.found(lambda name: None) == {}
