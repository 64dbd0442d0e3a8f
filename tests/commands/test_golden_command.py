"""`leela-probe golden` says what passes, what fails, what it could not check and why."""

from __future__ import annotations

import os
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
    assert "pass: candidates: generated, valid, playable: 17 of them" in result.stdout
    assert "not checked: strong network" in result.stdout
    assert "48 of 51 checks pass, 0 fail, 3 could not be made." in result.stdout
    assert "ndownloader.figshare.com/files/46473529" in result.stdout


def test_another_network_fails_and_the_status_says_so(cache, network_file):
    result = golden(cache, "--strong", network_file("attention"))
    assert result.returncode == 1
    assert "fail: running example: policy in %, clean" in result.stdout
    assert "not checked: interventions" in result.stdout
    assert "not checked: weak network" in result.stdout


def test_all_lists_every_value(cache):
    result = golden(cache, "--all")
    assert result.stdout.count("\npass: ") + result.stdout.startswith("pass: ") == 48
