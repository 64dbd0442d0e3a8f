"""Verification says equal where networks are equal, and differs where they are not."""

import chess
import numpy as np
import pytest

from leela_probe.networks import lc0_answers, verification
from leela_probe.networks.network import load
from leela_probe.networks.verification import POSITIONS, Comparison


def comparison(**changed):
    facts = {
        "what": "one and the other", "positions": 3, "planes": 0,
        "probability": 1e-7, "value": 1e-7, "tolerance": 1e-5,
    }  # fmt: skip
    return Comparison(**{**facts, **changed})


def test_the_positions_cover_what_is_special_about_chess():
    boards = verification.boards(POSITIONS)
    assert any(board.castling_rights for board in boards)
    assert any(
        move.uci() == "e8c8" and chess.Board(fen).is_castling(chess.Move.from_uci("e8c8"))
        for (fen, moves), board in zip(POSITIONS, boards, strict=True)
        if moves
        for move in board.move_stack
    )
    assert any(board.has_legal_en_passant() for board in boards)
    assert any(board.is_repetition(3) for board in boards)
    assert any(move.promotion for board in boards for move in board.legal_moves)
    assert any(board.is_checkmate() for board in boards)
    assert any(board.halfmove_clock > 90 for board in boards)
    assert {board.turn for board in boards} == {chess.WHITE, chess.BLACK}


@pytest.mark.parametrize("preset", ["se-convolution-scalar", "multihead", "convolution"])
def test_a_network_agrees_with_lc0(preset, network):
    found = verification.against_lc0(network(preset))
    assert found.agrees
    assert (found.planes, found.tolerance) == (0, 1e-5)
    assert 10 < found.positions < len(POSITIONS)
    assert 0 < found.probability < 1e-5


@pytest.mark.parametrize("input_format", [2, 3, 4, 132, 5, 133])
def test_every_input_format_agrees_with_lc0(input_format, network):
    found = verification.against_lc0(network("se-convolution", input_format=input_format))
    assert found.agrees
    assert (found.turned > 0) == (input_format != 2)


def test_each_of_several_heads_agrees_with_lc0s(network_file, cache):
    net = load(network_file("multihead"), cache=cache, policy_head="optimistic_st", value_head="q")
    assert verification.against_lc0(net).agrees


def test_planes_of_the_wrong_format_are_seen(network_file, cache):
    net = load(network_file("se-convolution"), cache=cache, input_format=2)
    found = verification.against_lc0(net)
    assert not found.agrees
    assert found.planes > 0


def test_another_networks_answers_are_seen(network, network_file, monkeypatch):
    ask, other = lc0_answers.ask, network_file("attention", seed=2)
    monkeypatch.setattr(lc0_answers, "ask", lambda path, positions, **heads: ask(other, positions))
    found = verification.against_lc0(network("attention"))
    assert not found.agrees
    assert found.planes == 0
    assert found.probability > 0.01
    assert found.value > 0.01


def test_the_engines_agree_on_every_position(network):
    found = verification.between_engines(network("attention"))
    assert found.agrees
    assert (found.positions, found.planes) == (len(POSITIONS), None)


def test_half_precision_agrees_within_what_it_can(onnx_file):
    found = verification.between_engines(load(onnx_file("attention"), dtype="bfloat16"))
    assert found.agrees
    assert found.tolerance == 0.05
    assert not verification.between_engines(
        load(onnx_file("attention"), dtype="bfloat16"), tolerance=1e-5
    ).agrees


@pytest.mark.parametrize(
    "changed", [{"planes": 1}, {"probability": 2e-5}, {"value": 2e-5}, {"value": np.nan}]
)
def test_one_thing_that_differs_is_enough(changed):
    assert comparison().agrees
    assert not comparison(**changed).agrees


def test_an_onnx_file_cannot_be_compared_with_lc0(onnx_file):
    with pytest.raises(ValueError, match=r"cannot be compared with lc0, which takes \.pb\.gz"):
        verification.against_lc0(load(onnx_file("attention")))
