"""What every command does at the terminal: load a network, show progress, refuse a loss."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from leela_probe.commands import options

if TYPE_CHECKING:
    from rich.console import Console

    from leela_probe.files.store import Finished
    from leela_probe.networks.network import Network

__all__ = [
    "Terminated",
    "console",
    "interruptible",
    "load",
    "outcome",
    "overwriting",
    "resumable",
    "say_origin",
    "stage",
]


class Terminated(KeyboardInterrupt):
    """Somebody asked the program to end (SIGTERM); what is done is kept, as after Ctrl-C."""


def console(*, stderr: bool = False) -> Console:
    """The terminal, or whatever the output goes to."""
    from rich.console import Console

    return Console(highlight=False, stderr=stderr)


def load(
    path: Path,
    device: str = "cpu",
    dtype: str = "float32",
    input_format: int | None = None,
    policy_head: str | None = None,
    value_head: str | None = None,
    *,
    format_option: str = "--input-format",
) -> Network:
    """The network in a file; see `network.load`.

    Args:
        path: as for `network.load`, as are the others.
        device: where torch runs.
        dtype: the type it computes in.
        input_format: the input format, where the file does not say.
        policy_head: which policy head to take.
        value_head: which value head to take.
        format_option: what the option for the input format is called.

    Raises:
        typer.BadParameter: if dtype, device or input format is none of those there are.
    """
    options.choice(dtype, options.DTYPES, "--dtype")
    if not re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d+)?", device):
        raise typer.BadParameter(
            f"{device!r} is none of cpu, cuda, cuda:0, ...", param_hint="'--device'"
        )
    options.input_format(input_format, format_option)
    from leela_probe.networks import network

    return network.load(
        path,
        device=device,
        dtype=dtype,
        input_format=input_format,
        policy_head=policy_head,
        value_head=value_head,
    )


def say_origin(puzzles: Path, network: Network) -> None:
    """Says so where the puzzles were made for other networks than the one that is measured."""
    from leela_probe.puzzles import pairs

    remark = pairs.remark(puzzles, network)
    if remark is not None:
        console(stderr=True).print(f"leela-probe: {remark}", markup=False, soft_wrap=True)


@contextmanager
def stage(name: str) -> Iterator[Any]:
    """Progress of a stage that goes on where it was when it is started again."""
    from leela_probe.files import progress_display

    with (
        resumable(),
        overwriting(),
        progress_display.on_console(console(stderr=True), name) as shown,
    ):
        yield shown


@contextmanager
def resumable() -> Iterator[None]:
    """Says after an interruption that the same command goes on from there."""
    with interruptible("; the same command goes on from here"):
        yield


@contextmanager
def interruptible(then: str = "") -> Iterator[None]:
    """Ends the program with one line when it is interrupted or asked to end."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        terminated = isinstance(interruption, Terminated)
        word = "terminated" if terminated else "interrupted"
        print(f"leela-probe: {word}{then}", file=sys.stderr)
        raise typer.Exit(128 + (signal.SIGTERM if terminated else signal.SIGINT)) from None


@contextmanager
def overwriting() -> Iterator[None]:
    """Names the option, where something may be overwritten."""
    from leela_probe.files.store import PlanChangedError

    try:
        yield
    except (FileExistsError, PlanChangedError) as error:
        raise ValueError(f"{str(error).rstrip('.')} (--overwrite)") from None


def outcome(finished: Finished) -> str:
    """The last line of a command that runs a stage."""
    if finished.reused:
        return f"{finished.path} was finished already, with the same settings"
    return f"wrote {finished.path} and {finished.manifest_path.name}"
