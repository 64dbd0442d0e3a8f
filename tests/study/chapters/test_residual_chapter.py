"""E1: the paper's aggregation and the sound one beside plain ones; the sentence at each outcome."""

from dataclasses import replace

import example_pairs
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from leela_probe.experiments import effects, sweeps
from leela_probe.positions.squares import from_board
from leela_probe.study import paper_squares
from leela_probe.study.chapter import Drawn, Undrawn
from leela_probe.study.chapters import residual
from leela_probe.study.chapters.residual import CHAPTER

DRAWS = {"resamples": 99, "seed": 0}


@pytest.fixture
def swept(network, tmp_path):
    """The effects of some pairs at every square, as a file and as a table."""
    net = network("attention")

    def write(pairs):
        table = effects.measure(net, pairs, sweeps.residual(net))
        path = tmp_path / "residual.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table), path)
        return path, table

    return write


def test_the_papers_curves_are_means_of_maxima_computed_plainly(swept):
    pairs = [*example_pairs.BY_HAND, *example_pairs.random_pairs(3, 12)]
    path, table = swept(pairs)
    curves = residual.paper_curves(path, pairs, **DRAWS)
    kept = [pair for pair in pairs if paper_squares.of(pair) is not None]
    counts = {"measured": len(pairs), "skipped": len(pairs) - len(kept), "used": len(kept)}
    assert curves[[*counts]].drop_duplicates().to_dict("records") == [counts]
    plain = []
    for pair in kept:
        own = table[(table["puzzle_id"] == pair.puzzle_id) & (table["layer"] == 1)]
        targets = {from_board(move.to_square, pair.turn) for move in pair.moves[2:]}
        plain.append(own[own["square"].isin(targets)]["effect"].max())
    here = (curves["category"] == "third_and_later") & (curves["layer"] == 1)
    row = curves[(curves["split"] == "all") & here].iloc[0]
    assert row["estimate"] == pytest.approx(np.mean(plain), rel=1e-5)
    band = 2 * np.std(plain) / np.sqrt(len(plain))
    assert row["two_standard_errors"] == pytest.approx(band, rel=1e-5)
    assert row["n"] == len(kept)


def test_without_a_puzzle_that_the_rule_keeps_there_is_no_curve(swept):
    same = replace(
        example_pairs.KNIGHT_SACRIFICE, target_pattern="111", line=("f4g6", "h7g6", "d4g6")
    )
    path, _ = swept([same])
    assert residual.paper_curves(path, [same], **DRAWS).empty


def test_the_third_target_is_compared_with_its_control_in_the_puzzles_that_have_both(swept):
    path, _ = swept([*example_pairs.BY_HAND, *example_pairs.random_pairs(3, 12)])
    squares = residual.ply_squares(path)
    own = squares[squares["layer"] == 1]
    third, control = (
        own[own["category"] == name].groupby("puzzle_id", observed=True)["effect"].mean()
        for name in ("ply3_target", "matched_control")
    )
    plain = (third - control).dropna()
    row = residual.ply_margins(path, **DRAWS).set_index("layer").loc[1]
    assert row["n"] == len(plain) > 3
    assert row["estimate"] == pytest.approx(plain.mean(), abs=1e-6)
    assert row[["greater", "less", "equal"]].sum() == row["clusters"]


def test_a_third_target_that_is_also_the_first_counts_as_the_first(swept):
    apart = example_pairs.KNIGHT_SACRIFICE
    same = replace(apart, puzzle_id="same", target_pattern="111", line=("f4g6", "h7g6", "d4g6"))
    for pairs, there in (([apart, same], 1), ([same], 0)):
        path, _ = swept(pairs)
        curves = residual.ply_curves(path, **DRAWS)
        here = curves[curves["layer"] == 1].groupby("category")["n"].first()
        assert here.get("ply3_target", 0) == here.get("matched_control", 0) == there
        assert here["ply1_target"] == len(pairs)


def tables(third, control, difference=None):
    """What was found at the third target of layer 3, at its control, and puzzle by puzzle."""
    rows = [("ply3_target", *third), ("matched_control", *control)]
    plies = pd.DataFrame(rows, columns=["category", "estimate", "low", "high"])
    made = {"plies": plies.assign(layer=3, n=50)}
    if difference is not None:
        names = ["estimate", "low", "high", "wilcoxon_p"]
        made["ply_margins"] = pd.DataFrame([difference], columns=names).assign(layer=3, n=48)
    return made


def test_effect_and_control_are_told_with_their_difference_in_the_same_puzzles():
    text = CHAPTER.summary(tables((1.88, 1.84, 1.92), (0.1, 0.0, 0.2), (1.7, 1.6, 1.8, 1e-6)))
    assert "1.88 [1.84, 1.92] nats at layer 3" in text
    assert "a matched control square, by 0.10 [0.00, 0.20]" in text
    assert "In the 48 puzzles that have both, the difference is 1.70 [1.60, 1.80] nats" in text
    assert "Wilcoxon p < 0.001" in text
    assert "no clear difference" not in text


def test_intervals_that_overlap_are_no_verdict_where_the_paired_difference_is_clear():
    found = tables((0.91, 0.39, 1.54), (0.12, -0.12, 0.42), (0.62, 0.23, 1.09, 0.001))
    text = CHAPTER.summary(found)
    assert "0.62 [0.23, 1.09] nats, Wilcoxon p = 0.001" in text
    assert "no clear difference" not in text


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.1, 0.3, "no clear difference"), (-0.3, -0.1, "clearly less")]
)
def test_a_difference_that_is_not_clearly_above_zero_is_called_so(low, high, verdict):
    difference = ((low + high) / 2, low, high, 0.4)
    text = CHAPTER.summary(tables((0.2, 0.1, 0.3), (0.1, -0.04, 0.06), difference))
    assert f"({verdict})" in text


def test_without_an_interval_the_sentence_says_so_and_without_an_effect_there_is_none():
    nan = float("nan")
    assert "0.20 [no interval]" in CHAPTER.summary(tables((0.2, nan, nan), (0.1, 0.0, 0.2)))
    assert CHAPTER.summary(tables((nan, nan, nan), (0.1, 0.0, 0.2))) == ""
    assert CHAPTER.summary({}) == ""


def test_the_example_is_the_puzzle_with_the_largest_effect_at_its_third_target(results):
    pair, rows = residual._example(results)
    every = pd.read_parquet(results.path("residual"))
    at = residual._like_layer(10, sorted({int(layer) for layer in every["layer"].dropna()}))
    own = every[every["layer"] == at].set_index(["puzzle_id", "square"])["effect"]
    largest = max(
        float(own[each.puzzle_id, int(each.target(3))])
        for each in results.pairs()
        if paper_squares.of(each) is not None and (each.puzzle_id, int(each.target(3))) in own
    )
    assert float(own[pair.puzzle_id, int(pair.target(3))]) == largest
    assert set(rows["puzzle_id"]) == {pair.puzzle_id}


def test_a_layer_as_deep_as_one_of_the_papers():
    assert residual._like_layer(10, range(15)) == 10
    assert residual._like_layer(14, range(6)) == 5
    assert residual._like_layer(0, [3, 4]) == 3


def test_its_figures_stand_on_boards_and_in_curves_or_say_why_not(results):
    made = {name: pd.read_csv(results.study.table(f"tables/{name}.csv"))
            for name in ("residual", "plies")}  # fmt: skip
    drawn = [each for each in CHAPTER.figures(results, made) if isinstance(each, Drawn)]
    assert [each.name for each in drawn][:5] == [
        "figure2_puzzle", "figure1_example", "figure3_boards", "figure3_residual", "residual_plies",
    ]  # fmt: skip
    assert drawn[0].place == "puzzles"
    undrawn = [each for each in CHAPTER.figures(results, {}) if isinstance(each, Undrawn)]
    assert [each.reason for each in undrawn] == ["the paper's rule skips every puzzle"]
