"""Puzzles with longer lines against python-chess alone and the package's own reader of dumps."""

from __future__ import annotations

import dataclasses
import shutil

import chess
import pytest
import typer
from typer.testing import CliRunner

from leela_probe.puzzles import lichess
from training import puzzle_lines, tactics_puzzles
from training.certificates import CertificateError
from training.puzzle_lines import Dropped, PuzzleLine

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def found() -> list[PuzzleLine | Dropped]:
    return list(tactics_puzzles.lines(seed=3, count=120, split="train"))


@pytest.fixture(scope="module")
def puzzles(found) -> list[PuzzleLine]:
    return [each for each in found if isinstance(each, PuzzleLine)]


def of_theme(puzzles: list[PuzzleLine], theme: str) -> list[PuzzleLine]:
    return [puzzle for puzzle in puzzles if theme in puzzle.themes]


def test_as_many_puzzles_come_as_were_asked_for(found, puzzles):
    assert len(puzzles) == 120
    reasons = {each.reason for each in found if isinstance(each, Dropped)}
    assert reasons <= {"no set-up move", "several winning moves", "twice"}


def test_a_line_is_legal_ends_in_mate_and_every_puzzle_is_a_family(puzzles):
    for puzzle in puzzles:
        board = chess.Board(puzzle.fen)
        assert board.is_valid()
        for move in puzzle.moves:
            assert not board.is_game_over()
            board.push(board.parse_uci(move))
        assert board.is_checkmate()
        assert len(puzzle.moves) == (6 if "mateIn3" in puzzle.themes else 4)
        puzzle_lines.certify(puzzle)
    assert len({puzzle.game for puzzle in puzzles}) == len(puzzles)


def test_both_colours_are_to_move(puzzles):
    white = sum(" w " in puzzle.fen for puzzle in puzzles)
    assert 30 < white < 90


def test_there_are_enough_of_each_kind_that_an_experiment_needs(puzzles):
    patterns = [tactics_puzzles.pattern(puzzle) for puzzle in puzzles]
    assert patterns.count("112") >= len(puzzles) / 8
    assert len(of_theme(puzzles, "mateIn3")) >= len(puzzles) / 4
    assert len(of_theme(puzzles, "pieceReady")) >= len(puzzles) / 10


def test_themes_say_what_the_board_shows(puzzles):
    for puzzle in puzzles:
        board = chess.Board(puzzle.fen)
        setup, first, reply, third, *_ = map(chess.Move.from_uci, puzzle.moves)
        board.push(setup)
        mover = board.piece_at(third.from_square)
        ready = mover is not None and mover.color == board.turn and mover.piece_type in (2, 3, 4)
        ready = ready and first.from_square != third.from_square and len(puzzle.moves) == 6
        assert ("pieceReady" in puzzle.themes) == ready
        board.push(first)
        single = board.legal_moves.count() == 1
        assert ("singleReply" in puzzle.themes) == single
        taken = reply.to_square == first.to_square != third.to_square
        assert ("sacrifice" in puzzle.themes) == (single and taken)


def test_a_longer_line_that_does_not_hold_is_not_certified(puzzles):
    long = next(puzzle for puzzle in puzzles if puzzle.kind == "mate-in-3")
    board = chess.Board(long.fen)
    board.push_uci(long.moves[0])
    other = next(move.uci() for move in board.legal_moves if move.uci() != long.moves[1])
    wrong = dataclasses.replace(long, moves=(long.moves[0], other, *long.moves[2:]))
    with pytest.raises(CertificateError, match="not the only mate in three"):
        puzzle_lines.certify(wrong)
    short = next(puzzle for puzzle in puzzles if puzzle.kind == "mate-in-2")
    wrong = dataclasses.replace(short, kind="mate-in-3", moves=(*short.moves, "a1a2", "a2a3"))
    with pytest.raises(CertificateError, match="there is a faster mate"):
        puzzle_lines.certify(wrong)


def test_the_command_writes_held_out_puzzles_that_are_read_back(tmp_path):
    command = typer.Typer()
    command.command()(tactics_puzzles.main)
    path = tmp_path / "tactics.csv"
    result = CliRunner().invoke(command, ["--count", "3", "--seed", "5", "--out", str(path)])
    assert result.exit_code == 0, result.output
    assert "3 puzzles written" in result.output
    read = list(lichess.read(path))
    assert len(read) == 3
    assert len({row.game_id for row in read if row.game_id is not None}) == 3
