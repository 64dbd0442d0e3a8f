"""What comes with the package is found by its name."""

from pathlib import Path

import pytest
import typer

from leela_probe.commands import options
from leela_probe.files import bundled
from leela_probe.networks import network


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
    assert set(bundled.FILES) == {"strong", "weak", "planted", "mates"}
