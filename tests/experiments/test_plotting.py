"""One call draws each kind of table as the figure that suits it."""

import pandas as pd
import pytest
from example_pairs import BY_HAND, random_pairs

from leela_probe.experiments import effects, sweeps
from leela_probe.experiments.plotting import plot
from leela_probe.statistics import comparisons, stats

PAIRS = (*BY_HAND, *random_pairs(11, 7))


@pytest.fixture(scope="module")
def heads(network):
    net = network("attention")
    return effects.measure(net, PAIRS, sweeps.heads(net))


def labels(figure):
    return [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]


def test_effects_are_their_own_figures(network, heads):
    net = network("attention")
    assert labels(plot(heads))[0] == ("layer", "head")
    residual = effects.measure(net, PAIRS[:3], sweeps.residual(net))
    assert labels(plot(residual))[0][1] == "mean log-odds reduction (nats)"


def test_tests_and_summaries_by_head_are_maps(heads):
    measured = heads[heads["effect"].notna()]
    tested = comparisons.family(measured, resamples=99)
    assert labels(plot(tested))[0] == ("layer", "head")
    assert labels(plot(stats.summarise(measured, by=["layer", "head"])))[0] == ("layer", "head")


def test_percentiles_are_a_curve_per_combination_of_the_columns_before_them(heads):
    measured = heads[heads["effect"].notna() & (heads["layer"] == 0)]
    curves = stats.percentile_curves(measured, by=["layer", "head"], percentiles=[25.0, 50.0, 95.0])
    drawn = {line.get_gid() for line in plot(curves).axes[0].lines}
    assert {f"0, {head}" for head in range(int(heads["head"].max()) + 1)} <= drawn


def test_a_comparison_is_a_scatter_of_its_puzzles(heads):
    first, second = (
        heads[(heads["layer"] == 0) & (heads["head"] == head) & heads["effect"].notna()]
        for head in (0, 1)
    )
    figure = plot(comparisons.paired(first, second, names=("head 0", "head 1")))
    assert labels(figure)[0][1].startswith("head 0: ")


def test_effects_of_two_sweeps_are_refused(network, heads):
    net = network("attention")
    both = pd.concat([heads, effects.measure(net, PAIRS[:1], sweeps.residual(net))])
    with pytest.raises(ValueError, match="no figure of their own: plot one sweep"):
        plot(both)


def test_any_other_table_is_refused_by_its_columns():
    with pytest.raises(ValueError, match="a table with the columns a, b: plot what measure"):
        plot(pd.DataFrame({"a": [1], "b": [2]}))
