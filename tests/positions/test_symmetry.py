import random

import chess
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lc0_witness import endgame

from leela_probe.positions import symmetry
from leela_probe.positions.squares import NetSquare
from leela_probe.positions.symmetry import Transform

ALL = [Transform(number) for number in range(8)]
FLIPS = {
    Transform.FLIP: chess.flip_horizontal,
    Transform.MIRROR: chess.flip_vertical,
    Transform.TRANSPOSE: chess.flip_anti_diagonal,
}


def turned(mask: int, transform: Transform) -> int:
    masks = np.array([[mask]], dtype=np.uint64)
    return int(symmetry.turn_masks(masks, np.array([transform], dtype=np.uint8))[0, 0])


@pytest.mark.parametrize("transform", ALL)
def test_a_turned_square_and_its_turned_mask_agree(transform):
    for square in range(64):
        target = symmetry.turn_square(NetSquare(square), transform)
        assert turned(1 << square, transform) == 1 << target
        assert symmetry.unturn_square(target, transform) == square


@given(st.integers(0, 2**64 - 1), st.sampled_from(ALL))
def test_turning_a_mask_is_what_python_chess_flips(mask, transform):
    expected = mask
    for step, flip in FLIPS.items():
        if transform & step:
            expected = flip(expected)
    assert turned(mask, transform) == expected


def test_boards_are_turned_each_by_its_own_transform():
    masks = np.full((8, 3), 1 << chess.B3, dtype=np.uint64)
    together = symmetry.turn_masks(masks, np.arange(8, dtype=np.uint8))
    assert [int(mask) for mask in together[:, 2]] == [turned(1 << chess.B3, t) for t in ALL]
    assert (masks == 1 << chess.B3).all()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_the_turned_king_stands_below_the_diagonal_on_the_king_side(seed, pawnless):
    board = endgame(random.Random(seed), pawnless=pawnless)
    transform = symmetry.choose(board, 3)
    king = board.king(board.turn)
    king = symmetry.turn_square(NetSquare(king if board.turn else king ^ 56), transform)
    assert chess.square_file(king) >= 4
    if board.pawns:
        assert transform in (Transform.NONE, Transform.FLIP)
    else:
        assert chess.square_rank(king) <= 7 - chess.square_file(king)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(ALL))
def test_all_reflections_of_a_pawnless_position_are_turned_into_one(seed, transform):
    board = endgame(random.Random(seed), pawnless=True)
    other = board.copy()
    for step, flip in FLIPS.items():
        if transform & step:
            other.apply_transform(flip)
    assert placed(board) == placed(other)


def placed(board: chess.Board) -> str:
    transform = symmetry.choose(board, 4)
    view = board if board.turn else board.mirror()
    pieces = {
        symmetry.turn_square(NetSquare(square), transform): piece
        for square, piece in view.piece_map().items()
    }
    turned_board = chess.BaseBoard(None)
    turned_board.set_piece_map(pieces)
    return turned_board.board_fen()


@pytest.mark.parametrize("input_format", [1, 2])
def test_plain_formats_turn_no_board(input_format):
    assert (
        symmetry.choose(chess.Board("8/8/8/4k3/8/8/8/K7 w - - 0 1"), input_format) == Transform.NONE
    )


def test_boards_with_castling_rights_are_not_turned():
    board = chess.Board("4k2r/8/8/8/8/8/8/K7 w k - 0 1")
    assert symmetry.choose(board, 3) == Transform.NONE
    board.castling_rights = chess.BB_EMPTY
    assert symmetry.choose(board, 3) == Transform.FLIP | Transform.TRANSPOSE


def test_choosing_leaves_the_masks_alone():
    masks = np.zeros((1, 112), dtype=np.uint64)
    masks[0, 5] = 1
    symmetry.choose_each(masks)
    assert masks[0, 5] == 1
