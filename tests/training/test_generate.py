"""What the commands of the generator write, and what they refuse."""

import csv
import shutil
import sys

import numpy as np
import pytest

from leela_probe.puzzles import lichess
from training import certificates, generate, puzzle_lines

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)
HEADER = "PuzzleId,FEN,Moves,Rating,RatingDeviation,Popularity,NbPlays,Themes,GameUrl\n"


def call(monkeypatch, module, *arguments):
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    return module.main()


@pytest.fixture
def dump(tmp_path):
    shipped = lichess.read("bundled:mates")
    two = next(shipped)
    rows = [
        "nomat,8/8/8/4k3/8/8/4P3/4K3 b - - 0 1,e5e6 e2e4,1500,80,90,100,short,https://x/y",
        "mate1,6k1/p4ppp/8/8/8/8/8/K2R4 b - - 0 1,a7a6 d1d8,1234,80,90,100,mateIn1,"
        "https://lichess.org/abcdefgh#9",
        f"mate2,{two.fen},{' '.join(two.moves)},1500,80,90,100,mateIn2,",
    ]
    path = tmp_path / "dump.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def test_the_mates_of_a_dump_become_puzzles_and_records(dump, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert call(monkeypatch, generate, "--from-dump", dump, "--out", out) == 0
    told = capsys.readouterr().out
    assert "2 puzzles written" in told
    assert "2 records written" in told
    one, two = lichess.read(out / "puzzles.csv")
    assert (one.puzzle_id, one.moves, one.rating) == ("mate1", ("a7a6", "d1d8"), 1234)
    assert one.game_id == "abcdefgh"
    assert (two.puzzle_id, len(two.moves)) == ("mate2", 4)
    block = np.load(out / "block-000000.npy")
    certificates.verify(block)
    assert block["kind"].tolist() == [1, 0]
    with (out / "certified.csv").open() as file:
        assert [row["Verdict"] for row in csv.DictReader(file)] == [
            "no mate in 2", "mate in 1", "mate in 2"
        ]  # fmt: skip


def test_another_dump_does_not_go_into_the_same_folder(dump, tmp_path, monkeypatch):
    out = tmp_path / "out"
    call(monkeypatch, generate, "--from-dump", dump, "--out", out)
    dump.write_text(dump.read_text().replace("mate1", "mateA"))
    with pytest.raises(FileExistsError, match="holds records with sha256"):
        call(monkeypatch, generate, "--from-dump", dump, "--out", out)


@pytest.mark.parametrize(
    ("module", "arguments", "told"),
    [
        (generate, ("--count", "-5"), "argument --count: expected a whole number from 1 up"),
        (generate, ("--count", "5", "--threads", "0"), "argument --threads: expected a whole"),
        (generate, ("--count", "5", "--block-size", "0"), "argument --block-size: expected a"),
        (generate, ("--from-dump", "gone.csv"), "argument --from-dump: there is no file"),
        (puzzle_lines, ("--count", "0"), "argument --count: expected a whole number from 1 up"),
        (puzzle_lines, ("--count", "1", "--kind", "mate"), "argument --kind: invalid choice"),
    ],
)
def test_what_cannot_be_made_is_a_usage_error(
    module, arguments, told, tmp_path, monkeypatch, capsys
):
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, module, "--out", tmp_path / "out", *arguments)
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
