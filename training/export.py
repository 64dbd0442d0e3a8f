"""A checkpoint -> a Leela weights file that lc0 plays with, or the same network as ONNX.

    python -m training.export RUN/checkpoint.safetensors --size strong --out strong.pb.gz
    python -m training.export RUN/checkpoint.safetensors --size strong --out strong.onnx

The tensors are rounded to the file's 16 bits; the ONNX file is made from the weights file by lc0.
lc0 sees what `model.AttentionBody` computes; the tests compare the two.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import safetensors
import torch
import typer

from leela_probe.networks import conversion
from leela_probe.weights import weights_files
from leela_probe.weights.headers import Training
from training.model import SIZES, AttentionBody

__all__ = ["SUFFIXES", "load", "main", "write"]

SUFFIXES = (".pb.gz", ".pb", ".onnx")
"""Names of the files that a network can be written to."""


def load(checkpoint: Path, *, size: str) -> tuple[AttentionBody, int]:
    """The network of a checkpoint and the steps behind it."""
    body = AttentionBody(SIZES[size], seed=0)
    with safetensors.safe_open(checkpoint, framework="pt") as file, torch.no_grad():
        for name, value in body.weights.items():
            value.copy_(file.get_tensor(f"weights/{name}"))
        return body, int(file.metadata()["step"])


def write(out: Path, body: AttentionBody, *, steps: int) -> None:
    """A network as a Leela file or, where the name ends in ``.onnx``, as ONNX; replaces a file.

    Raises:
        FileNotFoundError: there is no lc0, which ONNX files need.
        ValueError: the name ends in nothing of `SUFFIXES`.
    """
    if not out.name.endswith(SUFFIXES):
        raise ValueError(f"{out.name!r} says no format: end the name in {', '.join(SUFFIXES)}")
    training = Training(training_steps=steps)
    if out.suffix != ".onnx":
        weights_files.write(
            out, body.architecture, body.tensors(), license="MIT", training=training
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "network.pb.gz")
        write(source, body, steps=steps)
        conversion.convert(source, out, overwrite=True)


def main(
    checkpoint: Path,
    size: Annotated[str, typer.Option(help=f"one of {', '.join(SIZES)}")],
    out: Annotated[Path, typer.Option(help=f"the file to write: {', '.join(SUFFIXES)}")],
) -> None:
    """Write a checkpoint as a network file."""
    if size not in SIZES:
        raise typer.BadParameter(f"no {size!r}: choose one of {', '.join(SIZES)}")
    if not out.name.endswith(SUFFIXES):
        raise typer.BadParameter(f"end the name in {', '.join(SUFFIXES)}", param_hint="'--out'")
    body, steps = load(checkpoint, size=size)
    write(out, body, steps=steps)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB after {steps} steps")


if __name__ == "__main__":
    typer.run(main)
