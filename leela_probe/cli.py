"""The command `leela-probe`: its root, its list of commands, and how it ends.

Ends with 0 when done, 1 when it refuses (one clear line, no traceback), 2 for a mistaken command
line, 130 when interrupted, 143 when terminated. Every command lives in `leela_probe/commands`, and
every import that takes time is made by the command that needs it.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
import warnings
from itertools import takewhile
from typing import Annotated

import typer

import leela_probe
from leela_probe.commands import (
    attention,
    calibrate,
    chapter_commands,
    convert,
    corrupt,
    demo,
    golden,
    info,
    patch,
    plot,
    probe,
    registration,
    reproduce,
    stats,
    terminal,
    verify,
)
from leela_probe.commands import eval as eval_
from leela_probe.commands import filter as filter_
from leela_probe.commands import random as random_

__all__ = ["COMMANDS", "app", "main"]

COMMANDS: tuple[registration.Command | registration.Group, ...] = (
    demo.COMMAND,
    info.COMMAND,
    eval_.COMMAND,
    verify.COMMAND,
    convert.COMMAND,
    random_.COMMAND,
    filter_.COMMAND,
    corrupt.COMMAND,
    patch.GROUP,
    attention.COMMAND,
    probe.COMMAND,
    *chapter_commands.commands(),
    stats.GROUP,
    plot.GROUP,
    reproduce.COMMAND,
    calibrate.COMMAND,
    golden.COMMAND,
)
"""Every command, in the order in which a study uses them."""

app = registration.application(
    COMMANDS, help="Find out whether chess networks look ahead.", name="leela-probe"
)


def main() -> None:
    """Runs the command line and ends the program."""
    signal.signal(signal.SIGTERM, _terminate)
    warnings.showwarning = _warn
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show ends nothing
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="leela-probe")
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except Exception as error:
        if _debugging():
            traceback.print_exc()
        print(f"leela-probe: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)


def _warn(message: Warning | str, *place: object, **where: object) -> None:
    print(f"leela-probe: {' '.join(str(message).split())}", file=sys.stderr)


def _terminate(number: int, frame: object) -> None:
    raise terminal.Terminated


def _debugging() -> bool:
    """Whether --debug stands before the command."""
    return "--debug" in takewhile(lambda text: text.startswith("-"), sys.argv[1:])


# What the package raises on purpose, or an operating system; anything else is a fault of ours.
_MEANT = (ValueError, OSError, LookupError, ImportError, RuntimeError)


def _one_line(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = " ".join(text.split())
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return f"out of memory{f' ({text})' if text else ''}: try a smaller --batch-size"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"no file at {error.filename}"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, _MEANT):
        return text or type(error).__name__
    name = type(error).__name__
    return (
        f"{name}: {text or 'no reason given'} (this is a fault of leela-probe; "
        "leela-probe --debug COMMAND shows where)"
    )


def _show_version(wanted: bool) -> bool:
    if wanted:
        print(f"leela-probe {leela_probe.__version__}")
        raise typer.Exit
    return wanted


@app.callback(
    epilog=registration.epilog(
        (
            "leela-probe demo --out demo",
            'leela-probe eval bundled:strong --fen "8/8/8/4k3/8/3QK3/8/8 w - - 0 1"',
        )
    )
)
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
            metavar="",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where in the program an error arose.", metavar=""),
    ] = False,
) -> None:
    pass  # main() looks for --debug itself, as errors end the program there
