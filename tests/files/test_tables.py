"""Tables: what is written reads back the same in pandas and pyarrow."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
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


# Reading

TEXTS = (
    st.none()
    | st.sampled_from(["00001", "1", "1.0", "NA", "nan", "true", "é", 'a "b", c'])
    | (st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
)
NAMES = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
KINDS = {
    "id": (pyarrow.string(), TEXTS),
    "name": (NAMES, TEXTS),
    "always": (NAMES, TEXTS.map(lambda text: text or "")),
    "place": (pyarrow.int16(), st.none() | st.integers(-(2**15), 2**15 - 1)),
    "line": (pyarrow.int64(), st.none() | st.integers(-(2**62), 2**62)),
    "p": (pyarrow.float32(), st.none() | st.floats(width=32)),
    "flag": (pyarrow.bool_(), st.none() | st.booleans()),
    "list": (
        pyarrow.list_(pyarrow.float32()),
        st.none()
        | st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)),
    ),
    "words": (pyarrow.list_(pyarrow.string()), st.none() | st.lists(st.none() | st.text())),
}
OURS = pyarrow.schema(
    [pyarrow.field(name, kind, nullable=name != "always") for name, (kind, _) in KINDS.items()]
)


# too_slow: the first text of a run takes the time in which all characters are listed
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.fixed_dictionaries({name: each for name, (_, each) in KINDS.items()}), max_size=8)
)
def test_a_table_means_the_same_as_csv_and_as_parquet(tmp_path_factory, rows):
    table = pyarrow.Table.from_pylist(rows, schema=OURS)
    folder = tmp_path_factory.mktemp("both")
    frames = []
    for ending, write in tables.FORMATS.items():
        with (folder / f"table{ending}").open("wb") as file:
            write(file, OURS, [table])
        read = tables.read_arrow(folder / f"table{ending}", OURS)
        assert read.schema.types == OURS.types
        assert read["id"].to_pylist() == [row["id"] for row in rows]
        frames.append(read.to_pandas())
    pd.testing.assert_frame_equal(*frames)


def write(folder, text, name="table.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_what_pandas_makes_of_a_table_is_read_too(tmp_path):
    frame = pd.DataFrame({"id": ["00001", None], "place": [3.0, np.nan], "flag": [True, None]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    schema = pyarrow.schema([OURS.field(name) for name in frame.columns])
    for name in ("a.csv", "a.parquet"):
        table = tables.read_arrow(tmp_path / name, schema)
        assert table.schema.types == schema.types
        assert table.to_pylist() == [
            {"id": "00001", "place": 3, "flag": True},
            {"id": None, "place": None, "flag": None},
        ]


def test_a_column_that_is_not_known_is_text_and_one_that_was_renamed_is_found(tmp_path):
    schema = pyarrow.schema({"target_pattern": NAMES})
    frame = pd.DataFrame({"pattern": ["112", "121"], "elo": [1500, 1600]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    for name in ("a.csv", "a.parquet"):
        read = tables.read(tmp_path / name, schema)
        assert read["elo"].tolist() == ["1500", "1600"]
        assert read["target_pattern"].tolist() == ["112", "121"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,place\na,x\n",
            r"table\.csv cannot be read: column 'place' holds 'x', which is not of",
        ),
        ("id,place\na,3.5\n", "column 'place' holds '3.5', which is not of type int16"),
        ("id,place\na,40000\n", "column 'place' holds '40000'"),
        ("id,place\na,3,4\n", "cannot be read as a test: .*Expected 2 columns, got 3"),
        ("id\na\n", r"table\.csv lacks the columns place: expected a test"),
        ("", r"table\.csv lacks the columns id, place: expected a test"),
    ],
)
def test_a_file_that_is_not_such_a_table_is_refused_by_name(tmp_path, text, message):
    schema = pyarrow.schema([OURS.field("id"), OURS.field("place")])
    with pytest.raises(ValueError, match=message):
        tables.read(write(tmp_path, text), schema, what="a test")


def test_bytes_that_are_not_a_table_are_refused_by_name(tmp_path):
    for name, content in (("a.csv", b"id\n\xff\n"), ("a.parquet", b"PAR1"), ("b.csv", b"\xff\xfe")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be read"):
            tables.read(tmp_path / name, pyarrow.schema([OURS.field("id")]))
    with pytest.raises(FileNotFoundError, match=r"no table at .*c\.csv: expected a table of leela"):
        tables.read(tmp_path / "c.csv", OURS)


def test_a_flipped_bit_of_a_page_is_found_without_a_manifest(tmp_path):
    path = tmp_path / "a.parquet"
    values = np.random.default_rng(0).random(5000, dtype=np.float32)
    with path.open("wb") as file:
        tables.write_parquet(
            file, pyarrow.schema({"p": pyarrow.float32()}), [pyarrow.table({"p": values})]
        )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as .*CRC"):
        tables.read(path, pyarrow.schema({"p": pyarrow.float32()}))
