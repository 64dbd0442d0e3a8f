"""What lc0 is asked and what it answers, against its module used directly."""

import importlib.util

import chess
import lc0_witness
import numpy as np
import pytest
from scipy import special

from leela_probe.networks import lc0_answers
from leela_probe.networks.verification import POSITIONS
from leela_probe.positions import symmetry
from leela_probe.positions.planes import InputFormat

PLAYED = [
    (fen, moves)
    for fen, moves in POSITIONS
    if moves and not chess.Board(fen).is_game_over() and moves != ("a1a8",)
]


def board_of(fen, moves):
    board = chess.Board(fen)
    for move in moves:
        board.push_uci(move)
    return board


@pytest.mark.parametrize("input_format", [1, 2])
def test_answers_are_those_of_the_module_itself(input_format, network_file):
    path = network_file("se-convolution", input_format=input_format)
    for (fen, moves), answer in zip(PLAYED, lc0_answers.ask(path, PLAYED), strict=True):
        board = board_of(fen, moves)
        slots = lc0_witness.slots(board)
        logits = lc0_witness.logits(board, path, [*slots.values()])
        expected = dict(zip(slots, special.softmax(logits), strict=True))
        assert answer.policy == pytest.approx(expected, abs=1e-9)
        assert set(answer.policy) == {move.uci() for move in board.legal_moves}
        masks, values = lc0_witness.planes(board, path)
        assert answer.masks.tolist() == masks
        assert answer.values.tolist() == values
        assert answer.logits.shape == (1858,)
        assert abs(answer.q) <= 1
        assert 0 <= answer.d <= 1


def test_turned_boards_are_read_at_the_slots_of_lc0s_engine(tmp_path):
    path = lc0_witness.network(tmp_path, InputFormat.CANONICAL)
    fens = ["8/8/3k4/8/8/8/1RK5/8 w - - 0 1", "8/2K5/8/8/3q4/8/6k1/2N5 w - - 0 1"]
    boards = [chess.Board(fen) for fen in fens]
    assert all(symmetry.choose(board, InputFormat.CANONICAL) for board in boards)
    answers = lc0_answers.ask(path, [(fen, ()) for fen in fens])
    for answer, engine in zip(answers, lc0_witness.engine_policies(boards, path), strict=True):
        assert engine == pytest.approx(answer.policy, abs=6e-4)


def test_no_positions_get_no_answers(network_file):
    assert lc0_answers.ask(network_file("attention"), []) == []


def test_a_file_that_lc0_does_not_read_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "bad.pb.gz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(RuntimeError, match=r"lc0 gave no answer for .*bad\.pb\.gz \(exit status"):
        lc0_answers.ask(path, [(chess.STARTING_FEN, ())])


def test_without_lc0s_module_the_error_says_what_to_install(monkeypatch, network_file):
    assert lc0_answers.is_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not lc0_answers.is_installed()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'leela-probe\[lc0\]'"):
        lc0_answers.ask(network_file("attention"), [(chess.STARTING_FEN, ())])


def test_numbers_survive_the_way_between_processes(network_file):
    (answer,) = lc0_answers.ask(network_file("attention"), [(chess.STARTING_FEN, ("e2e4",))])
    assert answer.masks.dtype == np.uint64
    assert int(answer.masks[111]) == 2**64 - 1


def test_lc0_is_given_up_after_a_while(network_file, monkeypatch):
    monkeypatch.setattr(lc0_answers, "_LONGEST", 0.01)
    with pytest.raises(RuntimeError, match=r"pb\.gz within 0\.01 seconds: it was stopped"):
        lc0_answers.ask(network_file("attention"), [(chess.STARTING_FEN, ("e2e4",))])
