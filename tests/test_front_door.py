"""The names that `import leela_probe as lp` offers: the list, where each lives, and its example."""

import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import leela_probe as lp

ROOT = Path(__file__).parent.parent

# A name leaves this list only with a line in the changelog that says what to use instead.
NAMES = {
    "load", "Network", "Evaluation", "squares", "verify", "convert", "random_network",
    "intervene", "Intervention", "Patch", "Zero", "Mask", "Scale", "Add", "Write",
    "write_activations", "read_activations",
    "read_puzzles", "Puzzle", "filter", "Criteria", "corrupt", "Search", "read_pairs", "Pair",
    "sweeps", "Sweep", "SweepPoint", "measure", "Settings", "sweep", "estimate_effects",
    "screen", "ScreenSettings",
    "read_effects", "recovered", "attention", "probe", "ProbeSettings", "Recipe", "probe_accuracy",
    "summarise", "compare", "significance", "split_halves", "percentile_curves",
    "plot", "draw_board", "draw_effects",
    "planted_network", "planted_puzzles", "known_networks", "calibrate", "Study", "reproduce",
}  # fmt: skip


def fresh(code: str) -> str:
    """What code prints in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout


def test_the_names_are_these():
    assert set(lp.__all__) == NAMES | {"__version__"}
    assert dir(lp) == sorted(lp.__all__)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_loads_and_says_what_it_is_with_an_example(name):
    value = getattr(lp, name)
    assert ">>> " in (inspect.getdoc(value) or "")
    assert getattr(lp, name) is value


def test_what_is_not_there_is_named_as_python_does():
    with pytest.raises(AttributeError, match="module 'leela_probe' has no attribute 'laod'"):
        lp.laod  # noqa: B018


def test_python_offers_the_nearest_name():
    code = (
        "import leela_probe as lp, traceback\n"
        "try:\n    lp.laod\nexcept AttributeError as error:\n"
        "    print(error.name, error.obj is lp)\n"
    )
    assert fresh(code) == "laod True\n"


def test_tab_completion_offers_the_names_before_any_is_loaded():
    found = fresh("import leela_probe as lp, sys; print(*dir(lp)); print('torch' in sys.modules)")
    assert found.splitlines() == [" ".join(sorted(NAMES | {"__version__"})), "False"]


def test_importing_takes_less_than_fifty_milliseconds():
    code = (
        "import time\nbegun = time.perf_counter()\nimport leela_probe\n"
        "print(time.perf_counter() - begun)"
    )
    assert min(float(fresh(code)) for _ in range(3)) < 0.05


def test_the_page_lists_the_names():
    assert page_maker().PAGE.read_text(encoding="utf-8") == page_maker().page(), (
        "python docs/front_door.py writes the page anew"
    )
    listed = [name for names in page_maker().CHAPTERS.values() for name in names]
    assert sorted(listed) == sorted(NAMES)


def test_the_first_docstring_runs():
    assert ">>> import leela_probe as lp" in (lp.__doc__ or "")


def page_maker() -> ModuleType:
    """The script that writes the page."""
    spec = importlib.util.spec_from_file_location("front_door", ROOT / "docs" / "front_door.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
