"""Imports point down one ladder, and what knows chess loads without torch."""

import ast
import json
import os
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import leela_probe

PACKAGE = Path(leela_probe.__file__).parent

# From the top down: imports between rooms go down only, also those for types and inside functions.
# Inside a room anything goes but a circle.
ROOMS = [
    "commands", "golden", "study",                                     # telling
    "organisms", "probing", "experiments",                             # asking
    "figures", "statistics",                                           # drawing and counting tables
    "puzzles",                                                         # setting puzzles
    "networks",                                                        # running Leela networks
    "torch_onnx", "weights",                                           # their two kinds of file
    "positions", "files",                                              # chess; keeping files
]  # fmt: skip

# The rooms whose modules may load torch. The others never do.
TORCH_ROOMS = {"golden", "study", "organisms", "probing", "experiments", "networks", "torch_onnx"}

# What reads and draws finished tables stands in rooms of that kind and loads without torch too.
WITHOUT_TORCH = [
    "experiments.categories", "experiments.effect_figures", "experiments.effect_tables",
    "networks.conversion", "networks.evaluation", "networks.measures", "networks.onnx_files",
    "organisms.planted", "organisms.power",
    "probing.accuracies", "probing.prediction_tables", "probing.recipes", "probing.targets",
    "study.chapter", "study.comparison", "study.comparison_rows", "study.paper_squares",
    "study.published", "study.subsets", "study.wording",
    "torch_onnx.plain_models",
]  # fmt: skip


@cache
def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.stem != "__init__"
    }


def imported(tree: ast.Module) -> set[str]:
    """The modules of the package that a module imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {place(name) for name in found if name.startswith("leela_probe.")}


def place(name: str) -> str:
    """The module in which a dotted name is: `leela_probe.files.store.Stage` in `files.store`."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in modules():
            return ".".join(parts[:length])
    return ".".join(parts)


def room_of(name: str) -> str:
    return name.split(".")[0]


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after this code."""
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps([*sys.modules]))"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    return {name.split(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


def test_every_module_stands_in_a_room():
    assert {room_of(name) for name in modules()} - set(ROOMS) == {"__main__", "cli"}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_from_rooms_below_them_only(room):
    used = {
        room_of(used)
        for name, tree in modules().items()
        if room_of(name) == room
        for used in imported(tree)
    }
    assert used <= set(ROOMS[ROOMS.index(room) :]), f"{room} imports from a room above"


def test_no_imports_go_in_a_circle():
    order = TopologicalSorter({name: imported(tree) for name, tree in modules().items()})
    order.prepare()  # a CycleError names the circle


def test_an_import_from_above_would_be_seen():
    tree = ast.parse(
        "from leela_probe import cli\n"
        "def late():\n"
        "    from leela_probe.networks.network import Network\n"
        "    from leela_probe.puzzles import filters\n"
        "import leela_probe.files.store\n"
        "from leela_probe import weights\n"
    )
    assert imported(tree) == {
        "cli", "networks.network", "puzzles.filters", "files.store", "weights"
    }  # fmt: skip


def test_a_room_is_a_docstring_and_its_modules():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)
    for path in PACKAGE.glob("*/**/__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)
        assert len(tree.body) == 1, f"{path.parent.name} does more than say what it is"


def test_every_module_says_what_is_public_and_has_it():
    for name, tree in modules().items():
        public = [
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            and "__all__" in ast.unparse(node).split("=")[0]
        ]
        assert len(public) == 1, f"{name} has no __all__"
        assert public[0] is not None
        names = ast.literal_eval(public[0])
        bound = {
            bound_name
            for node in ast.walk(tree)
            for bound_name in (
                [node.name]
                if isinstance(node, ast.FunctionDef | ast.ClassDef)
                else [node.id]
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                else []
            )
        }
        assert set(names) <= bound, f"{name} promises what it does not have"
        assert not [each for each in names if each.startswith("_")]


def test_every_module_begins_by_saying_what_it_is_for():
    assert [name for name, tree in modules().items() if not ast.get_docstring(tree)] == []


def test_no_two_test_files_share_a_name():
    # pytest collects one of them only, or stops, depending on which folders it is given
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_tests_import_nothing_from_a_conftest():
    # there are several of that name: which one is found depends on the folders that pytest is given
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (getattr(node, "module", None), *(alias.name for alias in node.names))
        }
        assert "conftest" not in names, f"{path} imports from a conftest"


def test_importing_the_package_imports_nothing_else():
    rooms = "".join(f", leela_probe.{room}" for room in ROOMS)
    before, after = loaded_after(""), loaded_after(f"import leela_probe{rooms}")
    assert after - before == {"leela_probe"}


def front_door() -> tuple[dict[str, str], dict[str, str]]:
    """Where the names of the front door live: as type checkers read it, and as Python does."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (choice,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {
        alias.asname or alias.name: f"{(node.module or '').partition('.')[2]}.{alias.name}"
        for node in choice.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (places,) = [
        ast.literal_eval(node.value)
        for node in choice.orelse
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_PLACES"
    ]
    return typed, places


def test_type_checkers_and_python_find_the_front_door_names_in_the_same_places():
    typed, places = front_door()
    assert typed == places
    assert set(leela_probe.__all__) == {*places, "__version__"}


def test_each_front_door_name_is_public_where_it_lives():
    for name, address in front_door()[1].items():
        if address in modules():
            continue
        module, _, last = address.rpartition(".")
        assert module in modules(), f"{name}: there is no module {module}"
        (public,) = [
            ast.literal_eval(node.value)
            for node in modules()[module].body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        assert last in public, f"{name}: {module} has no public {last}; mend leela_probe/__init__"


def test_no_front_door_name_is_that_of_a_room():
    assert {*front_door()[1]}.isdisjoint({*ROOMS, "cli"})


def test_what_needs_no_network_loads_without_torch():
    names = [name for name in modules() if room_of(name) not in TORCH_ROOMS | {"__main__"}]
    code = "\n".join(f"import leela_probe.{name}" for name in [*names, *WITHOUT_TORCH])
    loaded = loaded_after(code)
    assert "chess" in loaded
    assert "torch" not in loaded


def test_help_loads_neither_torch_nor_pandas():
    loaded = loaded_after(
        "import sys\n"
        "from leela_probe import cli\n"
        "sys.argv[1:] = ['filter', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
    )
    assert {"typer", "rich"} <= loaded
    assert loaded.isdisjoint({"torch", "pandas", "onnx", "onnxruntime", "numpy", "chess"})
