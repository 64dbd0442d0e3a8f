"""The puzzles that come with the project are what their note says they are."""

import importlib.util
from pathlib import Path

import chess
import pytest

from leela_probe.puzzles import lichess
from leela_probe.puzzles.lichess import Puzzle

FOLDER = Path(__file__).parent.parent / "puzzles"
ROWS = list(lichess.read(FOLDER / "sample.csv"))


@pytest.fixture(scope="module")
def make_sample():
    """The script that makes the file."""
    spec = importlib.util.spec_from_file_location("make_sample", FOLDER / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def depth_of_mate(board: chess.Board, plies: int) -> bool:
    """Whether the side to move mates within so many plies of its own and the other's moves."""
    for move in list(board.legal_moves):
        board.push(move)
        if board.is_checkmate():
            mates = True
        elif plies == 1 or not any(board.legal_moves):
            mates = False
        else:
            mates = True
            for reply in list(board.legal_moves):
                board.push(reply)
                mates = depth_of_mate(board, plies - 2)
                board.pop()
                if not mates:
                    break
        board.pop()
        if mates:
            return True
    return False


def test_there_are_forty_and_every_row_can_be_read():
    assert len(ROWS) == 40
    assert all(isinstance(row, Puzzle) for row in ROWS)
    assert len({row.fen for row in ROWS}) == 40
    assert [row.puzzle_id for row in ROWS] == [f"lp{index:03}" for index in range(40)]


@pytest.mark.parametrize("row", ROWS[::5], ids=lambda row: row.puzzle_id)
def test_a_puzzle_is_a_mate_in_two_with_one_solution(row):
    board = row.board()
    first = row.principal_variation[0]
    assert not depth_of_mate(board.copy(), 1)
    for move in board.legal_moves:
        after = board.copy()
        after.push(move)
        mated = bool(list(after.legal_moves))
        for reply in list(after.legal_moves):
            after.push(reply)
            mated = depth_of_mate(after, 1)
            after.pop()
            if not mated:
                break
        assert mated == (move == first)


def test_every_solution_ends_in_mate():
    for row in ROWS:
        board = row.board()
        assert len(row.principal_variation) == 3
        for move in row.principal_variation:
            assert board.is_legal(move)
            board.push(move)
        assert board.is_checkmate()


def test_the_script_makes_the_file(make_sample):
    lines = (FOLDER / "sample.csv").read_text().splitlines()
    assert lines[0] == ",".join(make_sample.COLUMNS)
    assert make_sample.ROWS == 40
    for index in (3, 17):
        assert ",".join(make_sample.row(index)) == lines[1 + index]
