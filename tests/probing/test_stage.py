"""The probing experiment over a file: everything in one table, the same after an interruption."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pandas as pd
import pytest
from example_pairs import random_pairs

from leela_probe.files import store
from leela_probe.files.store import PlanChangedError
from leela_probe.probing import accuracies, baselines, probe_files, stage
from leela_probe.probing.prediction_tables import Control, Kind
from leela_probe.probing.recipes import JENNER2024, SOUND
from leela_probe.probing.stage import Settings

QUICK = dataclasses.replace(SOUND, rank=4, epochs=2, folds=3)
TWO_PLIES = Settings(recipe=QUICK, plies=(2, 3), random_networks=2)


@pytest.fixture(scope="module")
def puzzles(tmp_path_factory):
    rows = [
        {
            "puzzle_id": pair.puzzle_id,
            "fen": pair.clean_fen,
            "clean_fen": pair.clean_fen,
            "moves": " ".join(["0000", *pair.line]),
            "verdict": "kept",
            "target_pattern": pair.target_pattern,
            "game_id": pair.game_id,
        }
        for pair in random_pairs(31, 24)
    ]
    path = tmp_path_factory.mktemp("puzzles") / "kept.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def done(network, puzzles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage") / "out"
    finished, plan = stage.probe(network("attention"), puzzles, folder, TWO_PLIES)
    return folder, finished, plan


def test_everybody_predicts_every_puzzle_once(done):
    _, finished, plan = done
    table = pd.read_parquet(finished.path)
    assert set(table["control"]) == set(Control)
    assert set(table["kind"]) == {*Kind} - {Kind.JOINT}
    own = table[table["control"] == "none"]
    assert own["site"].nunique() == 4  # the embedding and three layers
    keys = ["control", "instance", "site", "kind", "ply"]
    sizes = table.groupby(keys, observed=True)["puzzle_id"].agg(["size", "nunique"])
    assert (sizes == 24).all().all()
    assert set(table.loc[table["control"] == "random weights", "instance"]) == {1, 2}
    assert len(plan.pairs) == 24


def test_the_folder_holds_tables_and_probes_and_no_activations(done):
    folder, finished, _ = done
    names = {path.name for path in folder.iterdir()}
    assert names == {"predictions.parquet", "predictions.parquet.manifest.json", stage.PROBES}
    manifest = json.loads(finished.manifest_path.read_text())
    assert manifest["options"]["recipe"]["folds"] == 3
    assert set(manifest["inputs"]) == {"puzzles", "network"}
    probes = probe_files.read(folder / stage.PROBES)
    assert probes.targets[:2] == ("target 2", "source 2")
    assert probes.x_weights.shape == (4, 8 * 3, 4, 32)


def test_accuracies_come_out_of_the_table(done):
    _, finished, plan = done
    table = accuracies.of_predictions(
        pd.read_parquet(finished.path), plan.pairs, preset="sound", split=plan.split_name,
        resamples=99,
    )  # fmt: skip
    assert set(table["control"]) == set(Control)
    for control in Control:  # beside every number
        assert set(table.loc[table["control"] == control, "kind"]) == set(Kind)
    margins = table[table["against"] != ""]
    for control in [*Control][1:]:
        assert set(margins.loc[margins["against"] == control, "kind"]) == set(Kind)
    assert (table["split"] == "3 folds by game").all()


def test_a_run_cut_off_goes_on_and_ends_the_same(done, network, puzzles, tmp_path, monkeypatch):
    folder, finished, _ = done

    def cut(*arguments, **more):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(baselines, "predictions", cut)  # the last part
        with pytest.raises(KeyboardInterrupt):
            stage.probe(network("attention"), puzzles, out, TWO_PLIES)
    assert store.partial_path(out / stage.PREDICTIONS).is_dir()
    (out / ".activations-of-a-killed-run").mkdir()
    lines: list[str] = []
    again, _ = stage.probe(network("attention"), puzzles, out, TWO_PLIES, report=lines.append)
    assert lines == ["baselines without a network"]
    assert {path.name for path in out.iterdir()} == {path.name for path in folder.iterdir()}
    assert again.path.read_bytes() == finished.path.read_bytes()
    assert again.manifest_path.read_bytes() == finished.manifest_path.read_bytes()
    assert (out / stage.PROBES).read_bytes() == (folder / stage.PROBES).read_bytes()


def test_a_finished_table_of_the_same_plan_is_left_as_it_is(done, network, puzzles):
    folder, finished, _ = done
    lines: list[str] = []
    stamp = finished.path.stat().st_mtime_ns
    again, _ = stage.probe(network("attention"), puzzles, folder, TWO_PLIES, report=lines.append)
    assert lines == []
    assert (again.rows, again.counts) == (finished.rows, finished.counts)
    assert finished.path.stat().st_mtime_ns == stamp
    with pytest.raises(PlanChangedError, match="is finished, with other settings"):
        stage.probe(
            network("attention"), puzzles, folder, Settings(recipe=QUICK, random_networks=0)
        )


def test_a_run_to_overwrite_that_is_cut_off_leaves_the_earlier_result_whole(
    done, network, puzzles, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    (out / "activations").mkdir()
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    settings = Settings(recipe=QUICK, random_networks=0, keep_activations=True, seed=1)

    def cut(*arguments, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(baselines, "predictions", cut)  # the last part
        with pytest.raises(KeyboardInterrupt):
            stage.probe(network("attention"), puzzles, out, settings, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert not any((out / "activations").iterdir())
    finished, _ = stage.probe(network("attention"), puzzles, out, settings, overwrite=True)
    assert probe_files.read(out / stage.PROBES).targets[0] == "target 3"
    assert (out / "activations" / "manifest.json").is_file()
    assert not store.partial_path(finished.path).exists()


def test_probes_that_are_not_those_of_the_table_are_noticed(done, network, puzzles, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    (out / stage.PROBES).write_bytes(b"of another run")
    with pytest.raises(ValueError, match=r"safetensors' does not belong to 'predictions\.pa"):
        stage.probe(network("attention"), puzzles, out, TWO_PLIES)
    stage.probe(network("attention"), puzzles, out, TWO_PLIES, overwrite=True)
    assert (out / stage.PROBES).read_bytes() == (done[0] / stage.PROBES).read_bytes()


def test_the_papers_preset_runs_with_its_seeds_and_its_order(network, puzzles, tmp_path):
    settings = Settings(
        recipe=dataclasses.replace(JENNER2024, epochs=1),
        random_networks=1,
        control_task=False,
        input_planes=False,
        keep_activations=True,
    )
    finished, plan = stage.probe(network("se-convolution"), puzzles, tmp_path / "e5", settings)
    table = pd.read_parquet(finished.path)
    own = table[table["control"] == "none"]
    assert set(own["seed"]) == {0, 1, 2, 3, 4}
    assert list(dict.fromkeys(own["puzzle_id"])) == [p.puzzle_id for p in plan.pairs[16:]]
    assert plan.split_name == "first 70 % train, last test"
    assert (tmp_path / "e5" / "activations" / "manifest.json").is_file()


def test_a_place_that_is_none_is_refused(network, puzzles, tmp_path):
    with pytest.raises(ValueError, match="unknown place 'within'"):
        stage.probe(network("attention"), puzzles, tmp_path, Settings(where="within"))


def test_activations_that_do_not_fit_are_refused(network, puzzles, tmp_path, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")(10, 10, 0)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="take fewer puzzles or another disk"):
        stage.probe(network("attention"), puzzles, tmp_path / "x", Settings(recipe=QUICK))
