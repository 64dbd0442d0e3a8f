"""`leela-probe demo` ends with a page, with nothing but what comes along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_it_ends_with_a_page(tmp_path, cache):
    result = subprocess.run(
        [sys.executable, "-m", "leela_probe", "demo", "--out", tmp_path / "demo", "--limit", "40"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)},
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "demo" / "index.html").stat().st_size > 100_000
    assert "residual: done" in result.stdout


def test_the_help_gives_the_forcing_threshold_that_is_used():
    result = subprocess.run(
        [sys.executable, "-m", "leela_probe", "demo", "--help"],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    (line,) = [line for line in result.stdout.splitlines() if "--min-weak-reply" in line]
    after = " ".join(result.stdout.split("--min-weak-reply")[1].split("--")[0].split())
    assert "[default: 0.0]" in after, line
    assert "which needs five, has no puzzles" in " ".join(result.stdout.split())
