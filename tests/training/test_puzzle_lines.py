"""Puzzle lines against python-chess alone and against the package's own reader of dumps."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import shutil

import chess
import numpy as np
import pytest

from leela_probe.puzzles import lichess
from training import certificates, puzzle_lines, records
from training.certificates import CertificateError
from training.puzzle_lines import Dropped, PuzzleLine

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def found() -> list[PuzzleLine | Dropped]:
    return list(puzzle_lines.lines(seed=3, count=120))


@pytest.fixture(scope="module")
def puzzles(found) -> list[PuzzleLine]:
    return [line for line in found if isinstance(line, PuzzleLine)]


def mating(board: chess.Board) -> list[str]:
    moves = []
    for move in list(board.legal_moves):
        board.push(move)
        if board.is_checkmate():
            moves.append(move.uci())
        board.pop()
    return moves


def keys(board: chess.Board) -> list[str]:
    """The first moves that mate in two, by python-chess alone."""
    moves = []
    for move in list(board.legal_moves):
        board.push(move)
        replies = list(board.legal_moves)
        lost = bool(replies)
        for reply in replies:
            board.push(reply)
            lost = lost and bool(mating(board))
            board.pop()
        if lost:
            moves.append(move.uci())
        board.pop()
    return moves


def test_as_many_puzzles_come_as_were_asked_for(found, puzzles):
    assert len(puzzles) == 120
    reasons = {line.reason for line in found if isinstance(line, Dropped)}
    assert reasons <= {"no set-up move", "several mates", "twice"}


def test_a_line_has_one_first_move_and_one_mate(puzzles):
    for puzzle in puzzles:
        board = chess.Board(puzzle.fen)
        setup, key, reply, mate = puzzle.moves
        assert board.is_valid()
        board.push_uci(setup)
        assert mating(board) == []
        assert keys(board) == [key]
        board.push_uci(key)
        board.push_uci(reply)
        assert mating(board) == [mate]


def test_the_set_up_move_is_quiet(puzzles):
    for puzzle in puzzles:
        board = chess.Board(puzzle.fen)
        setup = board.parse_uci(puzzle.moves[0])
        assert not board.is_capture(setup)
        assert setup.promotion is None
        board.push(setup)
        assert board.ep_square is None


def test_both_colours_solve(puzzles):
    white = sum(chess.Board(puzzle.fen).turn == chess.BLACK for puzzle in puzzles)
    assert 30 < white < 90


def test_themes_tell_checks_from_quiet_moves(puzzles):
    seen = set()
    for puzzle in puzzles:
        board = chess.Board(puzzle.fen)
        board.push_uci(puzzle.moves[0])
        key = chess.Move.from_uci(puzzle.moves[1])
        assert puzzle.themes[:3] == ("mate", "mateIn2", "short")
        assert ("checkingFirstMove" in puzzle.themes) == board.gives_check(key)
        if "quietFirstMove" in puzzle.themes:
            assert not board.is_capture(key)
        seen.update(puzzle.themes)
    assert {"checkingFirstMove", "quietFirstMove"} <= seen


def test_all_positions_are_held_out(puzzles):
    for puzzle in puzzles:
        board = chess.Board(puzzle.fen)
        board.push_uci(puzzle.moves[0])
        assert certificates.is_held_out(records.of(board))


def test_a_file_is_read_back_as_lichess_puzzles(puzzles, tmp_path):
    path = tmp_path / "puzzles.csv"
    assert puzzle_lines.write(path, puzzles, seed=3) == len(puzzles)
    with path.open() as file:
        assert next(csv.reader(file)) == puzzle_lines.COLUMNS
    read = list(lichess.read(path))
    assert [(row.fen, row.moves, row.themes) for row in read] == [
        (puzzle.fen, puzzle.moves, puzzle.themes) for puzzle in puzzles
    ]
    assert len({row.puzzle_id for row in read}) == len(read)
    assert {len(row.puzzle_id) for row in read} == {5}
    assert [p.name for p in tmp_path.iterdir()] == ["puzzles.csv"]


def test_the_same_seed_gives_the_same_lines(puzzles):
    again = puzzle_lines.lines(seed=3, count=20)
    assert [line for line in again if isinstance(line, PuzzleLine)] == puzzles[:20]


def test_a_wrong_line_is_not_written(puzzles, tmp_path):
    setup, key, reply, _ = puzzles[0].moves
    wrong = dataclasses.replace(puzzles[0], moves=(setup, key, reply, key))
    with pytest.raises(CertificateError, match="the last move is not the only mate"):
        puzzle_lines.write(tmp_path / "puzzles.csv", [puzzles[1], wrong], seed=1)
    wrong = dataclasses.replace(puzzles[0], moves=(setup, reply, reply, key))
    with pytest.raises(CertificateError, match="second move is not the only mate in two"):
        puzzle_lines.certify(wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_position_that_no_quiet_move_leads_to_has_no_set_up_move():
    # The black king cannot have come from b8, which is taken, nor from beside the white king.
    assert list(puzzle_lines.retractions(chess.Board("kN6/8/1K6/8/8/8/8/8 w - - 0 1"))) == []


def test_moves_taken_back_lead_to_the_position_again():
    board = chess.Board("6k1/5ppp/2n5/8/8/8/5PPP/R2r2K1 w - - 0 1")
    taken_back = {move.uci(): earlier for earlier, move in puzzle_lines.retractions(board)}
    assert {"d8d1", "d2d1"} <= set(taken_back)
    assert all(move.endswith("d1") for move in taken_back)  # it gives check: nothing else moved
    board = chess.Board("6k1/5p1p/6p1/8/8/2n5/5PPP/R5K1 w - - 0 1")
    taken_back = {move.uci(): earlier for earlier, move in puzzle_lines.retractions(board)}
    assert {"g7g6", "e4c3", "f8g8"} <= set(taken_back)
    assert not {"h8h7", "h6h7", "f8f7", "g8g6"} & set(taken_back)
    for move, earlier in taken_back.items():
        assert earlier.is_valid()
        earlier.push_uci(move)
        assert earlier.board_fen() == board.board_fen()


def test_a_record_without_a_key_makes_no_line():
    record = np.array([records.of(chess.Board("8/8/8/8/8/8/6R1/K1k5 w - - 0 1"))])[0]
    with pytest.raises(CertificateError, match="no single first move that mates in two"):
        puzzle_lines.line(record, seed=1)


@pytest.fixture(scope="module", params=["mate-in-1", "near-miss"])
def others(request):
    found = list(puzzle_lines.lines(seed=4, count=30, kind=request.param))
    return request.param, [line for line in found if isinstance(line, PuzzleLine)]


def test_other_kinds_are_what_they_say_for_python_chess(others):
    kind, puzzles = others
    assert len(puzzles) == 30
    for puzzle in puzzles:
        assert puzzle.kind == kind
        board = chess.Board(puzzle.fen)
        assert board.is_valid()
        setup, *rest = puzzle.moves
        board.push(board.parse_uci(setup))
        if kind == "mate-in-1":
            assert mating(board) == rest
            assert puzzle.themes == ("mate", "mateIn1", "oneMove")
            continue
        assert mating(board) == []
        assert keys(board) == []
        assert puzzle.themes[0] == "nearMiss"
        tried, refutation = rest
        board.push(board.parse_uci(tried))
        board.push(board.parse_uci(refutation))
        assert mating(board) == []


def test_files_of_other_kinds_are_read_back(others, tmp_path):
    _, puzzles = others
    puzzle_lines.write(tmp_path / "puzzles.csv", puzzles, seed=4)
    read = list(lichess.read(tmp_path / "puzzles.csv"))
    assert [(row.fen, row.moves) for row in read] == [(each.fen, each.moves) for each in puzzles]


def test_a_line_of_another_kind_is_not_certified(puzzles, others):
    kind, made = others
    wrong = dataclasses.replace(puzzles[0], kind=kind)
    with pytest.raises(CertificateError, match=f"a {kind} has [12] plies"):
        puzzle_lines.certify(wrong)
    moves = puzzles[0].moves[: len(made[0].moves)]
    wrong = dataclasses.replace(puzzles[0], kind=kind, moves=moves)
    with pytest.raises(CertificateError, match=r"not the only mate|there is a mate"):
        puzzle_lines.certify(wrong)


def test_the_shipped_puzzles_come_out_again():
    made = (each for each in puzzle_lines.lines(seed=1) if isinstance(each, PuzzleLine))
    shipped = list(itertools.islice(lichess.read("bundled:mates"), 40))
    again = itertools.islice(made, len(shipped))
    assert [(row.fen, row.moves) for row in shipped] == [(each.fen, each.moves) for each in again]
