"""What comes with the package is found by its name."""

from pathlib import Path

import pytest
import typer

from leela_probe.commands import options
from leela_probe.files import bundled
from leela_probe.networks import network
from leela_probe.organisms import planted
from leela_probe.puzzles import lichess
from leela_probe.weights import weights_files


def test_a_name_stands_for_its_file(tmp_path):
    (tmp_path / "strong.pb.gz").write_bytes(b"weights")
    assert bundled.path("bundled:strong", folder=tmp_path) == tmp_path / "strong.pb.gz"
    assert bundled.resolve(Path("bundled:strong"), folder=tmp_path).read_bytes() == b"weights"


def test_any_other_path_stays_as_it_is(tmp_path):
    assert bundled.resolve(str(tmp_path / "x.csv")) == tmp_path / "x.csv"


def test_an_unknown_name_gets_the_list():
    with pytest.raises(
        ValueError, match=r"there are bundled:strong, bundled:weak, .*bundled:mates"
    ):
        network.load("bundled:stockfish")
    with pytest.raises(typer.BadParameter, match="there are bundled:strong"):
        options.file(Path("bundled:stockfish"))


def test_a_missing_file_says_which_and_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mates\.csv is missing.*file of your own"):
        bundled.path("bundled:mates", folder=tmp_path)


def test_the_files_lie_inside_the_package():
    assert bundled.FOLDER.parent.name == "leela_probe"
    assert set(bundled.FILES) == {
        "strong", "weak", "planted", "shuffled", "mates", "planted-puzzles"
    }  # fmt: skip


def test_the_planted_network_that_comes_along_is_the_one_its_source_note_names(tmp_path):
    planted.write(tmp_path / "planted.pb.gz", "single", seed=0)
    ours = weights_files.read(bundled.path("bundled:planted")).tensors
    theirs = weights_files.read(tmp_path / "planted.pb.gz").tensors
    assert set(ours) == set(theirs)
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_every_line_of_the_mates_that_come_along_is_legal_and_mates():
    puzzles = list(lichess.read(bundled.path("bundled:mates")))
    assert len(puzzles) == 4000
    assert len({puzzle.fen for puzzle in puzzles}) == 4000
    for puzzle in puzzles:
        assert isinstance(puzzle, lichess.Puzzle)
        board = puzzle.board()
        for move in puzzle.principal_variation:
            assert not board.is_game_over()
            board.push(move)
        assert board.is_checkmate()
        assert len(puzzle.principal_variation) == 3
