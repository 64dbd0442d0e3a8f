"""The comparison as the page shows it: every number is in one list, counts are whole."""

import math

import pandas as pd
import pytest

from leela_probe.study import comparison_rows, published

ROW = {
    "experiment": "E1", "what": "x", "paper": 0.5, "paper_half_width": 0.0, "relation": "equal",
    "here": 0.25, "low": 0.125, "high": 0.375, "n": 40, "agrees": "no", "reason": math.nan,
    "detail": False, "note": math.nan, "source": "paper",
}  # fmt: skip
MISSING = published.elsewhere()[0].missing


def rows(*changes, same_shape=True):
    return comparison_rows.of(pd.DataFrame([ROW | change for change in changes]), same_shape)


def test_every_number_stands_in_one_list():
    found = rows(
        {}, {"detail": True}, {"detail": True, "here": math.nan, "agrees": "other shape"},
        {"agrees": "not run", "reason": MISSING, "here": math.nan},
        {"agrees": "not run", "reason": "no heads", "here": math.nan},
    )  # fmt: skip
    assert [row["reason"] for row in found.compared] == ["", "no heads"]
    assert len(found.details) == 1
    assert found.not_compared.startswith("E1: 1 (other shape). They are listed")
    assert [row["reason"] for row in found.apart] == [MISSING]
    counts = {answer["name"]: answer["count"] for answer in found.answers}
    assert counts == {"no": "2", "other shape": "1", "not run": "2"}


@pytest.mark.parametrize(
    ("paper", "text"),
    [(480.0, "480"), (6152.0, "6,152"), (6.0, "6"), (0.4075, "0.407"), (0.0, "0.000")],
)
def test_counts_are_whole_and_shares_are_not(paper, text):
    apart = {"agrees": "not run", "reason": MISSING, "here": math.nan, "paper": paper}
    assert rows(apart).apart[0]["paper"] == text


def test_bounds_and_reaches_stand_beside_the_number():
    (row,) = rows({"relation": "above", "paper": 0.1}).compared
    assert row["paper"] == "above 0.100"
    (row,) = rows({"paper": 1.88, "paper_half_width": 0.04}).compared
    assert row["paper"] == "1.880 \u00b1 0.04"
    assert (row["here"], row["interval"], row["n"]) == ("0.250", "0.125 to 0.375", "40")


def test_places_are_whole_numbers():
    nan = math.nan
    (row,) = rows({"paper": 1.0, "here": 3.0, "low": nan, "high": nan}).compared
    assert (row["paper"], row["here"], row["interval"]) == ("1", "3", "")


def test_reasons_of_what_could_not_be_compared_are_counted():
    change = {"detail": True, "here": math.nan, "agrees": "not run", "reason": "no heads"}
    found = rows(change, change, {**change, "experiment": "E2"})
    assert found.not_compared.startswith("E1: 2 (not run: no heads); E2: 1 (not run: no heads).")
    assert rows({}).not_compared == ""


def test_another_shape_is_said_once():
    assert rows({}).note == "The network has the paper's shape."
    assert "numbers of single layers and heads are left out" in rows({}, same_shape=False).note
