"""Tables: what is written reads back the same in pandas and pyarrow."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leela_probe.files import tables

SCHEMA = pyarrow.schema(
    [
        ("name", pyarrow.string()),
        ("p", pyarrow.float32()),
        ("flag", pyarrow.bool_()),
        ("count", pyarrow.int64()),
        ("list", pyarrow.list_(pyarrow.float32())),
        ("lists", pyarrow.list_(pyarrow.list_(pyarrow.float32()))),
    ]
)
ROWS = [
    {"name": 'with "quotes", and comma', "p": 0.1, "flag": True, "count": 3, "list": [0.1, None]},
    {"name": "", "p": None, "flag": None, "count": None, "list": None, "lists": [[0.25], None]},
    {"name": None, "p": 1e-30, "flag": False, "count": -(2**40), "list": [], "lists": []},
]


def written_csv(table):
    file = io.BytesIO()
    tables.write_csv(file, table.schema, [table])
    return file.getvalue().decode()


def test_csv_reads_back_in_pandas():
    frame = pd.read_csv(io.StringIO(written_csv(pyarrow.Table.from_pylist(ROWS, schema=SCHEMA))))
    assert list(frame.columns) == SCHEMA.names
    assert frame["name"][0] == ROWS[0]["name"]
    assert np.float32(frame["p"][0]) == np.float32(0.1)
    assert np.isnan(frame["p"][1])
    assert frame["flag"][0] is True
    assert frame["count"][2] == -(2**40)
    assert json.loads(frame["list"][0])[1] is None
    assert json.loads(frame["lists"][1]) == [[0.25], None]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_numbers_in_csv_are_short_and_read_back_the_same(values):
    text = written_csv(pyarrow.table({"p": pyarrow.array(values, pyarrow.float32())}))
    cells = [row[0] for row in csv.reader(io.StringIO(text))][1:]
    assert [np.float32(cell) for cell in cells] == [np.float32(value) for value in values]
    assert all(len(cell) <= 16 for cell in cells)


def test_parts_are_joined_in_order_into_row_groups(monkeypatch):
    monkeypatch.setattr(tables, "ROW_GROUP", 5)
    parts = []
    for index in range(4):
        table = pyarrow.table({"number": [3 * index, 3 * index + 1, 3 * index + 2]})
        parts.append(table.replace_schema_metadata({"a": "b"}))
    pieces = list(tables.joined(parts))
    assert [piece["number"].to_pylist() for piece in pieces] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
    ]
    assert pieces[0].schema.metadata is None


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_without_rows_has_its_columns(tmp_path, ending):
    path = tmp_path / f"empty{ending}"
    with path.open("wb") as file:
        tables.FORMATS[ending](file, SCHEMA, [])
    frame = pd.read_csv(path) if ending == ".csv" else pd.read_parquet(path)
    assert list(frame.columns) == SCHEMA.names
    assert len(frame) == 0
