"""Ids that come twice: found in every order, and in memory of some bytes a row."""

import tracemalloc

import chess
from hypothesis import given
from hypothesis import strategies as st

from leela_probe.puzzles import repeats
from leela_probe.puzzles.dumps import MalformedRow, RepeatedRow, Row

PUZZLE = {"fen": chess.STARTING_FEN, "moves": "e2e4 e7e5"}


def repeated_lines(ids):
    rows = repeats.marked(Row(line, name, **PUZZLE) for line, name in enumerate(ids))
    return [row.line for row in rows if isinstance(row, RepeatedRow)]


@given(st.lists(st.text("ab", max_size=12) | st.text("ab", min_size=7, max_size=10)))
def test_every_id_counts_where_it_comes_first(ids):
    seen, expected = set(), []
    for line, name in enumerate(ids):
        if name and name in seen:
            expected.append(line)
        seen.add(name)
    assert repeated_lines(ids) == expected


def test_ids_are_remembered_over_many_batches():
    count = 3 * repeats._BATCH + 5
    ids = [f"{number:05d}" for number in range(count)]
    assert repeated_lines(ids) == []
    assert repeated_lines([*ids, ids[0], "new", ids[-1], ids[7]]) == [count, count + 2, count + 3]


def test_rows_stay_in_order_and_others_are_left_alone():
    rows = [Row(2, "a", **PUZZLE), MalformedRow(line=3, reason="bad"), Row(4, "", **PUZZLE)]
    assert list(repeats.marked(rows)) == rows


def test_a_repeated_row_says_what_it_is():
    _, row = repeats.marked([Row(2, "a", **PUZZLE), Row(3, "a", **PUZZLE)])
    assert isinstance(row, RepeatedRow)
    assert (row.line, row.puzzle_id, row.reason) == (3, "a", "an earlier row has the same id")
    assert (row.fen, row.moves) == (PUZZLE["fen"], PUZZLE["moves"])


def test_a_repeated_row_that_is_not_a_puzzle_is_malformed():
    _, row = repeats.marked([Row(2, "a", **PUZZLE), Row(3, "a", "8/8", "e2e4 e7e5")])
    assert type(row) is MalformedRow
    assert row.reason.startswith("bad FEN '8/8'")


def test_a_million_ids_take_little_memory():
    seen = repeats._Seen()
    tracemalloc.start()
    for start in range(0, 1_000_000, 10_000):
        assert not any(seen.add(list(range(start, start + 10_000))))
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 10_000_000
    assert peak < 40_000_000
    assert all(seen.add([0, 999_999, 123_456]))
