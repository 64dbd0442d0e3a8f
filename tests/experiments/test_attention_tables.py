"""Attention of a file of puzzles: the table, what is left of a cut run, its summary, and chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from example_pairs import BY_HAND, random_pairs
from scipy import stats

from leela_probe.experiments import attention_reading, attention_tables
from leela_probe.experiments.attention_tables import chance
from leela_probe.files import manifests
from leela_probe.positions.planes import History


@pytest.fixture(scope="module")
def pairs():
    return [*BY_HAND, *random_pairs(41, 17)]


@pytest.fixture(scope="module")
def table(network, pairs):
    return attention_reading.measure(network("attention"), pairs)


@pytest.fixture(scope="module")
def puzzles(pairs, tmp_path_factory):
    rows = [
        {
            "puzzle_id": pair.puzzle_id, "fen": pair.clean_fen, "clean_fen": pair.clean_fen,
            "moves": " ".join(["0000", *pair.line]), "verdict": "kept",
            "target_pattern": pair.target_pattern, "game_id": pair.game_id,
        }
        for pair in pairs
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("puzzles") / "kept.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


# On disk


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_the_file_holds_what_measure_gives_of_all_puzzles_at_once(
    network, puzzles, table, tmp_path, ending
):
    out, told = tmp_path / f"a{ending}", []
    finished = attention_tables.tabulate(
        network("attention"), puzzles, out, progress=lambda *facts: told.append(facts)
    )
    assert finished.rows == len(table)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    found = pd.read_parquet(out) if ending == ".parquet" else pd.read_csv(out)
    for name in ("attention", "elsewhere", "attribution"):
        np.testing.assert_allclose(found[name], table[name], atol=1e-5)
    for name in ("puzzle_id", "layer", "head", "relation", "query", "key", "same_square"):
        assert found[name].tolist() == table[name].tolist()
    done = [facts[0] for facts in told]
    assert done == sorted(done)
    assert told[-1][:2] == (40, 40)  # twenty puzzles, twice
    one = attention_tables.summary(attention_tables.parts(out))
    two = attention_tables.summary(table)
    pd.testing.assert_frame_equal(one, two, check_dtype=False, atol=1e-5)


def test_a_run_cut_off_goes_on_and_adds_up_no_patterns_again(
    network, puzzles, tmp_path, monkeypatch
):
    net, whole, out = network("attention"), tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    attention_tables.tabulate(net, puzzles, whole, history=History.KNOWN)

    def cut(done, total, counts):
        if done == 36:  # the first of two parts
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attention_tables.tabulate(net, puzzles, out, history=History.KNOWN, progress=cut)
    monkeypatch.setattr(attention_tables, "patterns", None)
    attention_tables.tabulate(net, puzzles, out, history=History.KNOWN)
    assert out.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {
        name for path in (whole, out) for name in (path.name, manifests.manifest_path(path).name)
    }


def test_plies_that_no_puzzle_has_are_refused(network, puzzles, tmp_path):
    with pytest.raises(ValueError, match="no puzzle has plies 9"):
        attention_tables.tabulate(network("attention"), puzzles, tmp_path / "a.csv", plies=[9])
    with pytest.raises(ValueError, match="is a residual tower and has no attention patterns"):
        attention_tables.tabulate(network("se-convolution"), puzzles, tmp_path / "b.csv")


# Chance


def test_the_chance_level_is_that_of_a_simulation():
    draw = np.random.default_rng(0)
    runs = 4000
    for top, heads in ((64, 1), (64, 20), (409, 3)):
        hits = 0
        for _ in range(runs):
            patterns = draw.random((heads, 4096), dtype=np.float32)
            rank = 1 + (patterns > patterns[:, :1]).sum(axis=1)
            hits += bool((rank <= top).any())
        level = chance(top, heads=heads)
        assert abs(hits / runs - level) < 4.5 * (level * (1 - level) / runs) ** 0.5
    assert chance(1) == pytest.approx(1 / 4096)
    assert chance(4096) == 1
    assert chance(10, puzzles=6) == pytest.approx(stats.binom.sf(0, 6, 10 / 4096))
    with pytest.raises(ValueError, match="top 0: a head has 4096 entries"):
        chance(0)


# Summary


def test_the_summary_counts_puzzles_and_their_probability_by_chance(table):
    table = table.assign(game_id=table["puzzle_id"])
    found = attention_tables.summary(table, tops=(64, 410))
    rows = table[~table["same_square"]]
    for row in found.sample(20, random_state=1).itertuples():
        mine = rows[
            (rows["layer"] == row.layer)
            & (rows["head"] == row.head)
            & (rows["relation"] == row.relation)
        ]
        assert row.n == len(mine)
        assert row.attention == pytest.approx(mine["attention"].mean())
        assert row.rank == mine["rank"].median()
        share = (mine["rank"] <= 410).sum()
        assert row.top410 == pytest.approx(share / len(mine))
        tail = sum(
            stats.binom.pmf(count, len(mine), 410 / 4096) for count in range(share, len(mine) + 1)
        )
        assert row.p410 == pytest.approx(tail)
    both = attention_tables.summary(table, differing=False)
    assert both["n"].sum() > found["n"].sum()


def test_another_puzzle_of_each_game_that_says_the_same_makes_nothing_more_certain(table):
    alone = table.assign(game_id=None)
    again = alone.assign(puzzle_id=alone["puzzle_id"] + " again")
    both = pd.concat([alone, again]).assign(game_id=[*alone["puzzle_id"]] * 2)
    one, two = (attention_tables.summary(each, tops=(64,)) for each in (alone, both))
    assert two["n"].tolist() == (2 * one["n"]).tolist()
    assert two["clusters"].tolist() == one["clusters"].tolist() == one["n"].tolist()
    assert (two["p64"] > one["p64"] - 1e-9).all()
    for name in ("top64", "low64", "high64"):
        np.testing.assert_allclose(two[name], one[name])


def test_heads_with_different_puzzles_are_refused(table):
    some = table[(table["head"] > 0) | (table["puzzle_id"] != "backrank")]
    with pytest.raises(ValueError, match=r"heads have different puzzles at .->.*: give all"):
        attention_tables.summary(some)


def test_a_summary_of_parts_is_that_of_the_whole(table):
    some = [table.iloc[start : start + 500] for start in range(0, len(table), 500)]
    pd.testing.assert_frame_equal(
        attention_tables.summary(iter(some)), attention_tables.summary(table)
    )
    with pytest.raises(ValueError, match="no relation is left"):
        attention_tables.summary(table[table["same_square"]])
