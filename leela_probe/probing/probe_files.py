"""Trained probes as a safetensors file, with what they are in its metadata."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from leela_probe.files import disk
from leela_probe.probing.probes import Probe, Probes

__all__ = ["read", "write"]

_TENSORS = ("x_weights", "z_weights", "mean", "deviation", "epochs", "validation_loss")


def write(probes: Probes, path: str | Path) -> None:
    """Writes probes to a `.safetensors` file, whole or not at all."""
    path = Path(path)
    about = {
        "sites": list(probes.sites),
        "questions": list(probes.targets),
        "splits": list(probes.splits),
        "probes": [dataclasses.astuple(probe) for probe in probes.probes],
    }
    tensors = {name: getattr(probes, name).contiguous() for name in _TENSORS}
    content = save(tensors, metadata={"leela_probe.probes": json.dumps(about)})
    disk.write(path, lambda file: file.write(content))


def read(path: str | Path) -> Probes:
    """What `write` has written.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no probes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no probes at {path}: expected what leela-probe probe has written")
    with safe_open(str(path), framework="pt") as file:
        text = (file.metadata() or {}).get("leela_probe.probes")
        if text is None:
            raise ValueError(f"{path} holds no probes: expected what leela-probe probe has written")
        tensors = {name: file.get_tensor(name) for name in _TENSORS}
    about = json.loads(text)
    return Probes(
        sites=tuple(about["sites"]),
        targets=tuple(about["questions"]),
        splits=tuple(about["splits"]),
        probes=tuple(
            Probe(target=target, split=split, seed=seed) for target, split, seed in about["probes"]
        ),
        **tensors,
    )
