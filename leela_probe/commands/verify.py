"""The command `leela-probe verify`: a network's answers held against lc0 and onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from leela_probe.commands import options, terminal
from leela_probe.commands.groups import DeviceOptions, HeadOptions
from leela_probe.commands.registration import Command

if TYPE_CHECKING:
    from leela_probe.networks.verification import Comparison

__all__ = ["COMMAND", "shown", "verify"]


def verify(net: options.Net, *, heads: HeadOptions, run: DeviceOptions) -> None:
    """Compare planes, policy and value with lc0 and with onnxruntime.

    Ends with 1 if anything differs by more than rounding explains.
    """
    from leela_probe.networks import lc0_answers, onnx_files, verification

    network = heads.load(net, run)
    comparisons = [verification.between_engines(network)]
    console = terminal.console()
    if onnx_files.is_named_so(net):
        console.print("lc0 takes .pb.gz files: an .onnx file is compared with onnxruntime only.")
    elif not lc0_answers.is_installed():
        console.print("Without lc0's Python module: pip install 'leela-probe\\[lc0]' adds it.")
    else:
        tolerance = comparisons[0].tolerance
        comparisons.append(verification.against_lc0(network, tolerance=tolerance))
    console.print(shown(comparisons))
    if not all(comparison.agrees for comparison in comparisons):
        raise typer.Exit(1)


COMMAND = Command(name="verify", run=verify, examples=("leela-probe verify bundled:strong",))


def shown(comparisons: Sequence[Comparison]) -> Group:
    """Comparisons of a network's answers, a row each, and below what there is to know of them."""
    table = Table(box=None, pad_edge=False)
    table.add_column("compared", overflow="fold")
    for column in ("positions", "planes", "policy", "value", "at most", ""):
        table.add_column(column, justify="right")
    for comparison in comparisons:
        planes = comparison.planes
        table.add_row(
            comparison.what,
            str(comparison.positions),
            "-" if planes is None else (f"{planes} differ" if planes else "equal"),
            f"{comparison.probability:.1e}",
            f"{comparison.value:.1e}",
            f"{comparison.tolerance:.0e}",
            "ok" if comparison.agrees else "DIFFERS",
        )
    turned = max((comparison.turned for comparison in comparisons), default=0)
    if not turned:
        return Group(table)
    note = (
        f"The input format turns {turned} of the positions compared with lc0. There lc0's\n"
        "engine turns the policy slots with the board, and its policy is taken; lc0's\n"
        "Python module by itself reads the slots of the unturned board: another policy."
    )
    return Group(table, Text(f"\n{note}"))
