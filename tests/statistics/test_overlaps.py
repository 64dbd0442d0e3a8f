"""Squares with several names count once by default, and as each of them when that is asked for."""

import pandas as pd
import pyarrow
import pytest

from leela_probe.statistics import overlaps, stats
from leela_probe.statistics.observations import per_puzzle


def table_of(*names, dictionary=False):
    column = pyarrow.array(names)
    if dictionary:  # as effects tables have it
        column = column.dictionary_encode()
    numbers = [float(number) for number in range(len(names))]
    return pyarrow.table({"category": column, "effect": numbers}).to_pandas()


@pytest.mark.parametrize("dictionary", [False, True])
def test_exploding_gives_a_row_for_each_name(dictionary):
    table = table_of("corrupted+ply3_target", "other", "ply1_target", None, dictionary=dictionary)
    before = table.copy()
    found = overlaps.explode(table)
    assert found["category"].astype(object).where(found["category"].notna(), None).tolist() == [
        "corrupted",
        "ply3_target",
        "other",
        "ply1_target",
        None,
    ]
    assert found["effect"].tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert found.index.tolist() == list(range(5))
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("dictionary", [False, True])
def test_prioritising_gives_each_square_its_first_name_in_the_order(dictionary):
    table = table_of(
        "ply1_target+ply3_target",
        "ply3_target+corrupted",
        "ply2_source+ply3_target",
        "ply4_source+ply2_target",
        "other",
        None,
        dictionary=dictionary,
    )
    before = table.copy()

    def names(found):
        return found["category"].astype(object).where(found["category"].notna(), None).tolist()

    assert names(overlaps.prioritise(table)) == [
        "ply1_target",
        "corrupted",
        "ply3_target",
        "ply4_source",
        "other",
        None,
    ]
    assert names(overlaps.prioritise(table, order=("ply3_target",)))[:2] == ["ply3_target"] * 2
    pd.testing.assert_frame_equal(table, before)


def test_statistics_count_a_corrupted_target_as_corrupted():
    rows = pd.DataFrame(
        {
            "puzzle_id": ["a", "a", "b", "b"],
            "game_id": None,
            "layer": 0,
            "category": ["ply3_target+corrupted", "other", "ply3_target", "other"],
            "effect": [5.0, 0.0, 1.0, 0.0],
        }
    )
    curves = stats.layer_curves(rows, resamples=20).set_index("category")
    assert curves["n"].to_dict() == {"corrupted": 1, "other": 2, "ply3_target": 1}
    assert curves.loc["ply3_target", "estimate"] == 1.0
    exploded = stats.layer_curves(overlaps.explode(rows), resamples=20).set_index("category")
    assert exploded.loc["ply3_target", ["n", "estimate"]].tolist() == [2, 3.0]
    assert set(per_puzzle(rows)["category"]) == {"corrupted", "other", "ply3_target"}
    assert set(per_puzzle(rows, by=["layer"])["layer"]) == {0}


def test_a_table_without_overlaps_is_left_alone():
    table = table_of("other", "corrupted", None)
    assert overlaps.single(table) is table
    assert overlaps.single(table.drop(columns="category")).columns.tolist() == ["effect"]
