"""Tables as files: Parquet, and CSV that a person and every program can read.

A table means the same in both: `read` types it by its schema, whatever the file makes of it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from leela_probe.files import bundled, manifests

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "batches", "joined", "read", "read_arrow", "write_csv", "write_parquet"]

ROW_GROUP = 1 << 16
FORMER_NAMES = {"target_pattern": "pattern"}
"""What columns were called before 0.1.0."""


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
    with pyarrow.parquet.ParquetWriter(
        file, schema, compression="zstd", write_page_checksum=True
    ) as writer:
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
            if any("\r" in cell for column in columns for cell in column):
                # Python before 3.13 does not quote a lone carriage return
                for row in zip(*columns, strict=True):
                    text.write(",".join(map(_quoted, row)) + "\n")
            else:
                writer.writerows(zip(*columns, strict=True))
    finally:
        text.detach()


def _quoted(cell: str) -> str:
    escaped = cell.replace('"', '""')
    return f'"{escaped}"' if any(mark in cell for mark in ',"\r\n') else cell


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


# Reading


def read(
    path: str | Path,
    schema: pyarrow.Schema,
    *,
    columns: Sequence[str] | None = None,
    optional: Collection[str] = (),
    what: str = "a table of leela-probe",
) -> pd.DataFrame:
    """A table of ours from a Parquet or CSV file, the same from both.

    Columns have the types of the schema: an id is text even if it looks like a number, an empty
    field is a missing value (an empty text where the schema allows none to be missing), lists are
    JSON. A column that the schema does not know is text.

    Args:
        path: `.csv`, or Parquet.
        schema: the columns of such a table.
        columns: only these; by default all that the file has.
        optional: columns of the schema that the file may lack.
        what: the kind of table, for messages.

    Raises:
        FileNotFoundError: if there is no such file.
        DamagedError: if it is not what the manifest beside it says.
        ValueError: if it is not a table, lacks a column or holds values of another type.
    """
    return read_arrow(path, schema, columns=columns, optional=optional, what=what).to_pandas()


def read_arrow(
    path: str | Path,
    schema: pyarrow.Schema,
    *,
    columns: Sequence[str] | None = None,
    optional: Collection[str] = (),
    what: str = "a table of leela-probe",
) -> pyarrow.Table:
    """The same as an Arrow table; see `read`."""
    parts = list(batches(path, schema, columns=columns, optional=optional, what=what))
    table = pyarrow.concat_tables(parts)
    return _in_order_of_appearance(table.unify_dictionaries())


def batches(
    path: str | Path,
    schema: pyarrow.Schema,
    *,
    columns: Sequence[str] | None = None,
    optional: Collection[str] = (),
    what: str = "a table of leela-probe",
    rows: int = 1 << 18,
) -> Iterator[pyarrow.Table]:
    """The same in pieces of about so many rows, at least one; see `read`."""
    path = bundled.resolve(path)
    if not path.is_file():
        raise FileNotFoundError(f"no table at {path}: expected {what}")
    manifests.check(path)
    pieces = _csv_pieces if path.suffix.lower() == ".csv" else _parquet_pieces
    try:
        names, tables = pieces(path, rows)
        chosen = _chosen(names, schema, columns)
        missing = [name for name in columns or schema.names if name not in (*chosen, *optional)]
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(missing)}: expected {what}")
        for table in tables([*chosen.values()]):
            yield pyarrow.table(
                {name: _typed(table[there], schema, name) for name, there in chosen.items()}
            )
    except _WrongValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} cannot be read as {what}: {reason}") from error


class _WrongValueError(ValueError):
    """A value that is not of the type of its column."""


_Pieces = tuple[list[str], Callable[[list[str]], Iterator[pyarrow.Table]]]


def _csv_pieces(path: Path, rows: int) -> _Pieces:
    """The names of the columns, and what reads some of them as text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            names = next(csv.reader(file), [])
        except UnicodeDecodeError as error:
            raise _WrongValueError(f"it is not text in UTF-8 ({error.reason})") from None

    def read(columns: list[str]) -> Iterator[pyarrow.Table]:
        text = pyarrow.string()
        with pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=rows << 7),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns, text),
                null_values=[""],
                strings_can_be_null=True,
            ),
        ) as reader:
            yield reader.schema.empty_table()
            for batch in reader:
                yield pyarrow.Table.from_batches([batch])

    return names, read


def _parquet_pieces(path: Path, rows: int) -> _Pieces:
    def read(columns: list[str]) -> Iterator[pyarrow.Table]:
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            chosen = [file.schema_arrow.field(name) for name in columns]
            yield pyarrow.schema(chosen).empty_table()
            for batch in file.iter_batches(rows, columns=columns):
                yield pyarrow.Table.from_batches([batch])

    with pyarrow.parquet.ParquetFile(path) as file:
        return file.schema_arrow.names, read


def _chosen(
    names: Sequence[str], schema: pyarrow.Schema, columns: Sequence[str] | None
) -> dict[str, str]:
    """By our name, the name that each column to be read has in the file."""
    former = {
        old: new for new, old in FORMER_NAMES.items() if new in schema.names and new not in names
    }
    there = {former.get(name, name): name for name in names}
    return {name: there[name] for name in (there if columns is None else columns) if name in there}


def _typed(column: pyarrow.ChunkedArray, schema: pyarrow.Schema, name: str) -> pyarrow.ChunkedArray:
    if name not in schema.names:
        return _text(column, nullable=True)
    field = schema.field(name)
    kind = field.type
    if pyarrow.types.is_dictionary(kind):
        if column.type.equals(kind) and not any(_has_empty(chunk) for chunk in column.chunks):
            return column
        return _text(column, nullable=field.nullable).dictionary_encode().cast(kind)
    if pyarrow.types.is_string(kind):
        return _text(column, nullable=field.nullable)
    if column.type.equals(kind):
        return column
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        return _parsed(column, kind, name)
    if pyarrow.types.is_floating(column.type):  # whole numbers where some are missing, in pandas
        column = pyarrow.compute.if_else(pyarrow.compute.is_nan(column), None, column)
    try:
        return column.cast(kind)
    except pyarrow.ArrowException:
        raise _WrongValueError(f"column {name!r} holds {column.type} and not {kind}") from None


def _has_empty(chunk: pyarrow.DictionaryArray) -> bool:
    return bool(pyarrow.compute.any(pyarrow.compute.equal(chunk.dictionary, "")).as_py())


def _text(column: pyarrow.ChunkedArray, *, nullable: bool) -> pyarrow.ChunkedArray:
    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        column = column.cast(pyarrow.string())
    else:
        column = pyarrow.chunked_array(
            [pyarrow.array(_csv_column(column), pyarrow.string())], pyarrow.string()
        )
    if not nullable:
        return pyarrow.compute.fill_null(column, "")
    empty = pyarrow.compute.equal(column, "")
    if not pyarrow.compute.any(empty).as_py():
        return column
    return pyarrow.compute.if_else(empty, pyarrow.scalar(None, pyarrow.string()), column)


def _parsed(
    column: pyarrow.ChunkedArray, kind: pyarrow.DataType, name: str
) -> pyarrow.ChunkedArray:
    """The values that texts stand for."""
    column = column.cast(pyarrow.string())
    try:
        return _parse(column, kind)
    except (pyarrow.ArrowException, ValueError, TypeError):
        for value in pyarrow.compute.unique(column.drop_null()):
            try:
                _parse(pyarrow.chunked_array([[value.as_py()]], pyarrow.string()), kind)
            except (pyarrow.ArrowException, ValueError, TypeError):
                wrong = f"column {name!r} holds {value.as_py()!r}, which is not of type {kind}"
                raise _WrongValueError(wrong) from None
        raise


def _parse(column: pyarrow.ChunkedArray, kind: pyarrow.DataType) -> pyarrow.ChunkedArray:
    if pyarrow.types.is_list(kind):
        values = [None if text is None else json.loads(text) for text in column.to_pylist()]
        return pyarrow.chunked_array([pyarrow.array(values, kind)], kind)
    if pyarrow.types.is_integer(kind):
        try:
            return column.cast(kind)
        except pyarrow.ArrowInvalid:
            return column.cast(pyarrow.float64()).cast(kind)  # such as 3.0, as pandas writes it
    return column.cast(kind)


def _in_order_of_appearance(table: pyarrow.Table) -> pyarrow.Table:
    """Dictionaries in the order in which their values come, whatever file they come from."""
    for place, field in enumerate(table.schema):
        if not pyarrow.types.is_dictionary(field.type):
            continue
        column = table.column(place)
        indices = pyarrow.chunked_array(
            [chunk.indices for chunk in column.chunks], field.type.index_type
        )
        present = pyarrow.compute.unique(indices.drop_null()).to_pylist()
        size = max((len(chunk.dictionary) for chunk in column.chunks), default=0)
        if present != list(range(size)):
            column = column.cast(field.type.value_type).dictionary_encode().cast(field.type)
            table = table.set_column(place, field, column)
    return table
