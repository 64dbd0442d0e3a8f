"""Networks whose weights are drawn anew."""

from __future__ import annotations

import chess
import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from example_pairs import BY_HAND

from leela_probe.networks import network as networks
from leela_probe.probing import random_weights


def tensors(path):
    return {
        entry.name: onnx.numpy_helper.to_array(entry) for entry in onnx.load(path).graph.initializer
    }


@pytest.mark.parametrize("preset", ["attention", "se-convolution", "multihead", "convolution"])
def test_every_weight_is_new_with_its_tensors_mean_and_spread(preset, onnx_file, tmp_path):
    source = onnx_file(preset)
    names = random_weights.write(source, tmp_path / "r.onnx", seed=1)
    before, after = tensors(source), tensors(tmp_path / "r.onnx")
    assert before.keys() == after.keys()
    for name, old in before.items():
        new = after[name]
        assert (new.dtype, new.shape) == (old.dtype, old.shape)
        if name not in names:
            np.testing.assert_array_equal(new, old)
            continue
        assert not np.array_equal(new, old)
        if old.size > 500:
            assert abs(new.mean() - old.mean()) < 4.5 * old.std() / old.size**0.5
            assert new.std() == pytest.approx(old.std(), rel=4.5 / (2 * old.size) ** 0.5)
            assert abs(np.corrcoef(new.ravel(), old.ravel())[0, 1]) < 4.5 / old.size**0.5
    # what is left alone is no weight: whole numbers, single numbers and the table of positions
    left = {
        name
        for name, value in before.items()
        if name not in names and value.dtype.kind == "f" and value.size > 1
    }
    assert left <= {"/const/pos_encoding"}


def test_a_redrawn_network_loads_as_the_same_kind_and_answers_differently(onnx_file, tmp_path):
    source = onnx_file("attention", input_format=3)
    random_weights.write(source, tmp_path / "r.onnx", seed=1)
    old, new = networks.load(source), networks.load(tmp_path / "r.onnx")
    assert (new.layers, new.heads, new.width) == (old.layers, old.heads, old.width)
    assert new.input_format == old.input_format
    assert list(new.sites) == list(old.sites)
    boards = [chess.Board(), *(pair.clean for pair in BY_HAND)]
    one, two = old.evaluate(boards), new.evaluate(boards)
    assert np.abs(one.log_probabilities - two.log_probabilities).max() > 0.1
    assert np.isfinite(two.log_probabilities).all()


def test_a_seed_gives_the_same_bytes_and_another_seed_others(onnx_file, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        random_weights.write(onnx_file("attention"), tmp_path / name, seed=seed)
    one, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert one == again
    assert one != other


def test_a_graph_without_weights_is_refused():
    graph = onnx.helper.make_graph([], "empty", [], [])
    with pytest.raises(ValueError, match="no weights to draw"):
        random_weights.redraw(onnx.helper.make_model(graph), seed=0)
