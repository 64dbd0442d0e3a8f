"""A checkpoint -> a Leela weights file that lc0 plays with, and the same network as ONNX.

    python -m training.export RUN/checkpoint.safetensors --size strong --out strong.pb.gz

The tensors are rounded to the file's 16 bits. lc0 sees what `model.AttentionBody` computes; the
tests compare the two.
"""

from pathlib import Path
from typing import Annotated

import safetensors
import torch
import typer

from leela_probe.weights import weights_files
from leela_probe.weights.headers import Training
from training.model import SIZES, AttentionBody

__all__ = ["load", "main"]


def load(checkpoint: Path, *, size: str) -> tuple[AttentionBody, int]:
    """The network of a checkpoint and the steps behind it."""
    body = AttentionBody(SIZES[size], seed=0)
    with safetensors.safe_open(checkpoint, framework="pt") as file, torch.no_grad():
        for name, value in body.weights.items():
            value.copy_(file.get_tensor(f"weights/{name}"))
        return body, int(file.metadata()["step"])


def main(
    checkpoint: Path,
    size: Annotated[str, typer.Option(help=f"one of {', '.join(SIZES)}")],
    out: Annotated[Path, typer.Option(help="where the .pb.gz goes")],
) -> None:
    """Write a checkpoint as a Leela weights file."""
    body, steps = load(checkpoint, size=size)
    weights_files.write(
        out,
        body.architecture,
        body.tensors(),
        license="MIT",
        training=Training(training_steps=steps),
    )
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB after {steps} steps")


if __name__ == "__main__":
    typer.run(main)
