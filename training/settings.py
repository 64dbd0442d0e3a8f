"""What a training run depends on, kept in its folder so that it is resumed with the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from leela_probe.files import disk
from training import manifests

__all__ = ["MANIFEST", "Settings", "claim"]

MANIFEST = "run.json"
_PLACES = ("data", "held_out", "out", "start")
_FREE = ("device", "processes", "compiled", "every")  # may change from call to call of one run


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a run depends on; the options of `train.main`.

    Args:
        start: a checkpoint whose weights and optimisers the run begins with; by default fresh ones.
    """

    data: Path
    held_out: Path
    out: Path
    size: str
    teacher: str
    steps: int
    batch: int
    decay: float
    muon: float
    adam: float
    told: float
    seed: int
    device: str
    processes: int
    bfloat16: bool
    compiled: bool
    every: int
    start: Path | None = None


def claim(settings: Settings) -> None:
    """Write the settings into the run's folder, or make sure that they are those of the run there.

    Where the run computes and how often it saves may differ; its data are known by their manifest,
    wherever they lie.

    Raises:
        FileExistsError: the folder holds a run with other settings or data; the message names what
            differs.
    """
    asked = asdict(settings)
    made_from = {name: asked[name] for name in asked if name not in (*_PLACES, *_FREE)}
    for folder in ("data", "held_out"):
        made_from[folder] = manifests.fingerprint(asked[folder])
    made_from["start"] = None if settings.start is None else disk.sha256(settings.start)
    settings.out.mkdir(parents=True, exist_ok=True)
    manifests.claim(
        settings.out / MANIFEST,
        made_from,
        content="a run",
        pattern="checkpoint.safetensors",
        noted={name: asked[name] for name in _FREE},
    )
