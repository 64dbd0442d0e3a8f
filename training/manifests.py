"""What a folder was made from, written beside it in JSON, so that nothing else is added to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leela_probe.files import disk

__all__ = ["claim", "fingerprint"]


def claim(
    path: Path,
    made_from: Mapping[str, object],
    *,
    content: str,
    pattern: str,
    noted: Mapping[str, object] | None = None,
) -> None:
    """Write what a folder is made from, or make sure that it is made from that already.

    Args:
        path: the manifest.
        made_from: what must not change; values as JSON knows them.
        content: what the folder holds, for messages: "blocks", "a checkpoint".
        pattern: of its files, which must not be there without a manifest.
        noted: what is written down, too, and may change.

    Raises:
        FileExistsError: the folder's content is made from something else, or nobody knows what.
    """
    folder = path.parent
    if not path.exists():
        if any(folder.glob(pattern)):
            raise FileExistsError(
                f"'{folder}' holds {content} without a {path.name}: use another folder"
            )
        text = json.dumps({**made_from, **(noted or {})}, indent=2) + "\n"
        temporary = path.with_name(f".{path.name}.tmp")
        disk.write(path, lambda file: file.write(text.encode()), temporary=temporary)
        return
    there = json.loads(path.read_text())
    different = sorted(key for key in made_from if there.get(key) != made_from[key])
    if different:
        told = ", ".join(f"{key} {there.get(key)!r} not {made_from[key]!r}" for key in different)
        raise FileExistsError(f"'{folder}' holds {content} with {told}: use another folder")


def fingerprint(folder: Path) -> str:
    """SHA-256 of what a folder of blocks holds: its manifest, and how long each block is.

    The manifest names the generator, its source and its seed, which make the same bytes everywhere.
    """
    digest = hashlib.sha256()
    manifest = folder / "manifest.json"
    if manifest.exists():
        digest.update(manifest.read_bytes())
    for path in sorted(folder.glob("block-*.npy")):
        rows = len(np.load(path, mmap_mode="r", allow_pickle=False))
        digest.update(f"{path.name} {rows}\n".encode())
    return digest.hexdigest()
