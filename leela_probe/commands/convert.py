"""The command `leela-probe convert`: a Leela network as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leela_probe.commands import options, terminal
from leela_probe.commands.registration import Command

__all__ = ["COMMAND", "convert"]


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="A .pb.gz or .pb file, or bundled:strong.",
            metavar="IN.pb.gz",
            callback=options.network_file,
        ),
    ],
    target: Annotated[Path, typer.Argument(help="The file to write.", metavar="OUT.onnx")],
    policy_head: Annotated[
        str, options.what("Take this policy head where there are several.", metavar="NAME")
    ] = "vanilla",
    value_head: Annotated[
        str, options.what("Take this value head where there are several.", metavar="NAME")
    ] = "winner",
    overwrite: options.Overwrite = False,
) -> None:
    """Convert a Leela network to ONNX with lc0, its input format noted in the file."""
    from leela_probe.networks import conversion, onnx_files

    if not onnx_files.is_named_so(target):
        raise typer.BadParameter("expected a name that ends in .onnx", param_hint="'OUT.onnx'")
    with terminal.overwriting():
        conversion.convert(
            source, target, policy_head=policy_head, value_head=value_head, overwrite=overwrite
        )
    print(f"wrote {target}")


COMMAND = Command(
    name="convert", run=convert, examples=("leela-probe convert bundled:strong strong.onnx",)
)
