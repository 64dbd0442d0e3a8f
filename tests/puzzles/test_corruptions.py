"""The corruption stage: a row for every puzzle, with partner and scores or the reason why not."""

import dataclasses
import json
from itertools import pairwise

import chess
import pandas as pd
import pytest
from puzzle_dumps import COLUMNS, HashNetwork, csv_text, random_rows, write_dump

from leela_probe.files import manifests
from leela_probe.puzzles import corruptions, filters
from leela_probe.puzzles.dumps import NotAPuzzleDumpError
from leela_probe.puzzles.partners import VERDICTS, Search

ROWS = random_rows(13, 8)
# random networks like other moves than random play
WIDE = Search(log_odds=2.0, value=0.05, probability=0.02, divergence=0.4, favourite=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corrupt")
    write_dump(folder / "dump.csv", ROWS)
    return folder


def run(folder, out, *, source="dump.csv", search=WIDE, **options):
    return corruptions.corrupt(
        folder / source,
        out,
        weak=HashNetwork(folder / "weak.txt", sharpness=1.0),
        strong=HashNetwork(folder / "strong.txt", sharpness=2.0),
        search=search,
        **{"workers": 0, "chunk_rows": 3, **options},
    )


@pytest.fixture(scope="module")
def partners_found(folder):
    finished = run(folder, folder / "partners.parquet", search=WIDE)
    return finished, pd.read_parquet(finished.path)


def test_every_puzzle_has_a_row_in_the_order_of_the_file(partners_found):
    finished, frame = partners_found
    assert list(frame.puzzle_id) == [row["PuzzleId"] for row in ROWS]
    assert list(frame.moves) == [row["Moves"] for row in ROWS]
    assert finished.counts["found"] == (frame.verdict == "found").sum() > 3
    assert list(finished.counts) == list(VERDICTS)


def test_the_corrupted_position_differs_by_the_change_that_is_named(partners_found):
    _, frame = partners_found
    for row in frame[frame.verdict == "found"].to_dict("records"):
        clean, corrupted = chess.Board(row["clean_fen"]), chess.Board(row["corrupted_fen"])
        assert corrupted.is_valid()
        assert chess.Move.from_uci(row["moves"].split()[1]) in corrupted.legal_moves
        different = {
            chess.square_name(square)
            for square in chess.SQUARES
            if clean.piece_at(square) != corrupted.piece_at(square)
        }
        assert different == set(row["squares"].split())
        assert row["change"] in ("remove", "add", "move")
        assert row["moves_king"] == (row["piece"] in "kK")
        words = row["moves"].split()[1:]
        line = {square for word in words for square in (word[:2], word[2:4])}
        assert row["touches_line"] == bool(line & different)


def test_every_score_is_kept_and_passes_the_masks(partners_found):
    _, frame = partners_found
    found = frame[frame.verdict == "found"]
    assert (found.d_log_odds_weak < WIDE.log_odds).all()
    assert (found.d_value_strong < -WIDE.value).all()
    assert (found.strong_p_corrupted < WIDE.probability).all()
    assert (found.jsd <= WIDE.divergence).all()
    for name in ("strong_p_clean", "strong_value_clean", "weak_p_clean", "playable", "asked"):
        assert found[name].notna().all()
    missed = frame[frame.verdict != "found"]
    assert missed.corrupted_fen.isna().all()


def test_each_stage_leaves_no_more_than_the_one_before(partners_found):
    _, frame = partners_found
    stages = ["generated", "allowed", "valid", "playable", "similar", "near", "asked"]
    for before, after in pairwise(stages):
        assert (frame[before] >= frame[after]).all()
    assert (frame.asked[frame.verdict == "found"] > 0).all()


def test_several_partners_are_ranked_by_nearness(folder, tmp_path, partners_found):
    search = dataclasses.replace(WIDE, keep=3)
    finished = run(folder, tmp_path / "out.parquet", search=search)
    frame = pd.read_parquet(finished.path)
    nearest = frame[(frame["rank"] == 1) | frame["rank"].isna()]
    assert list(nearest.corrupted_fen.fillna("")) == list(
        partners_found[1].corrupted_fen.fillna("")
    )
    assert finished.counts["further"] == (frame["rank"] > 1).sum() > 0
    for _, group in frame[frame["rank"].notna()].groupby("puzzle_id"):
        assert list(group["rank"]) == list(range(1, len(group) + 1))
        assert group.jsd.is_monotonic_increasing
        assert group.corrupted_fen.is_unique


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(folder, tmp_path, partners_found, workers):
    finished = run(folder, tmp_path / "partners.parquet", workers=workers)
    assert finished.path.read_bytes() == partners_found[0].path.read_bytes()
    assert finished.manifest_path.read_bytes() == partners_found[0].manifest_path.read_bytes()


def test_of_a_filtered_file_only_the_kept_are_taken(folder, tmp_path):
    verdicts = ["kept", "not_hard", "malformed", "kept", "not_correct"]
    frame = pd.DataFrame(
        {
            "puzzle_id": [row["PuzzleId"] for row in ROWS[:5]],
            "fen": [row["FEN"] for row in ROWS[:5]],
            "moves": [row["Moves"] for row in ROWS[:5]],
            "verdict": verdicts,
        }
    )
    frame.to_csv(folder / "filtered.csv", index=False)
    frame.to_parquet(folder / "filtered.parquet", index=False)
    for source in ("filtered.csv", "filtered.parquet"):
        told = []
        finished = run(
            folder,
            tmp_path / f"{source}.csv",
            source=source,
            progress=lambda *news, told=told: told.append(news),
        )
        assert list(pd.read_csv(finished.path).puzzle_id) == [
            ROWS[0]["PuzzleId"],
            ROWS[3]["PuzzleId"],
        ]
        assert [news[:2] for news in told] == [(2, 2)]
    chosen = run(folder, tmp_path / "o.csv", source="filtered.csv", verdicts=["not_hard"])
    assert list(pd.read_csv(chosen.path).puzzle_id) == [ROWS[1]["PuzzleId"]]


def test_a_first_move_that_is_no_favourite_has_a_verdict_of_its_own(folder, tmp_path):
    search = dataclasses.replace(WIDE, favourite=True)
    finished = run(folder, tmp_path / "out.parquet", search=search)
    frame = pd.read_parquet(finished.path)
    first = frame.moves.str.split().str[1]
    barred = frame.verdict == "not_favourite"
    assert list(barred) == list(first != frame.strong_top_clean)
    assert finished.counts["not_favourite"] == barred.sum() > 3
    assert (frame.asked[barred] == 0).all()


def test_the_manifest_tells_how_many_clean_boards_are_not_what_the_filter_asks_for(
    folder, tmp_path, partners_found
):
    finished, frame = partners_found
    manifest = json.loads(finished.manifest_path.read_text())
    found = frame[frame.verdict == "found"]
    expected = {
        "hard": 0.05,
        "correct": 0.5,
        "found": len(found),
        "not_favourite": (found.moves.str.split().str[1] != found.strong_top_clean).sum(),
        "not_correct": (found.strong_p_clean <= 0.5).sum(),
        "not_hard": (found.weak_p_clean >= 0.05).sum(),
    }
    assert manifest["facts"] == finished.facts == {"clean_boards": expected}
    assert expected["not_correct"] > 0
    said = corruptions.remark(finished.facts)
    assert f"{expected['not_correct']} not correct (strong network: first move not above" in said


def test_the_filter_s_own_thresholds_are_those_that_count(folder, tmp_path):
    source = write_dump(tmp_path / "filtered.csv", ROWS[:3])
    asked = {"options": {"criteria": {"hard": 0.9, "correct": 0.0}}}
    manifests.manifest_path(source).write_text(json.dumps(asked))
    search = dataclasses.replace(WIDE, favourite=True)
    finished = run(folder, tmp_path / "out.csv", source=source, search=search)
    assert finished.counts["not_favourite"] == 0  # the filter did not ask for favourites
    facts = finished.facts["clean_boards"]
    assert (facts["hard"], facts["correct"]) == (0.9, 0.0)
    assert (facts["found"], facts["not_correct"]) == (finished.counts["found"], 0)
    manifests.manifest_path(source).write_text("no manifest")
    with pytest.raises(
        ValueError, match=r"filtered\.csv\.manifest\.json' is damaged: it does not hold JSON"
    ):
        run(folder, tmp_path / "again.csv", source=source)


def test_where_the_search_knows_the_game_nothing_is_said_of_the_board_without(folder, tmp_path):
    search = dataclasses.replace(WIDE, clean_history=True)
    finished = run(folder, tmp_path / "out.csv", search=search)
    assert finished.facts == {}
    assert corruptions.remark(finished.facts) is None


def test_a_file_of_other_verdicts_only_is_refused_with_those_it_has(folder, tmp_path):
    rows = [{**row, "verdict": "found"} for row in ROWS[:2]]
    path = tmp_path / "pairs.csv"
    path.write_text(csv_text(rows, (*COLUMNS, "verdict")))
    with pytest.raises(ValueError, match=r"no row of .*pairs\.csv' has verdict kept; .* found: 2$"):
        corruptions.check_verdicts(path, ["kept"])
    for verdicts in (["found"], ["kept", "found"]):
        corruptions.check_verdicts(path, verdicts)
    corruptions.check_verdicts(folder / "dump.csv", ["kept"])  # no verdicts, all are taken


def test_malformed_rows_are_told_and_the_rest_goes_on(folder, tmp_path):
    path = folder / "bad.csv"
    path.write_text(
        f"PuzzleId,FEN,Moves\nx,{ROWS[0]['FEN']},e2e5 e7e5\ny,{ROWS[1]['FEN']},{ROWS[1]['Moves']}\n"
    )
    finished = run(folder, tmp_path / "out.csv", source="bad.csv")
    frame = pd.read_csv(finished.path)
    assert frame.verdict[0] == "malformed"
    assert "'e2e5' (number 1 of 2)" in frame.reason[0]
    assert frame.puzzle_id[1] == "y"
    assert finished.counts["malformed"] == 1


def test_a_file_without_puzzles_is_refused(folder, tmp_path):
    (folder / "letter.csv").write_text("Dear Sir,\n")
    with pytest.raises(NotAPuzzleDumpError, match="is not a puzzle dump"):
        run(folder, tmp_path / "out.csv", source="letter.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_the_search(partners_found):
    manifest = json.loads(partners_found[0].manifest_path.read_text())
    assert manifest["stage"] == "corrupt"
    assert manifest["options"]["search"]["divergence"] == 0.4
    assert manifest["options"]["search"]["kinds"] == ["remove", "add", "move"]
    assert set(manifest["inputs"]) == {"puzzles", "strong", "weak"}


@pytest.mark.shared
def test_real_puzzles_find_partners_that_pass_the_masks(shared, tmp_path, cache):
    from leela_probe.networks import network
    from leela_probe.puzzles import filters

    both = {
        "strong": network.load(shared / "nets" / "maia-1900.pb.gz", cache=cache),
        "weak": network.load(shared / "nets" / "lichess-bot-16x2.pb.gz", cache=cache),
    }
    dump = shared / "puzzles" / "lichess_7k.csv"
    kept = filters.filter_puzzles(dump, tmp_path / "kept.parquet", **both, limit=1500)
    finished = corruptions.corrupt(kept.path, tmp_path / "pairs.parquet", **both)
    frame = pd.read_parquet(finished.path)
    assert len(frame) == kept.counts["kept"] > 30
    assert finished.counts["found"] > 0.6 * len(frame)
    found = frame[frame.verdict == "found"]
    assert (found.jsd <= 0.2).all()
    assert (found.d_log_odds_weak < 0.2).all()
    assert (found.d_value_strong < -0.1).all()
    assert (found.strong_p_corrupted < 0.1).all()


def test_an_id_that_comes_twice_has_a_verdict_of_its_own(folder, tmp_path):
    source = write_dump(tmp_path / "dump.csv", [*ROWS[:4], *ROWS[1:3]])
    finished = run(folder, tmp_path / "out.csv", source=source)
    frame = pd.read_csv(finished.path)
    assert finished.counts["duplicate_id"] == 2
    assert list(frame.verdict[-2:]) == ["duplicate_id"] * 2
    assert list(frame.reason[-2:]) == ["an earlier row has the same id"] * 2


def test_puzzles_that_are_not_what_their_manifest_says_are_refused(folder, tmp_path):
    both = {name: HashNetwork(folder / f"{name}.txt") for name in ("strong", "weak")}
    kept = filters.filter_puzzles(folder / "dump.csv", tmp_path / "kept.csv", **both, workers=0)
    kept.path.write_bytes(kept.path.read_bytes() + b"\n")
    with pytest.raises(manifests.DamagedError, match=r"kept\.csv' is damaged: its SHA-256 is"):
        run(folder, tmp_path / "out.csv", source=kept.path)
