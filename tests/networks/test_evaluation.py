"""Evaluations: exact softmax over legal moves, whatever the logits; and lc0's stored answers."""

import json
import re

import chess
import numpy as np
import pytest
from scipy import special

from leela_probe.networks import evaluation
from leela_probe.networks import network as networks
from leela_probe.networks.evaluation import Evaluation
from leela_probe.positions import encoding, moves, symmetry

MATE = "R5k1/5ppp/8/8/8/8/8/6K1 b - - 0 1"
STALEMATE = "7k/5Q2/6K1/8/8/8/8/8 b - - 0 1"
NETWORKS = (
    "maia-1100", "maia-1900", "lichess-bot-16x2", "lichess-bot-32x4",
    "random/attention-15x24-heads24", "random/attention-4x64", "random/classical-3x32",
    "random/multihead-3x32", "random/se-attention-3x32", "random/se-conv-3x32-input2",
    "random/se-conv-3x32-input3",
)  # fmt: skip


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """scipy's, which does not take an empty list of moves."""
    logits = logits.astype(np.float64)
    return special.log_softmax(logits) if len(logits) else logits


def made_up(fens: list[str], *, seed: int = 1, scale: float = 1.0) -> Evaluation:
    """An evaluation with random outputs."""
    rng = np.random.default_rng(seed)
    encoded = encoding.encode([chess.Board(fen) for fen in fens])
    wdl = rng.dirichlet(np.ones(3), size=len(fens)).astype(np.float32)
    return evaluation.from_logits(
        encoded,
        (scale * rng.standard_normal((len(fens), 1858))).astype(np.float32),
        wdl=wdl,
        value=None,
        moves_left=None,
    )


@pytest.mark.parametrize("scale", [0.0, 1.0, 1000.0])
def test_probabilities_are_scipys_softmax_over_the_legal_slots(scale):
    fens = [chess.STARTING_FEN, MATE, "8/8/8/4k3/8/3QK3/8/8 w - - 0 1", STALEMATE]
    found = made_up(fens, scale=scale)
    for i, fen in enumerate(fens):
        board = chess.Board(fen)
        legal, slots = moves.legal(board)
        expected = log_softmax(found.logits[i, slots])
        start, end = found.encoded.offsets[i : i + 2]
        np.testing.assert_allclose(found.log_probabilities[start:end], expected, rtol=1e-6)
        assert {move.uci() for move in found.policy(i)} == {m.uci() for m in board.legal_moves}
        assert set(found.policy(i)) == set(legal)


def test_only_legal_moves_count(network):
    net = network("attention")
    encoded = net.encode([chess.Board()])
    logits = net.evaluate(encoded).logits.copy()
    illegal = np.setdiff1d(np.arange(1858), encoded.slots)
    logits[:, illegal] = 1e6
    changed = evaluation.from_logits(encoded, logits, wdl=None, value=None, moves_left=None)
    assert changed.policy(0) == pytest.approx(net.evaluate(encoded).policy(0), abs=1e-7)
    assert changed.q is None


def test_a_policy_comes_in_the_order_of_probability():
    policy = made_up([chess.STARTING_FEN]).policy(0)
    assert [*policy.values()] == sorted(policy.values(), reverse=True)
    assert sum(policy.values()) == pytest.approx(1, abs=1e-6)


def test_equal_probabilities_keep_the_order_of_the_moves():
    found = made_up([chess.STARTING_FEN], scale=0.0)
    assert tuple(found.policy(0)) == found.encoded.moves[0]


def test_q_is_win_minus_loss():
    found = made_up([chess.STARTING_FEN, MATE])
    np.testing.assert_array_equal(found.q, found.wdl[:, 0] - found.wdl[:, 2])


def test_one_move_of_each_board_can_be_asked_for():
    found = made_up([chess.STARTING_FEN, "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"])
    asked = [chess.Move.from_uci("e2e4"), chess.Move.from_uci("d3d4")]
    np.testing.assert_allclose(
        found.probability(asked), [found.policy(i)[asked[i]] for i in range(2)], rtol=1e-6
    )
    np.testing.assert_allclose(np.exp(found.log_probability(asked)), found.probability(asked))


def test_the_likeliest_moves_are_the_heads_of_the_policies():
    found = made_up([chess.STARTING_FEN, STALEMATE, "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"])
    expected = tuple(next(iter(found.policy(i)), None) for i in range(3))
    assert found.top_moves() == expected
    assert expected[1] is None


def test_boards_count_from_the_end_too():
    found = made_up([chess.STARTING_FEN, "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"])
    assert found.policy(-1) == found.policy(1)


def test_a_board_that_is_not_in_the_batch_is_refused():
    with pytest.raises(IndexError, match="board 1 is not in a batch of 1"):
        made_up([chess.STARTING_FEN]).policy(1)


def test_an_illegal_move_is_refused_by_name():
    found = made_up([chess.STARTING_FEN, MATE])
    with pytest.raises(ValueError, match=r"e2e5 is no legal move of board 0 .* moves are a2a3"):
        found.probability([chess.Move.from_uci("e2e5"), chess.Move.from_uci("g8h8")])
    with pytest.raises(ValueError, match=r"g8h8 is no legal move of board 1 .* are none"):
        found.probability([chess.Move.from_uci("e2e4"), chess.Move.from_uci("g8h8")])


def test_too_few_moves_are_refused():
    with pytest.raises(ValueError, match="1 moves for 2 boards: give one move for each"):
        made_up([chess.STARTING_FEN, MATE]).probability([chess.Move.from_uci("e2e4")])


@pytest.mark.shared
@pytest.mark.parametrize("name", NETWORKS)
def test_stored_answers_of_lc0_are_ours(name, shared, cache):
    net = networks.load(shared / "nets" / f"{name}.pb.gz", cache=cache)
    lines = (shared / "oracle" / f"{net.name}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    boards = []
    for row in rows:
        boards.append(chess.Board(row["fen"]))
        for move in row["moves"]:
            boards[-1].push_uci(move)
    found = net.evaluate(boards)
    turned = 0
    for i, (row, board) in enumerate(zip(rows, boards, strict=True)):
        assert found.encoded.masks[i].tolist() == [mask for mask, _ in row["planes"]]
        # Where the format turns the board, lc0's Python module, which made the file, reads the
        # policy at the slots of the board as it was; lc0's engine and we turn the slots too
        # (tests/test_moves.py asks the engine).
        turned += symmetry.choose(board, net.input_format) != 0
        legal, slots = moves.legal(board)
        odds = np.exp(log_softmax(found.logits[i, slots]))
        read = {move.uci(): value for move, value in zip(legal, odds, strict=True)}
        assert read == pytest.approx(row["policy"], abs=1e-5)
        if not symmetry.choose(board, net.input_format):
            policy = {move.uci(): value for move, value in found.policy(i).items()}
            assert policy == pytest.approx(row["policy"], abs=1e-5)
        assert found.q[i] == pytest.approx(row["q"], abs=1e-5)
        if found.wdl is not None:
            assert found.wdl[i, 1] == pytest.approx(row["d"], abs=1e-5)
        if found.moves_left is not None:
            assert found.moves_left[i] == pytest.approx(row["m"], abs=1e-3)
    assert turned == (7 if name.endswith("input3") else 0)
    assert len(rows) == 40


def test_an_evaluation_shows_itself_in_a_few_lines(network):
    net = network("attention")
    board = chess.Board()
    mate = chess.Board("R5k1/5ppp/8/8/8/8/8/6K1 b - - 0 1")
    shown = repr(net.evaluate([board, mate]))
    move, probability = next(iter(net.evaluate([board]).policy(0).items()))
    assert shown.startswith(f"<Evaluation of 2 positions\n  0: {move.uci()} {probability:.1%}, ")
    assert re.search(r"\n  1: no legal move; win \d+%, draw \d+%, loss \d+%; Q [-+]0\.\d\d", shown)
    assert repr(net.evaluate([board] * 9)).endswith("\n  and 3 more>")
    assert repr(net.evaluate([])) == "<Evaluation of 0 positions>"
    assert len(repr(net.evaluate([board] * 100))) < 1000
