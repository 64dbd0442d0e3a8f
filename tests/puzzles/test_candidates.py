"""Candidate corruptions: every small change, in order, counted as the paper's code counts them."""

import json
from pathlib import Path

import chess
import pytest
from puzzle_dumps import random_rows

from leela_probe.puzzles.candidates import (
    KINDS,
    BoardEdit,
    edited,
    edits,
    is_playable,
    line_squares,
    third_mover_square,
)

GOLDEN = json.loads(
    Path(__file__).with_name("golden").joinpath("candidate_counts.json").read_text()
)["positions"]


def board_of(golden):
    board = chess.Board(golden["fen"])
    if golden["setup"] is not None:
        board.push_uci(golden["setup"])
    return board


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden["id"] for golden in GOLDEN])
def test_the_counts_are_those_of_the_published_code(golden):
    board = board_of(golden)
    first = chess.Move.from_uci(golden["first_move"])
    every = list(edits(board))
    answers = [is_playable(board, change, first) for change in every]
    assert len(every) == golden["generated"]
    assert sum(valid for valid, _ in answers) == golden["valid"]
    assert sum(playable for _, playable in answers) == golden["playable"]


PUBLISHED = [golden for golden in GOLDEN if golden["corrupted_fen"] is not None]


@pytest.mark.parametrize("golden", PUBLISHED, ids=[golden["id"] for golden in PUBLISHED])
def test_the_published_partner_is_a_candidate(golden):
    board = board_of(golden)
    first = chess.Move.from_uci(golden["first_move"])
    (found,) = [
        change
        for change in edits(board)
        if is_playable(board, change, first)[1]
        and edited(board, change).fen() == golden["corrupted_fen"]
    ]
    assert [found.kind, found.piece.symbol(), found.square_names] == golden["change"]


def test_all_sixteen_published_partners_are_checked():
    assert len(PUBLISHED) == 16


def test_changes_are_what_a_plain_count_of_pieces_and_squares_says():
    for row in random_rows(5, 20):
        board = chess.Board(row["FEN"])
        pawns = len(board.pieces(chess.PAWN, True)) + len(board.pieces(chess.PAWN, False))
        pieces = len(board.piece_map())
        empty = 64 - pieces
        every = list(edits(board))
        assert len(every) == pawns + 2 * empty + (pieces - pawns) * empty
        assert len({edited(board, change).board_fen() for change in every}) == len(every)
        assert [KINDS.index(change.kind) for change in every] == sorted(
            KINDS.index(change.kind) for change in every
        )


def test_playable_is_what_a_fresh_board_of_the_changed_position_says():
    for row in random_rows(6, 5):
        board = chess.Board(row["FEN"])
        first = chess.Move.from_uci(row["Moves"].split()[0])
        for change in edits(board):
            fresh = chess.Board(f"{edited(board, change).board_fen()} w - - 0 1")
            fresh.turn = board.turn
            fresh.castling_rights = board.castling_rights  # of a rook that is gone: not legal
            fresh.ep_square = board.ep_square
            valid = fresh.is_valid()
            assert is_playable(board, change, first) == (
                valid,
                valid and first in fresh.legal_moves,
            )


def test_the_board_is_the_same_after_every_question():
    board = board_of(GOLDEN[0])
    before = board.copy()
    for change in edits(board):
        is_playable(board, change, chess.Move.from_uci(GOLDEN[0]["first_move"]))
        edited(board, change)
    assert (board.fen(), board.ep_square) == (before.fen(), before.ep_square)
    assert board.move_stack == before.move_stack


def test_removals_come_first_then_additions_then_moves():
    kinds = [change.kind for change in edits(board_of(GOLDEN[0]))]
    assert list(dict.fromkeys(kinds)) == list(KINDS)


def test_a_moved_king_counts_and_a_missing_one_never_comes_up():
    board = chess.Board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1")
    assert any(change.piece == chess.Piece(chess.KING, False) for change in edits(board))
    assert all(edited(board, change).king(chess.BLACK) is not None for change in edits(board))


@pytest.mark.parametrize(
    ("fen", "line", "square"),
    [
        ("4k3/8/8/8/8/8/8/R3K3 w - - 0 1", "a1a2 e8d8 e1d1", "e1"),
        ("4k3/8/8/8/8/8/8/R3K3 w - - 0 1", "a1a2 e8d8 a2a8", "a1"),
        ("4k3/8/8/8/8/8/8/R3K3 w Q - 0 1", "e1c1 e8e7 d1d7", "a1"),
        ("4k3/8/8/8/8/8/8/R3K3 w Q - 0 1", "e1c1 e8e7 c1b1", "e1"),
        ("4k2r/8/8/8/8/8/8/4K3 b k - 0 1", "e8g8 e1d1 f8f1", "h8"),
        ("4k3/8/8/8/8/8/8/R3K3 w - - 0 1", "a1a2 e8d8", None),
    ],
)
def test_the_third_mover_is_traced_back_to_where_it_stands(fen, line, square):
    moves = [chess.Move.from_uci(word) for word in line.split()]
    found = third_mover_square(chess.Board(fen), moves)
    assert found == (None if square is None else chess.parse_square(square))


@pytest.mark.parametrize(
    ("fen", "line", "squares"),
    [
        ("4k3/8/8/8/8/8/8/R3K3 w Q - 0 1", "e1c1 e8e7 d1d7", "a1 c1 d1 e1 e8 e7 d7"),
        ("4k2r/8/8/8/8/8/8/4K3 b k - 0 1", "e8g8", "e8 f8 g8 h8"),
        ("4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 2", "e5d6 e8d7", "e5 d5 d6 e8 d7"),
        ("4k3/3p4/8/4P3/8/8/8/4K3 b - - 0 1", "d7d5 e5d6", "d7 d5 e5 d6"),
        ("4k3/8/8/8/8/8/8/R3K3 w - - 0 1", "e1d1", "e1 d1"),
    ],
)
def test_the_squares_of_a_line_are_those_that_change_on_the_way(fen, line, squares):
    board = chess.Board(fen)
    moves = [chess.Move.from_uci(word) for word in line.split()]
    assert line_squares(board, moves) == {chess.parse_square(name) for name in squares.split()}
    changing = set()
    for move in moves:
        before = board.piece_map()
        board.push(move)
        after = board.piece_map()
        changing |= {square for square in chess.SQUARES if before.get(square) != after.get(square)}
    assert line_squares(chess.Board(fen), moves) == changing


def test_a_change_names_its_squares():
    assert BoardEdit("move", chess.Piece(chess.KING, True), (4, 12)).square_names == "e1 e2"
