"""The command `leela-probe random`: a network whose weights are random."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from leela_probe.commands import options, terminal
from leela_probe.commands.registration import Command

__all__ = ["COMMAND", "random"]


def random(
    preset: Annotated[
        str,
        typer.Argument(
            help="classical, se-convolution, attention, multihead, ...; a wrong name gets the "
            "list.",
            metavar="ARCHITECTURE",
        ),
    ],
    target: Annotated[Path, typer.Argument(help="The file to write.", metavar="OUT.pb.gz")],
    seed: Annotated[int, options.what("Seed for the weights.", min=0, metavar="N")] = 0,
    input_format: Annotated[
        int, options.what("Input format of the network: 1 to 5, 132 or 133.", metavar="N")
    ] = 1,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a Leela network with random weights, for trying things out."""
    from leela_probe.positions.planes import InputFormat
    from leela_probe.weights import architectures, random_networks

    options.choice(preset, architectures.PRESETS, "ARCHITECTURE")
    options.choice(str(input_format), map(int, InputFormat), "--input-format")
    if not target.name.endswith((".pb.gz", ".pb")):
        raise typer.BadParameter("expected a name that ends in .pb.gz", param_hint="'OUT.pb.gz'")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(target.parent)!r} is not there: make it first")
    with terminal.overwriting():
        if target.exists() and not overwrite:
            raise FileExistsError(
                f"{target} exists already: name another output, or say that it shall be overwritten"
            )
    architecture = dataclasses.replace(
        architectures.PRESETS[preset], input_format=InputFormat(input_format)
    )
    random_networks.write(target, architecture, seed=seed)
    print(f"wrote {target}")


COMMAND = Command(
    name="random",
    run=random,
    examples=("leela-probe random attention random.pb.gz --seed 1",),
)
