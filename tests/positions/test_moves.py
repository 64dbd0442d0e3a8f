import re

import chess
import lc0_witness
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from puzzle_dumps import random_rows

from leela_probe.positions import moves, planes, symmetry
from leela_probe.positions.moves import POLICY_SIZE, SLOT_MOVES
from leela_probe.positions.planes import InputFormat
from leela_probe.positions.symmetry import Transform

SEEDS = st.integers(0, 2**32)
ALL = [Transform(number) for number in range(8)]


def legal_slots(board, transform=Transform.NONE):
    found, slots = moves.legal(board, transform)
    return dict(zip([move.uci() for move in found], slots.tolist(), strict=True))


def test_slots_are_1858_different_moves():
    assert len(SLOT_MOVES) == len(set(SLOT_MOVES)) == POLICY_SIZE == 1858
    assert SLOT_MOVES[0] == "a1b1"
    assert SLOT_MOVES[-1] == "h7h8b"


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_slots_are_those_of_lc0_for_every_legal_move(seed):
    board = lc0_witness.game(seed, chess960=False)
    assert legal_slots(board) == lc0_witness.slots(board)


@pytest.mark.parametrize(
    "fen",
    [
        "r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1",
        "r3k2r/8/8/8/8/8/8/R3K2R b KQkq - 0 1",
        "1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/8/8/8/8/8/p6p/1N2K1N1 b - - 0 1",
        "rnbqkbnr/ppp1p1pp/8/3pPp2/8/8/PPPP1PPP/RNBQKBNR w KQkq f6 0 3",
    ],
)
def test_castling_promotion_and_en_passant_have_the_slots_of_lc0(fen):
    assert legal_slots(chess.Board(fen)) == lc0_witness.slots(chess.Board(fen))


def test_a_king_that_could_castle_elsewhere_keeps_its_plain_slots():
    board = chess.Board("4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1")
    names = {uci: SLOT_MOVES[slot] for uci, slot in legal_slots(board).items()}
    assert names["e1g1"] == "e1h1"
    assert names["e1c1"] == "e1a1"
    assert names["e1f1"] == "e1f1"


def test_chess960_castling_takes_the_rook_in_slots_and_moves():
    board = chess.Board("4k3/8/8/8/8/8/8/1R3KR1 w GB - 0 1", chess960=True)
    assert board.is_legal(chess.Move.from_uci("f1g1"))
    for uci in ("f1g1", "f1b1"):
        slot = moves.slot(chess.Move.from_uci(uci), board)
        assert SLOT_MOVES[slot] == uci
        assert moves.move(slot, board).uci() == uci


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from(ALL))
def test_a_slot_leads_back_to_its_move(seed, transform):
    board = lc0_witness.game(seed)
    if board.pawns:
        transform &= Transform.FLIP
    found, slots = moves.legal(board, transform)
    assert found == list(board.legal_moves)
    assert slots.dtype == np.int16
    for move, slot in zip(found, slots.tolist(), strict=True):
        assert moves.slot(move, board, transform) == slot
        assert moves.move(slot, board, transform) == move


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_slots_of_canonical_formats_move_a_piece_of_the_turned_planes(seed):
    board = lc0_witness.game(seed)
    masks, _, transforms = planes.masks([board], InputFormat.CANONICAL)
    own = int(np.bitwise_or.reduce(masks[0, :6]))
    rooks = int(masks[0, 104] | masks[0, 105])
    _, slots = moves.legal(board, Transform(int(transforms[0])))
    for slot in slots.tolist():
        move = chess.Move.from_uci(SLOT_MOVES[slot])
        assert own & chess.BB_SQUARES[move.from_square]
        assert not own & ~rooks & chess.BB_SQUARES[move.to_square]


def test_slots_of_turned_boards_are_read_as_the_engine_reads_them(tmp_path):
    # Boards that are transposed are left out: there lc0 0.32 reads the slots of the board turned by
    # half, though the planes are transposed; lc0 until 0.31 transposed both, as we do.
    boards = [
        chess.Board(fen)
        for fen in (
            "8/5pk1/8/8/3N4/8/1K6/8 w - - 0 1",
            "8/3N4/8/8/2k5/8/1p6/5K2 b - - 0 1",
            "8/8/3k4/8/8/8/1R3K2/8 w - - 0 1",
            "8/8/3k4/8/8/8/1RK5/8 w - - 0 1",
            "8/5K2/8/8/3q4/8/6k1/2N5 w - - 0 1",
            "8/2K5/8/8/3q4/8/6k1/2N5 w - - 0 1",
            "5k2/8/1r6/8/8/4K3/8/8 b - - 0 1",
        )
    ]
    weights = lc0_witness.network(tmp_path, InputFormat.CANONICAL)
    chosen = [symmetry.choose(board, InputFormat.CANONICAL) for board in boards]
    assert set(chosen) >= {Transform(0), Transform(1), Transform(2), Transform(3)}
    answers = lc0_witness.engine_policies(boards, weights)
    for board, transform, answer in zip(boards, chosen, answers, strict=True):
        if transform & Transform.TRANSPOSE:
            continue
        slots = legal_slots(board, transform)
        logits = lc0_witness.logits(board, weights, list(slots.values()))
        policy = np.exp(logits - logits.max())
        policy /= policy.sum()
        assert slots.keys() == answer.keys()
        assert [answer[uci] for uci in slots] == pytest.approx(policy.tolist(), abs=6e-4)
        if transform:
            plain = lc0_witness.logits(board, weights, list(legal_slots(board).values()))
            assert abs(plain - logits).max() > 0.01


def test_positions_without_moves_have_no_slots():
    found, slots = moves.legal(chess.Board("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1"))
    assert found == []
    assert slots.shape == (0,)
    assert slots.dtype == np.int16


@pytest.mark.parametrize("uci", ["0000", "a1b4", "e2e4q", "e7e8k", "a2a3n", "a7c8q"])
def test_a_move_without_a_slot_is_refused(uci):
    move = chess.Move.from_uci(uci)
    with pytest.raises(
        ValueError, match=re.escape(f"the move {uci} has no policy slot: slots hold")
    ):
        moves.slot(move, chess.Board())


@pytest.mark.parametrize("slot", [-1, 1858])
def test_a_slot_outside_the_policy_is_refused(slot):
    with pytest.raises(
        ValueError, match=f"policy slot {slot} does not exist: slots run from 0 to 1857"
    ):
        moves.move(slot, chess.Board())


@pytest.mark.parametrize(
    "fen",
    [
        "8/8/8/8/8/6k1/p6K/8 b - - 12 80",
        "8/8/8/3k4/3K4/8/8/8 w - - 0 1",
        "8/8/8/3kP3/3K3r/8/8/8 w - - 0 1",
        "8/8/8/8/2nkp3/3K1P2/8/R7 w - - 0 1",
    ],
)
def test_a_position_whose_kings_touch_has_the_moves_of_lc0(fen):
    board = chess.Board(fen)
    found, found_slots = moves.legal(board)
    expected = lc0_witness.slots(board)
    assert dict(zip((m.uci() for m in found), found_slots.tolist(), strict=True)) == expected


def test_every_move_has_its_own_number():
    found = {move for row in random_rows(7, 30) for move in chess.Board(row["FEN"]).legal_moves} | {
        chess.Move.from_uci(f"a7b8{piece}") for piece in "qrbn"
    }
    numbers = moves.numbers_of(list(found))
    assert numbers == [moves.number_of(move) for move in found]
    assert len(set(numbers)) == len(found)
    assert {moves.move_of(number) for number in numbers} == found
    assert max(numbers) < 1 << 15
