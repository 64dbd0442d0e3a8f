"""FENs: read as python-chess reads them, only faster."""

import random

import chess
import pytest
from hypothesis import given
from hypothesis import strategies as st
from puzzle_dumps import random_rows

from leela_probe.positions import fen

PLAIN = "r1bq4/pp3k1p/2p2pp1/3pr3/8/P3P2P/R1PN1PP1/Q3K2R b - e3 5 19"


def same(first: chess.Board, second: chess.Board) -> bool:
    return vars(first) == vars(second)


def test_positions_of_play_read_as_python_chess_reads_them():
    for row in random_rows(1, 200):
        assert same(fen.board(row["FEN"]), chess.Board(row["FEN"]))


def test_positions_without_castling_rights_read_the_same():
    for row in random_rows(2, 100):
        board = chess.Board(row["FEN"])
        board.castling_rights = 0
        assert same(fen.board(board.fen()), chess.Board(board.fen()))


@given(st.integers(0, len(PLAIN) - 1), st.sampled_from("pK8/90 -wbe3qx_"))
def test_every_small_change_reads_or_fails_as_in_python_chess(place, symbol):
    text = PLAIN[:place] + symbol + PLAIN[place + 1 :]
    assert_same_answer(text)


@given(st.text(alphabet="pnbrqkPNBRQK12345678/", max_size=40))
def test_every_placement_reads_or_fails_as_in_python_chess(placement):
    assert_same_answer(f"{placement} w - - 0 1")


@given(st.text(alphabet="KQkqAaHhBc-", min_size=1, max_size=5))
def test_every_castling_text_reads_or_fails_as_in_python_chess(rights):
    for placement in ("r3k2r/8/8/8/8/8/8/R3K2R", "r2k3r/8/8/8/8/8/8/1R2K1R1", "k7/8/8/8/8/8/8/7K"):
        assert_same_answer(f"{placement} w {rights} - 0 1")


def answer(read, text):
    """The board, or what is said where there is none."""
    try:
        return vars(read(text))
    except ValueError as error:
        return str(error)


def assert_same_answer(text):
    mine, theirs = answer(fen.board, text), answer(chess.Board, text)
    refused = ("is not a number from 0 to", "there is no king and rook")
    assert mine == theirs or any(reason in str(mine) for reason in refused)


def test_short_and_odd_forms_are_left_to_python_chess():
    for text in (
        "8/8/8/8/8/8/8/K1k5",
        "8/8/8/8/8/8/8/K1k5 w",
        f"  {PLAIN}  ",
    ):
        assert same(fen.board(text), chess.Board(text))


def test_a_move_number_of_zero_becomes_one_as_in_python_chess():
    text = "8/8/8/8/8/8/8/K1k5 w - - 0 0"
    assert fen.board(text).fullmove_number == chess.Board(text).fullmove_number == 1


def test_boards_are_independent_of_each_other():
    first, second = fen.board(PLAIN), fen.board(PLAIN)
    first.push(random.Random(1).choice(list(first.legal_moves)))
    assert same(second, chess.Board(PLAIN))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Q~7/8/8/8/8/8/8/K1k5 w - - 0 1", "'~' after a promoted piece"),
        ("~8/8/8/8/8/8/8/K1k5 w - - 0 1", "'~' not after piece"),
        ("8/8/8/8/8/8/8/K1k5\xa0w - - 0 1", r"'\\xa0' \(U\+00A0\) has no meaning in a FEN"),
        ("8/8/8/8/8/8/8/K1k5 w - - 0 \u0663", r"U\+0663"),
        ("8/1K4P1/8/1k1n4/8/2q5/3N4/8 w Q - 0 1", "castling rights 'Q' there is no king and rook"),
        (f"8/8/8/8/8/8/8/K1k5 w - - {10**21} 1", "the half-move clock '1000000000000000000000' is"),
        (f"8/8/8/8/8/8/8/K1k5 w - - 0 {1 << 31}", "the move number '2147483648' is not a number"),
        (f"8/8/8/8/8/8/8/K1k5 w - - {'9' * 9999} 1", "not a number from 0 to 2,147,483,647"),
        ("8/8/8/8/8/8/8/K1k5 w - - -3 1", "half-move clock cannot be negative"),
        ("8/8/8/8/8/8/8/K1k5 w - - 1_0 1", "the half-move clock '1_0' is not a number"),
    ],
)
def test_what_lc0_refuses_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        fen.board(text)
