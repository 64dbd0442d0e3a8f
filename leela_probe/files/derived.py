"""Tables of results that are quick to make: written in one go, made anew each time.

Numbers are written with seven digits. What takes long to make is a `store.Stage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from leela_probe.files import bundled, disk, manifests

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write", "write_with_manifest"]


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, whole or not at all.

    Args:
        table: the rows.
        path: ends in .csv or .parquet.
    """
    _write(table, path, None)


def write_with_manifest(
    table: pd.DataFrame,
    path: Path,
    *,
    name: str,
    inputs: Mapping[str, str | Path],
    options: Mapping[str, object],
) -> None:
    """Write a table as CSV or Parquet, with its manifest beside it.

    The manifest comes first: a table that is there has one.

    Args:
        table: the rows.
        path: ends in .csv or .parquet.
        name: what was done ("stats summary").
        inputs: the files that it was made from, by their part in it.
        options: whatever else it depends on, as JSON values.
    """
    manifest = {
        "stage": name,
        "inputs": {
            part: manifests.file_facts(bundled.resolve(file)) for part, file in inputs.items()
        },
        "options": dict(options),
        "versions": manifests.versions(),
        "rows": len(table),
    }
    _write(table, path, manifest)


def _write(table: pd.DataFrame, path: Path, manifest: Mapping[str, object] | None) -> None:
    def content(file: BufferedIOBase) -> None:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(file, index=False, write_page_checksum=True)
        else:
            text = table.to_csv(index=False, float_format="%.7g", lineterminator="\n")
            file.write(text.encode())

    def announce(complete: Path) -> None:
        if manifest is not None:
            output = manifests.file_facts(complete) | {"file": path.name}
            manifests.write(manifests.manifest_path(path), {**manifest, "output": output})

    disk.write(path, content, before=announce)
