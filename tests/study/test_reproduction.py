"""A study from a dump to its page: done once, resumed anywhere, told honestly."""

from __future__ import annotations

import dataclasses
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import small_study
from small_study import run

from leela_probe.files.store import PlanChangedError
from leela_probe.puzzles.criteria import Criteria
from leela_probe.puzzles.partners import Search
from leela_probe.study import contents, reproduction
from leela_probe.study.records import DONE, LEFT_OUT, Records
from leela_probe.study.study import Networks, Study

STAGES = contents.stages()


@pytest.fixture
def copied(finished: Study, tmp_path: Path) -> Study:
    shutil.copytree(finished.out, tmp_path / "out")
    return dataclasses.replace(finished, out=tmp_path / "out")


def ran(fresh: dict[str, bool]) -> list[str]:
    return [name for name, now in fresh.items() if now]


def refuse(path, **how):
    raise AssertionError(f"{path} was loaded")


def test_every_step_of_an_attention_network_is_done(finished):
    with Records(finished.out) as records:
        states = {name: records.result(name).state for name in STAGES}
    assert set(states.values()) == {DONE}


def test_a_second_run_measures_nothing_and_makes_the_same_figures_and_page(copied, cache):
    before, page = small_study.results(copied.out), (copied.out / "index.html").read_text()
    assert ran(run(copied, cache, overwrite=False)) == ["page"]
    assert small_study.results(copied.out) == before
    again = (copied.out / "index.html").read_text()
    time = r'(figures</td><td class="n">|all</td><td></td><td class="n">)[^<]*'
    assert re.sub(time, "", again) == re.sub(time, "", page)


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        ({"minimum": 9}, {"page"}),
        ({"head": (1, 2)}, {"entry", "entry-win", "page"}),
        ({"epochs": 3}, {"probes", "page"}),
        ({"share": 0.03}, {"piece-heads", "attention", "page"}),
    ],
)
def test_changing_an_option_redoes_only_what_depends_on_it(copied, cache, change, redone):
    assert set(ran(run(dataclasses.replace(copied, **change), cache))) == redone


def test_an_input_format_redoes_what_its_network_does(finished):
    measured = {*STAGES} - {"page"}
    for change, redone in (
        ({"weak_format": 1}, {"filter", "corrupt"}),
        ({"strong_format": 1}, measured),
    ):
        study = dataclasses.replace(finished, **change)
        with Records(finished.out) as records:
            assert measured - {*reproduction.finished(study, records)} == redone


def test_fewer_rows_redo_everything(copied, cache):
    again = ran(run(dataclasses.replace(copied, limit=80), cache))
    assert again == STAGES


def test_finished_work_is_not_made_anew_without_being_asked(copied, cache):
    before = small_study.results(copied.out)
    fewer = dataclasses.replace(copied, limit=50)
    with pytest.raises(
        PlanChangedError,
        match=r"filter \(limit was null and is 50 now\); and what follows from that: corrupt, resi",
    ):
        run(fewer, cache, overwrite=False)
    assert small_study.results(copied.out) == before
    assert ran(run(dataclasses.replace(copied, minimum=9), cache, overwrite=False)) == ["page"]


def test_other_settings_are_refused_before_a_network_is_loaded(copied):
    study = dataclasses.replace(copied, epochs=7)
    with (
        Records(copied.out) as records,
        pytest.raises(PlanChangedError, match=r"probes \(epochs was 2 and is 7 now\)\. Choose"),
    ):
        reproduction.reproduce(study, Networks(study, refuse), records)


def test_a_head_that_the_network_has_not_is_refused_before_anything_is_done(copied, cache):
    before = small_study.results(copied.out)
    with pytest.raises(ValueError, match="layer 12 is not in"):
        run(dataclasses.replace(copied, head=(12, 12)), cache)
    assert small_study.results(copied.out) == before
    run(copied, cache, overwrite=False)  # all of it is still up to date


def test_another_network_in_the_same_folder_leaves_nothing_of_the_first(
    copied, network_file, cache
):
    page = copied.out / "manifests" / "page.json"
    page.rename(page.with_name("page.begun.json"))  # killed at the end
    tower = dataclasses.replace(copied, strong=network_file("se-convolution", seed=3), limit=40)
    run(tower, cache)
    assert "The head with the largest effect" not in (tower.out / "index.html").read_text()
    for name in ("heads", "entry", "shares"):
        assert not tower.table(f"tables/{name}.csv").exists()
    for name in ("heads.parquet", "figures/figure4_heads.svg"):
        assert not tower.table(name).exists()


def begin_anew(study: Study, name: str) -> None:
    """Makes a finished study forget a step and what it made."""
    with Records(study.out) as records:
        record = records.result(name)
    for file in record.files:
        (study.out / file).unlink()
    if record.table is not None:
        reproduction._discard(study.out / record.table)
    (study.out / "manifests" / f"{name}.json").unlink()


@pytest.mark.parametrize("name", STAGES)
def test_a_step_cut_off_before_its_manifest_ends_with_the_same_results(
    copied, cache, finished, name, monkeypatch
):
    begin_anew(copied, name)
    end = Records.end

    def cut_off(self, record):
        if record.name == name:
            raise KeyboardInterrupt
        end(self, record)

    monkeypatch.setattr(Records, "end", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(copied, cache)
    monkeypatch.setattr(Records, "end", end)
    assert ran(run(copied, cache))[0] == name
    assert small_study.results(copied.out) == small_study.results(finished.out)


@pytest.mark.parametrize(
    "name",
    ["filter", "corrupt", "residual", "heads", "entry", "entry-win", "piece-heads", "probes"],
)
def test_a_step_cut_off_at_its_work_goes_on_to_the_same_results(copied, cache, finished, name):
    begin_anew(copied, name)

    @contextmanager
    def show(step):
        def progress(done, total, counts):
            if step == name:
                raise KeyboardInterrupt

        yield progress

    with pytest.raises(KeyboardInterrupt):
        run(copied, cache, show=show)
    run(copied, cache)
    assert small_study.results(copied.out) == small_study.results(finished.out)


def test_a_stage_runs_alone_if_those_before_it_are_done(copied, cache):
    assert run(copied, cache, only="residual") == {"residual": False}
    assert run(copied, cache, only="page") == {"page": True}
    begin_anew(copied, "residual")
    assert run(copied, cache, only="residual") == {"residual": True}
    with pytest.raises(ValueError, match="needs filter, which is not done with these inputs"):
        run(dataclasses.replace(copied, limit=50), cache, only="residual")
    with pytest.raises(ValueError, match="needs entry, which is not done with these inputs"):
        run(dataclasses.replace(copied, head=(1, 2)), cache, only="page")
    with pytest.raises(ValueError, match="no stage 'nonsense': choose filter, corrupt"):
        run(copied, cache, only="nonsense")


def test_the_tables_tell_of_the_same_puzzles(finished):
    flow = pd.read_csv(finished.table("tables/funnel.csv"))
    pairs = pd.read_parquet(finished.table("pairs.parquet"))
    assert flow["remaining"].iloc[0] == small_study.ROWS
    assert flow["remaining"].iloc[-1] == (pairs["verdict"] == "found").sum()
    heads = pd.read_csv(finished.table("tables/heads.csv"))
    plain = pd.read_parquet(finished.table("heads.parquet")).dropna(subset="effect")
    means = plain.groupby(["layer", "head"])["effect"].mean()
    ours = heads[heads["split"] == "all"].set_index(["layer", "head"])["estimate"]
    assert (ours - means).abs().max() < 1e-5
    assert len(ours) == 12


def test_the_chosen_head_is_tested_on_the_other_half(finished):
    every = pd.read_parquet(finished.table("entry.parquet"))
    measured = every[every["verdict"] == "measured"]["puzzle_id"].nunique()
    shares = pd.read_csv(finished.table("tables/shares.csv"))
    own = shares[(shares["sweep"] == "entry") & (shares["curve"] == "3->1")]
    assert set(own["on"]) == {"held out"}
    assert 0 < own["n"].iloc[0] < measured


def test_a_residual_tower_is_told_what_does_not_apply(finished, network_file, cache, tmp_path):
    study = dataclasses.replace(
        finished, out=tmp_path / "tower", strong=network_file("se-convolution", seed=3), limit=40
    )
    run(study, cache)
    with Records(study.out) as records:
        left_out = [name for name in STAGES if records.result(name).state == LEFT_OUT]
    assert {"heads", "entry", "entry-win", "piece-heads", "attention"} <= set(left_out)
    text = (study.out / "index.html").read_text()
    assert "is a residual tower and has no attention heads" in text
    assert study.table("figures/figure3_residual.svg").is_file()


def test_a_study_that_keeps_no_puzzle_says_so(finished, cache, tmp_path):
    study = dataclasses.replace(
        finished,
        out=tmp_path / "none",
        criteria=dataclasses.replace(finished.criteria, hard=0.0),
        limit=20,
    )
    run(study, cache)
    text = (study.out / "index.html").read_text()
    assert "Nothing could be measured" in text
    assert "no puzzle has a corrupted partner" in text
    assert "0 puzzles are few" not in text


@pytest.mark.shared
def test_a_real_network_on_real_puzzles_ends_with_a_page_that_tells_what_does_not_apply(
    shared, cache, tmp_path
):
    nets = shared / "nets"
    study = dataclasses.replace(
        small_study.study(
            tmp_path / "maia",
            shared / "puzzles" / "lichess_7k.csv",
            nets / "maia-1900.pb.gz",
            nets / "lichess-bot-16x2.pb.gz",
        ),
        criteria=Criteria(hard=0.3, correct=0.2, forcing=0.1),
        search=Search(log_odds=2.0, value=0.02, probability=0.9, divergence=0.69),
        limit=20,
    )
    run(study, cache)
    with Records(study.out) as records:
        states = {name: records.result(name).state for name in STAGES}
    left_out = ("heads", "entry", "entry-win", "piece-heads", "probes", "attention", "relations")
    assert {states[name] for name in left_out} == {LEFT_OUT}
    assert {state for name, state in states.items() if name not in left_out} == {DONE}
    plies = pd.read_csv(study.table("tables/plies.csv"))
    assert (plies[plies["category"] == "ply1_target"]["n"] > 3).all()
    first = plies[plies["layer"] == 0].set_index("category")["estimate"]
    assert first["corrupted"] > 5 * abs(first["matched_control"])
    text = (study.out / "index.html").read_text()
    assert "maia-1900 is a residual tower and has no attention heads" in text


def test_one_call_gives_the_page_and_measures_nothing_twice(copied):
    before = small_study.results(copied.out)
    page = reproduction.in_one_call(copied, progress=False)
    assert page == copied.out / "index.html"
    assert page.is_file()
    assert small_study.results(copied.out) == before
