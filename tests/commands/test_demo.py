"""`leela-probe demo` ends with a page; without its files it says which one is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import small_study

from leela_probe.files import bundled

ROOT = Path(__file__).parent.parent.parent


def demo(cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leela_probe", "demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)},
    )


def test_it_ends_with_a_page(tmp_path, cache, network_file):
    result = demo(
        cache, "--out", tmp_path / "demo", "--dump", small_study.dump(tmp_path / "dump.csv", 30),
        "--strong", network_file("attention"), "--weak", network_file("se-convolution", seed=2),
        "--limit", 12, "--hard", 1, "--correct", 0, "--log-odds", 5, "--value", 0.0005,
        "--probability", 0.95, "--divergence", 0.69, "--workers", 0,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "demo" / "index.html").stat().st_size > 100_000
    assert "residual: done" in result.stdout


@pytest.mark.skipif(
    all((bundled.FOLDER / name).is_file() for name in bundled.FILES.values()),
    reason="the bundled files are there",
)
def test_without_its_files_it_says_which_is_missing(tmp_path, cache):
    result = demo(cache, "--out", tmp_path / "demo")
    assert result.returncode == 1
    assert "is not in this installation" in result.stderr
    assert len(result.stderr.splitlines()) == 1
