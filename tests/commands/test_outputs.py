"""Figures on disk are whole, and nothing is overwritten unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from leela_probe.commands import outputs


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
