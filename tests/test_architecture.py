"""Imports point down one ladder, and what knows chess loads without torch."""

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import leela_probe

PACKAGE = Path(leela_probe.__file__).parent

# From the top down: the rooms, and in each of them its modules.
ROOMS = {
    # telling
    "commands": [
        "demo", "golden", "reproduce",
        "calibrate", "patch", "sweeping", "plot", "probe", "stats", "terminal", "options",
        "listings", "questions",
        "readings", "progress", "findings", "selections",
    ],
    "reproduction": [
        "stages", "works", "pages", "published", "published_numbers", "number_tables", "sentences",
        "drawings", "tabulation", "golden", "golden_networks", "golden_checks", "margins",
        "summaries", "attention_rows", "estimates", "ledger", "study",
    ],
    "organisms": ["calibration", "power", "contrasts", "planted_puzzles", "planted"],
    "probing": [
        "stage", "causal", "predictions", "baselines", "probe_files", "probes", "rows",
        "accuracies", "prediction_tables", "random_weights", "folds", "targets", "recipes",
    ],
    # asking
    "experiments": [
        "screen", "precision", "effects", "actions", "sweeps", "piece_heads",
        "attention_tables", "attention_reading",
        "effect_tables", "effect_figures", "categories", "held_out",
    ],
    # counting and drawing: they take tables, from any room
    "figures": ["figures", "diagrams", "probe_figures", "drawing"],
    "statistics": [
        "stats", "comparisons", "split_halves", "observations", "intervals", "resampling",
    ],
    # setting puzzles
    "puzzles": [
        "corruptions", "partners", "scores", "candidates", "similarity",
        "filters", "cascade", "criteria", "judging", "plies", "patterns", "pairs", "lichess",
        "sampling",
    ],
    # running
    "networks": [
        "patching", "measures", "verification", "activations",
        "places", "network", "parity", "runtime", "outputs", "sites", "graph", "fusion",
        "attention_kernel", "operators", "interventions",
        "conversion", "onnx_files", "lc0_answers", "evaluation",
    ],
    "weights": ["random_networks", "weights_files", "headers", "shapes", "schema", "architectures"],
    # knowing chess, keeping files
    "positions": ["fen", "encoding", "planes", "moves", "symmetry", "board_html",
        "squares"],
    "files": ["store", "tables", "disk", "bundled", "workers", "decompression"],
}  # fmt: skip

# Imports go down only, those for types and those inside functions too.
LADDER = [
    "__main__", "cli", *(f"{room}.{name}" for room, names in ROOMS.items() for name in names)
]  # fmt: skip

# Everything else loads without torch.
NEEDS_TORCH = {
    "reproduction.estimates", "reproduction.golden", "reproduction.golden_networks",
    "reproduction.stages", "reproduction.works",
    "experiments.actions", "experiments.attention_reading", "experiments.attention_tables",
    "probing.causal", "probing.predictions", "probing.probe_files", "probing.probes",
    "probing.rows", "probing.stage",
    "experiments.effects", "experiments.piece_heads", "experiments.precision",
    "experiments.screen", "experiments.sweeps",
    "networks.activations", "networks.attention_kernel", "networks.fusion", "networks.graph",
    "networks.interventions", "networks.parity",
    "networks.measures", "networks.network", "networks.operators", "networks.patching",
    "networks.places", "networks.sites", "networks.verification",
    "organisms.calibration", "organisms.contrasts",
}  # fmt: skip


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
    return ".".join(parts[: 2 if parts[0] in ROOMS else 1])


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


def test_every_module_has_its_place_on_the_ladder():
    assert len(LADDER) == len(set(LADDER))
    assert set(modules()) - set(LADDER) == set()
    assert set(LADDER) - set(modules()) == set()


@pytest.mark.parametrize("name", LADDER)
def test_imports_point_down_the_ladder(name):
    below = LADDER[LADDER.index(name) + 1 :]
    assert imported(modules()[name]) <= set(below), f"{name} imports from above"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_stand_on_rooms_below_them_only(room):
    used = {
        name.split(".")[0] for each in ROOMS[room] for name in imported(modules()[f"{room}.{each}"])
    }
    order = list(ROOMS)
    assert used <= set(order[order.index(room) :]), f"{room} imports from a room above"


@pytest.mark.parametrize("room", ROOMS)
def test_modules_of_a_room_import_down_its_own_order(room):
    for index, name in enumerate(ROOMS[room]):
        own = {each for each in imported(modules()[f"{room}.{name}"]) if each.split(".")[0] == room}
        below = {f"{room}.{each}" for each in ROOMS[room][index + 1 :]}
        assert own <= below, f"{room}.{name} imports from above in its room"


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
    assert "weights" not in LADDER  # a room is no module


def test_a_room_is_a_docstring_and_its_modules():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(ROOMS)
    for room in ROOMS:
        tree = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)
        assert len(tree.body) == 1, f"{room} does more than say what it is"


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


def test_the_chess_side_loads_without_torch():
    names = [name for name in LADDER if name not in NEEDS_TORCH and name != "__main__"]
    loaded = loaded_after("\n".join(f"import leela_probe.{name}" for name in names))
    assert "chess" in loaded
    assert "torch" not in loaded


def test_what_is_said_to_need_torch_does():
    # so that the list above holds no module by mistake
    for name in NEEDS_TORCH:
        reached, todo = set(), {name}
        while todo:
            module = todo.pop()
            reached.add(module)
            todo |= imported(modules()[module]) - reached
        names = {
            name
            for module in reached
            for node in ast.walk(modules()[module])
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
        }
        assert any(each.split(".")[0] == "torch" for each in names), f"{name} needs no torch"


def test_help_loads_neither_torch_nor_pandas():
    loaded = loaded_after(
        "import sys\n"
        "from leela_probe import cli\n"
        "sys.argv[1:] = ['filter', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
    )
    assert {"typer", "rich"} <= loaded
    assert loaded.isdisjoint({"torch", "pandas", "onnx", "onnxruntime", "numpy", "chess"})
