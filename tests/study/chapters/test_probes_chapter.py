"""E5: the best layer is told beside its controls, and the difference decides what is said."""

import dataclasses

import pandas as pd
import pytest

from leela_probe.study.chapter import LeftOut, Undrawn
from leela_probe.study.chapters import probes
from leela_probe.study.chapters.probes import CHAPTER
from leela_probe.study.results import Results

OF = {"ply": 3, "subset": "differing", "instance": 0, "n": 60}
COLUMNS = ["kind", "top", "control", "against", "layer", "accuracy", "low", "high"]


def table(difference=(0.15, 0.05, 0.25)):
    nan = float("nan")
    rows = [
        ("joint", 1, "none", "", 1.0, 0.4, 0.3, 0.5),
        ("joint", 1, "none", "", 2.0, 0.6, 0.5, 0.7),
        ("joint", 3, "none", "", 2.0, 0.8, 0.7, 0.9),
        ("target", 1, "none", "", 2.0, 0.7, 0.6, 0.8),
        ("joint", 1, "random weights", "", 1.0, 0.1, 0.0, 0.2),
        ("joint", 1, "random weights", "", 2.0, 0.45, 0.3, 0.6),
        ("joint", 1, "legal moves", "", nan, 0.2, 0.1, 0.3),
        ("joint", 1, "none", "random weights", 2.0, *difference),
    ]
    return {"probes": pd.DataFrame(rows, columns=COLUMNS).assign(**OF)}


def test_the_best_layer_is_told_beside_its_controls():
    text = CHAPTER.summary(table())
    assert "both squares right, in 60 % [50, 70] of 60 puzzles" in text
    assert "at best (layer 2)" in text
    assert "random weights at that place 45 % [30, 60], legal moves 20 % [10, 30]" in text
    assert text.endswith("Above random weights, puzzle by puzzle: 15 points [5, 25].")


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.1, 0.3, "no clear difference"), (-0.3, -0.1, "clearly less")]
)
def test_a_difference_that_is_not_clearly_above_zero_is_called_so(low, high, verdict):
    assert f"({verdict})" in CHAPTER.summary(table(((low + high) / 2, low, high)))


def test_what_comes_before_the_layers_has_its_own_words():
    made = table()
    made["probes"]["layer"] -= 3
    assert "at best (before layer 0)" in CHAPTER.summary(made)
    (shown,) = CHAPTER.short_tables(made)
    assert shown.head[0] == "before layer 0, 1st target is not the 3rd"


def test_the_short_table_asks_every_question_that_was_predicted():
    (shown,) = CHAPTER.short_tables(table())
    assert [row[0] for row in shown.rows] == [
        "target", "target and source", "target and source, among the best 3"
    ]  # fmt: skip
    joint = shown.rows[1]
    assert joint[1:4] == ["60", "60 % [50, 70]", "15 points [5, 25]"]
    assert joint[4:] == ["", "", ""]  # no margin over the other controls was computed
    assert all(len(row) == len(shown.head) for row in shown.rows)


def test_other_subsets_plies_and_networks_are_not_told():
    for change in ({"subset": "all"}, {"ply": 1}, {"instance": 2}):
        made = {"probes": table()["probes"].assign(**change)}
        assert CHAPTER.summary(made) == ""
        assert [*CHAPTER.short_tables(made)] == []


def test_without_predictions_there_is_nothing_to_say(results):
    assert CHAPTER.summary({}) == ""
    assert [*CHAPTER.short_tables({})] == []
    (figure,) = CHAPTER.figures(Results(results.study, {}), {})
    assert figure == Undrawn(title="Figure 8", reason="the stage probes is not done")


def test_too_few_puzzles_are_not_probed(finished, networks, monkeypatch):
    monkeypatch.setattr(probes, "_kept", lambda study: [None] * 49)
    left_out = probes._measure(finished, networks, lambda done, total, counts: None, False)
    assert left_out == LeftOut(reason="49 puzzles are too few to train probes: 50 do")


def test_its_settings_are_those_that_predictions_depend_on(finished):
    settings = probes._settings(finished)
    assert settings["preset"] == "sound"
    for change, differs in (({"epochs": 9}, True), ({"seed": 3}, True), ({"minimum": 4}, False)):
        other = probes._settings(dataclasses.replace(finished, **change))
        assert (other != settings) is differs


def test_its_figures_are_drawn_for_every_subset_that_has_rows(results):
    made = {"probes": pd.read_csv(results.study.table("tables/probes.csv"))}
    names = [figure.name for figure in CHAPTER.figures(results, made)]
    assert names[0] == "figure8_probes"
    assert names[-1] == "probes_kinds"
