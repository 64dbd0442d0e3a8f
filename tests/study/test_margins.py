"""Paired differences are those of the same puzzles, made plainly by hand."""

import example_pairs
import numpy as np
import pyarrow.parquet
import pytest

from leela_probe.experiments import effects, sweeps
from leela_probe.study import margins, summaries


@pytest.fixture
def swept(network, tmp_path):
    def write(sweep_of):
        net = network("attention")
        pairs = [*example_pairs.BY_HAND, *example_pairs.random_pairs(3, 12)]
        table = effects.measure(net, pairs, sweep_of(net))
        path = tmp_path / "effects.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table), path)
        return path, table

    return write


def test_the_third_target_is_compared_with_its_control_in_the_puzzles_that_have_both(swept):
    path, _ = swept(sweeps.residual)
    squares = summaries.ply_squares(path)
    own = squares[squares["layer"] == 1]
    third, control = (
        own[own["category"] == name].groupby("puzzle_id", observed=True)["effect"].mean()
        for name in ("ply3_target", "matched_control")
    )
    plain = (third - control).dropna()
    found = margins.of_plies(path, resamples=99, seed=0).set_index("layer").loc[1]
    assert found["n"] == len(plain) > 3
    assert found["estimate"] == pytest.approx(plain.mean(), abs=1e-6)
    assert found[["greater", "less", "equal"]].sum() == found["clusters"]


def test_an_ablation_is_compared_with_its_controls_for_the_same_puzzles(swept):
    path, table = swept(lambda net: sweeps.entry(net, 1, 0))
    wide = table.pivot(index="puzzle_id", columns="label", values="effect").dropna()
    plain = wide["3->1"] - wide["all other entries"]
    found = margins.of_ablation(
        path, "3->1", ("all other entries", "no such"), resamples=99, seed=0
    )
    every, differing = (found[found["targets"] == name].iloc[0] for name in ("all", "differing"))
    assert every["estimate"] == pytest.approx(plain.mean(), abs=1e-6)
    assert every["n"] == len(plain) >= differing["n"] > 0
    assert set(found["against"]) == {"all other entries"}


def test_without_a_puzzle_that_has_both_there_is_no_row(swept):
    path, _ = swept(lambda net: sweeps.entry(net, 1, 0))
    found = margins.of_ablation(path, "3->1", ("no such",), resamples=99, seed=0)
    assert found.empty
    assert {"targets", *margins.COLUMNS} == set(found.columns)
    assert np.isnan(found["estimate"].astype(float).mean())
