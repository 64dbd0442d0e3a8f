"""A loaded network: torch, onnxruntime and lc0 say the same, whatever the batch."""

import chess
import numpy as np
import onnx
import pytest
import torch
from network_families import SMALL

from leela_probe.networks import conversion, lc0_answers
from leela_probe.networks import network as networks
from leela_probe.networks.network import load
from leela_probe.networks.parity import MismatchError
from leela_probe.networks.verification import POSITIONS
from leela_probe.networks.verification import boards as boards_of
from leela_probe.positions.planes import History, InputFormat

FORMATS = (1, 2, 3, 4, 132, 5, 133)


def random_positions(seed, count, *, from_start=False):
    """Positions reached by random play, as (fen, moves)."""
    rng = np.random.default_rng(seed)
    positions = []
    while len(positions) < count:
        board = chess.Board()
        for _ in range(int(rng.integers(1, 90))):
            moves = sorted(board.legal_moves, key=chess.Move.uci)
            if not moves:
                break
            board.push(moves[int(rng.integers(len(moves)))])
        if any(board.legal_moves) and board.move_stack:
            known = len(board.move_stack)
            kept = known if from_start else int(rng.integers(1, min(12, known) + 1))
            played = [move.uci() for move in board.move_stack[-kept:]]
            root = board.copy()
            for _ in range(kept):
                root.pop()
            positions.append((root.fen(en_passant="fen"), played))
    return positions


@pytest.mark.parametrize("preset", SMALL)
def test_every_architecture_answers_as_lc0_does(preset, network_file, network):
    positions = random_positions(11, 8)
    answers = lc0_answers.ask(network_file(preset), positions)
    found = network(preset).evaluate(boards_of(positions))
    for i, answer in enumerate(answers):
        policy = {move.uci(): value for move, value in found.policy(i).items()}
        assert set(policy) == set(answer.policy)
        assert max(abs(policy[m] - p) for m, p in answer.policy.items()) < 1e-5
        assert abs(found.q[i] - answer.q) < 1e-5
        if found.moves_left is not None:
            assert found.moves_left[i] == pytest.approx(answer.m, abs=1e-3)
        if found.wdl is not None:
            assert found.wdl[i, 1] == pytest.approx(answer.d, abs=1e-5)
            assert found.wdl[i].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("input_format", FORMATS)
def test_every_input_format_answers_as_lc0_does(input_format, network_file, network):
    # lc0 never ends in the formats that skip history unless that starts with a fresh clock
    positions = random_positions(12, 40, from_start=input_format in (5, 133))
    path = network_file("se-convolution", input_format=input_format)
    answers = lc0_answers.ask(path, positions)
    net = network("se-convolution", input_format=input_format)
    assert net.input_format == input_format
    found = net.evaluate(boards_of(positions))
    for i, answer in enumerate(answers):
        assert found.encoded.masks[i].tolist() == answer.masks.tolist()
        policy = {move.uci(): value for move, value in found.policy(i).items()}
        assert set(policy) == set(answer.policy)
        assert max(abs(policy[m] - p) for m, p in answer.policy.items()) < 1e-5
        assert abs(found.q[i] - answer.q) < 1e-5


@pytest.mark.parametrize("preset", ["se-convolution", "attention"])
def test_answers_do_not_depend_on_the_batch_size(preset, network):
    boards = boards_of(POSITIONS)
    whole = network(preset).evaluate(boards)
    for batch_size in (1, 5, 7):
        part = network(preset).evaluate(boards, batch_size=batch_size)
        np.testing.assert_allclose(part.logits, whole.logits, atol=1e-5)
        np.testing.assert_allclose(part.q, whole.q, atol=1e-6)


def test_answers_do_not_depend_on_the_number_of_threads(network_file, cache):
    boards = boards_of(POSITIONS)
    logits = [
        load(network_file("attention"), cache=cache, threads=threads).evaluate(boards).logits
        for threads in (1, 2)
    ]
    np.testing.assert_allclose(*logits, atol=1e-5)


@pytest.mark.parametrize("preset", SMALL)
def test_a_colour_mirrored_position_gets_the_mirrored_answer(preset, onnx_file):
    # the side-to-move plane is the one input that differs, so it is taken out
    net = load(onnx_file(preset))
    # (nor is the starting position here: lc0 leaves its history empty for White alone)
    boards = [chess.Board(fen) for fen, _ in POSITIONS if fen != chess.STARTING_FEN]
    white = net.encode(boards)
    black = net.encode([board.mirror() for board in boards])
    planes = [encoded.planes() for encoded in (white, black)]
    for array in planes:
        array[:, 108] = 0
    logits = [net.evaluate_planes(array).logits for array in planes]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)
    for i in range(len(boards)):
        mirrored = sorted(
            chess.Move(
                chess.square_mirror(m.from_square), chess.square_mirror(m.to_square), m.promotion
            ).uci()
            for m in black.moves[i]
        )
        assert sorted(move.uci() for move in white.moves[i]) == mirrored


@pytest.mark.parametrize(
    ("fen", "moves"),
    [
        ("R5k1/5ppp/8/8/8/8/8/6K1 b - - 0 1", 0),  # checkmate
        ("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1", 0),  # stalemate
        ("7k/8/8/8/8/8/6q1/7K w - - 0 1", 1),  # one legal move
    ],
)
def test_positions_with_few_or_no_legal_moves_are_evaluated(fen, moves, network):
    found = network("attention").evaluate([chess.Board(), chess.Board(fen), chess.Board()])
    policy = found.policy(1)
    assert len(policy) == moves
    assert sum(policy.values()) == pytest.approx(1.0 if moves else 0.0)
    assert (found.top_moves()[1] is None) == (moves == 0)
    assert np.isfinite(found.q).all()
    assert found.policy(0) == pytest.approx(found.policy(2), abs=1e-6)


def test_only_positions_without_moves_are_evaluated(network):
    found = network("attention").evaluate([chess.Board("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1")])
    assert found.policy(0) == {}
    assert found.log_probabilities.shape == (0,)


def test_no_boards_give_an_empty_evaluation(network):
    found = network("attention").evaluate([])
    assert found.logits.shape == (0, 1858)
    assert found.wdl.shape == (0, 3)
    assert found.q.shape == (0,)


def test_repetitions_change_what_the_network_sees(network):
    shuffled = chess.Board()
    for move in "g1f3 g8f6 f3g1 f6g8".split():
        shuffled.push_uci(move)
    fresh = chess.Board(shuffled.fen())
    found = network("se-convolution").evaluate([shuffled, fresh])
    assert found.encoded.masks[0, 12] != 0
    assert found.encoded.masks[1, 12] == 0
    assert np.abs(found.logits[0] - found.logits[1]).max() > 0.01


def test_a_network_marked_no_history_sees_none(onnx_file, tmp_path):
    model = onnx.load(onnx_file("attention"))
    onnx.helper.set_model_props(model, {"no_history": "true"})
    onnx.save(model, tmp_path / "blind.onnx")
    net = load(tmp_path / "blind.onnx")
    board = chess.Board()
    for move in "g1f3 g8f6 f3g1 f6g8".split():
        board.push_uci(move)
    assert net.no_history
    assert not net.encode([board]).masks[0, 12:104].any()
    plain = chess.Board(board.fen())
    assert np.array_equal(net.evaluate([board]).logits, net.evaluate([plain]).logits)
    assert load(tmp_path / "blind.onnx", no_history=False).encode([board]).masks[0, 12:104].any()


def test_the_input_format_comes_from_the_file_else_from_the_user(
    network_file, onnx_file, tmp_path, cache
):
    path = network_file("se-convolution", input_format=3)
    assert load(path, cache=cache).input_format == InputFormat.CANONICAL
    assert load(path, cache=cache, input_format=1).input_format == InputFormat.CLASSICAL
    bare = onnx.load(onnx_file("se-convolution", input_format=3))
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    assert load(tmp_path / "bare.onnx").input_format == InputFormat.CLASSICAL
    assert load(tmp_path / "bare.onnx", input_format=3).input_format == InputFormat.CANONICAL


def test_several_policy_heads_give_several_networks(network_file, cache):
    path = network_file("multihead")
    boards = [chess.Board()]
    vanilla = load(path, cache=cache).evaluate(boards)
    soft = load(path, cache=cache, policy_head="soft").evaluate(boards)
    q = load(path, cache=cache, value_head="q").evaluate(boards)
    assert np.abs(vanilla.logits - soft.logits).max() > 0.01
    assert np.array_equal(vanilla.wdl, soft.wdl)
    assert np.abs(vanilla.wdl - q.wdl).max() > 0.001


def test_a_head_that_the_network_has_not_is_refused(network_file, cache):
    with pytest.raises(ValueError, match="policy head 'psychic'"):
        load(network_file("multihead"), cache=cache, policy_head="psychic")


def test_an_onnx_file_is_asked_for_no_head_but_its_own(network_file, onnx_file, tmp_path):
    conversion.convert(network_file("multihead"), tmp_path / "soft.onnx", policy_head="soft")
    assert load(tmp_path / "soft.onnx", policy_head="soft", value_head="winner").layers == 3
    with pytest.raises(
        ValueError, match=r"soft\.onnx holds one policy head, 'soft', and 'vanilla'"
    ):
        load(tmp_path / "soft.onnx", policy_head="vanilla")
    with pytest.raises(
        ValueError, match=r"one value head, 'winner', and 'q' is asked for: convert"
    ):
        load(onnx_file("attention"), value_head="q")


def test_a_graph_that_is_read_wrongly_is_refused(onnx_file, monkeypatch):
    from leela_probe.torch_onnx import operators

    monkeypatch.setitem(operators._BUILDERS, "Tanh", lambda operands: ([0], torch.sigmoid))
    monkeypatch.setattr("leela_probe.torch_onnx.fusion._PATTERNS", {})
    with pytest.raises(MismatchError, match=r"differ by .* in the probability of a move"):
        load(onnx_file("attention"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_gives_float32_answers_near_the_exact_ones(dtype, onnx_file, network):
    boards = boards_of(POSITIONS)
    half = load(onnx_file("attention"), dtype=dtype).evaluate(boards)
    assert half.logits.dtype == np.float32
    exact = network("attention").evaluate(boards)
    difference = np.abs(half.probabilities - exact.probabilities).max()
    assert 0 < difference < 0.1


def test_an_edit_by_site_changes_the_outputs(network):
    net = network("attention")
    planes = torch.from_numpy(net.encode([chess.Board()]).planes())

    def zero_head(pattern):
        assert pattern.shape == (1, 4, 64, 64)
        pattern = pattern.clone()
        pattern[:, 2] = 0
        return pattern

    wanted = ["policy.logits", "layer1.head_output"]
    clean = net.run(planes, wanted)
    edited = net.run(planes, wanted, edits={"layer1.pattern": zero_head})
    assert float(edited["layer1.head_output"][:, 2].abs().max()) == 0
    others = [0, 1, 3]
    torch.testing.assert_close(
        edited["layer1.head_output"][:, others], clean["layer1.head_output"][:, others]
    )
    assert float((edited["policy.logits"] - clean["policy.logits"]).abs().max()) > 1e-3


def test_an_edit_that_never_happens_is_an_error(network):
    net = network("attention")
    planes = torch.from_numpy(net.encode([chess.Board()]).planes())
    with pytest.raises(ValueError, match="would never happen"):
        net.run(planes, ["layer0.pattern"], edits={"layer1.pattern": torch.zeros_like})


def test_edits_of_one_tensor_under_two_names_are_made_in_the_order_given(network):
    net = network("attention")
    planes = torch.from_numpy(net.encode([chess.Board()]).planes())
    before = net.run(planes, ["embedding"])["embedding"]
    for names in (
        ("embedding", "layer0.residual_before"),
        ("layer0.residual_before", "embedding"),
        ("embedding", net.sites["embedding"].tensor),
    ):
        edits = {names[0]: lambda value: value + 1, names[1]: lambda value: value * 2}
        edited = net.run(planes, ["embedding", "policy.logits"], edits=edits)
        torch.testing.assert_close(edited["embedding"], (before + 1) * 2)
        together = {"embedding": lambda value: (value + 1) * 2}
        expected = net.run(planes, ["policy.logits"], edits=together)["policy.logits"]
        torch.testing.assert_close(edited["policy.logits"], expected)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda value: value[:1],
            r"the edit of embedding gave \(1, 64, 32\): .* \(2, 64, 32\), it",
        ),
        (lambda value: value.flatten(0, 1), r"gave \(128, 32\): .*axes being board square width"),
        (lambda value: None, "the edit of embedding gave NoneType: expected a tensor of shape"),
    ],
)
def test_an_edit_that_gives_another_shape_is_refused(edit, message, network):
    net = network("attention")
    planes = torch.from_numpy(net.encode([chess.Board()] * 2).planes())
    with pytest.raises(ValueError, match=message):
        net.run(planes, ["policy.logits"], edits={"embedding": edit})


@pytest.mark.parametrize("site", ["input", "embedding", "layer1.residual_middle"])
@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_an_edit_in_place_changes_nothing_but_its_tensor(preset, site, network):
    net = network(preset)
    site = "layer1.residual_before" if preset != "attention" and "middle" in site else site
    planes = torch.from_numpy(net.encode([chess.Board()]).planes())
    given = planes.clone()
    wanted = ["policy.logits", "input"]
    expected = net.run(planes, wanted, edits={site: lambda value: value * 0.5})
    found = net.run(planes, wanted, edits={site: lambda value: value.mul_(0.5)})
    assert torch.equal(planes, given)
    for name in wanted:
        torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_no_boards_is_refused(batch_size, network):
    net, message = network("attention"), f"batch_size is {batch_size}: take at least 1 board"
    with pytest.raises(ValueError, match=message):
        net.evaluate([chess.Board()], batch_size=batch_size)
    with pytest.raises(ValueError, match=message):
        net.stream([chess.Board()], ["embedding"], batch_size=batch_size)
    with pytest.raises(ValueError, match=message):
        net.capture([chess.Board()], ["embedding"], batch_size=batch_size)


def test_capturing_in_batches_gives_the_same(network):
    net = network("attention")
    boards = boards_of(POSITIONS)
    whole = net.capture(boards, ["layer2.mlp_post"])
    parts = net.capture(boards, ["layer2.mlp_post"], batch_size=3)
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)


def test_history_modes_reach_the_network(network):
    board = chess.Board("2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32")
    logits = {
        mode: network("se-convolution").evaluate([board], history=mode).logits for mode in History
    }
    assert np.array_equal(logits[History.KNOWN], logits[History.CURRENT])
    assert not np.array_equal(logits[History.FILLED], logits[History.KNOWN])
    assert not np.array_equal(logits[History.FILLED], logits[History.JENNER2024_WEAK])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": "nowhere.onnx"}, FileNotFoundError, r"no network at nowhere\.onnx"),
        ({"dtype": "int8"}, ValueError, "unknown dtype 'int8': choose float32"),
        ({"device": "cuda"}, ValueError, "torch sees no CUDA device"),
        ({"dtype": "tf32"}, ValueError, "'tf32' needs a CUDA device"),
        ({"input_format": 77}, ValueError, "77"),
    ],
)
def test_a_wrong_argument_is_refused(arguments, error, message, attention_file):
    if arguments.get("device") == "cuda" and torch.cuda.is_available():
        arguments = {"device": "cuda:99"}
        error, message = (RuntimeError, ValueError), "."
    with pytest.raises(error, match=message):
        load(**{"path": attention_file, **arguments})


def test_an_unknown_engine_is_refused(network):
    with pytest.raises(ValueError, match="unknown engine 'tensorrt'"):
        network("attention").evaluate_planes(
            np.zeros((1, 112, 8, 8), np.float32), engine="tensorrt"
        )


def test_a_network_describes_itself(network):
    net = network("attention")
    assert repr(net).startswith("<Network 'attention-format1-seed1': 3 layers x 32, 4 heads")
    assert (net.layers, net.width, net.heads, net.body) == (3, 32, 4, "attention")
    assert net.mlp_width == 48
    assert (network("classical").body, network("classical").mlp_width) == ("residual tower", 0)
    assert networks.__all__ == ["Network", "load"]


def test_capturing_reports_how_many_positions_are_done(network):
    net, reported = network("attention"), []
    net.capture(
        [chess.Board()] * 5,
        ["layer0.pattern"],
        batch_size=2,
        progress=lambda done, total, counts: reported.append((done, total)),
    )
    assert reported == [(2, 5), (4, 5), (5, 5)]
