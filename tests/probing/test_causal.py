"""Steps along a probe's direction move the policy where it is read out, and nowhere else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from example_pairs import random_pairs

from leela_probe.networks.measures import Runs, log_odds
from leela_probe.positions.planes import History
from leela_probe.probing import causal, folds, probes, targets
from leela_probe.probing.causal import Steering
from leela_probe.probing.recipes import Recipe
from leela_probe.probing.rows import MemoryRows
from leela_probe.statistics import intervals

SITE = "layer2.residual_after"  # the last of the network's three layers


@pytest.fixture(scope="module")
def setting(network):
    """A network, puzzles, a target, and probes trained on the network's activations."""
    net, pairs = network("attention"), random_pairs(21, 24)
    target = targets.target_of(pairs, "target", 3)
    splits = folds.by_game(folds.games(pairs), folds=3)
    sites = ["layer0.residual_after", SITE]
    values = net.capture([pair.clean for pair in pairs], sites)
    rows = MemoryRows(torch.stack([values[site] for site in sites]), sites)
    recipe = Recipe(rank=4, epochs=3, learning_rate=1e-2)
    return net, pairs, target, splits, rows, probes.train(rows, [target], splits, recipe)


def gradient(net, pair, square):
    """The gradient of the first move's log odds by the last layer's activation at a square."""
    encoded = net.encode([pair.clean])
    site = net.site(SITE)
    planes = torch.from_numpy(encoded.planes()).requires_grad_()
    logits = net.site("policy.logits").tensor
    run = net.graph.run({net.graph.inputs[0]: planes}, [site.tensor, logits], gradients=True)
    legal = torch.zeros(1, run[logits].shape[1], dtype=torch.bool)
    legal[0, torch.from_numpy(encoded.slots.astype(np.int64))] = True
    slot = int(encoded.slots[encoded.moves[0].index(pair.moves[0])])
    odds = log_odds(
        Runs(
            logits=run[logits],
            value=None,
            legal=legal,
            slot=torch.tensor([slot]),
            clean_logits=run[logits],
        )
    )
    (raw,) = torch.autograd.grad(odds.sum(), [run[site.tensor]])
    return site.read(raw)[0, square], float(odds.detach())


def test_a_direction_that_is_read_out_moves_the_policy_as_its_gradient_says(setting):
    net, pairs, target, splits, rows, trained = setting
    board = 5
    number = next(n for n, split in enumerate(splits) if split.test[board])
    (place,) = trained.select(target.name, number)
    answer, given = int(target.answer[board]), int(target.given[board])
    slope, odds = gradient(net, pairs[board], answer)
    # probes whose direction on this board is the gradient: W_x = gradient, W_z = z / |z|^2
    told = rows.read(np.array([board]))[1, 0, given]
    aligned = dataclasses.replace(
        trained,
        x_weights=torch.zeros(2, 3, 1, 32).index_fill(1, torch.tensor([place]), 1.0) * slope,
        z_weights=(told / told.square().sum()).expand(2, 3, 1, 32).clone(),
        mean=torch.zeros(2, 3, 32),
        deviation=torch.ones(2, 3, 32),
    )
    small = 0.01 * float(slope.square().sum())
    table = causal.measure(
        net,
        aligned,
        pairs,
        target,
        splits,
        Steering(nats=(small, -small), sites=(SITE,)),
        boards=[board],
    )
    steps = table.set_index(["direction", "nats"])["changed"] - odds
    # moving the score by so many nats moves the log odds by as many, to first order
    assert steps["probe", small] == pytest.approx(small, rel=0.05)
    assert steps["probe", -small] == pytest.approx(-small, rel=0.05)
    assert abs(steps["random direction", small]) < 0.6 * small
    assert (table["clean"] - odds).abs().max() < 1e-4
    assert np.allclose(table["effect"], table["clean"] - table["changed"])


def test_a_step_changes_the_probes_score_by_what_it_says(setting):
    _, _, target, splits, rows, trained = setting
    for board in (0, 7):
        number = next(n for n, split in enumerate(splits) if split.test[board])
        (place,) = trained.select(target.name, number)
        values = rows.read(np.array([board]))
        answer, given = int(target.answer[board]), int(target.given[board])
        along = trained.direction(values[1, 0, given], layer=1, probe=place)
        moved = values.clone()
        moved[1, 0, answer] += along / along.square().sum() * 4.0
        told = torch.full((2, 1, 1), given)
        before, after = (trained.scores(v, told, [place])[1, 0, 0] for v in (values, moved))
        if answer != given:  # else the condition moves too
            assert float(after[answer] - before[answer]) == pytest.approx(4.0, rel=1e-3)
            others = torch.arange(64) != answer
            torch.testing.assert_close(after[others], before[others])


def test_the_table_has_every_direction_step_and_layer(setting):
    net, pairs, target, splits, _, trained = setting
    table = causal.measure(net, trained, pairs, target, splits, boards=range(6))
    assert len(table) == 6 * 2 * 3 * 4
    assert set(table["direction"]) == set(causal.DIRECTIONS)
    assert table["layer"].isin([0, 2]).all()
    assert (table["size"] > 0).all()
    sizes = table[table["direction"] != "other square"].pivot_table(
        index=["puzzle_id", "site", "nats"], columns="direction", values="size"
    )
    np.testing.assert_allclose(sizes["probe"], sizes["random direction"], rtol=1e-5)
    again = causal.measure(net, trained, pairs, target, splits, boards=range(6))
    assert table.equals(again)


def test_steps_start_from_the_policy_under_the_history_that_is_asked_for(setting):
    net, pairs, target, splits, _, trained = setting
    clean = {}
    for history in (History.KNOWN, History.FILLED):
        table = causal.measure(
            net,
            trained,
            pairs,
            target,
            splits,
            Steering(history=history, nats=(1.0,)),
            boards=range(4),
        )
        clean[history] = table.groupby("puzzle_id", sort=False)["clean"].first()
        policy = net.evaluate([pair.clean for pair in pairs[:4]], history=history)
        odds = [policy.policy(n)[pair.moves[0]] for n, pair in enumerate(pairs[:4])]
        assert clean[history].tolist() == pytest.approx(
            [float(np.log(p / (1 - p))) for p in odds], abs=1e-3
        )
    assert (clean[History.KNOWN] - clean[History.FILLED]).abs().max() > 0.01


def test_a_summary_has_the_means_and_intervals_of_each_step_by_game(setting):
    net, pairs, target, splits, _, trained = setting
    table = causal.measure(
        net, trained, pairs, target, splits, Steering(nats=(-8.0, 8.0)), boards=range(24)
    ).assign(kind="target", ply=3)
    found = causal.summary(table, resamples=199)
    assert len(found) == 2 * 4 * 2
    means = table.groupby(["layer", "direction", "nats"])["effect"].mean()
    for row in found[found["direction"] != causal.BEYOND].itertuples():
        assert row.effect == pytest.approx(means[row.layer, row.direction, row.nats])
    wide = table[(table["layer"] == 2) & (table["nats"] == 8)].pivot_table(
        index=["puzzle_id", "game_id"], columns="direction", values="effect", sort=False
    )
    difference = (wide["probe"] - wide["random direction"]).to_numpy()
    codes = pd.factorize(wide.index.get_level_values("game_id"))[0].astype(np.int64)
    witness = intervals.mean_interval(difference, codes, resamples=199)
    mine = found.set_index(["layer", "nats", "direction"]).loc[(2, 8.0, causal.BEYOND)]
    assert (mine["effect"], mine["low"], mine["high"]) == pytest.approx(
        (witness.value, witness.low, witness.high)
    )
    with pytest.raises(ValueError, match="no steps to take means of"):
        causal.summary(table.iloc[:0])


def test_an_unknown_layer_is_refused(setting):
    net, pairs, target, splits, _, trained = setting
    with pytest.raises(KeyError, match=r"no probes of 'layer1\.residual_after'"):
        causal.measure(
            net,
            trained,
            pairs,
            target,
            splits,
            Steering(sites=("layer1.residual_after",)),
            boards=[0],
        )
