"""The code of the README and of the notebooks: strictly typed, and through the front door only."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def of_readme() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.S))


def of_notebook(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return re.sub(r"^%.*$", "", "\n\n".join(code), flags=re.M) + "\n"


CODE = {"README": of_readme(), **{path.stem: of_notebook(path) for path in NOTEBOOKS}}


@pytest.mark.parametrize("name", CODE)
def test_it_uses_the_front_door_only(name):
    for node in ast.walk(ast.parse(CODE[name])):
        if isinstance(node, ast.Import):
            ours = [alias for alias in node.names if alias.name.startswith("leela_probe")]
            assert [(alias.name, alias.asname) for alias in ours] in ([], [("leela_probe", "lp")])
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("leela_probe")


def test_the_readme_shows_code():
    assert CODE["README"].count("import leela_probe as lp") >= 1


def test_mypy_finds_nothing_in_it_but_would_find_a_misspelt_name(tmp_path):
    misspelt = {"misspelt": 'import leela_probe as lp\n\nlp.laod("bundled:strong")\n'}
    for name, code in {**CODE, **misspelt}.items():
        (tmp_path / f"code_{re.sub(r'[^a-z0-9]', '_', name.lower())}.py").write_text(code)
    checked = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull,
            "--ignore-missing-imports", "--cache-dir", str(tmp_path / "cache"), str(tmp_path),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert "Found 1 error in 1 file" in checked.stdout, checked.stdout + checked.stderr
    assert re.search(r"code_misspelt\.py:3: .* has no attribute \"laod\"", checked.stdout)
