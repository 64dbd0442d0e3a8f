"""Every notebook runs from top to bottom in a fresh folder, and is stored without outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
AXIS_LABEL = re.compile(r"<!-- ([-\N{MINUS SIGN}]?[\d.]+) -->")  # of matplotlib's SVG
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_five():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.filterwarnings("default")  # of Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_something(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    before = path.read_bytes()
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
    client.execute()
    shown = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type in ("display_data", "execute_result")
    ]
    kinds = {kind for output in shown for kind in output.data}
    assert "text/html" in kinds
    assert any("image/png" in output.data or "<svg" in str(output.data) for output in shown)
    numbers = [
        float(text.replace("\N{MINUS SIGN}", "-"))
        for output in shown
        for text in AXIS_LABEL.findall(str(output.data.get("text/html", "")))
    ]
    assert all(-100 <= number <= 100 for number in numbers)  # nats, layers and heads
    warned = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert warned == []
    assert {entry.name for entry in tmp_path.iterdir()} <= {"out"}
    assert path.read_bytes() == before
