"""Matching removes a difference that covariates make, and counts what it cannot match."""

import numpy as np
import pandas as pd
import pytest

from leela_probe.statistics import matching
from leela_probe.statistics.matching import Rule


def puzzles(count=400, squares=40, seed=0):
    """Effects that depend on closeness to the king alone; targets are mostly close to it."""
    rng = np.random.default_rng(seed)
    targets = pd.DataFrame(
        {
            "puzzle": np.arange(count),
            "king": rng.choice(8, count, p=[0, 0.45, 0.3, 0.1, 0.05, 0.05, 0.05, 0]),
            "kind": rng.choice(["empty", "own"], count, p=[0.8, 0.2]),
        }
    )
    candidates = pd.DataFrame(
        {
            "puzzle": np.repeat(np.arange(count), squares),
            "king": rng.integers(1, 8, count * squares),
            "kind": rng.choice(["empty", "own"], count * squares),
        }
    )
    for table in (targets, candidates):
        table["effect"] = 3.0 / table["king"] + rng.normal(0, 0.1, len(table))
    return targets, candidates


def differences(targets, candidates, found):
    control = candidates["effect"].loc[found.pairs["control"]].to_numpy() * found.pairs["weight"]
    return (
        targets["effect"].loc[found.pairs["target"].drop_duplicates()].to_numpy()
        - control.groupby(found.pairs["target"].to_numpy(), sort=False).sum().to_numpy()
    )


def test_an_effect_of_a_covariate_alone_is_gone_after_matching_on_it():
    targets, candidates = puzzles()
    loose = matching.match(targets, candidates, Rule(exact=["kind"], count=1000), by="puzzle")
    close = matching.match(
        targets, candidates, Rule(exact=["kind"], calipers={"king": 0}), by="puzzle"
    )
    assert differences(targets, candidates, loose).mean() > 0.3
    assert abs(differences(targets, candidates, close).mean()) < 0.02


def test_balance_is_told_before_and_after():
    targets, candidates = puzzles()
    found = matching.match(
        targets, candidates, Rule(exact=["kind"], calipers={"king": 0}), by="puzzle"
    )
    table = matching.balance(targets, candidates, found, ["king", "kind"], by="puzzle").set_index(
        "covariate"
    )
    assert list(table.index) == ["king", "kind=empty", "kind=own"]
    assert (table["smd_before"].abs() > 0.4).all()
    assert (table["smd_after"].abs() < 1e-12).all()
    assert (table["n"] == len(targets) - len(found.unmatched)).all()


def test_a_target_with_nothing_near_is_counted_not_matched():
    targets = pd.DataFrame({"puzzle": [1, 2], "x": [0.0, 5.0]}, index=["one", "two"])
    candidates = pd.DataFrame({"puzzle": [1, 2, 2], "x": [0.5, 7.0, np.nan]})
    found = matching.match(targets, candidates, Rule(calipers={"x": 1}), by="puzzle")
    assert found.pairs["target"].tolist() == ["one"]
    assert found.unmatched == ["two"]


def test_controls_of_another_puzzle_are_never_taken():
    targets = pd.DataFrame({"puzzle": [1], "x": [0]})
    candidates = pd.DataFrame({"puzzle": [2, 2], "x": [0, 0]})
    assert matching.match(targets, candidates, Rule(), by="puzzle").unmatched == [0]


def test_all_that_tie_are_averaged_and_weights_add_up_to_one():
    targets = pd.DataFrame({"puzzle": [1, 1 + 1], "x": [0, 3]})
    candidates = pd.DataFrame({"puzzle": [1, 1, 1, 2], "x": [1, -1, 2, 3]})
    found = matching.match(targets, candidates, Rule(calipers={"x": 2}), by="puzzle")
    assert found.pairs["control"].tolist() == [0, 1, 3]
    assert found.pairs.groupby("target")["weight"].sum().tolist() == [1, 1]


def test_two_targets_of_a_puzzle_are_refused():
    targets = pd.DataFrame({"puzzle": [1, 1], "x": [0, 3]})
    with pytest.raises(ValueError, match="puzzle 1 has two targets"):
        matching.match(targets, targets, Rule(), by="puzzle")


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"calipers": {"x": -1}}, "caliper of x is negative"), ({"count": 0}, "0 controls")],
)
def test_a_rule_that_says_nothing_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Rule(**settings)
