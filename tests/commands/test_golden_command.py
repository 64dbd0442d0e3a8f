"""`leela-probe golden` says what passes, what fails, what it could not check and why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def golden(cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leela_probe", "golden", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)},
    )


def test_without_the_files_it_checks_what_it_can_and_says_how_to_get_them(cache):
    result = golden(cache)
    assert result.returncode == 0, result.stderr
    assert "candidates: generated, valid, playable: 17 of 17 pass" in result.stdout
    assert "two branches: 10 not checked (it takes lc0.onnx (--strong))" in result.stdout
    assert "weak network: likeliest moves: 12 not checked (it takes LD2.onnx" in result.stdout
    assert "chosen partner: 16 not checked (it takes both networks" in result.stdout
    assert re.search(
        r"^52 of 52 checks pass, 0 fail; \d+ more could not be made", result.stdout, re.M
    )
    assert "ndownloader.figshare.com/files/46473529" in result.stdout


def test_another_network_fails_and_the_status_says_so(cache, network_file):
    result = golden(cache, "--strong", network_file("attention"))
    assert result.returncode == 1
    assert "fail: running example: policy in %, clean" in result.stdout
    assert "running example: policy in %: 0 of 2 pass" in result.stdout
    assert "interventions: 1 not checked ('attention" in result.stdout
    assert "weak network: moves of the solution" in result.stdout


def test_all_lists_every_value(cache):
    result = golden(cache, "--all")
    assert result.stdout.count("\npass: ") + result.stdout.startswith("pass: ") == 52
