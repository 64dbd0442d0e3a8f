"""The error of lower precision is that of effects, measured both ways."""

import dataclasses

import numpy as np
import pytest
from example_pairs import BACK_RANK, BY_HAND

from leela_probe.experiments import effects, precision, sweeps
from leela_probe.networks.network import load


def test_the_error_is_that_of_the_same_effects_in_float32(network, onnx_file):
    exact, rough = network("attention"), load(onnx_file("attention"), dtype="bfloat16")
    sweep = sweeps.heads(exact)
    found = precision.compare(rough, exact, BY_HAND, sweep, points=100)
    tables = [effects.measure(net, BY_HAND, sweep)["effect"] for net in (rough, exact)]
    apart = np.abs(tables[0] - tables[1])
    assert (found.puzzles, found.effects) == (3, 36)
    assert found.mean == pytest.approx(apart.mean(), rel=1e-4)
    assert found.largest == pytest.approx(apart.max(), rel=1e-4)
    assert found.size == pytest.approx(tables[1].abs().mean(), rel=1e-4)
    assert 0 < found.mean < found.largest


def test_some_places_of_some_puzzles_are_enough(network):
    net = network("attention")
    found = precision.compare(net, net, BY_HAND, sweeps.residual(net), puzzles=2, points=10)
    assert (found.puzzles, found.effects, found.largest) == (2, 20, 0.0)


def test_puzzles_that_cannot_be_measured_say_nothing(network):
    net = network("attention")
    alone = dataclasses.replace(BACK_RANK, corrupted_fen=None)
    assert precision.compare(net, net, [alone], sweeps.heads(net)) is None
