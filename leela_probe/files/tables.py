"""Tables as files: Parquet, and CSV that a person and every program can read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

import numpy as np
import pyarrow
import pyarrow.parquet

__all__ = ["FORMATS", "joined", "write_csv", "write_parquet"]

ROW_GROUP = 1 << 16


def joined(parts: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """Tables one after the other, in pieces of about a row group."""
    held: list[pyarrow.Table] = []
    for table in parts:
        held.append(table.replace_schema_metadata(None))
        if sum(table.num_rows for table in held) >= ROW_GROUP:
            yield pyarrow.concat_tables(held)
            held = []
    if held:
        yield pyarrow.concat_tables(held)


def write_parquet(
    file: io.BufferedIOBase, schema: pyarrow.Schema, tables: Iterable[pyarrow.Table]
) -> None:
    """Write a Parquet file, a row group for each table.

    Args:
        file: open for writing.
        schema: the columns.
        tables: the rows.
    """
    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def write_csv(
    file: io.BufferedIOBase, schema: pyarrow.Schema, tables: Iterable[pyarrow.Table]
) -> None:
    """Write a CSV file in UTF-8 with a header.

    Missing values are empty, lists are JSON, and numbers as short as they read back the same.

    Args:
        file: open for writing.
        schema: the columns; floating-point ones are float32.
        tables: the rows.

    Example:
        >>> table = pyarrow.table({"p": pyarrow.array([0.1], pyarrow.float32()), "q": [[1, None]]})
        >>> file = io.BytesIO()
        >>> write_csv(file, table.schema, [table])
        >>> file.getvalue().decode().splitlines()
        ['p,q', '0.1,"[1,null]"']
    """
    text = io.TextIOWrapper(cast(BinaryIO, file), encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(schema.names)
        for table in tables:
            columns = [_csv_column(table.column(name)) for name in schema.names]
            writer.writerows(zip(*columns, strict=True))
    finally:
        text.detach()


def _csv_column(column: pyarrow.ChunkedArray) -> list[str]:
    kind = column.type
    if pyarrow.types.is_floating(kind):
        return ["" if value is None else _number(value) for value in column.to_pylist()]
    if pyarrow.types.is_list(kind):
        return ["" if value is None else _csv_list(value) for value in column.to_pylist()]
    if pyarrow.types.is_boolean(kind):
        return ["" if value is None else str(value).lower() for value in column.to_pylist()]
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _csv_list(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return f"[{','.join(map(_csv_list, value))}]"
    return json.dumps(value)


def _number(value: float) -> str:
    return str(np.float32(value))


FORMATS = {".parquet": write_parquet, ".csv": write_csv}
"""How a table is written, by the ending of the file's name."""
