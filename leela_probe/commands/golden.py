"""The subcommand `leela-probe golden`: the published values of the paper's networks, one by one.

Stands on `terminal` and `options`, and on `reproduction.golden`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leela_probe.commands import options, terminal

if TYPE_CHECKING:
    from leela_probe.reproduction.golden import Check

__all__ = ["EXAMPLE", "golden"]

EXAMPLE = "Example:\n\nleela-probe golden --strong lc0.onnx --weak LD2.onnx"

_Strong = Annotated[
    Path | None, typer.Option(help="lc0.onnx of the paper.", metavar="NET", callback=options.file)
]
_Weak = Annotated[
    Path | None, typer.Option(help="LD2.onnx of the paper.", metavar="NET", callback=options.file)
]


def golden(
    strong: _Strong = None,
    weak: _Weak = None,
    device: options.Device = "cpu",
    every: Annotated[bool, typer.Option("--all", help="List every value that passes too.")] = False,
) -> None:
    """Check the published values of the paper's own networks: pass or fail.

    Without the networks it checks what needs none: candidate positions, square
    mapping, patterns. Ends with 1 if anything fails.
    """
    from leela_probe.reproduction import golden as values

    console = terminal.console()
    loaded = [None if path is None else terminal.load(path, device) for path in (strong, weak)]
    checks = list(_told(values.without_networks(), every))
    checks += _told(values.of_networks(*loaded), every)
    states = [check.state for check in checks]
    console.print(
        f"{states.count(values.PASS)} of {len(checks)} checks pass, {states.count(values.FAIL)} "
        f"fail, {states.count(values.NOT_CHECKED)} could not be made.",
        soft_wrap=True,
    )
    if values.NOT_CHECKED in states:
        console.print(values.WHERE, soft_wrap=True)
    if values.FAIL in states:
        raise typer.Exit(1)


def _told(checks: Iterable[Check], every: bool) -> Iterator[Check]:
    """Prints a line for each check that did not pass, and one a group for those that did."""
    passed: dict[str, int] = {}
    for check in checks:
        if check.state == "pass" and not every:
            passed[check.group] = passed.get(check.group, 0) + 1
        else:
            off = "" if check.worst is None else f" (off by {check.worst:.2g})"
            print(f"{check.state}: {check.group}, {check.name}: {check.text}{off}")
        yield check
    for group, count in passed.items():
        print(f"pass: {group}: {count} of them")
