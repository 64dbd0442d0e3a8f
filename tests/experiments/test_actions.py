"""Actions by name: what is written at each place, on held-out positions, and to which puzzle."""

import dataclasses

import numpy as np
import pytest
import torch
from example_pairs import BACK_RANK, BY_HAND, KNIGHT_SACRIFICE

from leela_probe.experiments import actions, effects, held_out, sweeps
from leela_probe.networks.interventions import Patch, Scale, Zero

SWEEPS = {
    "residual": lambda net, action: sweeps.residual(net, squares=[3, 60], action=action),
    "heads": lambda net, action: sweeps.heads(net, layers=[1], action=action),
    "head_squares": lambda net, action: sweeps.head_squares(net, 1, 2, action=action),
    "head_sets": lambda net, action: sweeps.head_sets(net, [[(0, 1), (2, 3)]], action=action),
}


def swept(net, kind, name, **options):
    return actions.with_action(lambda action: SWEEPS[kind](net, action), name, net, **options)


def held_out_values(net, site, boards=5, seed=4):
    """The activation in each of the positions, which are known without their past."""
    positions = [board.copy(stack=False) for board in held_out.boards(boards, seed=seed)]
    return net.capture(positions, [site])[site]


@pytest.mark.parametrize("kind", SWEEPS)
@pytest.mark.parametrize(
    ("name", "action"), [("patch", Patch()), ("zero", Zero()), ("scale:-0.5", Scale(factor=-0.5))]
)
def test_every_place_of_a_sweep_is_changed_as_its_name_says(kind, name, action, network):
    net = network("attention")
    sweep = swept(net, kind, name)
    usual = SWEEPS[kind](net, Patch())
    assert sweep.needs_partner == (name == "patch")
    assert sweep.points(BACK_RANK) is sweep.points(KNIGHT_SACRIFICE)
    for change, plain in zip(sweep.points(BACK_RANK), usual.points(BACK_RANK), strict=True):
        assert [made.action for made in change.interventions] == [action] * len(plain.interventions)
        assert (change.site, change.label, change.layer, change.head, change.square) == (
            plain.site, plain.label, plain.layer, plain.head, plain.square
        )  # fmt: skip


@pytest.mark.parametrize("kind", SWEEPS)
def test_the_mean_is_that_over_held_out_positions(kind, network):
    net = network("attention")
    sweep = swept(net, kind, "mean", boards=5, seed=4)
    assert sweep.points(BACK_RANK) is sweep.points(KNIGHT_SACRIFICE)
    for change in sweep.points(BACK_RANK):
        for made in change.interventions:
            expected = held_out_values(net, made.site).mean(dim=0)
            torch.testing.assert_close(made.action.values, expected, atol=1e-5, rtol=1e-5)


def test_resampling_writes_one_held_out_position_of_each_puzzles_own(network):
    net = network("attention")
    sweep = swept(net, "heads", "resample", boards=5, seed=4)
    every = held_out_values(net, "layer1.head_output")
    drawn = set()
    for number in range(12):
        pair = dataclasses.replace(BACK_RANK, puzzle_id=str(number))
        found = {id(made.action): made.action for change in sweep.points(pair)
                 for made in change.interventions}  # fmt: skip
        (action,) = found.values()  # one draw a puzzle, at all its places
        near = [torch.allclose(action.values, value, atol=1e-5) for value in every]
        assert sum(near) == 1
        drawn.add(near.index(True))
        again = sweep.points(pair)[0].interventions[0].action
        torch.testing.assert_close(again.values, action.values)
    assert len(drawn) > 2


def test_heads_changed_together_are_resampled_from_one_position(network):
    net = network("attention")
    (change,) = swept(net, "head_sets", "resample", boards=5, seed=4).points(BACK_RANK)
    chosen = [
        [torch.allclose(made.action.values, value, atol=1e-5)
         for value in held_out_values(net, made.site)].index(True)
        for made in change.interventions
    ]  # fmt: skip
    assert len(set(chosen)) == 1


def test_writing_needs_no_partner_and_gives_the_effect_of_the_edit(network):
    net = network("attention")
    alone = [dataclasses.replace(pair, corrupted_fen=None) for pair in BY_HAND]
    table = effects.measure(net, alone, swept(net, "heads", "mean", boards=5, seed=4))
    assert set(table["direction"]) == {"ablation"}
    mean = held_out_values(net, "layer1.head_output").mean(dim=0)

    def edit(value):
        value = value.clone()
        value[:, 2] = mean[2]
        return value

    planes = torch.from_numpy(net.encode([pair.clean for pair in alone]).planes())
    logits = net.run(planes, ["policy.logits"], edits={"layer1.head_output": edit})
    encoded = net.encode([pair.clean for pair in alone])
    for i, pair in enumerate(alone):
        own = encoded.slots[encoded.offsets[i] : encoded.offsets[i + 1]]
        values = logits["policy.logits"][i].numpy()[own].astype(float)
        first = encoded.moves[i].index(pair.moves[0])
        rest = np.delete(values, first)
        row = table[(table["puzzle_id"] == pair.puzzle_id) & (table["head"] == 2)].iloc[0]
        expected = values[first] - np.log(np.exp(rest).sum())
        assert row["changed"] == pytest.approx(expected, abs=1e-4)
        assert row["effect"] == pytest.approx(row["clean"] - expected, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("burn", {}, "unknown action 'burn': choose patch, zero, mean, resample, scale:FACTOR"),
        ("scale:FACTOR", {}, "'scale:FACTOR' has no number: write such as scale:0.5"),
        ("scale", {}, "unknown action 'scale'"),
        ("mean", {"boards": 0}, "0 held-out boards asked for: take at least 1"),
    ],
)
def test_an_action_that_cannot_be_made_is_refused(name, options, message, network):
    with pytest.raises(ValueError, match=message):
        swept(network("attention"), "heads", name, **options)
