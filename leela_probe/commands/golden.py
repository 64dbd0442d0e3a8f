"""The command `leela-probe golden`: the published values of the paper's networks, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leela_probe.commands import options, terminal
from leela_probe.commands.registration import Command

if TYPE_CHECKING:
    from leela_probe.golden.golden_checks import Check

__all__ = ["COMMAND", "golden"]


def golden(
    strong: Annotated[
        Path | None,
        typer.Option(help="lc0.onnx of the paper.", metavar="NET", callback=options.file),
    ] = None,
    weak: Annotated[
        Path | None,
        typer.Option(help="LD2.onnx of the paper.", metavar="NET", callback=options.file),
    ] = None,
    device: Annotated[
        str, options.run("Run torch on cpu, cuda or cuda:1.", metavar="NAME")
    ] = "cpu",
    every: Annotated[bool, options.flag("--all", "List every value that passes too.")] = False,
) -> None:
    """Check the published values of the paper's own networks: pass or fail.

    Without the networks it checks what needs none: candidate positions, square
    mapping, patterns. Ends with 1 if anything fails.
    """
    from leela_probe.golden import golden as values
    from leela_probe.golden.golden_checks import FAIL, NOT_CHECKED, PASS

    console = terminal.console()
    loaded = [None if path is None else terminal.load(path, device) for path in (strong, weak)]
    checks = [*_told(values.without_networks(), every), *_told(values.of_networks(*loaded), every)]
    made = [check for check in checks if check.state != NOT_CHECKED]
    left = sum(check.count for check in checks if check.state == NOT_CHECKED)
    states = [check.state for check in made]
    _table(checks)
    console.print(
        f"{states.count(PASS)} of {len(made)} checks pass, {states.count(FAIL)} fail"
        + (f"; {left} more could not be made." if left else "."),
        soft_wrap=True,
    )
    if strong is None or weak is None:
        console.print(values.WHERE, soft_wrap=True)
    if FAIL in states:
        raise typer.Exit(1)


COMMAND = Command(
    name="golden",
    run=golden,
    examples=("leela-probe golden",),
)


def _told(checks: Iterable[Check], every: bool) -> Iterator[Check]:
    """Prints a line for each check that failed; with `every` for those that passed too."""
    for check in checks:
        if check.state == "fail" or (check.state == "pass" and every):
            off = "" if check.worst is None else f" (off by {check.worst:.2g})"
            print(f"{check.state}: {check.group}, {check.name}: {check.text}{off}")
        yield check


def _table(checks: Sequence[Check]) -> None:
    """Prints a line a group: how many were checked and passed, or why they were not."""
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.group, []).append(check)
    for group, some in groups.items():
        made = [check for check in some if check.state != "not checked"]
        passed = sum(check.state == "pass" for check in made)
        said = [f"{passed} of {len(made)} pass"] if made else []
        for check in some:
            if check.state == "not checked":
                said.append(f"{check.count} not checked ({check.text})")
        print(f"{group}: {'; '.join(said)}")
