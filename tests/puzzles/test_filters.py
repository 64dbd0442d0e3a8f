"""The filter: a verdict for every row of a dump, whatever happens on the way."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import chess
import pandas as pd
import pytest
from filter_in_a_process import CRITERIA, networks, run
from puzzle_dumps import COLUMNS, HashNetwork, csv_text, random_rows, write_dump

from leela_probe.files import manifests, store
from leela_probe.positions import encoding
from leela_probe.positions.planes import History, InputFormat
from leela_probe.puzzles import filters
from leela_probe.puzzles.criteria import PRESETS, VERDICTS, Criteria
from leela_probe.puzzles.dumps import NotAPuzzleDumpError

ROWS = random_rows(9, 150)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filter")
    write_dump(folder / "dump.csv", ROWS)
    networks(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder):
    """The output of a run that nothing disturbs."""
    return run(folder / "dump.csv", folder / "undisturbed.parquet", folder, "filter", 0)


def plain_filter(rows, *, weak, strong, criteria):
    """The definition, row by row: every ply asked about alone, every condition looked at."""

    def probability(network, board, word, history):
        encoded = encoding.encode([board], history=history)
        return float(network.evaluate(encoded).probability([chess.Move.from_uci(word)])[0])

    for row in rows:
        board = chess.Board(row["FEN"])
        setup, *line = row["Moves"].split()
        board.push_uci(setup)
        weak_p, strong_p = [], []
        for word in line:
            weak_p.append(probability(weak, board, word, criteria.weak_history))
            strong_p.append(probability(strong, board, word, criteria.strong_history))
            board.push_uci(word)
        if "mateIn1" in row["Themes"]:
            verdict = "mate_in_1"
        elif len(line) <= 2:
            verdict = "too_short"
        elif weak_p[0] >= criteria.hard:
            verdict = "not_hard"
        elif min(strong_p[::2]) <= criteria.correct:
            verdict = "not_correct"
        elif weak_p[1] <= criteria.forcing:
            verdict = "not_forcing"
        else:
            verdict = "kept"
        yield row["PuzzleId"], verdict, weak_p, strong_p


@pytest.mark.parametrize("criteria", [CRITERIA, PRESETS["jenner2024"]], ids=["own", "jenner2024"])
@pytest.mark.parametrize("all_plies", [False, True], ids=["cascade", "all plies"])
def test_verdicts_and_probabilities_are_those_of_the_definition(
    folder, tmp_path, criteria, all_plies
):
    both = networks(folder)
    finished = filters.filter_puzzles(
        folder / "dump.csv",
        tmp_path / "out.parquet",
        **both,
        criteria=criteria,
        all_plies=all_plies,
        workers=0,
    )
    frame = pd.read_parquet(finished.path)
    for row, expected in zip(
        frame.to_dict("records"), plain_filter(ROWS, **both, criteria=criteria), strict=True
    ):
        puzzle_id, verdict, weak_p, strong_p = expected
        assert (row["puzzle_id"], row["verdict"]) == (puzzle_id, verdict)
        for name, every in (("weak", weak_p), ("strong", strong_p)):
            found = row[f"{name}_p"]
            assert len(found) == len(every)
            assert not all_plies or not pd.isna(found).any()
            for value, exact in zip(found, every, strict=True):
                assert pd.isna(value) or value == pytest.approx(exact, rel=1e-5)
        if not pd.isna(row["strong_min_player"]):
            assert row["strong_min_player"] == pytest.approx(min(strong_p[::2]), rel=1e-5)
        if verdict in ("kept", "not_forcing"):
            assert row["strong_min_player"] > criteria.correct
            assert row["weak_p2"] == pytest.approx(weak_p[1], rel=1e-5)
        if verdict not in ("mate_in_1", "too_short"):
            assert row["weak_p1"] == pytest.approx(weak_p[0], rel=1e-5)


def test_every_verdict_on_a_puzzle_comes_up_in_these_tests(undisturbed):
    assert min(undisturbed.counts[verdict] for verdict in VERDICTS[2:]) > 0
    assert list(undisturbed.counts) == list(VERDICTS)
    assert undisturbed.rows == len(ROWS)


def test_the_cascade_asks_a_fraction(folder, tmp_path):
    asked = {}
    for all_plies in (False, True):
        both = networks(folder)
        filters.filter_puzzles(
            folder / "dump.csv",
            tmp_path / f"{all_plies}.csv",
            **both,
            criteria=CRITERIA,
            all_plies=all_plies,
            workers=0,
        )
        asked[all_plies] = {name: network.evaluated for name, network in both.items()}
    plies = sum(len(row["Moves"].split()) - 1 for row in ROWS)
    assert asked[True] == {"weak": plies, "strong": plies}
    assert asked[False]["weak"] < plies / 2
    assert asked[False]["strong"] < plies / 2


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(folder, tmp_path, undisturbed, workers):
    finished = run(folder / "dump.csv", tmp_path / "undisturbed.parquet", folder, "filter", workers)
    assert finished.path.read_bytes() == undisturbed.path.read_bytes()
    assert finished.manifest_path.read_bytes() == undisturbed.manifest_path.read_bytes()


def test_networks_that_take_boards_differently_get_them_differently(folder, tmp_path):
    other = HashNetwork(folder / "strong.txt")
    other.input_format = InputFormat.CANONICAL
    results = {}
    for all_plies in (False, True):
        out = tmp_path / f"{all_plies}.parquet"
        both = {"weak": networks(folder)["weak"], "strong": other}
        filters.filter_puzzles(
            folder / "dump.csv", out, **both, criteria=CRITERIA, all_plies=all_plies, workers=1
        )
        results[all_plies] = pd.read_parquet(out)
    assert list(results[False].verdict) == list(results[True].verdict)
    merged = results[False].dropna(subset="strong_min_player")
    exact = results[True].loc[merged.index, "strong_min_player"]
    assert len(merged) > 5
    assert list(merged.strong_min_player) == pytest.approx(list(exact), rel=1e-5)


def test_columns_begin_as_promised_and_rows_stand_in_the_order_of_the_dump(undisturbed):
    frame = pd.read_parquet(undisturbed.path)
    assert list(frame.columns[:8]) == [
        "puzzle_id",
        "fen",
        "moves",
        "verdict",
        "weak_p1",
        "strong_min_player",
        "weak_p2",
        "target_pattern",
    ]
    assert list(frame.puzzle_id) == [row["PuzzleId"] for row in ROWS]
    assert list(frame.line) == list(range(2, len(ROWS) + 2))
    assert list(frame.rating) == [int(row["Rating"]) for row in ROWS]
    assert list(frame.game_id) == [row["GameUrl"].split("/")[3] for row in ROWS]


def test_csv_holds_what_parquet_holds(folder, tmp_path, undisturbed):
    run(folder / "dump.csv", tmp_path / "out.csv", folder, "filter", 0)
    text = pd.read_csv(tmp_path / "out.csv")
    frame = pd.read_parquet(undisturbed.path)
    assert list(text.columns) == list(frame.columns)
    for name in ("puzzle_id", "moves", "verdict", "line", "rating"):
        assert list(text[name]) == list(frame[name])
    pd.testing.assert_series_equal(text.weak_p1, frame.weak_p1, check_dtype=False, rtol=1e-6)
    for words, values in zip(text.weak_p, frame.weak_p, strict=True):
        assert len(json.loads(words)) == len(values)


def test_malformed_rows_stand_in_their_place_with_the_reason(folder, tmp_path):
    lines = csv_text(ROWS[:4]).splitlines()
    lines.insert(2, "oops,not,enough")
    lines.insert(4, ROWS[0]["PuzzleId"] + ",8/8 w - - 0 1,e2e4 e7e5" + "," * 7)
    (tmp_path / "dump.csv").write_text("\n".join(lines) + "\n")
    finished = run(tmp_path / "dump.csv", tmp_path / "out.csv", folder, "filter", 1)
    frame = pd.read_csv(finished.path)
    malformed = frame[frame.verdict == "malformed"]
    assert list(malformed.line) == [3, 5]
    assert list(malformed.puzzle_id) == ["oops", ROWS[0]["PuzzleId"]]
    assert malformed.reason.iloc[0] == "expected 10 columns, got 3"
    assert malformed.reason.iloc[1].startswith("bad FEN '8/8 w - - 0 1'")
    assert finished.counts["malformed"] == 2
    assert finished.rows == 6


def test_a_limit_takes_the_first_rows(folder, tmp_path, undisturbed):
    finished = run(folder / "dump.csv", tmp_path / "o.parquet", folder, "filter", 0, limit=20)
    whole = pd.read_parquet(undisturbed.path)
    assert list(pd.read_parquet(finished.path).verdict) == list(whole.verdict[:20])


def test_a_sample_takes_that_many_rows_from_everywhere_with_the_verdicts_that_they_have(
    folder, tmp_path, undisturbed
):
    whole = pd.read_parquet(undisturbed.path).set_index("puzzle_id")
    lines = {}
    for seed in (1, 2):
        out = tmp_path / f"{seed}.parquet"
        finished = run(folder / "dump.csv", out, folder, "filter", 0, sample=50, seed=seed)
        frame = pd.read_parquet(finished.path)
        assert list(frame.verdict) == list(whole.loc[frame.puzzle_id, "verdict"])
        lines[seed] = list(frame.line)
        assert finished.rows == len(lines[seed]) == 50
        assert lines[seed] == sorted(set(lines[seed]))
        manifest = json.loads(finished.manifest_path.read_text())
        assert manifest["options"]["sample"] == {"rows": 50, "seed": seed}
    assert lines[1] != lines[2]
    assert max(lines[1]) > 120


def test_a_sample_of_the_first_rows_only_may_be_asked_for(folder, tmp_path):
    told = []
    finished = run(
        folder / "dump.csv",
        tmp_path / "o.parquet",
        folder,
        "filter",
        0,
        limit=60,
        sample=40,
        progress=lambda *news: told.append(news),
    )
    assert finished.rows == 40
    assert max(pd.read_parquet(finished.path).line) <= 61
    assert told[-1][:2] == (40, 40)


def test_a_sample_of_more_rows_than_there_are_is_all_of_them(folder, tmp_path, undisturbed):
    finished = run(folder / "dump.csv", tmp_path / "o.parquet", folder, "filter", 0, sample=10_000)
    assert finished.path.read_bytes() == undisturbed.path.read_bytes()


def test_a_sample_that_was_cut_off_goes_on_with_the_same_rows(folder, tmp_path):
    wanted = {"sample": 90, "seed": 4}
    (tmp_path / "whole").mkdir()
    whole = run(folder / "dump.csv", tmp_path / "whole" / "o.csv", folder, "filter", 0, **wanted)

    def stop(done, total, counts):
        if done >= 48:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder / "dump.csv", tmp_path / "o.csv", folder, "filter", 0, progress=stop, **wanted)
    with pytest.raises(store.PlanChangedError, match=r"options\.sample\.seed was 4 and is 5 now"):
        run(folder / "dump.csv", tmp_path / "o.csv", folder, "filter", 0, sample=90, seed=5)
    told = []
    finished = run(
        folder / "dump.csv",
        tmp_path / "o.csv",
        folder,
        "filter",
        0,
        progress=lambda done, total, counts: told.append(done),
        **wanted,
    )
    assert told[:3] == [16, 32, 48]  # told at once, since they were finished
    assert finished.path.read_bytes() == whole.path.read_bytes()
    assert finished.manifest_path.read_bytes() == whole.manifest_path.read_bytes()


def test_a_sample_of_nothing_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="a sample of at least one row, got 0"):
        run(folder / "dump.csv", tmp_path / "o.csv", folder, "filter", 0, sample=0)


def test_chunks_and_batches_change_no_verdict(folder, tmp_path, undisturbed):
    options = {"chunk_rows": 7, "batch_size": 3}
    finished = run(folder / "dump.csv", tmp_path / "o.parquet", folder, "filter", 0, **options)
    assert finished.counts == undisturbed.counts


def test_solutions_of_one_move_may_be_let_in(folder, tmp_path):
    criteria = Criteria(hard=0.9, correct=0.001, forcing=0.001, plies=1)
    both = networks(folder)
    out = tmp_path / "out.parquet"
    filters.filter_puzzles(folder / "dump.csv", out, **both, criteria=criteria, workers=0)
    frame = pd.read_parquet(out)
    kept = frame[frame.verdict == "kept"]
    assert kept.moves.str.split().map(len).min() == 2
    assert kept.weak_p2.isna().any()


def test_progress_counts_up_to_the_rows_of_the_dump(folder, tmp_path):
    told = []
    run(
        folder / "dump.csv",
        tmp_path / "o.csv",
        folder,
        "filter",
        0,
        progress=lambda *news: told.append(news),
    )
    assert [done for done, _, _ in told] == [*range(16, 150, 16), 150]
    assert {total for _, total, _ in told} == {150}
    assert sum(told[-1][2].values()) == 150


def test_what_a_filter_wrote_can_be_filtered_again(folder, tmp_path, undisturbed):
    finished = run(undisturbed.path, tmp_path / "o.parquet", folder, "filter", 0)
    assert finished.counts == undisturbed.counts


def test_a_file_that_is_no_dump_is_refused_and_leaves_nothing(folder, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear Sir,\n")
    with pytest.raises(NotAPuzzleDumpError, match="is not a puzzle dump: expected columns"):
        run(tmp_path / "letter.txt", tmp_path / "out.csv", folder, "filter", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_network_that_changes_on_the_way_is_an_error_that_loses_nothing(folder, tmp_path):
    both = networks(tmp_path)

    def change(done, total, counts):
        if done == 48:
            (tmp_path / "strong.txt").write_text("another network")

    with pytest.raises(store.ChangedInputError, match=r"strong\.txt' changed while it was in use"):
        run(folder / "dump.csv", tmp_path / "out.csv", tmp_path, "filter", 0, progress=change)
    with pytest.raises(store.PlanChangedError, match=r"inputs\.strong\.sha256 was"):
        run(folder / "dump.csv", tmp_path / "out.csv", tmp_path, "filter", 0)
    (tmp_path / "strong.txt").write_text(f"sharpness {both['strong'].sharpness}")
    told = []
    run(
        folder / "dump.csv",
        tmp_path / "out.csv",
        tmp_path,
        "filter",
        0,
        progress=lambda done, total, counts: told.append(done),
    )
    assert told[:3] == [16, 32, 48]


def test_a_network_file_that_changed_after_loading_is_refused(folder, tmp_path):
    both = networks(tmp_path)
    (tmp_path / "weak.txt").write_text("another network")
    with pytest.raises(store.ChangedInputError, match=r"weak\.txt' changed while it was in use"):
        filters.filter_puzzles(folder / "dump.csv", tmp_path / "out.csv", **both)


def test_the_manifest_tells_all_that_the_verdicts_depend_on(undisturbed, folder):
    manifest = json.loads(undisturbed.manifest_path.read_text())
    assert manifest["stage"] == "filter"
    assert manifest["options"]["criteria"] == {
        "hard": 0.1,
        "correct": 0.02,
        "forcing": 0.05,
        "plies": 3,
        "weak_history": "filled",
        "strong_history": "filled",
    }
    both = networks(folder)
    assert manifest["inputs"]["weak"]["sha256"] == both["weak"].sha256
    assert manifest["inputs"]["strong"]["sha256"] == both["strong"].sha256
    assert manifest["counts"] == dict(undisturbed.counts)
    assert str(folder) not in undisturbed.manifest_path.read_text()


def in_a_process(source, out, folder, stage, workers):
    """The command that runs a stage in a process of its own."""
    script = str(Path(__file__).with_name("filter_in_a_process.py"))
    code = f"import sys, runpy; sys.path[:0] = {sys.path!r}; "
    code += f"runpy.run_path({script!r}, run_name='__main__')"
    return [sys.executable, "-c", code, *map(str, (source, out, folder, stage, workers))]


@pytest.mark.parametrize(("stage", "rows"), [("filter", 400), ("corrupt", 10)])
def test_a_stage_killed_at_random_moments_ends_with_the_same_bytes(folder, tmp_path, stage, rows):
    source = write_dump(tmp_path / "dump.csv", random_rows(11, rows))
    expected = run(source, tmp_path / "expected.parquet", folder, stage, 0)
    out = tmp_path / "out.parquet"
    command = in_a_process(source, out, folder, stage, 1)
    moments, killed = random.Random(20), 0
    while not out.exists():
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(moments.uniform(0.05, 0.5) if killed < 8 else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
    assert killed >= 2
    if store.partial_path(out).exists():  # killed after the table was in place
        run(source, out, folder, stage, 0)
    assert out.read_bytes() == expected.path.read_bytes()
    assert manifests.manifest_path(out).read_text() == expected.manifest_path.read_text().replace(
        "expected.parquet", "out.parquet"
    )


def test_ctrl_c_leaves_finished_parts_and_no_process(folder, tmp_path):
    rows = random_rows(10, 600)
    write_dump(tmp_path / "dump.csv", rows)
    out = tmp_path / "out.csv"
    command = in_a_process(tmp_path / "dump.csv", out, folder, "filter", 2)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while (
            not list(store.partial_path(out).glob("part-*.arrow")) and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
        assert process.stderr is not None
        assert "KeyboardInterrupt" in process.stderr.read()
    assert not out.exists()
    parts = len(list(store.partial_path(out).glob("part-*.arrow")))
    assert parts > 0
    told = []
    run(
        tmp_path / "dump.csv",
        out,
        folder,
        "filter",
        0,
        progress=lambda done, total, counts: told.append(done),
    )
    assert told[parts - 1] == min(16 * parts, 600)


def test_criteria_default_to_the_paper_s_thresholds(folder, tmp_path):
    both = networks(folder)
    finished = filters.filter_puzzles(folder / "dump.csv", tmp_path / "o.csv", **both, workers=0)
    manifest = json.loads(finished.manifest_path.read_text())
    criteria = manifest["options"]["criteria"]
    assert (
        Criteria(
            **criteria
            | {name: History(criteria[name]) for name in ("weak_history", "strong_history")}
        )
        == PRESETS["default"]
    )


@pytest.mark.shared
def test_a_real_dump_gives_the_counts_of_lc0_itself(shared, tmp_path, cache):
    from leela_probe.networks import network

    finished = filters.filter_puzzles(
        shared / "puzzles" / "lichess_7k.csv",
        tmp_path / "out.parquet",
        strong=network.load(shared / "nets" / "maia-1900.pb.gz", cache=cache),
        weak=network.load(shared / "nets" / "lichess-bot-16x2.pb.gz", cache=cache),
    )
    assert finished.counts == {
        "malformed": 0,
        "duplicate_id": 0,
        "mate_in_1": 0,
        "too_short": 812,
        "not_hard": 3859,
        "not_correct": 2002,
        "not_forcing": 118,
        "kept": 209,
    }


def test_the_columns_of_lichess_are_complete_in_these_tests():
    assert set(ROWS[0]) == set(COLUMNS)


def test_the_bundled_puzzles_are_found_by_name(folder, tmp_path):
    finished = filters.filter_puzzles(
        "bundled:mates", tmp_path / "out.parquet", **networks(folder), limit=3, workers=0
    )
    assert finished.rows == 3


def test_an_id_that_comes_twice_has_a_verdict_of_its_own(folder, tmp_path):
    twice = [*ROWS[:30], *ROWS[10:20], ROWS[40] | {"PuzzleId": ROWS[0]["PuzzleId"]}]
    write_dump(tmp_path / "dump.csv", twice)
    finished = run(tmp_path / "dump.csv", tmp_path / "out.csv", folder, "filter", 0)
    frame = pd.read_csv(finished.path)
    assert finished.counts["duplicate_id"] == 11
    assert list(frame.line[frame.verdict == "duplicate_id"]) == list(range(32, 43))
    assert set(frame.reason.dropna()) == {"an earlier row has the same id"}
    once = run(write_dump(tmp_path / "o.csv", ROWS[:30]), tmp_path / "1.csv", folder, "filter", 0)
    assert list(pd.read_csv(once.path).verdict) == list(frame.verdict[:30])


def test_a_dump_out_of_a_pipe_gives_what_the_file_gives(folder, tmp_path, undisturbed):
    reading, writing = os.pipe()
    content = (folder / "dump.csv").read_bytes()

    def write():
        with os.fdopen(writing, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    out = tmp_path / "out.parquet"
    finished = run(f"/dev/fd/{reading}", out, folder, "filter", 0)
    thread.join()
    os.close(reading)
    assert finished.path.read_bytes() == undisturbed.path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        out.name,
        f"{out.name}.manifest.json",
    ]
    facts = json.loads(finished.manifest_path.read_text())["inputs"]["dump"]
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("rows", ["", "a,b,c\n" * 3])
def test_a_dump_without_a_puzzle_is_an_error_that_leaves_nothing(folder, tmp_path, rows):
    (tmp_path / "dump.csv").write_text(f"PuzzleId,FEN,Moves\n{rows}")
    with pytest.raises(NotAPuzzleDumpError, match=r"no row of .* can be read"):
        run(tmp_path / "dump.csv", tmp_path / "out.csv", folder, "filter", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["dump.csv"]


def test_the_manifest_says_what_of_the_dump_was_not_used(folder, tmp_path):
    rows = [row | {"GameUrl": f"https://example.org/{at % 3}"} for at, row in enumerate(ROWS[:9])]
    rows[0]["GameUrl"] = ""
    finished = run(
        write_dump(tmp_path / "dump.csv", rows), tmp_path / "out.csv", folder, "filter", 0
    )
    assert finished.facts["ignored_columns"] == [
        "RatingDeviation", "Popularity", "NbPlays", "OpeningTags",
    ]  # fmt: skip
    assert finished.facts["other_games"] == 8
    assert filters.remarks(finished.counts, finished.facts)[-2:] == [
        "8 rows name a game that is not one of Lichess: each counts as from a game of its own",
        "columns that are not used: RatingDeviation, Popularity, NbPlays, OpeningTags",
    ]


def first_moves(frame, network, history):
    """How many first moves a network likes best, asked for one by one."""
    finds = 0
    for row in frame.itertuples():
        board = chess.Board(row.fen)
        setup, first, *_ = row.moves.split()
        board.push_uci(setup)
        answer = network.evaluate(encoding.encode([board], history=history))
        finds += (
            max(board.legal_moves, key=lambda move: answer.probability([move])[0]).uci() == first
        )
    return finds


@pytest.mark.parametrize("all_plies", [False, True])
def test_the_networks_are_compared_on_the_first_puzzles(folder, tmp_path, monkeypatch, all_plies):
    monkeypatch.setattr(filters, "_LOOKED_AT", 30)
    finished = run(
        folder / "dump.csv", tmp_path / "o.parquet", folder, "filter", 0, all_plies=all_plies
    )
    frame = pd.read_parquet(finished.path)
    judged = frame[[top is not None and top[0] is not None for top in frame.weak_top]][:30]
    both = networks(folder)
    assert finished.facts["first_moves"] == {
        "puzzles": 30,
        "strong": first_moves(judged, both["strong"], CRITERIA.strong_history),
        "weak": first_moves(judged, both["weak"], CRITERIA.weak_history),
    }
    assert not finished.facts["same_network"]


def test_the_same_network_twice_is_said(folder, tmp_path):
    strong = networks(folder)["strong"]
    finished = filters.filter_puzzles(
        folder / "dump.csv", tmp_path / "o.csv", strong=strong, weak=strong, limit=40, workers=0
    )
    assert finished.facts["same_network"]
    assert filters.remarks(finished.counts, finished.facts)[0].startswith(
        "strong and weak are the same network"
    )


def test_networks_that_are_swapped_are_suspected():
    facts = {"first_moves": {"puzzles": 50, "strong": 11, "weak": 12}}
    (remark,) = filters.remarks({"kept": 3}, facts)
    assert remark.endswith("50 puzzles, the strong one of 11: are the two swapped?")
    facts["first_moves"]["strong"] = 12
    assert filters.remarks({"kept": 3}, facts) == []


@pytest.mark.parametrize(
    ("counts", "hint"),
    [
        ({"not_hard": 9, "not_correct": 5, "not_forcing": 1}, "--min-weak-reply 0 takes them too"),
        ({"not_hard": 9, "not_correct": 5}, "a stronger network or a lower --min-strong-solver"),
        ({"not_hard": 9, "too_short": 5}, "a weaker network or a higher --max-weak-first"),
        ({"too_short": 5, "mate_in_1": 2}, "a lower --min-plies"),
        ({"mate_in_1": 2}, "a mate in one by its theme"),
        ({"malformed": 2}, "no row is a puzzle that has not come before"),
    ],
)
def test_where_nothing_is_kept_the_last_hurdle_is_named(counts, hint):
    (remark,) = filters.remarks(counts, {})
    assert remark.startswith("no puzzle is kept: ")
    assert hint in remark


@pytest.mark.shared
def test_a_dump_with_lone_carriage_returns_is_filtered_like_another(shared, tmp_path, folder):
    case = shared / "cases" / "08-cr-line-ends" / "cr.csv"
    finished = run(case, tmp_path / "out.csv", folder, "filter", 0)
    assert finished.rows == 40
    assert finished.counts["malformed"] == 0
