"""Pairs, as `corrupt` and `filter` have written them."""

import chess
import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from example_pairs import BACK_RANK, BACK_RANK_BLACK, KNIGHT_SACRIFICE, random_pairs

from leela_probe.files import manifests
from leela_probe.positions.squares import name, parse_name
from leela_probe.puzzles import corruptions, filters, pairs
from leela_probe.puzzles.pairs import Pair

CLEAN = BACK_RANK.clean_fen
PARTNERS = (BACK_RANK.corrupted_fen, "6k1/pp3ppp/4b3/1B1r4/3b1q2/8/1PQ2PPP/4R1K1 w - - 0 1")


def corrupt_rows():
    """What `corrupt` writes: two partners of one puzzle, one of another, and puzzles without."""
    own = {
        "puzzle_id": "00123",
        "fen": "before",
        "moves": "g7g6 c2c8 e6c8 e1e8",
        "clean_fen": CLEAN,
        "target_pattern": "112",
        "game_id": "1e5",
        "line": 2,
    }
    other = {**own, "puzzle_id": "00456", "target_pattern": None, "game_id": None, "line": 3}
    return [
        {**own, "verdict": "found", "rank": 1, "corrupted_fen": PARTNERS[0]},
        {**own, "verdict": "further", "rank": 2, "corrupted_fen": PARTNERS[1]},
        {**own, "puzzle_id": "00200", "verdict": "weak_notices"},
        {"puzzle_id": None, "verdict": "malformed", "reason": "no moves", "line": 9},
        {**other, "verdict": "found", "rank": 1, "corrupted_fen": PARTNERS[1]},
    ]


def filter_rows():
    kept = {
        "puzzle_id": "00123",
        # Black's pawn is about to step two squares, which White could answer in passing
        "fen": "4k3/3p4/8/4P3/8/8/8/4K3 b - - 0 1",
        "moves": "d7d5 e5d6 e8d7",
        "target_pattern": "12",
        "game_id": "g1",
        "line": 2,
        "legal": [3, 4],
    }
    return [
        {**kept, "verdict": "kept"},
        {**kept, "puzzle_id": "00124", "verdict": "too_short"},
        {"puzzle_id": None, "fen": None, "moves": None, "verdict": "malformed", "line": 4},
    ]


def write(path, rows, schema):
    """A table as the stages write it."""
    columns = {field: [row.get(field) for row in rows] for field in schema.names}
    if path.suffix == ".csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    else:
        pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), path)
    return path


@pytest.fixture(params=[".parquet", ".csv"])
def corrupted_table(request, tmp_path):
    return write(tmp_path / f"pairs{request.param}", corrupt_rows(), corruptions.SCHEMA)


@pytest.fixture(params=[".parquet", ".csv"])
def filtered_table(request, tmp_path):
    return write(tmp_path / f"kept{request.param}", filter_rows(), filters.SCHEMA)


def test_the_nearest_partner_of_each_puzzle_is_read(corrupted_table):
    line = ("c2c8", "e6c8", "e1e8")
    assert pairs.read(corrupted_table) == [
        Pair(
            puzzle_id="00123",
            game_id="1e5",
            target_pattern="112",
            clean_fen=CLEAN,
            line=line,
            corrupted_fen=PARTNERS[0],
            rank=1,
        ),
        Pair(
            puzzle_id="00456",
            game_id=None,
            target_pattern="",
            clean_fen=CLEAN,
            line=line,
            corrupted_fen=PARTNERS[1],
            rank=1,
        ),
    ]


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_the_older_name_of_target_patterns_is_read(tmp_path, ending):
    path = write(tmp_path / f"pairs{ending}", corrupt_rows(), corruptions.SCHEMA)
    read = pd.read_csv if ending == ".csv" else pd.read_parquet
    older = read(path).rename(columns={"target_pattern": "pattern"}).astype({"pattern": object})
    older["pattern"] = older["pattern"].map(lambda label: None if pd.isna(label) else "112")
    older.to_csv(path, index=False) if ending == ".csv" else older.to_parquet(path, index=False)
    assert [pair.target_pattern for pair in pairs.read(path)] == ["112", ""]


@pytest.mark.parametrize(
    ("themes", "mate"),
    [("mate mateIn2 short", True), ("mateIn3", True), ("crushing fork", False), (None, None)],
)
@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_themes_tell_mates_from_other_puzzles(tmp_path, themes, mate, ending):
    row = {**corrupt_rows()[0], "themes": themes}
    (pair,) = pairs.read(write(tmp_path / f"pairs{ending}", [row], corruptions.SCHEMA))
    assert pair.mate is mate


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "1e5", "007"])
@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_puzzle_may_be_called_what_programs_write_for_a_gap(tmp_path, name, ending):
    row = {**corrupt_rows()[0], "puzzle_id": name, "game_id": name}
    (pair,) = pairs.read(write(tmp_path / f"pairs{ending}", [row], corruptions.SCHEMA))
    assert (pair.puzzle_id, pair.game_id) == (name, name)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [((2,), [("00123", 2)]), ((1, 2), [("00123", 1), ("00123", 2), ("00456", 1)])],
)
def test_partners_are_chosen_by_rank(corrupted_table, ranks, expected):
    found = pairs.read(corrupted_table, ranks=ranks)
    assert [(pair.puzzle_id, pair.rank) for pair in found] == expected
    assert {pair.corrupted_fen for pair in found if pair.rank == 2} == {PARTNERS[1]}


def test_puzzles_of_a_filter_table_have_no_partner(filtered_table):
    (pair,) = pairs.read(filtered_table)
    assert pair == Pair(
        puzzle_id="00123",
        game_id="g1",
        target_pattern="12",
        clean_fen="4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 2",
        line=("e5d6", "e8d7"),
    )
    assert pair.corrupted is None
    assert pair.changed_squares() == ()
    assert pair.clean.is_legal(pair.moves[0])  # in passing


def test_a_table_without_pairs_is_refused_with_its_verdicts(tmp_path):
    rows = [row for row in corrupt_rows() if row["verdict"] in ("weak_notices", "malformed")]
    path = write(tmp_path / "none.parquet", rows, corruptions.SCHEMA)
    with pytest.raises(ValueError, match=r"holds no pair .*'weak_notices': 1"):
        pairs.read(path)


def test_a_rank_that_no_puzzle_has_is_refused(corrupted_table):
    with pytest.raises(ValueError, match=r"holds no pair of rank 7 .*'found': 2"):
        pairs.read(corrupted_table, ranks=[7])


def test_a_table_of_something_else_is_refused(tmp_path):
    for path in (tmp_path / "a.csv", tmp_path / "a.parquet"):
        table = pd.DataFrame({"puzzle_id": ["1"], "fen": [CLEAN], "moves": ["c2c8"]})
        table.to_csv(path) if path.suffix == ".csv" else table.to_parquet(path)
        with pytest.raises(
            ValueError, match="lacks the columns verdict, target_pattern, game_id: expect"
        ):
            pairs.read(path)


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"no parquet at all, however long it is")
    with pytest.raises(ValueError, match=r"broken\.parquet cannot be read as a table written by l"):
        pairs.read(path)
    with pytest.raises(FileNotFoundError, match=r"no table at .*missing\.csv"):
        pairs.read(tmp_path / "missing.csv")


def test_plies_are_counted_from_one():
    assert [name(BACK_RANK.target(ply)) for ply in (1, 2, 3)] == ["c8", "c8", "e8"]
    assert [name(BACK_RANK.source(ply)) for ply in (1, 2, 3)] == ["c2", "e6", "e1"]
    for ply in (0, 4, -1):
        assert BACK_RANK.target(ply) is None
        assert BACK_RANK.source(ply) is None


def test_squares_are_those_of_the_movers_board():
    for ply in (1, 2, 3):
        assert BACK_RANK_BLACK.target(ply) == BACK_RANK.target(ply)
        assert BACK_RANK_BLACK.source(ply) == BACK_RANK.source(ply)
    assert BACK_RANK.changed_squares() == (parse_name("g7"),)
    assert BACK_RANK_BLACK.changed_squares() == (parse_name("g7"),)
    assert (BACK_RANK.turn, BACK_RANK_BLACK.turn) == (chess.WHITE, chess.BLACK)


def test_a_promotion_goes_to_its_square():
    pair = Pair(
        puzzle_id="p",
        game_id=None,
        target_pattern="1",
        clean_fen="8/P7/8/8/8/8/8/k6K w - - 0 1",
        line=("a7a8q",),
    )
    assert pair.target(1) == chess.A8
    assert pair.moves[0].promotion == chess.QUEEN


def test_changed_squares_are_where_the_boards_differ():
    for pair in (KNIGHT_SACRIFICE, *random_pairs(3, 10)):
        clean, partner = (board.piece_map() for board in (pair.clean, pair.corrupted))
        differ = {s for s in chess.SQUARES if clean.get(s) != partner.get(s)}
        found = {s if pair.turn else chess.square_mirror(s) for s in pair.changed_squares()}
        assert found == differ
        assert list(pair.changed_squares()) == sorted(pair.changed_squares())


def test_boards_are_new_ones_every_time():
    board = BACK_RANK.clean
    board.clear()
    assert BACK_RANK.clean.fen() == CLEAN
    assert BACK_RANK.corrupted is not BACK_RANK.corrupted


class Measured:
    """As much of a network as a remark on pairs looks at."""

    def __init__(self, sha256, name):
        self.sha256, self.name = sha256, name


def test_pairs_say_which_networks_they_were_made_for(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("a\n")
    assert pairs.remark(path, Measured("cc", "other")) is None  # there is no manifest
    origin = {
        "networks": {"strong": {"sha256": "aa"}, "weak": {"sha256": "bb"}},
        "inputs": {"strong": {"file": "t82.pb.gz"}, "weak": {"file": "ld2.pb.gz"}},
    }
    manifests.write(manifests.manifest_path(path), origin)
    assert pairs.remark(path, Measured("aa", "t82")) is None
    assert "'ld2' is the weak network of these puzzles" in pairs.remark(path, Measured("bb", "ld2"))
    assert pairs.remark(path, Measured("cc", "maia")) == (
        "these puzzles were chosen for 't82.pb.gz' as the strong network and 'ld2.pb.gz' as the "
        "weak one; for 'maia' they need not be hard, solved or spoiled by the corruption"
    )
    manifests.write(manifests.manifest_path(path), {"stage": "something else"})
    assert pairs.remark(path, Measured("cc", "maia")) is None


def test_pairs_that_come_with_the_package_are_remarked_on_too():
    assert pairs.remark("bundled:planted-puzzles", Measured("cc", "maia")) is None
