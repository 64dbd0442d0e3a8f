"""The command `leela-probe`: its root, its list of commands, and how it ends.

Ends with 0 when done, 1 when it refuses (one clear line, no traceback), 2 for a mistaken command
line, 130 when interrupted. Every command lives in `leela_probe/commands`, and every import that
takes time is made by the command that needs it.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import leela_probe
from leela_probe.commands import (
    attention,
    calibrate,
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
    verify,
)
from leela_probe.commands import eval as eval_
from leela_probe.commands import filter as filter_
from leela_probe.commands import random as random_

__all__ = ["COMMANDS", "app", "main"]

COMMANDS = (
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
    try:
        app(prog_name="leela-probe")
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except (ValueError, OSError, LookupError, ImportError, RuntimeError) as error:
        print(f"leela-probe: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"leela-probe {leela_probe.__version__}")
        raise typer.Exit


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
) -> None:
    pass
