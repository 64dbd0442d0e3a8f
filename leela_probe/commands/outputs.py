"""Files of what was found out: a table of statistics or a figure, and the manifest of a table.

A file that is there already is left alone unless it is to be overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from leela_probe.files import disk, manifests
from leela_probe.files.manifests import DamagedError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "TABLES", "claim", "recorded", "write_figure"]

FIGURES = (".pdf", ".png", ".svg")
"""Endings of figures."""

TABLES = (".csv", ".parquet")
"""Endings of tables."""


def claim(
    path: str | Path,
    endings: Sequence[str],
    *,
    overwrite: bool = False,
    made_by: tuple[str, str] | None = None,
) -> Path:
    """The path, if a file may be written there; checked before the work is done.

    Args:
        path: where it shall be written.
        endings: those that it may have.
        overwrite: a file that is there may be replaced.
        made_by: a name and a file: what was made under that name from a file so called may be
            replaced in any case.

    Raises:
        ValueError: for another ending.
        FileNotFoundError: if the folder is not there.
        FileExistsError: if the file is there and is not to be overwritten.

    Example:
        >>> claim("heads.gif", FIGURES)
        Traceback (most recent call last):
        ValueError: heads.gif ends in '.gif': give .pdf, .png or .svg
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        known = f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise ValueError(f"{path.name} ends in {path.suffix!r}: give {known}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(path.parent)!r} is not there: make it first")
    if path.exists() and not overwrite and not _was_made_by(path, made_by):
        raise FileExistsError(
            f"{path} exists already: name another output, or say that it shall be overwritten"
        )
    return path


def _was_made_by(path: Path, made_by: tuple[str, str] | None) -> bool:
    beside = manifests.manifest_path(path)
    if made_by is None or not beside.is_file():
        return False
    try:
        manifest = manifests.read(beside)
    except DamagedError:
        return False
    name, file = made_by
    inputs = manifest.get("inputs", {}).values()
    return manifest.get("stage") == name and file in [facts.get("file") for facts in inputs]


def recorded(*groups: object, **others: object) -> dict[str, object]:
    """What groups of options hold, and other values, for a manifest: no files of this machine."""
    values = {name: value for group in groups for name, value in asdict(cast(Any, group)).items()}
    return {
        name: value
        for name, value in (values | others).items()
        if not isinstance(value, Path) and name != "overwrite"
    }


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a figure, whole or not at all."""
    from leela_probe.figures import drawing

    with disk.scratch_folder(path.parent, f".{path.name}.") as scratch:
        drawing.save(figure, scratch / path.name)
        content = (scratch / path.name).read_bytes()
    disk.write(path, lambda file: file.write(content))
