"""Rows out of files are those in memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from example_pairs import random_pairs
from planted_probes import planted

from leela_probe.networks import activations
from leela_probe.probing import folds, probes
from leela_probe.probing.recipes import Recipe
from leela_probe.probing.rows import MemoryRows, StoredRows

SITES = ["embedding", "layer0.residual_after", "layer1.residual_after"]


@pytest.fixture(scope="module")
def boards():
    return [pair.clean for pair in random_pairs(5, 23)]


def test_rows_out_of_files_are_the_networks_activations_in_any_order(network, boards, tmp_path):
    net = network("attention")
    stored = activations.write(net, boards, SITES, tmp_path / "a", batch_size=7)
    rows = StoredRows(stored)
    assert (rows.sites, rows.boards, rows.width) == (tuple(SITES), 23, 32)
    values = net.capture(boards, SITES)
    expected = torch.stack([values[site] for site in SITES])
    order = np.random.default_rng(0).permutation(23)[:15]
    torch.testing.assert_close(rows.read(order), expected[:, order])
    memory = MemoryRows(expected, SITES)
    torch.testing.assert_close(memory.read(order), rows.read(order))


def test_the_input_planes_are_squares_of_112_numbers(network, boards, tmp_path):
    net = network("se-convolution")
    stored = activations.write(net, boards, ["input"], tmp_path / "a", dtype="float16")
    rows = StoredRows(stored)
    planes = net.encode(boards).planes()
    found = rows.read(np.array([4]))[0, 0]
    assert rows.width == 112
    for square in range(64):
        np.testing.assert_array_equal(found[square], planes[4, :, square // 8, square % 8])


def test_probes_of_mapped_files_are_those_of_memory(network, boards, tmp_path):
    net = network("attention")
    stored = activations.write(net, boards, SITES, tmp_path / "a", dtype="float16", batch_size=5)
    rows = StoredRows(stored)
    every = MemoryRows(torch.stack([stored.load(site).float() for site in SITES]), SITES)
    _, target, _ = planted(23, seed=1)
    recipe = Recipe(rank=3, epochs=3, batch_size=8)
    splits = folds.by_game(np.arange(23))
    mapped = probes.train(rows, [target], splits, recipe)
    held = probes.train(every, [target], splits, recipe)
    for field in dataclasses.fields(mapped):
        value = getattr(mapped, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(held, field.name)), field.name


def test_rows_that_cannot_be_probed_are_refused(network, boards, tmp_path):
    net = network("attention")
    stored = activations.write(
        net, boards, ["layer0.pattern", "layer0.residual_after", "input"], tmp_path / "a"
    )
    with pytest.raises(KeyError, match=r"no site 'layer9\.residual_after' in"):
        StoredRows(stored, ["layer9.residual_after"])
    with pytest.raises(ValueError, match=r"layer0\.pattern has the axes board head query key"):
        StoredRows(stored)
    with pytest.raises(ValueError, match="the sites are 32, 112 wide"):
        StoredRows(stored, ["layer0.residual_after", "input"])
    with pytest.raises(ValueError, match="and 1 sites: expected"):
        MemoryRows(torch.zeros(2, 3, 64, 5), ["one"])
