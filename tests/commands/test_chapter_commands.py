"""A chapter's command measures one table of a file of puzzles and prints what it shows."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from leela_probe.commands import chapter_commands, registration
from leela_probe.study import contents
from leela_probe.study.chapter import Command, Shown


def measure(network, puzzles, out, *, history, limit, overwrite, progress):
    from leela_probe.files.store import Finished

    out.write_text(f"{network.layers} {puzzles.name} {history.value} {limit} {overwrite}")
    return Finished(path=out, manifest_path=out, rows=1, counts={})


@pytest.fixture
def app(monkeypatch) -> typer.Typer:
    def show(path: Path) -> Shown:
        return Shown(head=["what", "value"], rows=[["layers", path.read_text()]])

    brought = tuple(
        Command(name=name, help=f"Take a {name}.", measure=measure, show=show)
        for name in ("glance", "look")
    )
    monkeypatch.setattr(contents, "commands", lambda: brought)
    return registration.application(chapter_commands.commands(), help="Test.")


def test_it_hands_over_what_is_asked_and_shows_the_table(app, network_file, tmp_path):
    out = tmp_path / "glance.csv"
    arguments = ["glance", "bundled:planted-puzzles", "--network", str(network_file("attention"))]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out), "--limit", "3"])
    assert result.exit_code == 0, result.output
    assert out.read_text().endswith(" filled 3 False")
    assert "layers" in result.stdout
    assert f"wrote {out}" in " ".join(result.stdout.split())


def test_its_help_has_its_text_and_an_example_of_its_own(app):
    result = CliRunner().invoke(app, ["glance", "--help"], env={"COLUMNS": "120"})
    assert "Take a glance." in result.stdout
    assert "leela-probe glance filtered.parquet --network bundled:strong" in result.stdout
    assert "--limit" in result.stdout
