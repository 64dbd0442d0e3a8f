"""What runs are judged by: python-chess's legal moves and the slots of the moves asked about."""

import chess
import pytest
import torch

from leela_probe.networks.measures import log_odds
from leela_probe.networks.references import Reference
from leela_probe.positions import encoding

BOARDS = [chess.Board(), chess.Board("4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1")]
MOVES = [chess.Move.from_uci("e2e4"), chess.Move.from_uci("e1g1")]


def test_runs_are_judged_by_the_legal_moves_of_their_board():
    encoded = encoding.encode(BOARDS)
    clean = torch.randn(2, 1858, generator=torch.Generator().manual_seed(1))
    reference = Reference.of(encoded, MOVES, clean)
    assert reference.legal.sum(dim=1).tolist() == [20, BOARDS[1].legal_moves.count()]
    logits = torch.randn(3, 1858, generator=torch.Generator().manual_seed(2))
    boards = torch.tensor([1, 0, 1])
    found = log_odds(reference.runs(logits, boards))
    for run, board in enumerate(boards.tolist()):
        own = encoded.slots[encoded.offsets[board] : encoded.offsets[board + 1]].tolist()
        p = torch.softmax(logits[run, own], dim=0)[encoded.moves[board].index(MOVES[board])]
        torch.testing.assert_close(found[run], torch.log(p / (1 - p)), atol=1e-5, rtol=1e-5)
    chosen = reference.runs(logits[:1], torch.tensor([False, True]))
    assert torch.equal(chosen.clean_logits, clean[1:])
    assert chosen.slot.tolist() == reference.slot[1:].tolist()


def test_a_move_that_is_not_legal_is_refused():
    encoded = encoding.encode(BOARDS)
    with pytest.raises(ValueError, match="e2e5 is not a legal move of board 0"):
        Reference.of(encoded, [chess.Move.from_uci("e2e5"), MOVES[1]], torch.zeros(2, 1858))
