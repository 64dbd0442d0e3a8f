"""Dumps: every row is a puzzle or a malformed row with its line and the reason, never an error."""

import csv
import gzip
import io
import json
import re
import secrets
import tracemalloc

import chess
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from puzzle_dumps import COLUMNS, csv_text, random_rows, write_dump

from leela_probe.files import tables
from leela_probe.files.store import Chunk
from leela_probe.positions.planes import History, InputFormat
from leela_probe.puzzles import dumps, filters, lichess, plies
from leela_probe.puzzles.cascade import Judged
from leela_probe.puzzles.criteria import Criteria, verdict
from leela_probe.puzzles.dumps import MalformedRow, NotAPuzzleDumpError, Row
from leela_probe.puzzles.lichess import Puzzle

ROWS = random_rows(3, 40)
LONG_ROWS = [row | {"OpeningTags": secrets.token_hex(500)} for row in ROWS for _ in range(8)]
START = chess.STARTING_FEN
HEADER = "PuzzleId,FEN,Moves\n"
VIEW = plies.View(input_format=InputFormat.CLASSICAL, no_history=False, history=History.FILLED)


def is_theme(word):
    return word.lower() not in ("nan", "none", "null")


def reason_of(row):
    assert isinstance(row, MalformedRow)
    return row.reason


def test_rows_come_as_python_s_own_reader_reads_them(tmp_path):
    path = write_dump(tmp_path / "dump.csv", ROWS)
    with path.open(newline="") as file:
        expected = list(csv.DictReader(file))
    puzzles = list(lichess.read(path))
    assert [puzzle.puzzle_id for puzzle in puzzles] == [row["PuzzleId"] for row in expected]
    assert [puzzle.fen for puzzle in puzzles] == [row["FEN"] for row in expected]
    assert [" ".join(puzzle.moves) for puzzle in puzzles] == [row["Moves"] for row in expected]
    assert [puzzle.rating for puzzle in puzzles] == [int(row["Rating"]) for row in expected]
    assert [puzzle.line for puzzle in puzzles] == list(range(2, len(ROWS) + 2))


def test_all_kinds_of_files_give_the_same_puzzles(tmp_path):
    text = csv_text(ROWS).encode()
    plain, zst, gz, parquet = (tmp_path / f"dump{end}" for end in (".csv", ".zst", ".gz", ".pq"))
    plain.write_bytes(text)
    zst.write_bytes(zstandard.compress(text))
    gz.write_bytes(gzip.compress(text, mtime=0))
    pd.read_csv(plain).to_parquet(parquet)
    expected = list(lichess.read(plain))
    assert list(lichess.read(zst)) == expected
    assert list(lichess.read(gz)) == expected
    found = list(lichess.read(parquet))
    assert [puzzle.line for puzzle in found] == list(range(1, len(ROWS) + 1))
    assert [puzzle.moves for puzzle in found] == [puzzle.moves for puzzle in expected]
    assert [puzzle.rating for puzzle in found] == [puzzle.rating for puzzle in expected]
    assert [dumps.count(path) for path in (plain, zst, gz, parquet)] == [len(ROWS)] * 4


def test_parquet_columns_may_hold_lists_numbers_with_gaps_and_bytes(tmp_path):
    table = pyarrow.table(
        {
            "GameId": ["abcdefgh", None],
            "PuzzleId": [b"00008", b"00009"],
            "FEN": [START, START],
            "Moves": [["e2e4", "e7e5"], ["d2d4", "d7d5"]],
            "Rating": [1500.0, float("nan")],
            "Themes": [["mateIn1", "short"], None],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "dump.parquet")
    first, second = lichess.read(tmp_path / "dump.parquet")
    assert (first.puzzle_id, first.moves, first.rating) == ("00008", ("e2e4", "e7e5"), 1500)
    assert (first.themes, first.game_id) == (("mateIn1", "short"), "abcdefgh")
    assert (second.rating, second.themes, second.game_id) == (None, (), None)


def test_moves_may_be_a_list_as_text():
    for text in ("['e2e4', 'e7e5']", "{e2e4,e7e5}", '["e2e4","e7e5"]'):
        puzzle = lichess.parse(Row(2, "1", START, text))
        assert isinstance(puzzle, Puzzle)
        assert puzzle.moves == ("e2e4", "e7e5")


def test_only_three_columns_are_needed_in_any_order(tmp_path):
    path = tmp_path / "dump.csv"
    path.write_text(f"Moves,Extra,FEN,PuzzleId\ne2e4 e7e5,x,{START},00008\n")
    (puzzle,) = lichess.read(path)
    assert puzzle.puzzle_id == "00008"
    assert puzzle.moves == ("e2e4", "e7e5")
    assert (puzzle.rating, puzzle.themes, puzzle.game_id) == (None, (), None)


def test_a_file_of_the_filter_is_read_with_its_verdicts(tmp_path):
    path = tmp_path / "filtered.csv"
    path.write_text(
        f'puzzle_id,fen,moves,verdict,strong_p\n1,{START},e2e4 e7e5,kept,"[0.5,null]"\n'
    )
    (row,) = dumps.rows(path)
    assert (row.puzzle_id, row.verdict) == ("1", "kept")


def test_byte_order_mark_windows_line_ends_and_blank_lines_do_no_harm(tmp_path):
    path = tmp_path / "dump.csv"
    path.write_bytes(b"\xef\xbb\xbf" + csv_text(ROWS[:2]).replace("\n", "\r\n\r\n").encode())
    puzzles = list(lichess.read(path))
    assert [puzzle.puzzle_id for puzzle in puzzles] == [row["PuzzleId"] for row in ROWS[:2]]
    assert [puzzle.line for puzzle in puzzles] == [3, 5]


@pytest.mark.parametrize(
    ("text", "game"),
    [
        ("https://lichess.org/q2SFqfYD/black#97", "q2SFqfYD"),
        ("https://lichess.org/SLbfzQtP#36", "SLbfzQtP"),
        ("http://www.lichess.org/SLbfzQtP/", "SLbfzQtP"),
        ("lichess.org/SLbfzQtP/white", "SLbfzQtP"),
        ("https://lichess.org/AbCdEfGhIjKl", "AbCdEfGh"),
        ("https://lichess.org/AbCdEfGh?color=black", "AbCdEfGh"),
        ("q2SFqfYD", "q2SFqfYD"),
        ("AbCdEfGhIjKl", "AbCdEfGh"),
        ("", None),
        ("https://lichess.org/g/black#82", None),
        ("https://lichess.org/black#82", None),
        ("https://lichess.org/#82", None),
        ("https://lichess.org/training", None),
        ("https://lichess.org/training/daily", None),
        ("https://lichess.org/analysis", None),
        ("https://lichess.org", None),
        ("https://example.org/q2SFqfYD", None),
        ("daily", None),
        ("q2SFqfYD\n", None),
    ],
)
def test_a_game_is_what_a_link_to_a_game_or_its_id_names(text, game):
    assert lichess.game_id(text) == game
    puzzle = lichess.parse(Row(2, "1", START, "e2e4 e7e5", game=text))
    assert isinstance(puzzle, Puzzle)
    assert puzzle.game_id == game


def test_a_game_that_the_filter_wrote_is_taken_as_it_stands():
    row = Row(2, "1", START, "e2e4 e7e5", game="planted-7", verdict="kept")
    puzzle = lichess.parse(row)
    assert isinstance(puzzle, Puzzle)
    assert puzzle.game_id == "planted-7"


@pytest.mark.parametrize(
    "text",
    [
        "endgame mate mateIn2",
        "  endgame   mate  mateIn2 ",
        "endgame,mate,mateIn2",
        "endgame, mate, mateIn2",
        "endgame;mate;mateIn2",
        "endgame|mate|mateIn2",
        "['endgame', 'mate', 'mateIn2']",
        '["endgame", "mate", "mateIn2"]',
        '["endgame","mate","mateIn2"]',
        "{endgame,mate,mateIn2}",
        '{endgame,"mate",mateIn2}',
        "{'endgame', 'mate', 'mateIn2'}",
        "('endgame', 'mate', 'mateIn2')",
        "['endgame' 'mate' 'mateIn2']",
        "['endgame'\n 'mate' 'mateIn2']",
        "array(['endgame', 'mate', 'mateIn2'], dtype='<U7')",
        "array(['endgame', 'mate', 'mateIn2'], dtype=object)",
        "[np.str_('endgame'), np.str_('mate'), np.str_('mateIn2')]",
        "[endgame, mate, mateIn2]",
        "[endgame mate mateIn2]",
    ],
)
def test_a_list_as_text_has_the_same_words_in_every_form(text):
    assert lichess.words(text) == ("endgame", "mate", "mateIn2")


@pytest.mark.parametrize("text", ["", "[]", "{}", "nan", "None", "<NA>", "null", "['']", "{NULL}"])
def test_a_list_without_words_is_empty(text):
    assert lichess.words(text) == ()


@given(st.lists(st.from_regex(r"[a-zA-Z0-9]{1,12}", fullmatch=True).filter(is_theme), max_size=6))
def test_every_way_to_write_a_list_is_read_as_that_list(themes):
    for text in (
        " ".join(themes),
        str(themes),
        str(tuple(themes)),
        json.dumps(themes),
        json.dumps(themes, separators=(",", ":")),
        "{" + ",".join(themes) + "}",
        ",".join(themes),
        str(np.array(themes, dtype=object)),
        repr(np.array(themes, dtype=object)),
    ):
        assert lichess.words(text) == tuple(themes), text


def test_the_board_has_the_solver_to_move_and_one_known_position():
    puzzle = lichess.parse(Row(2, "1", START, "e2e4 e7e5 g1f3"))
    assert isinstance(puzzle, Puzzle)
    board = puzzle.board()
    assert board.turn == chess.BLACK
    assert board.move_stack == [chess.Move.from_uci("e2e4")]
    assert [move.uci() for move in puzzle.principal_variation] == ["e7e5", "g1f3"]


def test_the_board_that_comes_with_a_puzzle_is_the_puzzle_s_board():
    for row in ROWS:
        puzzle, board = lichess.parse_with_board(Row(2, row["PuzzleId"], row["FEN"], row["Moves"]))
        assert isinstance(puzzle, Puzzle)
        assert isinstance(board, chess.Board)
        assert board.fen() == puzzle.board().fen()
        assert board.move_stack == puzzle.board().move_stack


def test_castling_may_be_written_as_the_king_taking_its_rook():
    row = Row(2, "1", "4k2r/5p2/8/8/8/8/P4P2/4K2R w Kk - 0 1", "a2a3 e8h8 e1h1")
    puzzle = lichess.parse(row)
    assert isinstance(puzzle, Puzzle)
    assert puzzle.moves == ("a2a3", "e8g8", "e1g1")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f",{START},e2e4 e7e5", "the puzzle has no id: PuzzleId is empty"),
        ("1,8/8/8 w - - 0 1,e2e4 e7e5", "bad FEN '8/8/8 w - - 0 1': expected 8 rows"),
        ("1,,e2e4 e7e5", "bad FEN '': empty fen"),
        (
            "1,8/8/8/8/8/8/8/K7 w - - 0 1,a1a2 a2a3",
            "illegal position '8/8/8/8/8/8/8/K7 w - - 0 1': no black king",
        ),
        (f"1,{START},", "expected the set-up move and at least one move of the solution, got 0"),
        (f"1,{START},e2e4", "solution, got 1 move: 'e2e4'"),
        (
            f"1,{START},e2e4 castles",
            "'castles' (number 2 of 2) is not a move: expected one like e2e4",
        ),
        (
            f"1,{START},e2e4 e2e5",
            "illegal move 'e2e5' (number 2 of 2) in 'rnbqkbnr/pppppppp/8/8/4P3",
        ),
        (f"1,{START},e2e4 0000", "illegal move '0000' (number 2 of 2)"),
        (f"1,{START},e2e4 N@f6", "illegal move 'N@f6' (number 2 of 2)"),
        (f"1,{START},e2e4 e7e5|", "'e7e5|' (number 2 of 2) is not a move"),
        (f"1,{START}", "expected 3 columns, got 2"),
        (f"1,{START},e2e4 e7e5,1500", "expected 3 columns, got 4"),
        (f'1,"{START},e2e4 e7e5', "not a row of CSV: unexpected end of data"),
    ],
)
def test_a_malformed_row_says_where_and_why_and_the_rest_goes_on(tmp_path, line, reason):
    path = tmp_path / "dump.csv"
    path.write_text(f"{HEADER}a,{START},e2e4 e7e5\n{line}\nb,{START},e2e4 e7e5\n")
    before, malformed, after = lichess.read(path)
    assert (before.puzzle_id, after.puzzle_id) == ("a", "b")
    assert reason in reason_of(malformed)
    assert malformed.line == 3


def test_a_rating_that_is_no_number_is_malformed(tmp_path):
    row = Row(2, "1", START, "e2e4 e7e5", rating="strong")
    assert reason_of(lichess.parse(row)) == "the rating 'strong' is not a number"


@pytest.mark.parametrize("text", ["NaN", "nan", "<NA>", "None", "NA", "1500.5"])
def test_a_rating_that_is_a_gap_or_a_fraction_is_missing(text):
    puzzle = lichess.parse(Row(2, "1", START, "e2e4 e7e5", rating=text))
    assert isinstance(puzzle, Puzzle)
    assert puzzle.rating is None


@pytest.mark.parametrize("text", ["3000000000", "-3000000000.0", "9" * 500])
def test_a_rating_that_no_table_holds_is_malformed(text):
    reason = reason_of(lichess.parse(Row(2, "1", START, "e2e4 e7e5", rating=text)))
    assert reason.endswith("is too large: expected less than 2,147,483,648")


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ("99999999999999999999999 1", "half-move clock '99999999999999999999999' is not a number"),
        ("1001 1", "expected a half-move clock of at most 1,000"),
        ("0 2147483648", "the move number '2147483648' is not a number from 0 to 2,147,483,647"),
    ],
)
def test_a_fen_with_numbers_that_no_game_has_is_malformed(numbers, reason):
    row = Row(2, "1", f"4k3/8/8/8/8/8/4P3/4K3 w - - {numbers}", "e2e4 e8e7")
    assert reason in reason_of(lichess.parse(row))


@pytest.mark.parametrize(
    ("puzzle_id", "fen", "name"),
    [("a\nb", START, "id"), ("a", START.replace(" ", "\n", 1), "FEN"), ("a\x00", START, "id")],
)
def test_control_characters_are_malformed_and_told_as_python_writes_them(puzzle_id, fen, name):
    malformed = lichess.parse(Row(2, puzzle_id, fen, "e2e4\n e7e5"))
    assert f"control characters in the {name} '" in reason_of(malformed)
    kept = malformed.puzzle_id + malformed.fen + malformed.moves
    assert kept.isprintable()
    assert "\\n" in malformed.moves


def test_a_missing_value_of_a_parquet_file_is_empty(tmp_path):
    table = pyarrow.table(
        {
            "PuzzleId": ["1"],
            "FEN": [START],
            "Moves": ["e2e4 e7e5"],
            "Rating": [float("nan")],
            "Themes": [float("nan")],
            "GameUrl": ["https://lichess.org/ab\ncd"],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "dump.parquet")
    (puzzle,) = lichess.read(tmp_path / "dump.parquet")
    assert (puzzle.rating, puzzle.themes, puzzle.game_id) == (None, (), None)


def test_a_damaged_parquet_file_gives_the_rows_before_and_says_so(tmp_path):
    path = tmp_path / "dump.parquet"
    pd.DataFrame(LONG_ROWS).to_parquet(path, row_group_size=80, compression="snappy")
    chunk = pyarrow.parquet.ParquetFile(path).metadata.row_group(2).column(1)
    content = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    content[start + 30 : start + chunk.total_compressed_size] = b"\xff" * (
        chunk.total_compressed_size - 30
    )
    path.write_bytes(content)
    *puzzles, malformed = lichess.read(path)
    assert [puzzle.puzzle_id for puzzle in puzzles] == [row["PuzzleId"] for row in LONG_ROWS[:160]]
    assert "the Parquet file is damaged here" in reason_of(malformed)
    assert malformed.line == 161


def test_a_malformed_row_keeps_what_could_be_read():
    malformed = lichess.parse(Row(9, "1", START, "e2e5 e7e5"))
    assert isinstance(malformed, MalformedRow)
    assert (malformed.puzzle_id, malformed.fen, malformed.moves) == ("1", START, "e2e5 e7e5")


def test_wrong_encoding_in_a_row_is_told_with_byte_and_column(tmp_path):
    path = tmp_path / "dump.csv"
    path.write_bytes(
        f"{HEADER}a,{START},e2e4 e7e5\n".encode()
        + b"caf\xe9,8/8,e2e4 e7e5\n"
        + f"b,{START},e2e4 e7e5\n".encode()
    )
    before, malformed, after = lichess.read(path)
    assert (before.puzzle_id, after.puzzle_id) == ("a", "b")
    assert reason_of(malformed) == "not UTF-8: byte 0xe9 at column 3"


def test_a_last_line_that_is_cut_short_is_told_as_such(tmp_path):
    text = csv_text(ROWS[:2])
    path = tmp_path / "dump.csv"
    path.write_text(text[: text.rindex("https")])
    puzzle, malformed = lichess.read(path)
    assert puzzle.puzzle_id == ROWS[0]["PuzzleId"]
    assert reason_of(malformed) == (
        "expected 10 columns, got 9; the file ends in the middle of this line"
    )
    assert malformed.puzzle_id == ROWS[1]["PuzzleId"]


@pytest.mark.parametrize("compress", [zstandard.compress, gzip.compress], ids=["zst", "gz"])
def test_a_compressed_file_that_is_cut_short_gives_its_whole_rows_and_says_so(tmp_path, compress):
    packed = compress(csv_text(LONG_ROWS).encode())
    path = tmp_path / "dump.csv.zst"
    path.write_bytes(packed[: len(packed) * 9 // 10])
    *puzzles, malformed = lichess.read(path)
    assert [puzzle.puzzle_id for puzzle in puzzles] == [
        row["PuzzleId"] for row in LONG_ROWS[: len(puzzles)]
    ]
    assert 100 < len(puzzles) < len(LONG_ROWS)
    assert "the compressed file is cut short or damaged here" in reason_of(malformed)
    assert malformed.line == len(puzzles) + 2
    assert dumps.count(path) <= len(LONG_ROWS)


def test_a_line_that_never_ends_is_one_malformed_row(tmp_path):
    path = tmp_path / "dump.csv"
    path.write_text(f"{HEADER}{'x' * 300_000}\nb,{START},e2e4 e7e5\n")
    malformed, after = lichess.read(path)
    assert reason_of(malformed) == "the line is longer than 65,536 bytes"
    assert (after.puzzle_id, after.line) == ("b", 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"name,fen\n1,2\n", "PuzzleId, Moves not among 'name,fen'"),
        (b"\x00\xff\xfe binary \x80", "got a first line b'"),
        ("PuzzleId,FEN,Moves\n".encode("utf-16"), "expected CSV in UTF-8"),
        (b"PAR1 and no more", "begins like a Parquet file but cannot be read as one"),
        (zstandard.compress(b"PuzzleId,FEN,Moves\n" * 99)[:20], "is cut short or damaged here"),
        (gzip.compress(b"PuzzleId,FEN,Moves\n" * 99, mtime=0)[:20], "is cut short or damaged here"),
        (f"00008,{START},e2e4 e7e5\n".encode(), "the first line of lichess_db_puzzle.csv names"),
        (b'"PuzzleId,FEN,Moves\n', "expected CSV in UTF-8"),
    ],
)
def test_a_file_that_is_no_dump_is_refused_with_what_was_expected(tmp_path, content, said):
    path = tmp_path / "dump.csv"
    path.write_bytes(content)
    with pytest.raises(NotAPuzzleDumpError, match=r"dump\.csv'") as caught:
        list(lichess.read(path))
    assert said in str(caught.value)


def test_a_parquet_file_without_the_columns_is_refused(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "dump.parquet")
    with pytest.raises(NotAPuzzleDumpError, match="not among the columns 'a'"):
        list(lichess.read(tmp_path / "dump.parquet"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.lists(st.binary(max_size=80).map(lambda b: re.sub(rb"[\r\n\"]", b"", b)), max_size=8)
)
def test_whatever_stands_in_the_rows_each_gives_one_answer(tmp_path, content):
    path = tmp_path / "dump.csv"
    path.write_bytes(HEADER.encode() + b"\n".join([*content, f"z,{START},e2e4 e7e5".encode()]))
    answers = list(lichess.read(path))
    kept = [line for line in content if line.strip()]
    assert len(answers) == len(kept) + 1
    assert isinstance(answers[-1], Puzzle)
    assert [answer.line for answer in answers] == [
        number for number, line in enumerate(content, 2) if line.strip()
    ] + [len(content) + 2]
    assert all(isinstance(answer, MalformedRow) and answer.reason for answer in answers[:-1])


def judge_alone(row):
    """Send a row through all that the filter does with it but the networks."""
    answer = lichess.parse(row)
    if isinstance(answer, MalformedRow):
        assert answer.reason
    else:
        board = chess.Board(answer.fen)
        assert board.is_valid()
        for move in answer.moves:
            board.push_uci(move)
        plies.encode([(0, answer, range(len(answer.moves) - 1))], VIEW)
    judged = Judged(
        chunk=Chunk(index=0, fingerprint="", rows=[row]),
        puzzles=[answer],
        verdicts=[verdict(answer, Criteria(), weak={}, strong={})],
        weak=[{}],
        strong=[{}],
    )
    written = io.BytesIO()
    tables.write_csv(written, filters.SCHEMA, [filters._table(judged)])
    header, line = written.getvalue().decode().rstrip("\n").split("\n")
    (again,) = csv.DictReader([header, line])
    assert again["line"] == "2"


@given(
    st.tuples(*[st.text(max_size=60)] * 3)
    | st.tuples(
        st.just("1"),
        st.sampled_from([row["FEN"] for row in ROWS]),
        st.lists(st.from_regex(r"[a-h][1-8][a-h][1-8][qrbn]?", fullmatch=True)).map(" ".join),
    )
)
def test_whatever_a_row_says_it_is_a_legal_puzzle_or_malformed(fields):
    judge_alone(Row(2, *fields))


NUMBERS = st.sampled_from([0, 1, 1000, 1001, 2**31, 2**64])
RATINGS = st.integers().map(str) | st.floats().map(str) | st.text(max_size=9)


@given(st.sampled_from(ROWS), NUMBERS, NUMBERS, RATINGS, st.text(max_size=30))
def test_whatever_numbers_stand_in_a_row_of_legal_moves_it_stops_nothing(
    row, clock, number, rating, other
):
    fen = f"{' '.join(row['FEN'].split()[:4])} {clock} {number}"
    judge_alone(Row(2, "1", fen, row["Moves"], rating=rating, themes=other, game=other))


def test_memory_does_not_grow_with_the_dump(tmp_path):
    path = tmp_path / "dump.csv.zst"
    with zstandard.open(path, "wb") as file:
        file.write(HEADER.encode())
        for _ in range(8000):
            file.write(f"{secrets.token_hex(1000)},{START},e2e4 e7e5\n".encode())
    tracemalloc.start()
    assert sum(1 for _ in dumps.rows(path)) == 8000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000 < path.stat().st_size / 4


@pytest.mark.shared
def test_every_row_of_a_real_dump_is_a_puzzle(shared):
    path = shared / "puzzles" / "lichess_1k_full_columns.csv"
    frame = pd.read_csv(path, keep_default_na=False)
    puzzles = list(lichess.read(path))
    assert all(isinstance(puzzle, Puzzle) for puzzle in puzzles)
    assert [puzzle.puzzle_id for puzzle in puzzles] == list(frame["PuzzleId"])
    assert [puzzle.rating for puzzle in puzzles] == list(frame["Rating"])
    assert [" ".join(puzzle.themes) for puzzle in puzzles] == list(frame["Themes"])
    games = frame["GameUrl"].str.extract(r"lichess\.org/(\w{8})(?:/black)?#\d+$")[0]
    assert [puzzle.game_id for puzzle in puzzles] == list(games)


def test_the_columns_of_lichess_are_the_ones_that_are_read():
    known = {theirs for candidates in dumps.COLUMNS.values() for theirs in candidates}
    found = {name for name in COLUMNS if name.lower() in known}
    assert found == {"PuzzleId", "FEN", "Moves", "Rating", "Themes", "GameUrl"}


def test_the_bundled_puzzles_are_found_by_name():
    assert dumps.count("bundled:mates") == 4000
    assert isinstance(next(iter(lichess.read("bundled:mates"))), lichess.Puzzle)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("", "no row of .* can be read: there is none below the header"),
        ("a,b,c\n", r"of 1 not one is a puzzle, and the first \(line 2\) is malformed: bad FEN"),
        ("a,b\n" * 3, r"of 3 not one is a puzzle, and the first \(line 2\) .* got 2"),
    ],
)
def test_a_dump_without_a_puzzle_is_refused(tmp_path, rows, reason):
    path = tmp_path / "dump.csv"
    path.write_text(HEADER + rows)
    with pytest.raises(NotAPuzzleDumpError, match=reason):
        lichess.check_readable(path)
    path.write_text(f"{HEADER}{rows}z,{START},e2e4 e7e5\n")
    lichess.check_readable(path)
    if rows:
        with pytest.raises(NotAPuzzleDumpError, match="not one is a puzzle"):
            lichess.check_readable(path, limit=1)
