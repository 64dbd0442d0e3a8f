"""E3: the head that is ablated is the given one, the paper's, or one chosen on half the games."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import simulated_study

from leela_probe.study import subsets
from leela_probe.study.chapter import LeftOut, Undrawn
from leela_probe.study.chapters import entry
from leela_probe.study.chapters.entry import CHAPTER
from leela_probe.study.results import Results


def heads_table(out, puzzles=80, only=None):
    places = [{"layer": layer, "head": head} for layer in (0, 1) for head in (0, 1)]
    table = simulated_study.effects(puzzles, places, [0.0, 0.0, 0.0, 0.0])
    own = subsets.half(table["puzzle_id"], table["game_id"])
    strong = np.where(own, table["head"] == 1, table["head"] == 0) & (table["layer"] == 1)
    table["effect"] = strong.astype(float)
    out.mkdir(exist_ok=True)
    simulated_study.write(table if only is None else table[own == only], out / "heads.parquet")


def test_the_head_is_chosen_on_one_half_of_the_games(finished, networks, tmp_path):
    study = dataclasses.replace(finished, out=tmp_path / "out")
    heads_table(study.out)
    sweep = entry._sweep(study, networks)
    assert sweep.options == {"head": "1.1", "chosen": "largest mean effect on half of the games"}


def test_with_too_few_puzzles_there_is_no_head_to_choose(finished, networks, tmp_path):
    study = dataclasses.replace(finished, out=tmp_path / "out")
    heads_table(study.out, only=True)
    left_out = entry._sweep(study, networks)
    assert isinstance(left_out, LeftOut)
    assert left_out.reason.startswith("too few puzzles to choose a head")


def test_a_given_head_is_taken_as_it_is(finished, networks):
    given = entry._sweep(dataclasses.replace(finished, head=(1, 2)), networks)
    assert given.options == {"head": "1.2", "chosen": "given"}


def test_the_papers_preset_takes_the_papers_head(finished, networks, papers_shape):
    with pytest.raises(ValueError, match="layer 12 is not in"):  # this one has not its shape
        entry._sweep(dataclasses.replace(finished, preset="jenner2024"), networks)


def test_a_head_that_is_not_there_is_refused_unless_there_are_none(finished, networks, networks_of):
    study = dataclasses.replace(finished, head=(12, 12))
    (check,) = {each.check for each in CHAPTER.measurements if each.name == "entry"}
    with pytest.raises(ValueError, match="layer 12 is not in"):
        check(study, networks)
    check(study, networks_of("se-convolution"))
    check(dataclasses.replace(study, head=None), networks)


def test_the_chosen_head_is_tested_on_the_other_half(results):
    made: dict[str, list[pd.DataFrame]] = {}
    for name, table in CHAPTER.tabulate(results):
        made.setdefault(name, []).append(table)
    assert {"entry", "entry-win", "entry_target_patterns", "shares"} <= set(made)
    shares = pd.concat(made["shares"])
    assert set(shares["on"]) == {"held out"}
    assert set(shares["sweep"]) == {"entry", "entry-win"}
    own = shares[(shares["sweep"] == "entry") & (shares["curve"] == "3->1")]
    assert 0 < own["n"].iloc[0] < len(results.pairs())


def test_captions_name_the_head_and_how_it_was_chosen(results):
    made = {"entry": pd.read_csv(results.study.table("tables/entry.csv"))}
    figure, missing = CHAPTER.figures(results, made)
    head = results.options("entry")["head"]
    assert figure.caption.startswith(f"Head {head}. 3->1:")
    assert figure.caption.endswith("shown is the other half.")
    assert figure.wide
    assert missing == Undrawn(title="Figure 11", reason="no entry was measured")
    none = [*CHAPTER.figures(Results(results.study, {}), {})]
    assert [each.reason for each in none] == [
        "the stage entry is not done", "the stage entry-win is not done"
    ]  # fmt: skip
