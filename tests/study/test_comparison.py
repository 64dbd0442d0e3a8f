"""The comparison with published numbers: what is listed, what is found, when it agrees."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leela_probe.study import comparison, contents, published
from leela_probe.study.chapters.puzzles import target_pattern_counts
from leela_probe.study.comparison import Found, agreement
from leela_probe.study.published import Published

NUMBERS = [
    *(number for chapter in contents.chapters() for number in chapter.published),
    *published.elsewhere(),
]


def curve(category):
    return [
        each.value
        for each in NUMBERS
        if each.detail and each.where.get("category") == category and each.experiment == "E1"
    ]


def probe(control):
    return [
        (each.value, each.half_width)
        for each in NUMBERS
        if each.detail and each.experiment == "E5" and each.where["control"] == control
    ]


@pytest.mark.shared
def test_the_curves_are_those_of_the_shared_record(shared: Path):
    golden = json.loads((shared / "golden" / "t82.json").read_text())["curves"]
    residual = golden["residual_mean_reduction_digitised_pm0.03"]
    for ours, theirs in (
        ("corrupted", "corrupted"), ("first", "1st"),
        ("third_and_later", "3rd_and_later"), ("other", "other_max"),
    ):  # fmt: skip
        assert curve(ours) == residual[theirs]
    for control, name in (("none", "main"), ("random weights", "random")):
        values = golden[f"probe_joint_move_accuracy_{name.replace('random', 'random_net')}"]
        assert probe(control) == list(zip(values, golden[f"probe_half_width_{name}"], strict=True))


def test_every_experiment_of_the_papers_has_numbers():
    assert {each.experiment for each in NUMBERS} == {"E0", "E1", "E2", "F2", "E3", "E4", "E5",
                                                     "T6", "T2", "F4", "F5"}  # fmt: skip
    assert len({(each.experiment, each.what, each.value) for each in NUMBERS}) == len(NUMBERS)


def tables(values):
    """Tables in which the study found what a function says of each published number."""
    rows: dict[str, list] = {}
    for each in NUMBERS:
        if each.table and each.kind == "cell":
            estimate, low, high = values(each)
            row = {**each.where, each.column: estimate, "low": low, "high": high, "n": 100}
            rows.setdefault(each.table, []).append(row | {"total": 300})
    return {name: pd.DataFrame(found) for name, found in rows.items()}


def test_a_study_that_finds_the_papers_numbers_agrees_with_all_of_them():
    def same(each):
        value = each.value + (0.05 if each.relation == "above" else 0.0)
        reach = 0.01 * (each.value or 1.0)
        return value, value - reach, value + reach

    found = comparison.compare(NUMBERS, tables(same), same_shape=True)
    cells = found[[each.table is not None and each.kind == "cell" for each in NUMBERS]]
    assert set(cells["agrees"]) == {"yes"}
    assert np.allclose(cells["here"], cells["paper"] + 0.05 * (cells["relation"] == "above"))


def test_a_study_that_finds_others_disagrees_with_all_of_them():
    def other(each):
        value = each.value + (-0.5 if each.relation == "above" else 5.0)
        return value, value - 0.01, value + 0.01

    found = comparison.compare(NUMBERS, tables(other), same_shape=True)
    cells = found[[each.table is not None and each.kind == "cell" for each in NUMBERS]]
    assert set(cells["agrees"]) == {"no"}


def test_numbers_of_layers_and_heads_are_not_held_against_another_shape():
    found = comparison.compare(NUMBERS, {}, same_shape=False)
    shaped = found[[each.shape for each in NUMBERS]]
    assert set(shaped["agrees"]) == {"other shape"}
    assert shaped["here"].isna().all()
    assert set(found["agrees"]) == {"other shape", "not run"}
    assert set(found["agrees"]) <= set(comparison.ANSWERS)


def test_a_number_that_this_run_cannot_make_says_why():
    found = comparison.compare(
        NUMBERS,
        {},
        same_shape=True,
        why_not=lambda step: "a tower has no heads" if step in ("heads", "entry") else None,
    )
    assert set(found["agrees"]) == {"not run"}
    assert (found["reason"] != "").all()
    for experiment, reason in (
        ("E2", "a tower has no heads"), ("E3", "a tower has no heads"),
        ("E1", "no table of residual could be made"),
        ("T2", "a study looks for no puzzles with two branches"),
    ):  # fmt: skip
        assert set(found[found["experiment"] == experiment]["reason"]) == {reason}


def test_a_pattern_that_no_puzzle_has_is_a_share_of_none():
    tables = {"target_patterns": target_pattern_counts(pd.Series(["123"] * 60))}
    found = comparison.compare(NUMBERS, tables, same_shape=True)
    row = found[found["what"] == "share of pattern 112"].iloc[0]
    assert row["here"] == 0
    assert row["low"] == 0
    assert row["high"] == pytest.approx(0.06, abs=0.001)
    assert row["agrees"] == "no"  # the paper: 33 %
    rare = found[found["what"] == "share of pattern 12223"].iloc[0]
    assert rare["agrees"] == "too wide to tell"


def test_the_largest_over_layers_leaves_out_what_comes_before_them_as_the_paper_does():
    (peak,) = [each for each in NUMBERS if each.what == "the same out of random weights"]
    rows = pd.DataFrame(
        [
            {**peak.where, "layer": layer, "accuracy": value, "low": value - 0.01,
             "high": value + 0.01, "n": 100}
            for layer, value in ((-1, 0.3), (0, 0.14), (1, 0.16))
        ]
    )  # fmt: skip
    largest = "layer 1, chosen for being largest"
    for table, note in (
        (rows, f"{largest}; without the place before layer 0, which the paper lacks"),
        (rows[1:], largest),
    ):
        found = comparison.compare(NUMBERS, {"probes": table}, same_shape=True)
        row = found[found["what"] == peak.what].iloc[0]
        assert (row["here"], row["agrees"], row["note"]) == (0.16, "yes", note)
    found = comparison.compare(NUMBERS, {"probes": rows[:1]}, same_shape=True)
    assert found[found["what"] == peak.what].iloc[0]["agrees"] == "not run"


def number(**more):
    return Published(experiment="E", what="", value=0.1, source="", **more)


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (Found(estimate=0.2, low=0.15, high=0.3), "yes"),
        (Found(estimate=0.2, low=0.05, high=0.3), "too wide to tell"),
        (Found(estimate=0.02, low=0.0, high=0.06), "no"),
        (Found(estimate=0.2), "no interval"),
    ],
)
def test_a_bound_holds_if_the_whole_interval_is_beyond_it(found, answer):
    assert agreement(number(relation="above"), found) == answer


def test_an_interval_too_wide_to_say_is_no_agreement():
    wide = Found(estimate=0.1, low=-3.0, high=3.0)
    assert agreement(number(half_width=0.01), wide) == "too wide to tell"
    e1 = Published(experiment="E1", what="", value=1.88, half_width=0.04, source="")
    assert agreement(e1, Found(estimate=1.0, low=0.307, high=1.864)) == "too wide to tell"
    assert agreement(e1, Found(estimate=1.6, low=1.2, high=2.0)) == "yes"
