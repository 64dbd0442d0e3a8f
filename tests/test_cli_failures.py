"""Whatever goes wrong, the command ends with one line and a status that says how."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import leela_probe

ROOT = Path(leela_probe.__file__).parent.parent

FAILING = """
import sys
from leela_probe import cli
from leela_probe.commands import terminal
import pyarrow

def fail(*arguments, **more):
    raise {failure}

terminal.load = fail
sys.argv[1:] = {arguments}
cli.main()
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        ("ValueError('no such thing')", "no such thing"),
        ("KeyError('layer 9 is not there')", "layer 9 is not there"),
        ("OSError(28, 'No space left on device', 'x.csv')", "No space left on device: x.csv"),
        ("MemoryError", "out of memory: try a smaller --batch-size"),
        (
            "pyarrow.ArrowMemoryError('malloc of size 9 failed')",
            "out of memory (malloc of size 9 failed): try a smaller --batch-size",
        ),
        (
            "RuntimeError('CUDA out of memory. Tried')",
            "out of memory (CUDA out of memory. Tried): try a smaller --batch-size",
        ),
        (
            "AttributeError('x has no y')",
            "AttributeError: x has no y (this is a fault of leela-probe; leela-probe --debug "
            "COMMAND shows where)",
        ),
        (
            "SystemError",
            "SystemError: no reason given (this is a fault of leela-probe; leela-probe --debug "
            "COMMAND shows where)",
        ),
        ("SystemExit(3)", "a library wanted to end the program (3)"),
    ],
)
def test_every_failure_is_one_line(failure: str, line: str) -> None:
    result = run(FAILING.format(failure=failure, arguments=["info", "net.onnx"]))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == f"leela-probe: {line}\n"


def test_debug_shows_where_it_arose() -> None:
    result = run(FAILING.format(failure="ValueError('odd')", arguments=["--debug", "info", "n.pb"]))
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1] == "leela-probe: odd"
    result = run(FAILING.format(failure="ValueError('odd')", arguments=["info", "--debug"]))
    assert "Traceback" not in result.stderr


def test_a_board_is_shown_where_the_terminal_knows_no_unicode(cache: Path, network_file) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "leela_probe", "eval", network_file("attention"), "--fen",
         "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache), "LC_ALL": "C",
             "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"####" in result.stdout


def test_a_terminated_stage_keeps_what_is_done_and_ends_the_same(
    tmp_path: Path, cache: Path, network_file
) -> None:
    rows = (ROOT / "puzzles" / "sample.csv").read_text().splitlines()
    (tmp_path / "long.csv").write_text("\n".join([rows[0], *(rows[1:] * 250)]) + "\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "leela_probe", "filter", "long.csv",
         "--strong", network_file("attention"), "--weak", network_file("se-convolution", seed=2),
         "--workers", "0", "--out", "cut.csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cut.csv.partial/part-*.arrow")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert (output, errors) == (
        "", "leela-probe: terminated; the same command goes on from here\n"
    )  # fmt: skip
    left = {path.name.split("-")[0] for path in (tmp_path / "cut.csv.partial").iterdir()}
    assert not any("tmp" in name for name in left)
