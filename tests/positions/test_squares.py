import chess
import pytest

from leela_probe.positions import squares
from leela_probe.positions.squares import NetSquare


def test_white_boards_keep_their_squares():
    assert [squares.from_board(square, chess.WHITE) for square in chess.SQUARES] == list(range(64))


def test_black_boards_are_mirrored_by_rank_only():
    for square in chess.SQUARES:
        seen = squares.from_board(square, chess.BLACK)
        assert seen == chess.square_mirror(square)
        assert chess.square_file(seen) == chess.square_file(square)


@pytest.mark.parametrize("turn", chess.COLORS)
def test_to_board_undoes_from_board(turn):
    for square in chess.SQUARES:
        assert squares.to_board(squares.from_board(square, turn), turn) == square


def test_names_and_squares_are_inverse():
    for square in chess.SQUARES:
        assert squares.parse_name(squares.name(NetSquare(square))) == square
    assert squares.name(squares.from_board(chess.H8, chess.BLACK)) == "h1"


@pytest.mark.parametrize("square", [-1, 64])
def test_a_square_off_the_board_is_refused(square):
    with pytest.raises(ValueError, match=f"{square} is not a square: squares run from 0"):
        squares.from_board(square, chess.WHITE)
    with pytest.raises(ValueError, match=f"{square} is not a square"):
        squares.to_board(NetSquare(square), chess.WHITE)
    with pytest.raises(ValueError, match=f"{square} is not a square"):
        squares.name(NetSquare(square))


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no square is called 'i9': names run from 'a1' to 'h8'"):
        squares.parse_name("i9")
