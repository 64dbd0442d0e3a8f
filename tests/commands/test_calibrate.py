"""The subcommand calibrate, as a shell would call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import leela_probe

ROOT = Path(leela_probe.__file__).parent.parent
ORGANISMS = (
    "single", "redundant", "sequence", "pattern", "shuffled", "unrelated", "random", "shipped",
)  # fmt: skip
SHIPPED = "shipped=bundled:planted"


def calibrate(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "leela_probe", "calibrate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrate") / "out"
    wanted = ["--out", folder, "--seeds", 1, "--puzzles", 10, "--network", SHIPPED]
    return folder, wanted, calibrate(*wanted)


def test_it_prints_the_tables_in_eighty_columns(done):
    _, _, result = done
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert max(len(line.rstrip()) for line in lines if not line.startswith("wrote")) <= 80
    for title in ("One network each", "Power at so many puzzles", "Where there is nothing to find"):
        assert any(line.startswith(title) for line in lines)
    at = next(n for n, line in enumerate(lines) if line.strip() == "redundant")
    row = lines[at + 1].split()
    assert row[:2] + row[5:9] == ["residual", "third", "found", "3/4", "1/64", "0"]


def test_of_a_network_that_is_not_ours_it_says_what_it_plays_and_no_truth(done):
    folder, _, result = done
    assert "shipped: the first moves have a median probability of 0." in result.stdout
    summary = pd.read_csv(folder / "summary.csv").set_index("organism")
    assert set(summary.loc["shipped", "to_find"]) == {"not known"}


def test_the_help_says_what_is_left_out():
    result = calibrate("--help")
    assert "a probe finds the third move's square in any" in result.stdout
    assert "heads of single pieces" in result.stdout
    assert not any(line.split() == ["puzzles,"] for line in result.stdout.splitlines())


def test_it_writes_tables_with_manifests(done):
    folder, _, _ = done
    table = pd.read_parquet(folder / "calibration.parquet")
    manifest = json.loads((folder / "calibration.parquet.manifest.json").read_text())
    assert manifest["rows"] == len(table) == len(ORGANISMS) * 11
    assert manifest["options"]["puzzles"] == 10
    summary = pd.read_csv(folder / "summary.csv")
    assert summary.groupby("organism", sort=False).size().to_dict() == dict.fromkeys(ORGANISMS, 11)
    assert json.loads((folder / "summary.csv.manifest.json").read_text())["inputs"]["calibration"]


def test_a_finished_calibration_is_not_overwritten_unasked(done):
    folder, wanted, first = done
    before = (folder / "calibration.parquet").stat().st_mtime_ns
    again = calibrate(*wanted)
    assert again.returncode == 0
    assert again.stdout == first.stdout
    assert (folder / "calibration.parquet").stat().st_mtime_ns == before
    result = calibrate(*wanted, "--puzzles", 11)
    assert result.returncode == 1
    assert "is finished" in result.stderr
    assert "--overwrite" in result.stderr


@pytest.mark.parametrize("text", ["t82.pb.gz", "=t82.pb.gz", "t82="])
def test_a_network_needs_a_name(tmp_path, text):
    result = calibrate("--out", tmp_path, "--network", text)
    assert result.returncode == 2
    assert "NAME=FILE" in result.stderr


def test_the_folder_of_the_folder_must_be_there(tmp_path):
    result = calibrate("--out", tmp_path / "a" / "b")
    assert result.returncode == 1
    assert "make it first" in result.stderr
