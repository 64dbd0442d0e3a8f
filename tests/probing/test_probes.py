"""Bilinear probes: what they recover, what they must not find, and each as if it were alone."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from planted_probes import planted, read_out

from leela_probe.probing import folds, probe_files, probes, recipes
from leela_probe.probing.recipes import JENNER2024, Recipe
from leela_probe.probing.rows import MemoryRows
from leela_probe.probing.targets import Target
from leela_probe.statistics import intervals

QUICK = Recipe(rank=8, learning_rate=1e-2, epochs=30, patience=4)


# Signal and noise


def test_a_planted_bilinear_relation_is_recovered_where_it_is_and_nowhere_else():
    rows, target, truth = planted(1200, seed=1)
    splits = folds.by_game(np.arange(1200))
    found = probes.train(rows, [target], splits, QUICK)
    hits = read_out(found, rows, target, splits)
    assert hits[1].mean() > 0.85  # 1 of 64 by guessing
    guessing = intervals.mean_interval(hits[0], np.arange(1200))
    assert guessing.low < 1 / 64 < guessing.high
    # the witness: the planted form itself is right everywhere
    assert (truth.argmax(axis=1) == target.answer).all()


@pytest.mark.parametrize("seed", [1, 2])  # of seeds 0 to 39, 5 of the 80 intervals miss
def test_on_noise_the_accuracy_is_chance_within_its_interval(seed):
    rows, target, _ = planted(900, seed=seed)
    draw = np.random.default_rng(seed)
    shuffled = dataclasses.replace(target, answer=draw.integers(0, 64, 900))
    splits = folds.by_game(np.arange(900) // 2)
    hits = read_out(probes.train(rows, [shuffled], splits, QUICK), rows, shuffled, splits)
    for layer in hits:
        found = intervals.mean_interval(layer, np.arange(900) // 2)
        assert found.low < 1 / 64 < found.high


def test_leaving_validation_out_stops_nothing():
    rows, target, _ = planted(200, seed=4)
    recipe = dataclasses.replace(QUICK, epochs=3, patience=None)
    found = probes.train(rows, [target], folds.by_game(np.arange(200)), recipe)
    assert (found.epochs == 3).all()
    assert found.validation_loss.isnan().all()


def test_the_weights_kept_are_those_of_the_epoch_with_the_lowest_validation_loss():
    rows, target, _ = planted(300, seed=5)
    splits = folds.by_game(np.arange(300))
    found = probes.train(rows, [target], splits, QUICK)
    losses = found.validation_loss.nan_to_num(nan=torch.inf)
    assert torch.equal(losses.argmin(dim=0) + 1, found.epochs)
    for layer in range(2):
        for number, split in enumerate(splits):
            boards = np.flatnonzero(split.validation)
            scores = found.scores(
                rows.read(boards),
                torch.from_numpy(target.given[boards]).expand(2, 1, -1),
                found.select("target 3", number),
            )[layer, 0]
            loss = F.cross_entropy(scores, torch.from_numpy(target.answer[boards]))
            kept = losses[found.epochs[layer, number] - 1, layer, number]
            assert float(loss) == pytest.approx(float(kept), rel=1e-4)


# The paper's probe, written again


def plain_probe(x, given, answer, *, seed, recipe, site, target):
    """One probe as the paper has it, with its constant: a loop, a linear layer each, float64."""
    width = x.shape[2]
    start = probes.initial_weights(site, target, seed=seed, rank=recipe.rank, width=width)
    w_x, w_z = (torch.tensor(part, requires_grad=True) for part in start)
    constant = torch.randn(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([w_x, w_z, constant], lr=0.01, weight_decay=0.0)
    for _ in range(5):
        for first in range(0, len(x), 64):
            batch = range(first, min(first + 64, len(x)))
            loss = torch.zeros((), dtype=torch.float64)
            for row in batch:
                keys = F.linear(x[row], w_x)
                query = F.linear(x[row, given[row]], w_z)
                scores = keys @ query / recipe.rank**0.5 + constant
                loss = loss - torch.log_softmax(scores, dim=0)[answer[row]] / len(batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return w_x.detach(), w_z.detach()


def test_the_preset_jenner2024_equals_an_independent_plain_implementation():
    assert (JENNER2024.rank, JENNER2024.learning_rate, JENNER2024.batch_size) == (32, 0.01, 64)
    assert (JENNER2024.epochs, JENNER2024.shuffle, JENNER2024.normalise) == (5, False, False)
    assert JENNER2024.seeds == (0, 1, 2, 3, 4)
    values, target, _ = planted(230, seed=6, tensor=True)
    rows = MemoryRows(values.double(), ["layer0", "layer1"])
    splits = folds.ordered(230)
    found = probes.train(rows, [target], splits, JENNER2024)
    assert int(splits[0].train.sum()) == 161  # the first 70 %
    for layer, site in enumerate(rows.sites):
        for seed in (0, 3):
            w_x, w_z = plain_probe(
                values[layer, :161].double(),
                target.given[:161],
                target.answer[:161],
                seed=seed,
                recipe=JENNER2024,
                site=site,
                target="target 3",
            )
            torch.testing.assert_close(found.x_weights[layer, seed], w_x, rtol=1e-6, atol=1e-9)
            torch.testing.assert_close(found.z_weights[layer, seed], w_z, rtol=1e-6, atol=1e-9)


def test_initial_weights_have_the_variance_of_the_paper():
    start = probes.initial_weights("layer0", "target 3", seed=0, rank=32, width=768)
    assert start.var() * 768 == pytest.approx(1, abs=0.02)


# Alone and together


def test_probes_of_all_layers_targets_splits_and_seeds_come_out_as_if_alone():
    values, target, _ = planted(260, seed=7, tensor=True)
    values = values.double()
    other = dataclasses.replace(target, name="source 3", answer=target.given[::-1].copy())
    recipe = dataclasses.replace(QUICK, epochs=6, patience=2, seeds=(0, 5), shuffle=False)
    splits = folds.by_game(np.arange(260), folds=4)
    together = probes.train(MemoryRows(values, ["a", "b"]), [target, other], splits, recipe)
    for layer, site in enumerate("ab"):
        rows = MemoryRows(values[layer : layer + 1], [site])
        alone = probes.train(rows, [target, other], splits, recipe)
        for name in ("x_weights", "z_weights", "epochs"):
            here = getattr(together, name)[layer : layer + 1]
            torch.testing.assert_close(here, getattr(alone, name))
    single = dataclasses.replace(recipe, seeds=(5,))
    alone = probes.train(MemoryRows(values, ["a", "b"]), [other], splits, single)
    for number in range(4):
        places = together.select("source 3", number)
        chosen = [p for p in places if together.probes[p].seed == 5]
        torch.testing.assert_close(
            together.x_weights[:, chosen], alone.x_weights[:, alone.select("source 3", number)]
        )


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_fold_comes_out_the_same_with_and_without_the_others(shuffle):
    values, target, _ = planted(230, seed=7, tensor=True)
    rows = MemoryRows(values.double(), ["a", "b"])
    target = dataclasses.replace(target, known=np.arange(230) % 7 != 0)
    splits = folds.by_game(np.arange(230) // 2, folds=5)
    recipe = dataclasses.replace(QUICK, epochs=4, patience=2, seeds=(0, 5), shuffle=shuffle)
    together = probes.train(rows, [target], splits, recipe)
    for number in (0, 3):
        alone = probes.train(rows, [target], splits[number : number + 1], recipe)
        own = together.select("target 3", number)
        for name in ("x_weights", "z_weights", "epochs"):
            torch.testing.assert_close(getattr(together, name)[:, own], getattr(alone, name))


def test_a_step_is_over_a_batch_of_the_splits_own_training_side():
    values, target, _ = planted(400, seed=7, tensor=True)
    split = folds.Split(
        name="thirds", train=np.arange(400) % 3 == 0, validation=None, test=np.arange(400) % 3 == 1
    )
    within = np.flatnonzero(split.train)
    inside = dataclasses.replace(
        target, answer=target.answer[within], given=target.given[within],
        known=target.known[within],
    )  # fmt: skip
    everything = folds.Split(
        name="all", train=np.ones(len(within), dtype=bool), validation=None,
        test=np.zeros(len(within), dtype=bool),
    )  # fmt: skip
    recipe = dataclasses.replace(JENNER2024, epochs=2, seeds=(0,))
    one = probes.train(MemoryRows(values.double(), ["a", "b"]), [target], [split], recipe)
    rows = MemoryRows(values[:, within].double(), ["a", "b"])
    two = probes.train(rows, [inside], [everything], recipe)
    torch.testing.assert_close(one.x_weights, two.x_weights)


def test_puzzles_of_the_test_side_and_unknown_answers_change_nothing():
    values, target, _ = planted(200, seed=8, tensor=True)
    splits = folds.ordered(200)
    known = np.arange(200) % 5 != 0
    target = dataclasses.replace(target, known=known)
    recipe = dataclasses.replace(JENNER2024, seeds=(0,), rank=4)
    first = probes.train(MemoryRows(values, ["a", "b"]), [target], splits, recipe)
    answer = np.where(known & splits[0].train, target.answer, 63 - target.answer)
    changed = dataclasses.replace(target, answer=answer)
    values[:, splits[0].test] = 7.0
    second = probes.train(MemoryRows(values, ["a", "b"]), [changed], splits, recipe)
    assert torch.equal(first.x_weights, second.x_weights)


def test_normalising_uses_the_training_side_alone_and_equals_doing_it_beforehand():
    values, target, _ = planted(200, seed=9, tensor=True)
    values = (values * torch.linspace(0.1, 30, 12) + torch.linspace(-5, 40, 12)).double()
    split = folds.Split(
        name="half", train=np.arange(200) < 100, validation=None, test=np.arange(200) >= 150
    )
    recipe = dataclasses.replace(QUICK, epochs=4, patience=None)
    inside = values[:, :100]
    mean, deviation = inside.mean(dim=(1, 2)), inside.std(dim=(1, 2), correction=0)
    before = (values - mean[:, None, None]) / deviation[:, None, None]
    raw = dataclasses.replace(recipe, normalise=False)
    one = probes.train(MemoryRows(values, ["a", "b"]), [target], [split], recipe)
    two = probes.train(MemoryRows(before, ["a", "b"]), [target], [split], raw)
    torch.testing.assert_close(one.x_weights, two.x_weights, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(one.mean[:, 0], mean)


def test_scores_are_the_formula_of_the_paper_up_to_a_constant():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 64, 6, generator=generator, dtype=torch.float64)
    w_x, w_z = torch.randn(2, 2, 4, 5, 6, generator=generator, dtype=torch.float64)
    mean = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    deviation = mean.exp()
    given = torch.randint(0, 64, (2, 4, 3), generator=generator)
    found = probes.scores(x, given, w_x, w_z, mean, deviation)
    for layer, probe, board in np.ndindex(2, 4, 3):
        scaled = (x[layer, board] - mean[layer, probe]) / deviation[layer, probe]
        told = w_z[layer, probe] @ scaled[given[layer, probe, board]]
        expected = scaled @ w_x[layer, probe].T @ told / 5**0.5
        difference = found[layer, probe, board] - expected
        torch.testing.assert_close(difference, difference[:1].expand(64))


def test_a_direction_is_the_gradient_of_the_score_of_a_square():
    rows, target, _ = planted(150, seed=10)
    found = probes.train(rows, [target], folds.ordered(150), JENNER2024)
    values = rows.read(np.array([3]))
    given = torch.tensor([[[target.given[3]]]] * 2)
    square = (int(target.given[3]) + 5) % 64
    moved = values.clone().requires_grad_()
    found.scores(moved, given, [1])[1, 0, 0, square].backward()
    direction = found.direction(values[1, 0, target.given[3]], layer=1, probe=1)
    torch.testing.assert_close(direction, moved.grad[1, 0, square])


def test_probes_come_back_from_their_file(tmp_path):
    rows, target, _ = planted(120, seed=11)
    found = probes.train(rows, [target], folds.ordered(120), JENNER2024)
    probe_files.write(found, tmp_path / "probes.safetensors")
    read = probe_files.read(tmp_path / "probes.safetensors")
    (tmp_path / "other").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1  # others may read it if they may read what is written plainly
    for field in dataclasses.fields(found):
        one, two = getattr(found, field.name), getattr(read, field.name)
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
        else:
            assert one == two
    with pytest.raises(FileNotFoundError, match="no probes at"):
        probe_files.read(tmp_path / "missing.safetensors")


# Refusals


def test_what_cannot_be_trained_is_refused_in_words():
    rows, target, _ = planted(60, seed=12)
    splits = folds.by_game(np.arange(60))
    _, short, _ = planted(50, seed=12)
    nobody = dataclasses.replace(target, known=np.zeros(60, dtype=bool))
    refused = [
        ([short], splits, QUICK, "about 50 puzzles and the activations are of 60"),
        ([nobody], splits, QUICK, "to train on has an answer to 'target 3'"),
        ([target], folds.ordered(60), QUICK, "'ordered' has no validation side"),
        ([target], folds.ordered(50), JENNER2024, "'ordered' is of 50 puzzles"),
    ]
    for targets, divided, recipe, message in refused:
        with pytest.raises(ValueError, match=re.escape(message)):
            probes.train(rows, targets, divided, recipe)


def test_activations_beyond_float16_are_refused_with_the_way_out():
    values, target, _ = planted(60, seed=13, tensor=True)
    values[0, 0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="float16 holds nothing above 65504"):
        probes.train(MemoryRows(values, ["a", "b"]), [target], folds.ordered(60), JENNER2024)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rank": 0}, "rank is 0: it must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"seeds": ()}, "no seeds"),
        ({"patience": 0}, "patience is 0"),
        ({"folds": None}, "patience needs a validation fold"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(recipes.SOUND, **changed)


def test_an_unknown_target_is_refused_with_those_there_are():
    rows, target, _ = planted(60, seed=14)
    found = probes.train(rows, [target], folds.ordered(60), JENNER2024)
    with pytest.raises(KeyError, match="no target 'target 5': there are target 3"):
        found.select("target 5", 0)
    assert isinstance(target, Target)
