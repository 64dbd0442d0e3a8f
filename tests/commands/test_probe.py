"""Probes and attention by the command line."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from crash_points import Crash, crash_at
from example_pairs import random_pairs
from typer.testing import CliRunner, Result

from leela_probe.commands import attention, probe, registration
from leela_probe.positions.planes import History

app = registration.application([probe.COMMAND, attention.COMMAND], help="")

QUICK = ("--random-networks", "1", "--epochs", "1", "--folds", "3", "--resamples", "99")


@pytest.fixture(scope="module")
def puzzles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {
            "puzzle_id": pair.puzzle_id, "fen": pair.clean_fen, "clean_fen": pair.clean_fen,
            "moves": " ".join(["0000", *pair.line]), "verdict": "kept",
            "target_pattern": pair.target_pattern, "game_id": pair.game_id,
        }
        for pair in random_pairs(51, 36)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("puzzles") / "kept.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def probed(puzzles, onnx_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("probed") / "out"
    arguments = (
        "probe", puzzles, "--network", onnx_file("attention"), "--out", out, "--history", "known",
    )  # fmt: skip
    return out, arguments, call(*arguments, *QUICK, "--steer", 3)


def test_the_folder_has_tables_with_manifests_probes_and_figures(probed):
    out, _, result = probed
    assert result.exit_code == 0, result.output
    names = {path.name for path in out.iterdir()}
    tables = {f"{name}.parquet" for name in ("predictions", "accuracies", "causal")}
    figures = {
        f"{name}-ply3{ending}"
        for name in ("accuracy", "joint", "margin")
        for ending in (".pdf", ".png")
    }
    manifests = {f"{name}.manifest.json" for name in tables}
    assert names == tables | figures | manifests | {"probes.safetensors"}
    manifest = json.loads((out / "accuracies.parquet.manifest.json").read_text())
    assert manifest["inputs"]["predictions"]["file"] == "predictions.parquet"


def test_what_is_printed_is_in_the_table_and_fits_80_columns(probed):
    out, _, result = probed
    table = pd.read_parquet(out / "accuracies.parquet")
    own = table[
        (table["control"] == "none") & (table["kind"] == "joint") & (table["against"] == "")
        & (table["subset"] == "all")
    ]  # fmt: skip
    lines = result.stdout.partition("\nwrote ")[0].splitlines()
    assert max(map(len, lines)) <= 80
    (both,) = [line for line in lines if line.startswith("both 3")]
    assert f"{100 * own['accuracy'].max():.1f} %" in both
    assert "-" not in both.split()  # every control stands beside it


def test_what_steps_along_the_probes_do_is_printed_with_intervals_and_the_file_named(probed):
    out, _, result = probed
    text, _, wrote = result.stdout.partition("\nwrote ")
    assert wrote.split()[-1] == str(out / "causal.parquet")
    table = pd.read_parquet(out / "causal.parquet")
    rows = [line for line in text.splitlines() if " probe minus random direction " in line]
    assert len(rows) == 2 * 2  # target and source, the smallest and largest step
    for line in rows:
        what, _, layer, *_ = line.split()
        here = table[(table["kind"] == what) & (table["site"] == (
            "embedding" if layer == "E" else f"layer{layer}.residual_after"
        )) & (table["nats"] == float(line.split()[7]))]  # fmt: skip
        mean = here.groupby("direction")["effect"].mean()
        assert f" {mean['probe'] - mean['random direction']:+.3f} " in line


def test_steps_start_from_the_policy_under_the_history_of_the_probes(probed, network):
    out, _, _ = probed
    causal = pd.read_parquet(out / "causal.parquet")
    assert causal["puzzle_id"].nunique() == 3
    pairs = {pair.puzzle_id: pair for pair in random_pairs(51, 36)}
    for name, clean in causal.groupby("puzzle_id")["clean"].first().items():
        pair = pairs[name]
        evaluation = network("attention").evaluate([pair.clean], history=History.KNOWN)
        chance = evaluation.policy(0)[pair.moves[0]]
        assert clean == pytest.approx(math.log(chance / (1 - chance)), abs=1e-3)


def test_the_same_command_again_computes_no_predictions(probed):
    out, arguments, _ = probed
    stamp = (out / "predictions.parquet").stat().st_mtime_ns
    result = call(*arguments, *QUICK)
    assert result.exit_code == 0, result.output
    assert (out / "predictions.parquet").stat().st_mtime_ns == stamp
    other = call(*arguments, *QUICK, "--seed", 3)
    assert other.exit_code == 1
    assert "--overwrite" in str(other.exception)


def test_mistaken_choices_are_refused_with_the_right_ones(probed):
    _, arguments, _ = probed
    for option, value, message in (
        ("--recipe", "jenner", "sound, jenner2024"),
        ("--site", "within", "after, middle, before"),
        ("--subset", "odd", "all, differing, different, same"),
        ("--activations-dtype", "int8", "float16, bfloat16, float32"),
    ):
        result = call(*arguments, option, value)
        assert result.exit_code == 2
        assert message in " ".join(result.output.replace("│", " ").split())
    result = call(*arguments, "--recipe", "jenner2024", "--folds", 4)
    assert result.exit_code == 2


def test_attention_writes_every_entry_and_the_heads(puzzles, onnx_file, tmp_path):
    out, summary = tmp_path / "a.parquet", tmp_path / "s.csv"
    arguments = (
        "attention", puzzles, "--network", onnx_file("attention"), "--out", out,
        "--summary", summary, "--limit", 6,
    )  # fmt: skip
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    table, heads = pd.read_parquet(out), pd.read_csv(summary)
    assert len(table) == 6 * 3 * 4 * 12
    assert table["rank"].between(1, 4096).all()
    assert set(heads["relation"]) == set(table["relation"])
    lines = result.stdout.partition("\nwrote ")[0].splitlines()
    assert max(map(len, lines)) <= 80
    best = heads[heads["relation"] == "3->1"].sort_values("attention").iloc[-1]
    assert lines[1].startswith(f"{best['layer']}.{best['head']}")
    assert f" {best['attribution']:+.4f} " in lines[1]
    again = call(*arguments)
    assert again.exit_code == 0
    assert f"{out} was finished already, with the same settings" in again.stdout
    other = call(*arguments, "--seed", 1)
    assert "seed was 0 and is 1 now" in str(other.exception)
    assert "--overwrite" in str(other.exception)


def test_a_summary_that_something_else_has_made_stays(puzzles, onnx_file, tmp_path):
    (tmp_path / "s.csv").write_text("precious")
    result = call(
        "attention", puzzles, "--network", onnx_file("attention"), "--out", tmp_path / "a.csv",
        "--summary", tmp_path / "s.csv",
    )  # fmt: skip
    assert "exists already" in str(result.exception)
    assert (tmp_path / "s.csv").read_text() == "precious"


def test_attention_and_its_summary_go_on_wherever_the_program_ends(puzzles, onnx_file, tmp_path):
    def arguments(folder):
        return (
            "attention", puzzles, "--network", onnx_file("attention"), "--limit", 3,
            "--out", folder / "a.csv", "--summary", folder / "s.csv",
        )  # fmt: skip

    whole = tmp_path / "whole"
    whole.mkdir()
    assert call(*arguments(whole)).exit_code == 0
    steps = 0
    for step in range(1, 99, 4):
        folder = tmp_path / f"crash{step}"
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            reached = crash_at(patch, step)
            with contextlib.suppress(Crash):
                call(*arguments(folder))
            if reached() < step:
                break
        steps = step
        assert call(*arguments(folder)).exit_code == 0, step
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            path.name: path.read_bytes() for path in whole.iterdir()
        }, step
    assert steps > 20


def test_a_relation_is_refused_before_anything_is_run_and_fits_the_plies_by_default(
    puzzles, onnx_file, tmp_path
):
    out = tmp_path / "a.csv"
    arguments = (
        "attention", puzzles, "--network", onnx_file("attention"), "--out", out, "--limit", 3,
    )  # fmt: skip
    for wrong in (("--relation", "3-1"), ("--plies", "1,2", "--relation", "3->1")):
        refused = call(*arguments, *wrong)
        assert refused.exit_code == 2
        assert "2->1" in refused.output
        assert not any(tmp_path.iterdir())
    for plies, relation in (("1", "1->1s"), ("2,3", "3->2")):
        result = call(*arguments, "--plies", plies, "--no-attribution", "--overwrite")
        assert result.exit_code == 0, result.output
        assert relation in result.stdout.splitlines()[0]
