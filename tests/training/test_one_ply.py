"""What one ply shows is what python-chess shows, and the null's teacher plays the best of it."""

from __future__ import annotations

import json
import shutil

import chess
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from training import batches, certificates, one_ply, one_ply_fit, records

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)
VALUES = {chess.PAWN: 2, chess.KNIGHT: 6, chess.BISHOP: 6, chess.ROOK: 10, chess.QUEEN: 18}


@pytest.fixture(scope="module")
def found() -> np.ndarray:
    return certificates.generate(seed=9, block=0, count=600)


def seen_after(board: chess.Board, move: chess.Move) -> dict[str, int]:
    """What one ply shows, without `one_ply.c`."""
    piece, taken = board.piece_type_at(move.from_square), board.piece_type_at(move.to_square)
    us = board.turn
    board.push(move)
    king = board.king(not us)
    through = board.copy(stack=False)
    through.remove_piece_at(king)
    replies = list(board.legal_moves)
    shown = {
        "replies": len(replies) if replies or board.is_check() else 256,
        "escapes": sum(reply.from_square == king for reply in replies),
        "check": int(board.is_check()),
        "mate": int(board.is_checkmate()),
        "taken": VALUES.get(taken, 0),
        "promoted": VALUES[move.promotion] - 2 if move.promotion else 0,
        "zone": sum(
            through.is_attacked_by(us, s) for s in chess.SquareSet(chess.BB_KING_ATTACKS[king])
        ),
        "distance": chess.square_distance(king, move.to_square),
        "man": piece - 1,
    }
    board.pop()
    return shown


def test_one_ply_shows_what_python_chess_sees(found):
    seen = one_ply.features(found)
    for row, claim in enumerate(found[:120]):
        board = records.board(claim)
        for column, move in enumerate(records.moves(claim)):
            shown = dict(zip(one_ply.FEATURES, seen[row, column].tolist(), strict=True))
            for name, value in seen_after(board, move).items():
                assert shown[name] == value, (board.fen(), move, name)
        assert not seen[row, claim["count"] :].any()


@pytest.mark.parametrize("name", ["mates", "tactics"])
def test_a_score_adds_up_the_terms_of_its_weights(found, name):
    seen, weight = one_ply.features(found), one_ply.weights(name)
    legal = np.arange(records.MOST_MOVES) < found["count"][:, None]
    units = one_ply.whole(np.ones(one_ply.TERMS))
    by_hand = one_ply.terms(seen, legal) @ (weight / units * 1000)
    quiet = legal & (seen[..., one_ply.FEATURES.index("mate")] == 0)
    np.testing.assert_allclose(one_ply.scores(found, weight)[quiet], by_hand[quiet], atol=0.5)
    assert (one_ply.scores(found, weight)[legal & ~quiet] > 1e8).all()


def test_the_teacher_mates_where_he_sees_it_and_plays_one_legal_move_elsewhere(found):
    chosen = one_ply.best(found)
    for row, claim in enumerate(found):
        played = np.flatnonzero(chosen[row])
        assert len(played) >= 1
        assert played.max() < claim["count"]
        if claim["kind"] == records.MATE_IN_1:
            assert (claim["target"][played] & records.MATE).all()
    assert chosen.sum(axis=1).mean() < 1.3


def test_his_first_moves_are_better_than_any_single_rules(found):
    found_by = one_ply_fit.shares(found, one_ply.weights("mates"))
    together = found_by.pop("their sum")
    assert together > max(found_by.values()) + 0.05
    assert together < 0.75  # it takes looking further to find the rest


def test_a_mirrored_position_has_the_mirrored_move(found):
    images = [records.board(c).transform(chess.flip_horizontal) for c in found[:60]]
    mirrored = np.stack([records.of(image) for image in images])
    for claim, one, image, other in zip(
        found, one_ply.best(found[:60]), mirrored, one_ply.best(mirrored), strict=False
    ):
        moves = {records.moves(claim)[i] for i in np.flatnonzero(one)}
        theirs = {records.moves(image)[i] for i in np.flatnonzero(other)}
        assert {
            chess.Move(m.from_square ^ 7, m.to_square ^ 7, m.promotion) for m in moves
        } == theirs


def test_a_batch_has_his_moves_and_the_outcome_that_he_sees(found):
    batch = batches.of(found, teacher="one-ply")
    chosen = one_ply.best(found)
    np.testing.assert_array_equal(batch.target.numpy() > 0, chosen)
    np.testing.assert_array_equal(batch.outcome == 0, found["kind"] == records.MATE_IN_1)
    assert set(batch.outcome.tolist()) == {0, 1}


def test_the_command_fits_weights_and_says_how_often_they_find_first_moves(found, tmp_path):
    np.save(tmp_path / "block-000000.npy", found)

    command = typer.Typer()
    command.command()(one_ply_fit.main)
    arguments = [str(tmp_path), "--out", str(tmp_path / "weights.json"), "--boards"]
    result = CliRunner().invoke(command, [*arguments, "300"])
    assert result.exit_code == 0, result.output
    assert "their sum" in result.output
    made = json.loads((tmp_path / "weights.json").read_text())
    assert len(made["weights"]) == len(one_ply.weights("mates"))
    assert made["finds"]["their sum"] > made["finds"]["a check"]
    result = CliRunner().invoke(command, [*arguments, "400"])
    assert result.exit_code == 1
    assert "holds 600 records: expected 800" in result.output
