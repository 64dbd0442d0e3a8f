"""Other third moves, in positions where they can be counted by hand."""

import chess
import pytest

from leela_probe.positions import squares
from leela_probe.puzzles import alternatives
from leela_probe.puzzles.pairs import Pair

# Ra1-a7, the king steps to h8, Rb1-b8 is mate; Ra7-a8 would be the other check
FEN = "6k1/8/6K1/8/8/8/8/RR6 w - - 0 1"
LINE = ("a1a7", "g8h8", "b1b8")


def pair(line=LINE, corrupted=None):
    return Pair(
        puzzle_id="a",
        game_id=None,
        target_pattern="123",
        clean_fen=FEN,
        corrupted_fen=corrupted,
        line=line,
    )


def names(found):
    return [squares.name(square) for square in found]


def test_other_checks_are_all_those_that_the_rules_know():
    board = pair().clean
    for move in LINE[:2]:
        board.push_uci(move)
    checks = {
        chess.square_name(move.to_square) for move in board.legal_moves if board.gives_check(move)
    }
    found = names(alternatives.third_targets(pair(), "other_check"))
    assert set(found) == checks - {"b8"} - {"a1", "a7", "g8", "h8", "b1"}
    assert found == ["h1", "h7", "a8"]


def test_the_same_piece_goes_where_a_rook_can_go():
    found = names(alternatives.third_targets(pair(), "same_piece"))
    rook = {f"{file}1" for file in "acdefgh"} | {f"b{rank}" for rank in range(2, 9)}
    assert set(found) == rook - {"b8", "a1"}


def test_squares_that_the_corruption_changed_are_left_out():
    other = pair(corrupted="6k1/8/6K1/8/8/8/8/RR5B w - - 0 1")
    assert "h1" not in names(alternatives.third_targets(other, "other_check"))


def test_a_line_of_one_move_has_no_third():
    assert alternatives.third_targets(pair(line=LINE[:1]), "other_check") == ()


def test_an_unknown_kind_is_refused_with_the_kinds():
    with pytest.raises(ValueError, match="'quiet' is not a kind of third move: choose other_check"):
        alternatives.third_targets(pair(), "quiet")
