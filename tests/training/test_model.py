"""The trainable body computes what lc0 computes from the exported file."""

import chess
import numpy as np
import pytest
import torch

from leela_probe.networks import network
from leela_probe.weights import weights_files
from training import batches, certificates, records
from training.model import SIZES, AttentionBody
from training.train import logits

BOARDS = [
    "4k3/1P6/8/8/8/8/6p1/R3K2R w KQ - 0 1",
    "r3k2r/8/8/3q4/8/5N2/PPP5/R3K3 b Qkq - 0 1",
    "2n1k3/1P1P4/8/8/8/8/8/4K3 w - - 0 1",
    "8/8/8/2k5/8/8/1Q6/K7 w - - 0 1",
]


def shaken(name: str, seed: int) -> AttentionBody:
    """A body none of whose weights is at its first value, but for what must stay zero."""
    body = AttentionBody(SIZES[name], seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in body.weights.items():
            if key != "ip_emb_w":
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return body


@pytest.fixture(scope="module", params=["tiny", "weak", "strong"])
def pair(request, tmp_path_factory, cache):
    body = shaken(request.param, seed=5)
    path = tmp_path_factory.mktemp("body") / "body.pb.gz"
    weights_files.write(path, body.architecture, body.tensors())
    with torch.no_grad():  # the file rounds to 16 bits, and so does the body here
        for name, value in weights_files.read(path).tensors.items():
            body.tensor(name).copy_(torch.from_numpy(value))
    return body, network.load(path, cache=cache)


def batch_of(boards):
    return batches.of(np.stack([records.of(board) for board in boards]), teacher="strong")


def test_lc0_gives_every_legal_move_the_same_probability(pair):
    body, loaded = pair
    boards = [chess.Board(fen) for fen in BOARDS]
    batch = batch_of(boards)
    with torch.no_grad():
        output = body(batch.pieces, batch.castling)
    ours = logits(output, batch).softmax(dim=1)
    evaluation = loaded.evaluate(boards)
    for row, board in enumerate(boards):
        theirs = evaluation.policy(row)
        for column, move in enumerate(board.legal_moves):
            assert ours[row, column].item() == pytest.approx(theirs[move], abs=2e-5)
    np.testing.assert_allclose(output.outcome.softmax(dim=1), evaluation.wdl, atol=2e-5)


def test_history_clocks_and_colour_have_no_say(pair):
    _, loaded = pair
    board = chess.Board("8/8/8/2k5/8/8/1Q6/K7 w - - 40 60")
    moved = chess.Board("8/8/2k5/8/8/8/1Q6/K7 b - - 0 1")
    moved.push_uci("c6c5")
    turned = board.mirror()
    q = loaded.evaluate([board, moved, turned]).q
    # a weight of 0 is stored as up to half a 16-bit step, and the clock goes up to 100
    assert q[0] == pytest.approx(q[1], abs=2e-3)
    assert q[0] == pytest.approx(q[2], abs=2e-3)


def test_a_mirrored_batch_is_the_batch_of_the_mirrored_boards():
    found = certificates.generate(seed=3, block=0, count=64)
    boards = [records.board(record) for record in found]
    mirrored = [board.transform(chess.flip_horizontal) for board in boards]
    flipped = batches.of(found, teacher="strong", mirrored=np.ones(len(found), bool))
    body = shaken("tiny", seed=1)
    with torch.no_grad():
        ours = logits(body(flipped.pieces, flipped.castling), flipped)
        plain = batch_of(mirrored)
        theirs = logits(body(plain.pieces, plain.castling), plain)
    for row, (record, board) in enumerate(zip(found, mirrored, strict=True)):
        expected = {
            move: theirs[row, column].item()
            for column, move in enumerate(records.moves(records.of(board)))
        }
        for column, move in enumerate(records.moves(record)):
            seen = chess.Move(move.from_square ^ 7, move.to_square ^ 7, move.promotion)
            assert ours[row, column].item() == pytest.approx(expected[seen], abs=1e-5)


def test_bfloat16_gives_nearly_the_same():
    body = shaken("tiny", seed=2)
    pieces, castling = torch.rand(3, 64, 12), torch.zeros(3, 4)
    with torch.no_grad():
        exact = body(pieces, castling).moves
        with torch.autocast("cpu", torch.bfloat16):
            rough = body(pieces, castling).moves.float()
    assert 0 < (rough - exact).abs().max() < 0.2 * exact.std()
