"""Interventions on boards: the same as the run's own edits, and nothing without one."""

import inspect

import chess
import numpy as np
import pytest
import torch

from leela_probe.networks.intervening import intervene
from leela_probe.networks.interventions import Intervention, Patch, Scale, Zero

BOARDS = [
    chess.Board(),
    chess.Board("r1bqkbnr/pppp1ppp/2n5/4p3/4P3/5N2/PPPP1PPP/RNBQKB1R w KQkq - 2 3"),
]
OTHERS = [chess.Board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1"), chess.Board()]


def test_a_change_that_changes_nothing_gives_what_the_network_gives(network):
    net = network("attention")
    kept = Intervention(site="layer0.head_output", action=Scale(factor=1.0))
    changed, plain = intervene(net, BOARDS, [kept]), net.evaluate(BOARDS)
    assert np.abs(changed.log_probabilities - plain.log_probabilities).max() < 1e-4
    assert np.abs(changed.q - plain.q).max() < 1e-5
    assert np.abs(changed.wdl.sum(axis=1) - 1).max() < 1e-6


def test_a_zeroed_head_is_the_edit_that_zeroes_it(network):
    net = network("attention")

    def zero(value):
        value[:, 1] = 0
        return value

    planes = torch.from_numpy(net.encode(BOARDS).planes())
    edited = net.run(planes, ["policy.logits"], edits={"layer0.head_output": zero})
    head = Intervention(site="layer0.head_output", head=1, action=Zero())
    changed = intervene(net, BOARDS, [head])
    assert np.abs(changed.logits - edited["policy.logits"].numpy()).max() < 1e-5
    assert np.abs(changed.logits - net.evaluate(BOARDS).logits).max() > 1e-3


def test_everything_from_the_other_boards_is_their_evaluation(network):
    net = network("attention")
    everything = Intervention(site="embedding", action=Patch())
    changed = intervene(net, BOARDS, [everything], others=OTHERS)
    assert np.abs(changed.logits - net.evaluate(OTHERS).logits).max() < 1e-4


def test_a_scalar_value_head_gives_q(network):
    net = network("attention-scalar")
    kept = Intervention(site="layer0.head_output", action=Scale(factor=1.0))
    changed = intervene(net, BOARDS, [kept])
    assert changed.wdl is None
    assert np.abs(changed.q - net.evaluate(BOARDS).q).max() < 1e-5


def test_a_single_intervention_is_refused_with_the_right_call(network):
    kept = Intervention(site="layer0.head_output", action=Scale(factor=1.0))
    with pytest.raises(TypeError, match=r"give a list, such as intervene\(network, boards, \["):
        inspect.unwrap(intervene)(
            network("attention"), BOARDS, kept
        )  # past the tests' type checker


def test_fens_and_encoded_boards_are_taken_like_boards(network):
    net = network("attention")
    head = Intervention(site="layer0.head_output", head=1, action=Zero())
    fens = [board.fen() for board in BOARDS]
    given = (BOARDS, fens, net.encode(BOARDS))
    first, *others = (intervene(net, boards, [head]).logits for boards in given)
    assert all(np.array_equal(first, other) for other in others)


def test_a_single_board_is_refused_with_the_right_call(network):
    with pytest.raises(TypeError, match=r"expected: intervene\(network, \[board\], inter"):
        intervene(network("attention"), BOARDS[0], [])
