"""What the README says to do works, word for word."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leela_probe.study import contents

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """The one code block of a language that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    (found,) = [text for text in blocks if containing in text]
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's first command has run, after its installation step."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "puzzles").symlink_to(ROOT / "puzzles")
    install, _, job = block("bash", "'.[lc0]'").partition("&&")
    assert install.split() == ["pip", "install", "-c", "constraints.txt", "'.[lc0]'"]
    program = f'leela-probe() {{ "{sys.executable}" -m leela_probe "$@"; }}\n'
    subprocess.run(
        ["bash", "-euc", program + job.strip()],
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")},
    )
    return folder


def test_the_first_command_makes_pairs(checkout):
    names = {path.name for path in (checkout / "out").iterdir()}
    assert names >= {"filtered.parquet", "pairs.parquet", "pairs.parquet.manifest.json"}
    manifest = (checkout / "out" / "pairs.parquet.manifest.json").read_text()
    assert re.search(r'"found": [1-9]', manifest)


def test_the_python_examples_run_one_after_the_other(checkout):
    examples = re.findall(r"```python\n(.*?)```", README, re.S)
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(examples)],
        check=True,
        capture_output=True,
        text=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(checkout / "cache")},
    )
    best, patterns, without, _, strongest, gradient = result.stdout.splitlines()
    assert (best, patterns) == ("Qc8+ 80%", "torch.Size([1, 8, 64, 64])")
    assert best in README, "the README says what the first example prints"
    assert f"{without}: without this head" in README
    assert float(strongest.split()[-1]) < 0.01
    assert gradient == patterns
    assert (checkout / "heads.png").is_file()


def test_the_second_command_is_the_one_that_is_checked():
    lines = [line for line in README.splitlines() if "'.[test]'" in line]
    assert lines == ["pip install -c constraints.txt -e '.[test]' && pytest -n 2 -m 'not shared'"]
    assert "grep -F \"'.[test]'\" README.md" in (ROOT / ".ci" / "run").read_text()


def test_every_command_in_the_table_has_help():
    commands = re.findall(r"^\| `leela-probe (\w+)", README, re.M)
    brought = [command.name for command in contents.commands()]  # by chapters of the study
    shown = subprocess.run(
        [sys.executable, "-m", "leela_probe", "--help"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    ).stdout
    listed = re.findall(r"^│ (\w+)  +", shown, re.M)
    assert [name for name in listed if name not in brought] == commands
    assert {*brought} <= {*listed}
