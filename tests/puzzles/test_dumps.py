"""Dumps in every form that people keep them in: the same rows come out of each."""

import bz2
import gzip
import io
import json
import lzma
import os
import threading
from itertools import cycle

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from puzzle_dumps import COLUMNS, csv_text, random_rows, write_dump

from leela_probe.puzzles import dumps, lichess
from leela_probe.puzzles.dumps import MalformedRow, NotAPuzzleDumpError, Row
from leela_probe.puzzles.lichess import Puzzle

ROWS = random_rows(5, 30)
TEXT = csv_text(ROWS)
ENDS = cycle(["\n", "\r", "\r\n"])


def facts(puzzle):
    assert isinstance(puzzle, Puzzle)
    return puzzle.puzzle_id, puzzle.fen, puzzle.moves, puzzle.rating, puzzle.themes, puzzle.game_id


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = write_dump(tmp_path_factory.mktemp("dumps") / "dump.csv", ROWS)
    return [facts(puzzle) for puzzle in lichess.read(path)]


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        TEXT.replace("\n", "\r\r"),
        "".join(line + next(ENDS) for line in TEXT.splitlines()),
        TEXT.rstrip("\n"),
        TEXT.replace("\n", "\r").rstrip("\r"),
    ],
    ids=["LF", "CR LF", "CR", "CR CR", "mixed", "no last LF", "no last CR"],
)
def test_all_line_ends_give_the_same_puzzles(tmp_path, expected, text):
    path = written(tmp_path / "dump.csv", text)
    assert [facts(puzzle) for puzzle in lichess.read(path)] == expected
    assert dumps.count(path) in (len(ROWS), 2 * len(ROWS) + 1)  # blank lines are counted


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, gzip.compress, zstandard.compress])
def test_all_compressions_give_the_same_puzzles(tmp_path, expected, pack):
    path = written(tmp_path / "dump", pack(TEXT.encode()))
    assert [facts(puzzle) for puzzle in lichess.read(path)] == expected
    assert dumps.count(path) == len(ROWS)


SNAKE = {
    "PuzzleId": "puzzle_id", "FEN": "fen", "Moves": "moves", "Rating": "rating",
    "RatingDeviation": "rating_deviation", "Popularity": "popularity", "NbPlays": "nb_plays",
    "Themes": "themes", "GameUrl": "game_url", "OpeningTags": "opening_tags",
}  # fmt: skip


@pytest.mark.parametrize(
    "rename",
    [SNAKE.get, str.lower, str.upper, lambda name: f" {name} ", lambda name: SNAKE[name].title()],
    ids=["snake_case", "lower", "upper", "spaces", "Snake_Title"],
)
def test_columns_may_be_named_as_databases_name_them(tmp_path, expected, rename):
    header, rest = TEXT.split("\n", 1)
    path = written(tmp_path / "dump.csv", ",".join(map(rename, header.split(","))) + "\n" + rest)
    assert [facts(puzzle) for puzzle in lichess.read(path)] == expected


@pytest.mark.parametrize("as_text", [str, json.dumps, lambda words: str(np.array(words))])
def test_a_dump_of_hugging_face_keeps_its_games_and_themes_through_to_csv(
    tmp_path, expected, as_text
):
    frame = pd.DataFrame(ROWS)
    frame["Themes"] = [as_text(text.split()) for text in frame["Themes"]]
    frame["OpeningTags"] = [as_text([]) for _ in ROWS]
    frame.insert(1, "GameId", [lichess.game_id(url) for url in frame.pop("GameUrl")])
    frame.to_csv(tmp_path / "dump.csv", index=False)
    assert [facts(puzzle) for puzzle in lichess.read(tmp_path / "dump.csv")] == expected


def test_a_dump_of_hugging_face_is_read_as_parquet(tmp_path, expected):
    frame = pd.DataFrame(ROWS).astype({"Rating": "uint16"})
    frame["Themes"] = frame["Themes"].str.split()
    frame["game_url"] = frame.pop("GameUrl")
    frame.to_parquet(tmp_path / "dump.parquet")
    assert [facts(puzzle) for puzzle in lichess.read(tmp_path / "dump.parquet")] == expected


def test_the_columns_that_nothing_is_made_of_are_named(tmp_path):
    path = write_dump(tmp_path / "dump.csv", ROWS[:1])
    assert dumps.ignored_columns(path) == (
        "RatingDeviation",
        "Popularity",
        "NbPlays",
        "OpeningTags",
    )
    frame = pd.read_csv(path).assign(Elo=1, GameId="abcdefgh")
    frame.to_parquet(tmp_path / "dump.parquet")
    assert dumps.ignored_columns(tmp_path / "dump.parquet")[-2:] == ("Elo", "GameId")


@pytest.mark.parametrize("width", [9, 10, 11])
def test_a_file_of_before_2023_is_read_without_its_header(tmp_path, expected, width):
    lines = TEXT.splitlines()[1:]
    old = [",".join([*line.split(",")[:9], "Italian_Game", "Other"][:width]) for line in lines]
    path = written(tmp_path / "lichess_db_puzzle.csv.bz2", bz2.compress("\n".join(old).encode()))
    puzzles = list(lichess.read(path))
    assert [facts(puzzle) for puzzle in puzzles] == expected
    assert [puzzle.line for puzzle in puzzles] == list(range(1, len(ROWS) + 1))


def test_rows_without_an_opening_may_be_shorter_where_there_is_no_header(tmp_path, expected):
    lines = [line.rsplit(",", 1)[0] for line in TEXT.splitlines()[1:]]
    lines[::3] = [f"{line},Italian_Game,Italian_Game_Other" for line in lines[::3]]
    path = written(tmp_path / "old.csv", "\n".join(lines) + "\nx,y\n")
    *puzzles, malformed = lichess.read(path)
    assert [facts(puzzle) for puzzle in puzzles] == expected
    assert malformed.reason == "expected 9 or 10 or 11 columns, got 2"


@pytest.mark.parametrize("width", [3, 8, 12])
def test_other_rows_without_a_header_are_refused_by_name(tmp_path, width):
    row = [*TEXT.splitlines()[1].split(","), "x", "y"][:width]
    path = written(tmp_path / "dump.csv", ",".join(row) + "\n")
    with pytest.raises(NotAPuzzleDumpError, match="PuzzleId, FEN, Moves not among"):
        list(dumps.rows(path))


def test_a_field_in_quotes_may_hold_line_breaks_commas_and_quotes(tmp_path):
    fen, moves = ROWS[0]["FEN"], ROWS[0]["Moves"]
    buffer = io.StringIO()
    frame = pd.DataFrame(
        {
            "PuzzleId": ["a", "b"],
            "Note": ['two\nlines, "quoted"\r\nand three', ""],
            "FEN": fen,
            "Moves": moves,
            "Themes": ["mate\nshort", "long"],
        }
    )
    frame.to_csv(buffer, index=False)
    path = written(tmp_path / "dump.csv", buffer.getvalue())
    first, second = lichess.read(path)
    assert (first.puzzle_id, first.themes, first.line) == ("a", ("mate", "short"), 2)
    assert (second.puzzle_id, second.themes, second.line) == ("b", ("long",), 6)


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path):
    lines = TEXT.splitlines()
    lines[3] = lines[3].replace(",", ',"', 1)
    lines[9] = '"' + lines[9]
    path = written(tmp_path / "dump.csv", "\n".join(lines))
    rows = list(lichess.read(path))
    assert [row.line for row in rows if isinstance(row, MalformedRow)] == [4, 10]
    assert len(rows) == len(ROWS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_damage_in_a_line_costs_no_other_line(tmp_path, data):
    lines = TEXT.encode().splitlines()
    number = data.draw(st.integers(1, len(lines) - 2))
    place = data.draw(st.integers(0, len(lines[number]) - 1))
    piece = data.draw(st.binary(max_size=3).filter(lambda piece: not set(piece) & set(b"\r\n")))
    lines[number] = lines[number][:place] + piece + lines[number][place + 1 :]
    path = written(tmp_path / "dump.csv", b"\n".join(lines))
    rows = list(lichess.read(path))
    assert [row.line for row in rows] == list(range(2, len(lines) + 1))
    assert all(isinstance(row, Puzzle) for row in rows if row.line != number + 1)


def through_pipe(content):
    """The path of a pipe out of which the content comes."""
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as file:
            file.write(content)

    threading.Thread(target=write, daemon=True).start()
    return reading, f"/dev/fd/{reading}"


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no /dev/fd here")
@pytest.mark.parametrize("pack", [bytes, bz2.compress, zstandard.compress])
def test_a_dump_may_come_out_of_a_pipe(expected, pack):
    reading, path = through_pipe(pack(TEXT.encode()))
    assert [facts(puzzle) for puzzle in lichess.read(path)] == expected
    os.close(reading)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no /dev/fd here")
def test_what_comes_out_of_a_pipe_is_kept_as_long_as_it_is_needed(tmp_path, expected):
    reading, path = through_pipe(TEXT.encode())
    copy = tmp_path / "out.csv.pipe"
    with dumps.seekable(path, copy=copy) as file:
        for _ in range(2):
            assert [facts(puzzle) for puzzle in lichess.read(file)] == expected
    os.close(reading)
    assert not copy.exists()


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no /dev/fd here")
def test_parquet_out_of_a_pipe_is_refused(tmp_path):
    pd.DataFrame(ROWS[:1]).to_parquet(tmp_path / "dump.parquet")
    reading, path = through_pipe((tmp_path / "dump.parquet").read_bytes())
    with pytest.raises(NotAPuzzleDumpError, match="is a pipe with a Parquet file in it"):
        list(dumps.rows(path))
    os.close(reading)


def test_a_file_is_its_own_copy(tmp_path):
    path = write_dump(tmp_path / "dump.csv", ROWS[:1])
    with dumps.seekable(path, copy=tmp_path / "copy") as file:
        assert file == path
    assert path.exists()


def test_a_row_group_that_unpacks_to_too_much_is_passed_over(tmp_path, monkeypatch):
    path = tmp_path / "dump.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=10)
    monkeypatch.setattr(dumps, "LARGEST_ROW_GROUP", 100)
    rows = list(dumps.rows(path))
    assert [row.line for row in rows] == [1, 11, 21]
    assert all("a row group of the Parquet file unpacks to" in row.reason for row in rows)


CASES = (
    "06-themes-as-list-text",
    "07-game_url-column",
    "08-cr-line-ends",
    "11-gameurl-without-game",
)


@pytest.mark.shared
@pytest.mark.parametrize("case", CASES)
def test_the_rows_of_each_case_are_puzzles(shared, case):
    folder = shared / "cases" / case
    for path in sorted(folder.glob("*.csv")):
        puzzles = list(lichess.read(path))
        assert len(puzzles) >= 30
        assert all(isinstance(puzzle, Puzzle) for puzzle in puzzles)


@pytest.mark.shared
def test_themes_as_text_of_a_list_are_those_of_the_plain_file(shared):
    folder = shared / "cases" / "06-themes-as-list-text"
    plain = [facts(puzzle) for puzzle in lichess.read(folder / "themes_plain.csv")]
    files = sorted(folder.glob("themes_*.csv"))
    assert len(files) >= 6
    for path in files:
        assert [facts(puzzle) for puzzle in lichess.read(path)] == plain, path.name


@pytest.mark.shared
def test_games_of_a_snake_case_dump_are_read(shared):
    path = shared / "cases" / "07-game_url-column" / "dump.csv"
    puzzles = list(lichess.read(path))
    assert all(len(puzzle.game_id) == 8 for puzzle in puzzles)
    assert puzzles[0].game_id == "SLbfzQtP"


@pytest.mark.shared
def test_only_links_to_games_give_games(shared):
    path = shared / "cases" / "11-gameurl-without-game" / "gameurl.csv"
    rows = {row.puzzle_id: row for row in dumps.rows(path) if isinstance(row, Row)}
    for puzzle in lichess.read(path):
        if puzzle.game_id is not None:
            assert len(puzzle.game_id) == 8
            assert f"/{puzzle.game_id}" in rows[puzzle.puzzle_id].game
        assert puzzle.game_id not in ("training", "daily", "g", "lichess.org")


def test_columns_of_the_examples_are_those_of_lichess():
    assert tuple(SNAKE) == COLUMNS
