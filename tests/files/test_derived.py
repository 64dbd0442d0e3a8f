"""Tables of results on disk: whole, with seven digits, and with what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crash_points import Crash, crash_at

from leela_probe.files import derived, manifests


def test_a_table_comes_back_as_it_was_and_names_its_inputs(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a", None], "size": [1 / 3, np.nan], "n": [3, 4]})
    source = tmp_path / "source"
    source.write_bytes(b"effects")
    for name in ("t.csv", "t.parquet"):
        path = tmp_path / name
        derived.write_with_manifest(
            table, path, name="stats x", inputs={"effects": source}, options={"seed": 1}
        )
        found = pd.read_csv(path) if name == "t.csv" else pd.read_parquet(path)
        assert found["size"].tolist() == pytest.approx([1 / 3, np.nan], rel=1e-6, nan_ok=True)
        assert found["n"].tolist() == [3, 4]
        manifest = json.loads((tmp_path / f"{name}.manifest.json").read_text())
        assert manifest["inputs"]["effects"]["sha256"] == hashlib.sha256(b"effects").hexdigest()
        assert manifest["output"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / "t.csv").read_text() == "name,size,n\na,0.3333333,3\n,,4\n"
    assert len(list(tmp_path.iterdir())) == 5


def test_a_table_that_is_there_has_its_manifest_wherever_the_program_ends(tmp_path: Path) -> None:
    table = pd.DataFrame({"n": [1, 2]})
    for step in range(1, 99):
        out = tmp_path / f"t{step}.csv"
        with pytest.MonkeyPatch.context() as patch:
            reached = crash_at(patch, step)
            with contextlib.suppress(Crash):
                derived.write_with_manifest(table, out, name="x", inputs={}, options={})
            if reached() < step:
                break
        assert not out.exists() or manifests.check(out) is not None
        derived.write_with_manifest(table, out, name="x", inputs={}, options={})
        assert manifests.check(out) is not None
        names = [path.name for path in tmp_path.iterdir() if f"t{step}." in path.name]
        assert sorted(names) == [out.name, f"{out.name}.manifest.json"]
    assert step > 6
