"""Sites: the same names in every network, each holding what onnxruntime computes."""

import re

import chess
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from network_families import SMALL

from leela_probe.networks import onnx_files, sites
from leela_probe.weights.architectures import PRESETS, PolicyFormat, ValueFormat

BOARDS = [
    chess.Board(),
    chess.Board("2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32"),
    chess.Board("8/8/1p6/1P2k3/P4p2/5K2/8/8 b - - 0 44"),
]
LAYER_OF_ATTENTION = (
    "residual_before query key value qk smolgen scores pattern head_output attention_output "
    "residual_middle mlp_pre mlp_post mlp_output residual_after"
).split()
LAYER_OF_TOWER = "residual_before conv1 conv2 se_gate block_output residual_after".split()


@pytest.mark.parametrize("preset", SMALL)
def test_every_site_is_what_onnxruntime_computes_at_its_node(preset, network, onnx_file):
    net = network(preset)
    model = onnx_files.read(onnx_file(preset))
    tensors = [site.tensor for site in net.sites.values() if site.name != "input"]
    del model.graph.output[:]
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(tensors)
    )
    session = onnxruntime.InferenceSession(
        onnx.shape_inference.infer_shapes(model).SerializeToString()
    )
    names = list(dict.fromkeys(tensors))
    planes = net.encode(BOARDS).planes()
    raw = dict(zip(names, session.run(names, {"/input/planes": planes}), strict=True))
    raw["/input/planes"] = planes
    found = net.capture(BOARDS, list(net.sites))
    for name, site in net.sites.items():
        # an independent reading of the flattened ONNX tensor: axes by hand, not by einops
        value = raw[site.tensor]
        if site.stored == "(board square) width":
            value = value.reshape(3, 64, -1)
        elif site.stored == "board width rank file":
            value = value.reshape(3, value.shape[1], 64).transpose(0, 2, 1)
        elif name.endswith(".key") and site.layer is not None:
            value = value.swapaxes(2, 3)
        elif site.axes in (("board", "width"), ("board",)):
            value = value.reshape([3, -1] if len(site.axes) == 2 else [3])
        scale = max(1.0, float(np.abs(value).max()))
        assert found[name].shape == value.shape, name
        assert found[name].ndim == len(site.axes), name
        np.testing.assert_allclose(found[name], value, atol=1e-5 * scale, rtol=0, err_msg=name)


@pytest.mark.parametrize("preset", SMALL)
def test_writing_undoes_reading(preset, network):
    net = network(preset)
    planes = torch.from_numpy(net.encode(BOARDS).planes())
    tensors = {site.tensor for site in net.sites.values()} - {"/input/planes"}
    raw = net.graph.run({"/input/planes": planes}, list(tensors))
    for site in net.sites.values():
        if site.tensor in raw:
            assert torch.equal(site.write(site.read(raw[site.tensor])), raw[site.tensor]), site.name


@pytest.mark.parametrize("preset", [name for name in SMALL if PRESETS[name].layers])
def test_every_layer_of_an_attention_body_has_the_same_sites(preset, network):
    net = network(preset)
    kinds = [k for k in LAYER_OF_ATTENTION if preset != "attention-no-smolgen" or k != "smolgen"]
    for layer in range(net.layers):
        names = [name for name, site in net.sites.items() if site.layer == layer]
        assert names == [f"layer{layer}.{kind}" for kind in kinds]


@pytest.mark.parametrize("preset", ["classical", "se-convolution", "se-mish", "se-batch-norm"])
def test_every_block_of_a_tower_has_the_same_sites(preset, network):
    net = network(preset)
    kinds = [k for k in LAYER_OF_TOWER if preset != "classical" or k != "se_gate"]
    for layer in range(net.layers):
        names = [name for name, site in net.sites.items() if site.layer == layer]
        assert names == [f"layer{layer}.{kind}" for kind in kinds]


def test_attention_patterns_sum_to_one_over_keys(network):
    pattern = network("attention").capture(BOARDS, ["layer1.pattern"])["layer1.pattern"]
    assert pattern.shape == (3, 4, 64, 64)
    torch.testing.assert_close(pattern.sum(-1), torch.ones(3, 4, 64))


def test_the_stream_leaving_a_layer_enters_the_next(network):
    sites = network("multihead").sites
    assert sites["layer0.residual_after"].tensor == sites["layer1.residual_before"].tensor
    assert sites["embedding"].tensor == sites["layer0.residual_before"].tensor


def test_the_square_axis_of_a_tower_runs_rank_by_rank(network):
    net = network("se-convolution")
    board = chess.Board("8/8/8/8/8/8/8/K6k w - - 0 1")
    planes = torch.zeros(1, 112, 8, 8)
    planes[0, :, 2, 5] = 1.0  # f3
    stem = net.run(planes, ["embedding"])["embedding"]
    dark = net.run(torch.zeros(1, 112, 8, 8), ["embedding"])["embedding"]
    changed = {int(s) for s in (stem - dark).abs().amax(-1)[0].nonzero().flatten()}
    near = {s for s in chess.SQUARES if chess.square_distance(s, chess.F3) <= 1}
    assert changed <= near
    assert chess.F3 in changed
    assert board.is_valid()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layer0.patern", r"did you mean layer0\.pattern\? a layer of it has attention_output"),
        ("layer3.pattern", r"layers run from 0 to 2"),
        ("/encoder0/mha/QK/softmx", r"did you mean .*/encoder0/mha/QK/softmax"),
        ("embeding", r"did you mean embedding"),
        ("zzz", r"the sites are input, embedding, policy"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_ones(name, message, network):
    with pytest.raises(KeyError, match=message):
        network("attention").capture(BOARDS, [name])


@pytest.mark.parametrize(
    ("preset", "name", "site"),
    [
        ("attention", "/encoder1/ln1", "layer1.residual_middle"),
        ("attention", "encoder1/ln1", "layer1.residual_middle"),
        ("attention", "encoder1/mha/K/transpose", "layer1.key"),
        ("se-convolution", "/block1/conv2", "layer1.conv2"),
    ],
)
def test_an_onnx_name_is_its_site_with_and_without_its_slash(preset, name, site, network):
    net = network(preset)
    assert net.site(name).axes == net.site(site).axes
    found = net.capture(BOARDS, [name, site])
    assert torch.equal(found[name], found[site])


def test_an_onnx_tensor_without_a_site_is_read_as_it_is_in_the_file(network):
    net = network("attention")
    assert net.site("/encoder1/mha/Q/b").axes == ("...",)
    assert net.capture(BOARDS, ["/encoder1/mha/Q/b"])["/encoder1/mha/Q/b"].shape == (3 * 64, 32)


def test_a_constant_is_no_activation(network):
    with pytest.raises(KeyError, match=r"no site '/encoder1/mha/Q/w/w'.*did you mean"):
        network("attention").site("/encoder1/mha/Q/w/w")


HEADS_OF_ATTENTION = ("policy.embedding", "policy.query", "policy.key", "policy.scores")
HEADS_OF_CONVOLUTION = ("policy.hidden", "policy.moves")
WDL = ("value.embedding", "value.hidden", "value.logits", "value.wdl")
SCALAR = (*WDL[:3], "value.scalar")
MOVES_LEFT = ("moves_left.embedding", "moves_left.hidden", "moves_left.output")


@pytest.mark.parametrize("preset", SMALL)
def test_every_architecture_has_all_the_sites_of_its_heads(preset, network):
    architecture = PRESETS[preset]
    policy = {
        PolicyFormat.ATTENTION: HEADS_OF_ATTENTION,
        PolicyFormat.CONVOLUTION: HEADS_OF_CONVOLUTION,
        PolicyFormat.CLASSICAL: HEADS_OF_CONVOLUTION[:1],
    }[architecture.policy]
    value = WDL if architecture.value == ValueFormat.WDL else SCALAR
    left = MOVES_LEFT if architecture.moves_left else ()
    found = [name for name, site in network(preset).sites.items() if site.layer is None]
    assert found == ["input", "embedding", *policy, "policy.logits", *value, *left]


def test_an_export_without_leading_slashes_has_the_same_sites(onnx_file, tmp_path, network):
    from leela_probe.networks.network import load

    model = onnx.load(onnx_file("attention"))
    for node in model.graph.node:
        node.input[:] = [name.removeprefix("/") for name in node.input]
        node.output[:] = [name.removeprefix("/") for name in node.output]
        node.name = node.name.removeprefix("/")
    for entry in (*model.graph.initializer, *model.graph.input, *model.graph.output):
        entry.name = entry.name.removeprefix("/")
    onnx.save(model, tmp_path / "old.onnx")
    old, new = load(tmp_path / "old.onnx"), network("attention")
    assert list(old.sites) == list(new.sites)
    for name, value in old.capture(BOARDS, list(old.sites)).items():
        torch.testing.assert_close(value, new.capture(BOARDS, [name])[name], msg=name)


def test_sites_show_themselves_as_a_table_with_one_row_for_all_layers(network):
    lines = repr(network("attention").sites).splitlines()
    assert lines[0] == f"{len(network('attention').sites)} sites:"
    assert len(lines) < 40
    (pattern,) = [line for line in lines if ".pattern" in line]
    assert re.match(r"layer\{0\.\.2\}\.pattern +board head query key +attention pattern;", pattern)
    assert [line.split()[0] for line in lines[1:3]] == ["input", "embedding"]
    assert repr(sites.Sites()) == "<no sites>"
