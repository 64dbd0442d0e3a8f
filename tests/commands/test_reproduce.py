"""`leela-probe reproduce` in a process of its own: killed at any moment it ends the same."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import small_study

from leela_probe.commands import reproduce
from leela_probe.files import manifests
from leela_probe.networks import network
from leela_probe.study.records import DONE, Record, Records
from leela_probe.study.study import Networks

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def arguments(tmp_path_factory, network_file, cache) -> list[str]:
    folder = tmp_path_factory.mktemp("reproduce")
    return [
        "reproduce", str(small_study.dump(folder / "dump.csv", 60)),
        "--strong", str(network_file("attention")),
        "--weak", str(network_file("se-convolution", seed=2)),
        "--max-weak-first", "1", "--min-strong-solver", "0", "--min-weak-reply", "0",
        "--max-weak-drop", "5", "--min-value-drop", "0.0005", "--max-strong-first", "0.95",
        "--max-weak-divergence", "0.69",
        "--min-puzzles", "8", "--resamples", "99", "--workers", "0", "--min-share", "0.02",
        "--limit", "12",
    ]  # fmt: skip


def start(arguments: list[str], out: Path, cache: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "leela_probe", *arguments, "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), "COLUMNS": "80"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def test_killed_at_random_moments_it_ends_with_the_same_results(arguments, tmp_path, cache):
    told = finish(start(arguments, tmp_path / "whole", cache))
    assert re.search(
        r"^about .* to .* for 12 rows: less if as few .* \(1\), more if all", told, re.M
    )
    assert re.search(r"^about .* more with \d+ puzzles \(residual", told, re.M)
    assert f"wrote {tmp_path / 'whole' / 'index.html'}" in told
    moments, killed = random.Random(4), 0
    for _ in range(12):
        process = start(arguments, tmp_path / "cut", cache)
        try:
            process.wait(moments.uniform(3, 9) if killed < 4 else None)
            process.communicate()
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
    assert killed >= 1
    again = finish(start(arguments, tmp_path / "cut", cache))
    assert "residual: done before" in again
    assert small_study.results(tmp_path / "cut") == small_study.results(tmp_path / "whole")


def test_a_mistaken_stage_gets_the_list(arguments, tmp_path, cache):
    process = start(arguments, tmp_path / "x", cache, "--stage", "nonsense")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "filter, corrupt, residual" in " ".join(errors.replace("│", " ").split())


def test_a_stage_before_what_it_needs_is_refused_in_one_line(arguments, tmp_path, cache):
    process = start(arguments, tmp_path / "y", cache, "--stage", "residual")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.startswith("leela-probe: the stage residual needs filter")
    assert len(errors.splitlines()) == 1


def test_finished_work_of_other_options_is_kept_until_it_may_be_overwritten(
    arguments, cache, tmp_path
):
    out = tmp_path / "out"
    finish(start(arguments, out, cache, "--stage", "filter"))
    other = (*arguments, "--max-weak-first", "0.9", "--stage", "filter")
    _, errors = start(other, out, cache).communicate(timeout=120)
    assert errors == (
        f"leela-probe: '{out}' holds work that would have to be made anew: filter (criteria.hard "
        "was 1.0 and is 0.9 now). Choose another folder, or say that it shall be overwritten "
        "(--overwrite)\n"
    )
    assert (out / "filtered.parquet").is_file()


def test_the_input_formats_of_bare_onnx_files_are_as_the_user_says(
    arguments, tmp_path, cache, onnx_file
):
    changed = [*arguments, "--stage", "filter"]
    for role, name in (("--strong", "attention"), ("--weak", "se-convolution")):
        model = onnx.load(onnx_file(name))
        del model.metadata_props[:]
        onnx.save(model, tmp_path / f"{name}.onnx")
        changed[changed.index(role) + 1] = str(tmp_path / f"{name}.onnx")
    out = tmp_path / "out"
    finish(start(changed, out, cache, "--strong-format", "3", "--weak-format", "2"))
    networks = json.loads((out / "filtered.parquet.manifest.json").read_text())["networks"]
    assert (networks["strong"]["input_format"], networks["weak"]["input_format"]) == (3, 2)
    _, errors = start(changed, out, cache, "--weak-format", "2").communicate(timeout=120)
    assert "filter (strong_format was 3 and is null now)" in errors
    _, errors = start(changed, out, cache, "--weak-format", "7").communicate(timeout=120)
    assert "'--weak-format': '7' is none of 1, 2" in " ".join(errors.replace("│", " ").split())


def test_a_missing_file_is_named(arguments, tmp_path, cache):
    changed = [*arguments]
    changed[1] = "nowhere.csv"
    process = start(changed, tmp_path / "z", cache)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors == "leela-probe: no puzzles at nowhere.csv\n"


def test_what_the_filter_makes_of_the_networks_is_printed(tmp_path, capsys):
    study = small_study.study(tmp_path, tmp_path / "d.csv", tmp_path / "s", tmp_path / "w")
    counts, facts = {"not_hard": 4, "kept": 0}, {"ignored_columns": ["Elo"]}
    table = manifests.manifest_path(study.table("filtered.parquet"))
    manifests.write(table, {"counts": counts, "facts": facts})
    report = reproduce._Report(study, Networks(study, network.load), Records(tmp_path))
    record = Record(name="filter", state=DONE, plan={}, counts=counts)
    report(record, True)
    said = " ".join(capsys.readouterr().out.split())
    assert "no puzzle is kept: the weak network sees the first move of each" in said
    assert "columns that are not used: Elo" in said
    report(record, False)
    assert "no puzzle" not in capsys.readouterr().out
