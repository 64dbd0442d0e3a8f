"""Every example of every help text runs, one after another in one folder, on what ships."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leela_probe import cli
from leela_probe.commands.registration import Command, Group

# What makes an example quick; the last of two options of a name counts.
QUICK = {
    "filter": ("--limit", "24", "--workers", "0"),
    "corrupt": ("--workers", "0"),
    "patch": ("--limit", "5"),
    "patch entries": ("--limit", "1", "--entries", "a1:b2,c3:d4"),
    "attention": ("--limit", "8"),
    "probe": ("--random-networks", "0", "--epochs", "1", "--resamples", "99"),
    "reproduce": ("--stage", "filter", "--limit", "8", "--workers", "0"),
    "stats": ("--resamples", "99"),
    "plot": ("--resamples", "99"),
    "plot exclusions": (),
    "plot boards": (),
    "plot percentiles": (),
}  # fmt: skip
# What takes minutes even so: tests/commands/test_demo.py and test_calibrate.py run them.
ELSEWHERE = {"demo", "calibrate"}


def commands(
    members: Sequence[Command | Group], before: str = ""
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for member in members:
        if isinstance(member, Group):
            yield from commands(member.commands, f"{member.name} ")
        else:
            yield f"{before}{member.name}", member.examples


EXAMPLES = [(name, example) for name, examples in commands(cli.COMMANDS) for example in examples]


def test_every_command_has_an_example_that_names_it() -> None:
    for name, examples in commands(cli.COMMANDS):
        assert examples, f"{name} has no example"
        for example in examples:
            assert example.startswith(f"leela-probe {name} ") or example == f"leela-probe {name}"


def test_all_examples_run_one_after_another(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    (tmp_path / "positions.txt").write_text("8/8/8/4k3/8/3QK3/8/8 w - - 0 1|d3c4\n")
    for name, example in EXAMPLES:
        if name in ELSEWHERE:
            continue
        words = shlex.split(example.partition(" > ")[0])[1:]
        quick = QUICK.get(name, QUICK.get(name.split()[0], ()))
        result = CliRunner().invoke(cli.app, [*words, *quick])
        assert result.exit_code == 0, f"{example}\n{result.output}\n{result.exception!r}"
        if "--out" in words:
            assert Path(words[words.index("--out") + 1]).exists()


def test_the_examples_of_the_root_are_among_them() -> None:
    text = " ".join(CliRunner().invoke(cli.app, ["--help"]).output.split())
    _, _, examples = text.partition("Examples: ")
    assert examples.startswith("leela-probe demo --out demo")
    known = [example for _, example in EXAMPLES]
    assert all(
        f"leela-probe {part.strip()}" in known for part in examples.split("leela-probe ")[1:]
    )
