import itertools

import chess
import lc0_witness
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from puzzle_dumps import random_rows

from leela_probe.positions import encoding, moves, planes
from leela_probe.positions.encoding import EncodedBoards, encode
from leela_probe.positions.planes import History, InputFormat
from leela_probe.positions.symmetry import Transform

SEEDS = st.integers(0, 2**32)
GAMES = st.lists(SEEDS, max_size=7).map(lambda seeds: [lc0_witness.game(seed) for seed in seeds])


def assert_same(first: EncodedBoards, second: EncodedBoards) -> None:
    assert first.moves == second.moves
    for name in ("masks", "clocks", "slots", "offsets"):
        one, two = getattr(first, name), getattr(second, name)
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        assert (one == two).all()


@settings(max_examples=60, deadline=None)
@given(GAMES, st.sampled_from(InputFormat), st.sampled_from(History))
def test_boards_are_encoded_with_their_planes_moves_and_slots(boards, input_format, history):
    encoded = encode(boards, input_format=input_format, history=history)
    masks, clocks, transforms = planes.masks(boards, input_format, history)
    assert len(encoded) == len(boards) == len(encoded.offsets) - 1
    assert (encoded.masks == masks).all()
    assert (encoded.planes() == planes.expand(masks, clocks)).all()
    for index, board in enumerate(boards):
        assert encoded.moves[index] == tuple(board.legal_moves)
        _, slots = moves.legal(board, Transform(int(transforms[index])))
        start, end = encoded.offsets[index : index + 2]
        assert (encoded.slots[start:end] == slots).all()


@settings(max_examples=60, deadline=None)
@given(GAMES, st.integers(-9, 9), st.integers(-9, 9))
def test_a_range_of_encoded_boards_is_the_range_encoded(boards, start, stop):
    assert_same(encode(boards)[start:stop], encode(boards[start:stop]))


@settings(max_examples=60, deadline=None)
@given(GAMES, st.integers(0, 7), st.integers(0, 7))
def test_parts_put_together_are_the_whole(boards, first, second):
    cuts = [0, *sorted((min(first, len(boards)), min(second, len(boards)))), len(boards)]
    whole = encode(boards)
    parts = [whole[a:b] for a, b in itertools.pairwise(cuts)]
    assert_same(encoding.concatenate(parts), whole)


def test_no_parts_make_an_empty_batch():
    assert_same(encoding.concatenate([]), encode([]))
    assert encode([]).planes().shape == (0, 112, 8, 8)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from(InputFormat))
def test_encoding_leaves_the_board_as_it_was(seed, input_format):
    board = lc0_witness.game(seed)
    before = board.copy()
    encode([board], input_format=input_format)
    assert board == before
    assert board.move_stack == before.move_stack


def test_a_network_without_history_gets_only_the_current_pieces():
    boards = [lc0_witness.game(seed) for seed in range(30)]
    with_history, without = encode(boards), encode(boards, no_history=True)
    assert with_history.masks[:, 12:104].any()
    assert not without.masks[:, 12:104].any()
    kept = [*range(12), *range(104, 112)]
    assert (with_history.masks[:, kept] == without.masks[:, kept]).all()


def test_positions_without_legal_moves_own_no_slots():
    mate = chess.Board("7k/6Q1/6K1/8/8/8/8/8 b - - 0 1")
    encoded = encode([chess.Board(), mate, chess.Board()])
    assert encoded.moves[1] == ()
    assert encoded.offsets.tolist() == [0, 20, 20, 40]
    assert encoded.slots.dtype == np.int16


def test_castling_is_written_as_python_chess_writes_it():
    board = chess.Board("4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1")
    encoded = encode([board])
    slot = dict(zip([m.uci() for m in encoded.moves[0]], encoded.slots.tolist(), strict=True))
    assert moves.SLOT_MOVES[slot["e1g1"]] == "e1h1"
    assert moves.SLOT_MOVES[slot["e1c1"]] == "e1a1"


def test_single_boards_and_steps_are_refused():
    encoded = encode([chess.Board()])
    with pytest.raises(TypeError, match=r"taken by range, such as encoded\[0:1\], not by 0"):
        encoded[0]
    with pytest.raises(ValueError, match="taken by ranges of step 1, not 2"):
        encoded[::2]


def test_a_board_without_a_king_is_refused():
    with pytest.raises(ValueError, match="White has 0 kings in board 0"):
        encode([chess.Board(None)])


@pytest.mark.parametrize("chosen", [[], [3], [29, 0, 5, 5], list(range(30))])
def test_taking_boards_is_encoding_those_boards(chosen):
    boards = [chess.Board(row["FEN"]) for row in random_rows(7, 30)]
    taken = encode(boards).take(chosen)
    assert len(taken) == len(chosen)
    assert_same(taken, encode([boards[index] for index in chosen]))
