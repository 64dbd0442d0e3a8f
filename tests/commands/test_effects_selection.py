"""Which rows are taken: those asked for, one partner a puzzle, never the best places alone."""

from __future__ import annotations

from pathlib import Path

import example_effects
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from leela_probe.commands import effects_selection


@pytest.fixture
def residual(tmp_path: Path) -> Path:
    return example_effects.write(example_effects.residual(), tmp_path / "r.parquet", where="after")


def test_conditions_hold_together_and_values_of_one_apart(residual: Path) -> None:
    where = {
        "layer": ["0", "2"],
        "target_pattern": ["112"],
        "category": ["ply1_target", "corrupted"],
    }
    found = effects_selection.read(residual, where=where)
    assert set(found["layer"]) == {0, 2}
    assert set(found["target_pattern"]) == {"112"}
    assert set(found["category"]) == {"ply1_target", "corrupted"}
    assert len(found) == 2 * 8 * 2
    both = effects_selection.read(residual, where={"category": ["ply3_target"]})
    assert set(both["category"]) == {"ply3_target", "ply1_target+ply3_target"}
    with pytest.raises(
        ValueError, match="no row has target_pattern 999: the table has 111, 112, 123"
    ):
        effects_selection.read(residual, where={"target_pattern": ["999"]})
    with pytest.raises(ValueError, match="layer is a number: expected such as layer=3, not deep"):
        effects_selection.read(residual, where={"layer": ["deep"]})
    with pytest.raises(ValueError, match="mate is true or false: expected mate=true, not 2"):
        effects_selection.read(residual, where={"mate": ["2"]})
    with pytest.raises(ValueError, match="no column 'colour' to choose by"):
        effects_selection.read(residual, where={"colour": ["red"]})


def test_mates_are_a_stratum(tmp_path: Path) -> None:
    rows = [
        {"puzzle_id": name, "effect": 1.0, "mate": mate}
        for name, mate in (("a", True), ("b", False), ("c", None))
    ]
    path = example_effects.write(example_effects.table(rows), tmp_path / "t.parquet")
    for value, names in (("true", ["a"]), ("false", ["b"])):
        assert effects_selection.read(path, where={"mate": [value]})["puzzle_id"].tolist() == names


def test_a_screened_table_gives_no_means(tmp_path: Path) -> None:
    found = example_effects.heads()
    found = found.append_column("estimate", found["effect"])
    pyarrow.parquet.write_table(found, tmp_path / "s.parquet")
    with pytest.raises(ValueError, match="found by a screen: a mean over them is too large"):
        effects_selection.read(tmp_path / "s.parquet")
    assert len(effects_selection.read(tmp_path / "s.parquet", screened=True)) == found.num_rows


def test_one_partner_of_each_puzzle_counts(tmp_path: Path) -> None:
    rows = [{"puzzle_id": "a", "rank": rank, "effect": 1.0} for rank in (1, 2)]
    path = example_effects.write(example_effects.table(rows), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"partners of ranks 1, 2: .* \(--where rank=1\)"):
        effects_selection.read(path)
    assert effects_selection.read(path, where={"rank": ["2"]})["rank"].tolist() == [2]


def test_a_table_without_a_measured_puzzle_says_where_to_look(tmp_path: Path) -> None:
    rows = [{"puzzle_id": "a", "verdict": "no_partner"}]
    path = example_effects.write(example_effects.table(rows), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="no measured puzzle: leela-probe plot exclusions says"):
        effects_selection.read(path)
    only_111 = example_effects.table([{"puzzle_id": "a", "target_pattern": "111", "effect": 1.0}])
    path = example_effects.write(only_111, tmp_path / "u.parquet")
    with pytest.raises(ValueError, match="third target that differs from its first"):
        effects_selection.read(path, differing_targets=True)


def test_patterns_of_more_than_nine_targets_are_read_by_number() -> None:
    long = "-4-5-6-7-8-9-10-11"
    found = pd.Series(["1-2-1-3" + long, "1-1-2-3" + long, "1-2-3-3" + long, None])
    assert effects_selection.names_differing_targets(found).tolist() == [False, True, True, False]


def test_a_puzzle_called_na_keeps_its_verdict(tmp_path: Path) -> None:
    kept, found = tmp_path / "filtered.csv", tmp_path / "pairs.csv"
    kept.write_text("puzzle_id,verdict\nx,kept\nNA,kept\n")
    found.write_text("puzzle_id,verdict\nNA,found\nx,weak_notices\n")
    reasons, _ = effects_selection.exclusions([kept, found])
    assert reasons.fillna("kept").tolist() == ["weak_notices", "kept"]


def test_mixed_measures_have_no_unit(residual: Path) -> None:
    table = effects_selection.read(residual)
    assert effects_selection.unit(table) == ("nats", "log-odds reduction")
    with pytest.raises(ValueError, match=r"mixes measures \(log_odds, q\)"):
        effects_selection.unit(pd.concat([table, table.assign(measure="q")]))


def test_categories_left_out_by_priority_are_said_to_be(residual: Path) -> None:
    both = effects_selection.read(
        residual, where={"target_pattern": ["111"], "category": ["ply3_target"]}
    )
    with pytest.raises(ValueError, match="no square counts as ply3_target"):
        effects_selection.by_category(both, only=["ply3_target"])
    found = effects_selection.by_category(both, overlapping=True, only=["ply3_target"])
    assert len(found) == 8 * 3


def test_the_heading_says_what_the_manifest_knows(residual: Path, tmp_path: Path) -> None:
    table = effects_selection.read(residual)
    assert effects_selection.heading(residual, table) == "tiny-net · residual after · noising"
    assert (
        effects_selection.heading(tmp_path / "x.csv", table, extra=["a"])
        == "residual · noising · a"
    )
