"""Manifests: what a file was made from, and the checksums of what was made.

`OUT.manifest.json` lies beside the file `OUT`. It holds the SHA-256 of every input and of the
output, and a checksum of itself.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from leela_probe.files import disk

__all__ = [
    "DamagedError",
    "check",
    "differences",
    "file_facts",
    "manifest_path",
    "read",
    "versions",
    "write",
]

_CHECKSUM = "checksum"


class DamagedError(ValueError):
    """A file whose content is not what was written."""


def manifest_path(path: str | Path) -> Path:
    """Where the manifest of an output lies; for a link, beside the file that it points to.

    Example:
        >>> manifest_path("kept.parquet").name
        'kept.parquet.manifest.json'
    """
    path = disk.behind_link(path)
    return path.with_name(path.name + ".manifest.json")


def versions() -> dict[str, str | None]:
    """The versions of everything that an output may depend on; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("leela-probe", "chess", "numpy", "onnxruntime", "pyarrow", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def file_facts(path: Path) -> dict[str, object]:
    """What a manifest says of a file: its name, size and SHA-256."""
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": disk.sha256(path)}


def differences(earlier: object, now: object, name: str = "") -> Iterator[str]:
    """In words, where two JSON values differ.

    Example:
        >>> list(differences({"options": {"seed": 1}}, {"options": {"seed": 2}}))
        ['options.seed was 1 and is 2 now']
    """
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in earlier | now:
            yield from differences(earlier.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif earlier != now:
        yield f"{name} was {json.dumps(earlier)} and is {json.dumps(now)} now"


def write(path: Path, content: Mapping[str, object], *, temporary: Path | None = None) -> None:
    """Write a manifest, whole or not at all, with a checksum of itself.

    Args:
        path: where it goes.
        content: JSON values.
        temporary: where it grows; by default beside `path`.
    """
    content = {name: value for name, value in content.items() if name != _CHECKSUM}
    sealed = content | {_CHECKSUM: _checksum(content)}
    text = json.dumps(sealed, indent=2, ensure_ascii=False) + "\n"
    disk.write(path, lambda file: file.write(text.encode()), temporary=temporary)


def read(path: Path, *, sealed: bool = False) -> dict[str, Any]:
    """What `write` has written.

    Args:
        path: the manifest.
        sealed: refuse one without a checksum of itself, as earlier versions wrote them.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: it is not what was written, or not a manifest at all.
    """
    try:
        content = json.loads(path.read_bytes().decode())
    except (ValueError, RecursionError):
        raise DamagedError(f"{str(path)!r} is damaged: it does not hold JSON") from None
    if not isinstance(content, dict):
        raise DamagedError(f"{str(path)!r} is damaged: it does not hold a JSON object")
    checksum = content.pop(_CHECKSUM, None)
    if checksum is None and not sealed:
        return content
    if checksum != _checksum(content):
        raise DamagedError(f"{str(path)!r} is damaged: its content does not fit its checksum")
    return content


def check(path: Path, digest: str | None = None) -> dict[str, Any] | None:
    """The manifest of a file, whose content is compared with it; None if it has no manifest.

    Args:
        path: the file.
        digest: its SHA-256 where that is known.

    Raises:
        DamagedError: the file or its manifest is damaged.
    """
    beside = manifest_path(path)
    if not beside.is_file():
        return None
    manifest = read(beside)
    output = manifest.get("output")
    if output is None and "stage" not in manifest:  # somebody else's file of that name
        return None
    if not isinstance(output, dict) or "sha256" not in output:
        raise DamagedError(f"{str(beside)!r} is damaged: it does not say what the output was")
    expected, actual = output["sha256"], digest or disk.sha256(path)
    if actual != expected:
        raise DamagedError(
            f"{str(path)!r} is damaged: its SHA-256 is {actual}, and {beside.name} says "
            f"{expected}; make it anew, or delete the manifest if it was changed on purpose"
        )
    return manifest


def _checksum(content: Mapping[str, Any]) -> str:
    """Leaves out the name of the output: it may be renamed together with its manifest."""
    output = content.get("output")
    if isinstance(output, dict):
        content = {**content, "output": {key: output[key] for key in output if key != "file"}}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
