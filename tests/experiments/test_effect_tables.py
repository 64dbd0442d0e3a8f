"""Effects tables come back from disk as they were written."""

import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest

from leela_probe.experiments import effect_tables
from leela_probe.experiments.effect_tables import SCHEMA

ROWS = [
    {"puzzle_id": "007", "target_pattern": "112", "mate": True, "rank": 1, "verdict": "measured",
     "layer": 3, "square": 0, "category": "ply1_target+ply2_target", "clean": 1.5, "effect": 0.25},
    {"puzzle_id": "008", "target_pattern": "111", "rank": 1, "verdict": "only_legal_move"},
]  # fmt: skip


def plain_type(kind):
    return pyarrow.string() if pyarrow.types.is_dictionary(kind) else kind


def table():
    columns = {name: [row.get(name) for row in ROWS] for name in SCHEMA.names}
    return pyarrow.table(columns, schema=SCHEMA)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_is_read_back_as_it_was_written(ending, tmp_path):
    path = tmp_path / f"e.{ending}"
    if ending == "csv":
        plain = pyarrow.schema([(f.name, plain_type(f.type)) for f in SCHEMA])
        pyarrow.csv.write_csv(table().cast(plain), path)
    else:
        pyarrow.parquet.write_table(table(), path)
    found = effect_tables.read(path)
    assert found["puzzle_id"].tolist() == ["007", "008"]
    assert found["target_pattern"].tolist() == ["112", "111"]
    assert found["square"].iloc[0] == 0
    assert found["square"].isna().iloc[1]
    assert found["effect"].iloc[0] == 0.25
    assert found["mate"].tolist() == [True, None]
    assert found["category"].iloc[0] == "ply1_target+ply2_target"
    assert isinstance(found["layer"].dtype, pd.Int16Dtype)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_older_name_of_target_patterns_is_read(ending, tmp_path):
    path = tmp_path / f"e.{ending}"
    plain = pyarrow.schema([(f.name, plain_type(f.type)) for f in SCHEMA])
    names = ["pattern" if name == "target_pattern" else name for name in SCHEMA.names]
    older = table().cast(plain).rename_columns(names)
    (pyarrow.csv.write_csv if ending == "csv" else pyarrow.parquet.write_table)(older, path)
    assert effect_tables.read(path)["target_pattern"].tolist() == ["112", "111"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_pair_counts_once_whatever_the_number_of_its_runs(ending, tmp_path):
    columns = {name: [row.get(name) for row in ROWS for _ in range(3)] for name in SCHEMA.names}
    columns["rank"] = [1, 1, 2, 1, 1, 1]
    found = pyarrow.table(columns, schema=SCHEMA)
    path = tmp_path / f"e.{ending}"
    if ending == "csv":
        plain = pyarrow.schema([(f.name, plain_type(f.type)) for f in SCHEMA])
        pyarrow.csv.write_csv(found.cast(plain), path)
    else:
        pyarrow.parquet.write_table(found, path)
    counts = effect_tables.pairs_by_verdict(path)
    assert [*counts] == [*effect_tables.VERDICTS]
    assert {verdict: count for verdict, count in counts.items() if count} == {
        "measured": 2,
        "only_legal_move": 1,
    }


def test_only_changed_runs_are_measured():
    frame = table().to_pandas()
    assert effect_tables.measured(frame)["puzzle_id"].tolist() == ["007"]


def test_a_table_of_something_else_is_refused(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"lacks the columns puzzle_id, .*leela-probe patch"):
        effect_tables.read(tmp_path / "a.parquet")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("no table")
    with pytest.raises(ValueError, match="cannot be read as an effects table"):
        effect_tables.read(tmp_path / "a.parquet")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no table at .*gone\.parquet"):
        effect_tables.read(tmp_path / "gone.parquet")


def test_a_table_shows_what_it_is_of_and_the_columns_that_vary():
    rows = [
        {"puzzle_id": puzzle, "rank": 1, "verdict": "measured", "sweep": "heads",
         "measure": "log_odds", "direction": "noising", "layer": 0, "head": head, "effect": head}
        for puzzle in ("a", "b") for head in range(8)
    ] + [{"puzzle_id": "c", "rank": 1, "verdict": "no_partner", "sweep": "heads",
          "measure": "log_odds", "direction": "noising"}]  # fmt: skip
    columns = {name: [row.get(name) for row in rows] for name in SCHEMA.names}
    shown = repr(effect_tables.to_pandas(pyarrow.table(columns, schema=SCHEMA))).splitlines()
    assert shown[0] == (
        "<EffectTable of 17 rows: heads; log_odds; noising; pairs: 2 measured, 1 no_partner>"
    )
    assert shown[1].split() == ["puzzle_id", "verdict", "layer", "head", "effect"]
    assert len(shown) < 12


def test_a_table_of_nothing_can_be_shown():
    assert repr(effect_tables.to_pandas(SCHEMA.empty_table())).startswith("<EffectTable of 0 rows")
