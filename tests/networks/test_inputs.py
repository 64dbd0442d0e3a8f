"""What a network takes: boards, FENs, encoded boards or planes; anything else is told the right
call."""

import copy
import pickle

import chess
import numpy as np
import pytest
import torch

from leela_probe.networks import patching
from leela_probe.networks.interventions import Intervention, Patch, Zero
from leela_probe.networks.network import load
from leela_probe.networks.patching import Job

FENS = [chess.STARTING_FEN, "2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32"]
BOARDS = [chess.Board(fen) for fen in FENS]
SITES = ["layer1.residual_after", "policy.logits"]


def forms(net):
    """The same positions in every form that names their history too."""
    planes = net.encode(BOARDS).planes()
    return {
        "boards": BOARDS, "generator": (board for board in BOARDS), "fens": FENS,
        "tuple": tuple(FENS), "encoded": net.encode(BOARDS), "numpy": planes,
        "float64": planes.astype(np.float64), "tensor": torch.from_numpy(planes),
    }  # fmt: skip


def test_a_run_takes_positions_in_every_form(network):
    net = network("attention")
    expected = net.run(torch.from_numpy(net.encode(BOARDS).planes()), SITES)
    for call in (net.run, net.capture):
        for form, given in forms(net).items():
            found = call(given, SITES)
            for name in SITES:
                assert torch.equal(found[name], expected[name]), form


def test_changed_runs_take_positions_in_every_form(network):
    net = network("attention")
    patch = Intervention(site="layer0.pattern", head=1, action=Patch())
    jobs = [Job(board=board, interventions=(patch,)) for board in (0, 1)]
    planes = torch.from_numpy(net.encode(BOARDS).planes())
    expected = patching.run(net, planes, jobs, other=planes.flip(0)).logits
    for form, given in forms(net).items():
        found = patching.run(net, given, jobs, other=FENS[::-1]).logits
        assert torch.equal(found, expected), form
    mean = patching.mean(net, FENS, "layer0.pattern")
    assert torch.equal(mean, patching.mean(net, planes, "layer0.pattern"))


def test_evaluation_takes_boards_fens_and_encoded_boards(network):
    net = network("attention")
    expected = net.evaluate(BOARDS).logits
    for given in (FENS, tuple(BOARDS), (b for b in BOARDS), net.encode(BOARDS), net.encode(FENS)):
        assert np.array_equal(net.evaluate(given).logits, expected)
    planes = net.encode(BOARDS).planes()
    for given in (planes, torch.from_numpy(planes), BOARDS):
        assert np.array_equal(net.evaluate_planes(given).logits, expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda net: net.evaluate(chess.Board()), TypeError,
         r"a single board was given .*: network\.evaluate\(\[board\]\)"),
        (lambda net: net.evaluate(FENS[0]), TypeError,
         r"a single FEN was given .*: network\.evaluate\(\[fen\]\)"),
        (lambda net: net.encode(chess.Board()), TypeError, r"network\.encode\(\[board\]\)"),
        (lambda net: net.run(chess.Board(), SITES), TypeError, r"network\.run\(\[board\]\)"),
        (lambda net: net.capture(FENS[0], SITES), TypeError, r"a single FEN was given"),
        (lambda net: net.evaluate(np.zeros((1, 112, 8, 8))), TypeError,
         r"network\.evaluate takes boards: planes do not say which moves are legal"),
        (lambda net: net.evaluate(7), TypeError, "takes a sequence of boards, FENs or .*, not an"),
        (lambda net: net.evaluate([7]), TypeError, "number 0 is an int"),
        (lambda net: net.evaluate([FENS[0], "e2e4"]), ValueError, "board 1, 'e2e4', is not a FEN"),
        (lambda net: net.capture(BOARDS, "policy.logits"), TypeError,
         r"a single name was given .*: network\.capture\(boards, \['policy\.logits'\]\)"),
        (lambda net: net.run(BOARDS, "policy.logits"), TypeError, r"network\.run\(boards, \['pol"),
        (lambda net: net.run(np.zeros((112, 8, 8)), SITES), ValueError, "planes have the shape"),
    ],
)  # fmt: skip
def test_what_is_no_sequence_of_boards_is_told_the_right_call(call, error, message, network):
    with pytest.raises(error, match=message):
        call(network("attention"))


@pytest.mark.parametrize("preset", ["attention", "multihead", "se-convolution"])
def test_gradients_reach_whatever_comes_back(preset, network):
    net = network(preset)
    wanted = ["input", "embedding", "layer0.residual_after", "layer1.residual_after",
              "policy.logits"]  # fmt: skip
    found = net.run(BOARDS, wanted, gradients=True)
    plain = net.run(BOARDS, wanted)
    total = found["policy.logits"].max()
    gradients = torch.autograd.grad(total, [found[name] for name in wanted[:-1]])
    for name, gradient in zip(wanted, gradients, strict=False):
        assert gradient.shape == found[name].shape
        assert float(gradient.abs().max()) > 0
        torch.testing.assert_close(found[name].detach(), plain[name], atol=1e-5, rtol=1e-5)
    # the direction of the gradient, by finite differences
    step = 1e-2 * gradients[2] / gradients[2].norm()
    before, after = (
        net.run(BOARDS, ["policy.logits"], edits={wanted[2]: lambda v, s=sign: v + s * step})
        for sign in (-1, 1)
    )
    best = divmod(int(found["policy.logits"].argmax()), 1858)
    slope = (after["policy.logits"][best] - before["policy.logits"][best]) / 2
    assert float(slope) == pytest.approx(float((gradients[2] * step).sum()), rel=0.1)


def test_gradients_of_ones_own_planes_and_of_an_edit(network):
    net = network("attention")
    planes = net.planes(BOARDS).requires_grad_()
    net.run(planes, ["policy.logits"], gradients=True)["policy.logits"].sum().backward()
    assert float(planes.grad.abs().max()) > 0
    scale = torch.ones((), requires_grad=True)
    found = net.run(
        BOARDS, ["policy.logits"], gradients=True, edits={"layer1.mlp_output": lambda v: v * scale}
    )
    found["policy.logits"][0, 0].backward()
    assert float(scale.grad.abs()) > 0


def test_an_edit_without_influence_is_called_by_the_name_that_was_given(network):
    net = network("attention")
    with pytest.raises(
        ValueError, match=r"the edit of 'layer2\.pattern' would never happen: layer0"
    ):
        net.run(BOARDS, ["layer0.pattern"], edits={"layer2.pattern": torch.zeros_like})
    jobs = [Job(board=0, interventions=(Intervention(site="moves_left.hidden", action=Zero()),))]
    with pytest.raises(
        ValueError, match=r"changing 'moves_left\.hidden' has no influence on polic"
    ):
        patching.run(net, BOARDS, jobs)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_networks_and_their_pieces_can_be_pickled_and_copied(again, attention_file):
    net = load(attention_file, no_history=True, input_format=2)
    other = again(net)
    assert other.identity() == net.identity()
    assert other is not net
    assert np.array_equal(other.evaluate(BOARDS).logits, net.evaluate(BOARDS).logits)
    graph = again(net.graph)
    feeds = {graph.inputs[0]: net.planes(BOARDS)}
    expected = net.graph.run(feeds, ["/output/policy"])["/output/policy"]
    assert torch.equal(graph.run(feeds, ["/output/policy"])["/output/policy"], expected)
    assert again(net.sites["layer0.pattern"]) == net.sites["layer0.pattern"]
    job = Job(board=0, interventions=(Intervention(site="layer0.pattern", action=Patch()),))
    assert again(job).interventions[0].site == "layer0.pattern"


def test_a_network_whose_file_was_changed_is_not_taken_for_the_one_that_was_pickled(
    attention_file, onnx_file, tmp_path
):
    path = tmp_path / "net.onnx"
    path.write_bytes(attention_file.read_bytes())
    kept = pickle.dumps(load(path))
    path.write_bytes(onnx_file("attention", seed=2).read_bytes())
    with pytest.raises(
        ValueError, match=r"net\.onnx is no longer the network that was pickled .*sha"
    ):
        pickle.loads(kept)


def test_torchs_own_dtypes_name_what_a_network_computes_in(attention_file):
    assert load(attention_file, dtype=torch.float16).dtype == "float16"
    with pytest.raises(ValueError, match="unknown dtype 'float64': choose float32"):
        load(attention_file, dtype=torch.float64)
