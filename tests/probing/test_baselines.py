"""Baselines that read no network."""

from __future__ import annotations

import chess
import numpy as np
import pytest
from example_pairs import BACK_RANK, BY_HAND, random_pairs

from leela_probe.probing import baselines, folds, targets
from leela_probe.probing.prediction_tables import SCHEMA, Control, Kind


def test_the_most_frequent_relation_is_that_of_the_training_side():
    pairs = random_pairs(1, 60)
    asked = targets.target_of(pairs, "target", 3)
    train = np.arange(60) < 40
    scores = baselines.most_frequent_relation(asked, train, asked.given)
    moved: dict[tuple[int, int], int] = {}
    for row in range(40):
        change = (
            int(asked.answer[row] % 8 - asked.given[row] % 8),
            int(asked.answer[row] // 8 - asked.given[row] // 8),
        )
        moved[change] = moved.get(change, 0) + 1
    for row in range(40, 60):
        order = scores[row].argsort()[::-1]
        counts = [
            moved.get((int(s % 8 - asked.given[row] % 8), int(s // 8 - asked.given[row] // 8)), 0)
            for s in order
        ]
        assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("ply", [1, 2, 3])
def test_legal_moves_are_counted_for_the_side_that_plays_the_ply(ply):
    pair = BY_HAND[2]
    asked = targets.target_of([pair], "target", ply)
    board = pair.clean
    if ply > 1:
        board.push(pair.moves[0])
    if ply == 3:
        board.push(chess.Move.null()) if not board.is_check() else None
        board.turn = chess.WHITE
    moves = set(board.legal_moves if ply == 1 else board.pseudo_legal_moves)
    scores = np.exp(baselines.legal_moves([pair], asked, asked.given)[0])
    reached = {move.to_square for move in moves}
    assert {s for s in range(64) if scores[s] > 1e-3} == reached  # White's board is the mover's


def test_a_source_is_counted_among_the_moves_to_the_given_square():
    asked = targets.target_of([BACK_RANK], "source", 3)
    scores = baselines.legal_moves([BACK_RANK], asked, asked.given)[0]
    # after Qc8+ queen and bishop reach e8; the rook does not before Black's bishop has taken
    assert set(np.flatnonzero(scores > scores.min() + 1)) == {chess.C8, chess.B5}


def test_predictions_of_baselines_have_every_test_puzzle_once_and_ranks_of_both_kinds():
    pairs = random_pairs(7, 40)
    asked = targets.targets_of(pairs, [2, 3])
    splits = folds.by_game(folds.games(pairs), folds=4)
    table = baselines.predictions(pairs, asked, splits)
    assert table.schema.equals(SCHEMA)
    frame = table.to_pandas()
    assert set(frame["control"]) == {Control.MOST_FREQUENT_RELATION, Control.LEGAL_MOVES}
    assert set(frame["kind"]) == {*Kind} - {Kind.JOINT}
    counts = frame.groupby(["control", "kind", "ply"], observed=True)["puzzle_id"].agg(
        ["size", "nunique"]
    )
    assert (counts == 40).all().all()
    assert frame["rank"].between(1, 64).all()
    right = frame["predicted"] == frame["answer"]
    assert (right == (frame["rank"] == 1)).all()
    assert (frame["loss"] > 0).all()
    again = baselines.predictions(pairs, asked, splits)
    assert table.equals(again)
