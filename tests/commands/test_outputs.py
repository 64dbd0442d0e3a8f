"""Tables and figures on disk: whole, with seven digits, and said what they were made of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from leela_probe.commands import outputs


def test_a_table_comes_back_as_it_was_and_names_its_inputs(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a", None], "size": [1 / 3, np.nan], "n": [3, 4]})
    source = tmp_path / "source"
    source.write_bytes(b"effects")
    for name in ("t.csv", "t.parquet"):
        path = tmp_path / name
        outputs.write_table(
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


def test_a_figure_that_fails_leaves_nothing(tmp_path: Path) -> None:
    figure = Figure()
    figure.text(0, 0, "$\\nothing$")
    with pytest.raises(ValueError, match="nothing"):
        outputs.write_figure(figure, tmp_path / "f.png")
    assert list(tmp_path.iterdir()) == []
    outputs.write_figure(Figure(), tmp_path / "f.png")
    assert [path.name for path in tmp_path.iterdir()] == ["f.png"]


def test_places_that_are_taken_or_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert outputs.claim(path, outputs.TABLES) == path
    path.write_text("")
    with pytest.raises(FileExistsError, match="exists already"):
        outputs.claim(path, outputs.TABLES)
    assert outputs.claim(path, outputs.TABLES, overwrite=True) == path
    with pytest.raises(FileNotFoundError, match="make it first"):
        outputs.claim(tmp_path / "no" / "t.csv", outputs.TABLES)
    with pytest.raises(ValueError, match=r"ends in '\.txt': give \.csv or \.parquet"):
        outputs.claim(tmp_path / "t.txt", outputs.TABLES)
