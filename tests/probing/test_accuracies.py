"""Accuracies, margins and their intervals out of predictions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow
import pytest
from example_pairs import random_pairs

from leela_probe.probing import accuracies, baselines, folds, targets
from leela_probe.probing.prediction_tables import frame
from leela_probe.statistics import intervals


@pytest.fixture(scope="module")
def pairs():
    """Sixty puzzles; of every fourth the third move goes where the first went."""
    found = random_pairs(11, 60)
    return [
        pair
        if number % 4
        else dataclasses.replace(
            pair, line=(*pair.line[:2], pair.line[2][:2] + pair.line[0][2:4], *pair.line[3:])
        )
        for number, pair in enumerate(found)
    ]


def predicted(pairs, draw, *, control, kind, ply=3, right=0.5, seeds=(0,), instance=0, sites=None):
    """Predictions that are right with a probability, and the ranks that they have."""
    asked = targets.target_of(pairs, kind.split()[0], ply)
    sites = sites or ["layer0.residual_after", "layer1.residual_after"]
    shape = (len(sites), len(seeds), len(pairs))
    rank = np.where(draw.random(shape) < right, 1, draw.integers(2, 65, shape))
    guess = np.where(rank == 1, asked.answer, (asked.answer + 1) % 64)
    rows = frame(
        pairs,
        np.arange(len(pairs)),
        sites=sites,
        kind=kind,
        target=asked,
        split="fold 0",
        seeds=list(seeds),
        predicted=guess,
        rank=rank,
        loss=np.zeros(shape),
    )
    network = "net" if sites[0] else None
    return baselines.label(rows, control=control, network=network, instance=instance), rank


@pytest.fixture(scope="module")
def table(pairs):
    draw = np.random.default_rng(0)
    parts, ranks = [], {}
    source = "source given predicted target"
    for kind in ("target", "source", source):
        made = [
            ("none", 0, 0.7, (0, 1, 2), None),
            ("random weights", 1, 0.2, (0,), None),
            ("random weights", 2, 0.3, (0,), None),
            ("input planes", 0, 0.4, (0,), ["input"]),
            ("legal moves", 0, 0.3, (0,), [""]),
        ]
        for control, instance, right, seeds, sites in made:
            rows, rank = predicted(
                pairs, draw, control=control, kind=kind, right=right, seeds=seeds,
                instance=instance, sites=sites,
            )  # fmt: skip
            parts.append(rows)
            ranks[control, instance, kind] = rank
    found = accuracies.of_predictions(
        pyarrow.concat_tables(parts).to_pandas(),
        pairs,
        preset="sound",
        split="5 folds by game",
        resamples=199,
    )
    return found, ranks


def row(table, **wanted):
    chosen = {"against": "", "instance": 0, "top": 1, "subset": "all", "kind": "target"} | wanted
    for name, value in chosen.items():
        table = table[table[name] == value]
    assert len(table) == 1, wanted
    return table.iloc[0]


def test_the_columns_are_those_that_are_promised(table):
    assert tuple(table[0].columns) == accuracies.COLUMNS
    assert table[0][["control", "kind", "subset", "n", "accuracy"]].notna().all().all()


def test_accuracies_are_means_over_puzzles_and_seeds(table, pairs):
    found, ranks = table
    for layer in (0, 1):
        for top in (1, 3, 5):
            mine = row(found, control="none", layer=layer, top=top)
            rank = ranks["none", 0, "target"][layer]
            assert mine.accuracy == pytest.approx((rank <= top).mean())
            assert (mine.n, mine.clusters, mine.seeds) == (60, 30, 3)
            assert mine.sd_seeds == pytest.approx((rank <= top).mean(axis=1).std(ddof=1))
            assert mine.chance == top / 64
            # the interval is that of one number a puzzle, by game
            each, games = (rank <= top).mean(axis=0), folds.games(pairs)
            witness = intervals.mean_interval(each, games, resamples=199)
            assert (mine.low, mine.high) == pytest.approx((witness.low, witness.high), abs=0.04)


def test_nothing_right_has_an_interval_too(pairs):
    draw = np.random.default_rng(1)
    rows, _ = predicted(pairs, draw, control="random weights", kind="target", right=0.0)
    wrong = rows.to_pandas().assign(rank=64)
    found = accuracies.of_predictions(
        wrong, pairs, preset="sound", split="ordered", subsets=["all"]
    )
    assert (found["accuracy"] == 0).all()
    assert (found["low"] == 0).all()
    assert found["high"].between(0.01, 0.2).all()


def test_joint_is_right_where_target_and_the_source_given_it_are(table):
    found, ranks = table
    both = (ranks["none", 0, "target"] == 1) & (
        ranks["none", 0, "source given predicted target"] == 1
    )
    for layer in (0, 1):
        mine = row(found, control="none", layer=layer, kind="joint")
        assert mine.accuracy == pytest.approx(both[layer].mean())
        assert mine.chance == 1 / 4096


def test_random_networks_stand_one_by_one_and_all_together(table):
    found, ranks = table
    each = [(ranks["random weights", n, "target"][1, 0] == 1).mean() for n in (1, 2)]
    for number, mean in enumerate(each, 1):
        mine = row(found, control="random weights", instance=number, layer=1)
        assert mine.accuracy == pytest.approx(mean)
    together = row(found, control="random weights", layer=1)
    assert together.accuracy == pytest.approx(np.mean(each))
    assert (together.n, together.seeds) == (60, 2)


def test_margins_are_differences_on_the_same_puzzles(table, pairs):
    found, ranks = table
    own = (ranks["none", 0, "target"][1] == 1).mean(axis=0)
    others = {
        "random weights": np.mean(
            [ranks["random weights", n, "target"][1, 0] == 1 for n in (1, 2)], axis=0
        ),
        "input planes": ranks["input planes", 0, "target"][0, 0] == 1,
        "legal moves": ranks["legal moves", 0, "target"][0, 0] == 1,
    }
    for control, other in others.items():
        mine = row(found, control="none", layer=1, against=control)
        witness = intervals.mean_interval(own - other, folds.games(pairs), resamples=199)
        assert mine.accuracy == pytest.approx(own.mean() - other.mean())
        assert (mine.low, mine.high) == pytest.approx((witness.low, witness.high))


def test_subsets_hold_their_puzzles_alone(table, pairs):
    found, ranks = table
    inside = targets.subset(pairs, "differing")
    mine = row(found, control="none", layer=0, subset="differing")
    assert mine.n == inside.sum() < 60
    rank = ranks["none", 0, "target"][0][:, inside]
    assert mine.accuracy == pytest.approx((rank == 1).mean())
    assert mine.trivial == 0
    assert row(found, control="none", layer=0).trivial == pytest.approx(1 - inside.mean())


def test_predictions_of_nobody_or_of_strangers_are_refused(pairs):
    rows, _ = predicted(pairs, np.random.default_rng(0), control="none", kind="target")
    with pytest.raises(ValueError, match="is not among the pairs"):
        accuracies.of_predictions(rows.to_pandas(), pairs[:5], preset="sound", split="")
    with pytest.raises(ValueError, match="the table has no rows"):
        accuracies.of_predictions(rows.to_pandas().iloc[:0], pairs, preset="sound", split="")
    assert isinstance(rows.to_pandas(), pd.DataFrame)
