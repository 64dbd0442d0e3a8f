"""Groups of options: one record a group for the command, plain options for the command line."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from leela_probe.commands import groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    device: Annotated[str, typer.Option(help="Where torch runs.", metavar="NAME")] = "cpu"
    fast: Annotated[bool, typer.Option("--fast", help="Hurry.", metavar="")] = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchOptions(RunOptions):
    batch_size: Annotated[int, typer.Option(min=1, metavar="N")]


def _call(command, *arguments: str):
    app = typer.Typer()
    app.command()(groups.spread(command))
    return CliRunner().invoke(app, list(arguments))


def test_a_command_gets_one_record_for_each_group():
    def show(
        net: Annotated[str, typer.Argument(metavar="NET")],
        top: Annotated[int, typer.Option(metavar="K")] = 3,
        *,
        run: BatchOptions,
    ) -> None:
        """Show it."""
        print(net, top, run)

    result = _call(show, "maia", "--batch-size", "4", "--fast")
    assert result.output == "maia 3 BatchOptions(device='cpu', fast=True, batch_size=4)\n"
    assert _call(show, "maia").exit_code == 2, "an option without a default is required"
    text = _call(show, "--help").output
    assert all(name in text for name in ("NET", "--top", "--device", "Show it.", "--batch-size"))


def test_the_bounds_of_an_option_in_a_group_are_checked():
    def show(*, run: BatchOptions) -> None:
        pass

    assert _call(show, "--batch-size", "0").exit_code == 2


def test_two_options_of_one_name_are_refused_when_the_command_is_declared():
    def show(device: str, *, run: RunOptions) -> None:
        pass

    with pytest.raises(TypeError, match="show has two options of the name 'device'"):
        groups.spread(show)
