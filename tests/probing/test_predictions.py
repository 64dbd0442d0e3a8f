"""What probes say of test puzzles: ranks, the condition on a prediction, and squares that tie."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from example_pairs import random_pairs

from leela_probe.probing import folds, predictions, probes, targets
from leela_probe.probing.prediction_tables import SCHEMA, Kind
from leela_probe.probing.recipes import Recipe
from leela_probe.probing.rows import MemoryRows
from leela_probe.statistics import intervals

COUNT = 90


@pytest.fixture(scope="module")
def setting():
    pairs = random_pairs(61, COUNT)
    wanted = targets.targets_of(pairs, [3])
    splits = folds.by_game(folds.games(pairs), folds=3)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, COUNT, 64, 8, generator=generator)
    rows = MemoryRows(values, ["embedding", "layer0.residual_after"])
    recipe = Recipe(rank=4, epochs=2, seeds=(0, 7))
    trained = probes.train(rows, wanted, splits, recipe)
    table = predictions.of_probes(trained, rows, pairs, wanted, splits)
    return pairs, wanted, splits, rows, trained, table


def test_predictions_are_of_the_probe_that_did_not_train_on_the_puzzle(setting):
    pairs, wanted, splits, rows, trained, table = setting
    assert table.schema.equals(SCHEMA)
    frame = table.to_pandas()
    place = {pair.puzzle_id: number for number, pair in enumerate(pairs)}
    for row in frame[frame["kind"] == "target"].sample(40, random_state=0).itertuples():
        board = place[row.puzzle_id]
        (number,) = [n for n, split in enumerate(splits) if split.test[board]]
        assert row.split == f"fold {number}"
        chosen = [
            p for p in trained.select("target 3", number) if trained.probes[p].seed == row.seed
        ]
        given = torch.full((2, 1, 1), int(wanted[0].given[board]))
        scores = trained.scores(rows.read(np.array([board])), given, chosen)
        scores = scores[0 if row.site == "embedding" else 1, 0, 0]
        answer = int(wanted[0].answer[board])
        assert row.answer == answer
        assert row.predicted == int(scores.argmax())
        assert row.rank == int((scores > scores[answer]).sum()) + 1
        assert row.loss == pytest.approx(-float(torch.log_softmax(scores, 0)[answer]), abs=1e-4)


def test_a_source_is_told_the_predicted_target_in_the_test(setting):
    pairs, _, splits, rows, trained, table = setting
    frame = table.to_pandas()
    keys = ["puzzle_id", "site", "seed"]
    target = frame[frame["kind"] == "target"].set_index(keys)["predicted"]
    place = {pair.puzzle_id: number for number, pair in enumerate(pairs)}
    for row in (
        frame[frame["kind"] == Kind.SOURCE_GIVEN_PREDICTED].sample(30, random_state=1).itertuples()
    ):
        board = place[row.puzzle_id]
        (number,) = [n for n, split in enumerate(splits) if split.test[board]]
        chosen = [
            p for p in trained.select("source 3", number) if trained.probes[p].seed == row.seed
        ]
        told = int(target[row.puzzle_id, row.site, row.seed])
        scores = trained.scores(rows.read(np.array([board])), torch.full((2, 1, 1), told), chosen)
        assert row.predicted == int(scores[0 if row.site == "embedding" else 1, 0, 0].argmax())


def test_the_source_of_a_control_task_is_told_the_target_predicted_for_the_control_task(setting):
    pairs, wanted, splits, rows, _, _ = setting
    tasks = targets.control_tasks(pairs, wanted, seed=1)
    recipe = Recipe(rank=4, epochs=2)
    trained = probes.train(rows, [*wanted, *tasks], splits, recipe)
    frame = predictions.of_probes(trained, rows, pairs, [*wanted, *tasks], splits).to_pandas()
    frame = frame[frame["control"] == "control task"].set_index(["puzzle_id", "site"])
    assert frame["kind"].value_counts().to_dict() == dict.fromkeys([*Kind][:3], 2 * COUNT)
    target = frame[frame["kind"] == Kind.TARGET]["predicted"]
    place = {pair.puzzle_id: number for number, pair in enumerate(pairs)}
    chained = frame[frame["kind"] == Kind.SOURCE_GIVEN_PREDICTED]
    assert (chained["answer"] == frame[frame["kind"] == Kind.SOURCE]["answer"]).all()
    for row in chained.sample(20, random_state=2).itertuples():
        name, site = row.Index
        board = place[name]
        (number,) = [n for n, split in enumerate(splits) if split.test[board]]
        told = torch.full((2, 1, 1), int(target[name, site]))
        chosen = trained.select("source 3 (control task)", number)
        scores = trained.scores(rows.read(np.array([board])), told, chosen)
        assert row.predicted == int(scores[0 if site == "embedding" else 1, 0, 0].argmax())


def test_squares_with_equal_scores_share_what_is_right(setting):
    # every square the same: nothing can be known, and no square may be right for free
    pairs, wanted, splits, _, trained, _ = setting
    flat = MemoryRows(torch.ones(2, COUNT, 64, 8), trained.sites)
    for shift in (0.0, 1e-7):
        flat.read(np.arange(2))[:, :, ::3] += shift
        frame = predictions.of_probes(trained, flat, pairs, wanted, splits).to_pandas()
        own = frame[(frame["kind"] == "target") & (frame["site"] == "embedding")]
        own = own[own["seed"] == 0]
        assert 20 < own["rank"].mean() < 45  # 32.5 by chance
        assert own["predicted"].nunique() > 30
        assert ((own["predicted"] == own["answer"]) == (own["rank"] == 1)).all()
        found = intervals.mean_interval(
            own["rank"].to_numpy(np.float64), np.arange(COUNT), resamples=499
        )
        assert found.low < 32.5 < found.high


def test_targets_that_are_not_known_have_no_rows(setting):
    pairs, wanted, splits, rows, trained, _ = setting
    known = np.arange(COUNT) % 3 != 0
    asked = [dataclasses.replace(each, known=known) for each in wanted]
    frame = predictions.of_probes(trained, rows, pairs, asked, splits).to_pandas()
    assert set(frame["puzzle_id"]) == {p.puzzle_id for p, k in zip(pairs, known, strict=True) if k}
