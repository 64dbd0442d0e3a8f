"""An ablation with a known effect, beside controls without: its tables and its sentence."""

import pandas as pd
import pytest
import simulated_study

from leela_probe.study import ablations, subsets
from leela_probe.study.ablations import Ablation
from leela_probe.study.records import DONE, Record
from leela_probe.study.results import Results

ENTRY = Ablation(name="entry", of="3->1", against=("all other entries",))
COLUMN = Ablation(
    name="piece-heads", of="own heads", against=("other pieces' heads", "random column"),
    by_control=True,
)  # fmt: skip
LABELS = [{"label": "3->1"}, {"label": "all other entries"}]


@pytest.fixture
def made(finished, tmp_path, monkeypatch):
    """Makes the tables of an ablation out of effects."""

    def make(ablation, table, chosen="given"):
        monkeypatch.setattr(Results, "options", lambda self, name: {"chosen": chosen})
        path = simulated_study.write(table, tmp_path / f"{ablation.name}.parquet")
        note = Record(name=ablation.name, state=DONE, plan={}, table=str(path),
                      counts={"measured": 1})  # fmt: skip
        results = Results(finished, {ablation.name: note})
        parts: dict[str, list[pd.DataFrame]] = {}
        for name, part in ablations.tables(ablation, results):
            parts.setdefault(name, []).append(part)
        return {name: pd.concat(some, ignore_index=True) for name, some in parts.items()}

    return make


def test_means_shares_and_differences_are_those_of_the_effects(made):
    tables = made(ENTRY, simulated_study.effects(80, LABELS, [1.0, 0.0]))
    shares = tables["shares"].set_index(["targets", "curve", "threshold"])
    for targets, count in (("all", 80), ("differing", 60)):  # 111 goes back to the first target
        rows = tables["shares"]
        rows = rows[(rows["targets"] == targets) & (rows["curve"] == "3->1")]
        mean = rows[rows["threshold"].isna()].iloc[0]
        assert mean["n"] == count
        assert mean["estimate"] == pytest.approx(1.0, abs=0.05)
        assert shares.loc[(targets, "3->1", 0.5), "estimate"] == 1.0
        assert shares.loc[(targets, "3->1", 1.5), "estimate"] == 0.0
    margins = tables["ablation_margins"].set_index("targets")
    assert margins["estimate"].to_numpy() == pytest.approx([1.0, 1.0], abs=0.05)
    assert margins["n"].tolist() == [80, 60]
    assert set(margins["sweep"]) == {"entry"}


def test_a_head_chosen_on_one_half_is_judged_on_the_other(made):
    table = simulated_study.effects(80, LABELS, [1.0, 0.0])
    tables = made(ENTRY, table, chosen="largest mean effect on half of the games")
    inside = ~subsets.half(table["puzzle_id"], table["game_id"])
    assert set(tables["shares"]["on"]) == {"held out"}
    assert tables["ablation_margins"]["n"].iloc[0] == table[inside]["puzzle_id"].nunique()
    assert set(made(ENTRY, table)["shares"]["on"]) == {"all"}


def test_curves_can_be_named_by_their_control_alone(made):
    labels = ["rook: own heads", "rook: random column", "rook: other pieces' heads"]
    table = simulated_study.effects(40, [{"label": label} for label in labels], [0.6, 0.0, 0.2])
    tables = made(COLUMN, table)
    assert set(tables["shares"]["curve"]) == {
        "own heads", "random column", "other pieces' heads"
    }  # fmt: skip
    every = tables["ablation_margins"]
    every = every[every["targets"] == "all"].set_index("against")["estimate"]
    assert every["random column"] == pytest.approx(0.6, abs=0.1)
    assert every["other pieces' heads"] == pytest.approx(0.4, abs=0.1)


def test_a_control_that_no_puzzle_has_is_left_out(made):
    tables = made(COLUMN, simulated_study.effects(40, [{"label": "rook: own heads"}], [0.6]))
    assert tables["ablation_margins"].empty
    assert set(tables["shares"]["curve"]) == {"own heads"}


def sentence(tables):
    return ablations.summary(ENTRY, "all other entries", "Zeroing the entry", tables)


def test_the_sentence_has_effect_share_control_and_difference(made):
    text = sentence(made(ENTRY, simulated_study.effects(80, LABELS, [1.0, 0.0])))
    assert text.startswith("Zeroing the entry costs 1.0")
    assert "more than 1.5 in 0 % [0, " in text
    assert "of 60 puzzles whose first and third target differ; all other entries, " in text
    assert "In the 60 puzzles that have both" in text
    assert text.endswith("Wilcoxon p < 0.001.")


@pytest.mark.parametrize(
    ("means", "words"),
    [([0.3, 0.3], "(no clear difference)"), ([0.0, 1.0], "(clearly less)")],
)
def test_no_difference_and_less_are_called_so(made, means, words):
    assert words in sentence(made(ENTRY, simulated_study.effects(80, LABELS, means)))


def test_what_was_not_measured_has_no_sentence_and_no_table():
    assert sentence({}) == ""
    assert [*ablations.short_tables(ENTRY, {})] == []


def test_the_short_tables_have_a_row_for_each_curve_and_each_control(made):
    tables = made(ENTRY, simulated_study.effects(80, LABELS, [1.0, 0.0]))
    shares, margins = ablations.short_tables(ENTRY, tables)
    assert [row[0] for row in shares.rows] == [
        "3->1, all puzzles", "all other entries, all puzzles",
        "3->1, 1st target is not the 3rd", "all other entries, 1st target is not the 3rd",
    ]  # fmt: skip
    assert all(len(row) == len(shares.head) for row in shares.rows)
    assert margins.rows[0][:2] == ["3->1 over all other entries, all puzzles", "80"]
    assert margins.rows[0][-1] == "< 0.001"
    other = Ablation(name="other", of="3->1", against=())
    assert [*ablations.short_tables(other, tables)] == []


def test_percentiles_that_fall_far_below_zero_are_cut_off():
    assert ablations.bottom(pd.DataFrame({"estimate": [-3.0, 2.0]})) == -1.0
    assert ablations.bottom(pd.DataFrame({"estimate": [-0.5, 2.0]})) is None
