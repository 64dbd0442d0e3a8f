"""A small part of `benchmarks/faults.py`, which does the rest when asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "faults.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trials are forked")
def test_damage_is_mended_or_refused_and_never_believed(tmp_path):
    table = tmp_path / "table.json"
    kinds = ["unfinished", "rows", "dumps", "fens"]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--only", *kinds, "--count", "6", "--seed", "7", "--json", table],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(table.read_text())["kinds"]
    right = {kind: (row["tried"], row["right"]) for kind, row in counts.items()}
    assert right == dict.fromkeys(kinds, (6, 6))
