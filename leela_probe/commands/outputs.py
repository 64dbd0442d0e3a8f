"""Files of what was found out: a table of statistics or a figure, and the manifest of a table.

A file that is there already is left alone unless it is to be overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from leela_probe.files import disk, manifests

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "TABLES", "claim", "recorded", "write_figure", "write_table"]

FIGURES = (".pdf", ".png", ".svg")
"""Endings of figures."""

TABLES = (".csv", ".parquet")
"""Endings of tables."""


def claim(path: str | Path, endings: Sequence[str], *, overwrite: bool = False) -> Path:
    """The path, if a file may be written there; asked before the work is done.

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
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already: name another file, or ask to overwrite it")
    return path


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

    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        drawing.save(figure, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(
    table: pd.DataFrame,
    path: Path,
    *,
    name: str,
    inputs: Mapping[str, str | Path],
    options: Mapping[str, object],
) -> None:
    """Writes a table as CSV (seven digits) or Parquet, and its manifest beside it.

    Args:
        table: the rows.
        path: ends in .csv or .parquet.
        name: of what was done ("stats summary").
        inputs: the files that it was made of, by their part in it.
        options: whatever else it depends on, as JSON values.
    """

    def content(file: BufferedIOBase) -> None:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(file, index=False)
        else:
            text = table.to_csv(index=False, float_format="%.7g", lineterminator="\n")
            file.write(text.encode())

    disk.write(path, content, temporary=path.with_name(f".{path.name}.tmp"))
    manifest = {
        "stage": name,
        "inputs": {part: _facts(Path(file)) for part, file in inputs.items()},
        "options": dict(options),
        "versions": manifests.versions(),
        "output": _facts(path),
        "rows": len(table),
    }
    beside = manifests.manifest_path(path)
    text = json.dumps(manifest, indent=2) + "\n"
    disk.write(
        beside,
        lambda file: file.write(text.encode()),
        temporary=beside.with_name(f".{beside.name}.tmp"),
    )


def _facts(path: Path) -> dict[str, object]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": disk.sha256(path)}
