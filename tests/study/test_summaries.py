"""The paper's aggregation of E1 and the study's other tables, beside plain ones made by hand."""

from dataclasses import replace

import example_pairs
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from leela_probe.experiments import effects, sweeps
from leela_probe.positions.squares import from_board
from leela_probe.study import summaries


def test_the_papers_squares_of_a_puzzle_are_as_its_code_chose_them():
    # h4 is the third target, g6 the first, h6 the corrupted square of the running example
    squares = summaries.paper_squares(example_pairs.KNIGHT_SACRIFICE)
    assert squares["first"] == (46,)
    assert squares["third_and_later"] == (31,)
    assert squares["corrupted"] == (47,)
    assert len(squares["other"]) == 61


def test_the_opponents_later_targets_count_as_later():
    pair = replace(example_pairs.KNIGHT_SACRIFICE, line=("f4g6", "h7g6", "d4h4", "h8g8", "h4h1"))
    assert summaries.paper_squares(pair)["third_and_later"] == (7, 31, 62)


@pytest.mark.parametrize(
    "line",
    [
        ("f4g6", "h7g6"),  # no third move
        ("f4g6", "h7g6", "a1g6"),  # to the first target
        ("f4g6", "h7g6", "d4h6"),  # to the corrupted square
        ("f4g6", "h7g6", "d4h4", "h8g6"),  # a later one to the first target
    ],
)
def test_puzzles_in_which_two_kinds_share_a_square_are_skipped(line):
    assert summaries.paper_squares(replace(example_pairs.KNIGHT_SACRIFICE, line=line)) is None


def test_the_residual_curves_are_means_of_maxima_computed_plainly(network, tmp_path, monkeypatch):
    net = network("attention")
    pairs = [*example_pairs.BY_HAND, *example_pairs.random_pairs(3, 12)]
    table = effects.measure(net, pairs, sweeps.residual(net))
    path = tmp_path / "residual.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table), path)
    monkeypatch.setattr(summaries.pair_files, "read", lambda path: pairs)
    found, counts = summaries.residual(path, tmp_path, resamples=99, seed=0)
    kept = [pair for pair in pairs if summaries.paper_squares(pair) is not None]
    assert counts == {
        "measured": len(pairs), "skipped": len(pairs) - len(kept), "used": len(kept),
    }  # fmt: skip
    plain = []
    for pair in kept:
        own = table[(table["puzzle_id"] == pair.puzzle_id) & (table["layer"] == 1)]
        targets = {from_board(move.to_square, pair.turn) for move in pair.moves[2:]}
        plain.append(own[own["square"].isin(targets)]["effect"].max())
    row = found[
        (found["split"] == "all") & (found["category"] == "third_and_later") & (found["layer"] == 1)
    ].iloc[0]
    assert row["estimate"] == pytest.approx(np.mean(plain), rel=1e-5)
    assert row["two_standard_errors"] == pytest.approx(
        2 * np.std(plain) / np.sqrt(len(plain)), rel=1e-5
    )
    assert row["n"] == len(kept)


def test_halves_keep_games_together_and_are_about_equal():
    puzzles = pd.Series([f"p{number}" for number in range(4000)])
    games = pd.Series([f"g{number // 2}" for number in range(4000)])
    chosen = summaries.half(puzzles, games)
    assert (chosen[::2].to_numpy() == chosen[1::2].to_numpy()).all()
    assert abs(chosen.mean() - 0.5) < 0.05


def test_shares_of_patterns_have_wilsons_interval():
    from scipy.stats import binomtest

    found = summaries.target_pattern_counts(pd.Series(["112"] * 7 + ["123"] * 3))
    interval = binomtest(7, 10).proportion_ci(method="wilson")
    assert found[["low", "high"]].iloc[0].tolist() == pytest.approx([interval.low, interval.high])
    assert found["n"].tolist() == [7, 3]


def test_the_head_is_chosen_on_one_half_only(tmp_path):
    rows = []
    for number in range(40):
        own = summaries.half(pd.Series([f"p{number}"]), pd.Series([None])).iloc[0]
        for head in range(3):
            effect = float(head == (1 if own else 2))  # the halves disagree
            rows.append((f"p{number}", None, "112", "x", 0, head, effect))
    columns = ["puzzle_id", "game_id", "target_pattern", "label", "layer", "head", "effect"]
    table = pd.DataFrame(rows, columns=columns).assign(
        clean=0.0, corrupted=0.0, changed=0.0, measure="log_odds", direction="noising",
        sweep="heads", verdict="measured",
    )  # fmt: skip
    table.to_parquet(tmp_path / "heads.parquet")
    assert summaries.strongest_head(tmp_path / "heads.parquet") == (0, 1)


def test_a_third_target_that_is_also_the_first_counts_as_the_first(network, tmp_path):
    net = network("attention")
    apart = example_pairs.KNIGHT_SACRIFICE
    same = replace(apart, puzzle_id="same", target_pattern="111", line=("f4g6", "h7g6", "d4g6"))
    path = tmp_path / "residual.parquet"
    for pairs, there in (([apart, same], 1), ([same], 0)):
        table = effects.measure(net, pairs, sweeps.residual(net))
        pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table), path)
        found = summaries.ply_curves(path, resamples=99, seed=0)
        third = found[(found["category"] == "ply3_target") & (found["layer"] == 1)]
        control = found[(found["category"] == "matched_control") & (found["layer"] == 1)]
        assert third["n"].tolist() == control["n"].tolist() == [1] * there
        first = found[(found["category"] == "ply1_target") & (found["layer"] == 1)]
        assert first["n"].tolist() == [len(pairs)]
