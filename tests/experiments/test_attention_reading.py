"""Attention by relation, its ranks with their exact chance level, and its attribution."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from example_pairs import BACK_RANK, BACK_RANK_BLACK, BY_HAND, random_pairs
from scipy import stats

from leela_probe.experiments import attention_reading, effects, sweeps


@pytest.fixture(scope="module")
def pairs():
    return [*BY_HAND, *random_pairs(41, 9)]


@pytest.fixture(scope="module")
def table(network, pairs):
    return attention_reading.measure(network("attention"), pairs)


def test_relations_of_colour_mirrored_puzzles_are_the_same():
    assert attention_reading.relations(BACK_RANK) == attention_reading.relations(BACK_RANK_BLACK)


def test_relations_have_names_that_are_known_before_any_puzzle():
    for plies in ((1, 2, 3), (1, 3), (2,)):
        assert attention_reading.relation_names(plies) == list(
            attention_reading.relations(BACK_RANK, plies)
        )


def test_information_flows_from_the_key_to_the_query():
    found = attention_reading.relations(BACK_RANK, (1, 2, 3))
    c8, e8, c2 = 58, 60, 10
    assert found["3->1"] == (c8, e8)  # query, key
    assert found["1->3"] == (e8, c8)
    assert found["1->1s"] == (c2, c8)
    assert found["1->2"] == (c8, c8)  # the answer takes back: a square looks at itself
    assert len(found) == 6 + 6


def test_every_row_holds_its_entry_of_the_pattern(table, network, pairs):
    net = network("attention")
    patterns = np.stack(
        [
            net.capture([p.clean for p in pairs], [f"layer{n}.pattern"])[f"layer{n}.pattern"]
            for n in range(3)
        ]
    )
    place = {pair.puzzle_id: number for number, pair in enumerate(pairs)}
    for row in table.sample(60, random_state=0).itertuples():
        board = place[row.puzzle_id]
        pattern = patterns[row.layer, board, row.head]
        assert row.attention == pytest.approx(pattern[row.query, row.key], abs=1e-6)
        others = np.delete(patterns[row.layer, :, row.head, row.query, row.key], board)
        assert row.elsewhere == pytest.approx(others.mean(), abs=1e-6)
        ranked = (pattern > row.attention * (1 + 1e-4)).sum() + 1
        assert ranked <= row.rank <= (pattern > row.attention * (1 - 1e-4)).sum()


def test_attribution_is_what_zeroing_the_entry_takes_to_first_order(network, pairs):
    net = network("attention")
    table = attention_reading.measure(net, pairs, plies=(1, 3))
    rows = table[(table["relation"] == "3->1")].set_index(["puzzle_id", "layer", "head"])
    found = []
    for layer, head in itertools.product(range(3), range(4)):
        exact = effects.measure(net, pairs, sweeps.entry(net, layer, head))
        exact = exact[exact["label"] == "3->1"].set_index("puzzle_id")["effect"]
        mine = rows["attribution"].xs((layer, head), level=("layer", "head"))
        found.append(pd.DataFrame({"exact": exact, "mine": mine}).dropna())
    both = pd.concat(found)
    assert len(both) > 100
    assert np.corrcoef(both["exact"], both["mine"])[0, 1] > 0.95
    small = both[both["exact"].abs() < 0.02]
    assert (small["exact"] - small["mine"]).abs().max() < 0.01


def test_batches_and_leaving_out_gradients_change_nothing(network, pairs, table):
    net = network("attention")
    ones = attention_reading.measure(net, pairs, batch_size=1)
    plain = attention_reading.measure(net, pairs, attribution=False)
    for name in ("attention", "elsewhere"):
        np.testing.assert_allclose(ones[name], table[name], atol=1e-6)
        np.testing.assert_allclose(plain[name], table[name], atol=1e-6)
    np.testing.assert_allclose(ones["attribution"], table["attribution"], atol=1e-5)
    assert plain["attribution"].isna().all()


def test_ranks_among_equal_entries_are_uniform(network, pairs):
    # every entry of this pattern is the same: the rank is luck, and must have no favourites
    patterns = np.full((1, 1, 64, 64), 1 / 64, dtype=np.float32)
    ranks = [
        attention_reading._rows(
            pairs[0], {"3->1": (3, 5)}, patterns, None, np.random.default_rng(seed)
        )["rank"].iloc[0]
        for seed in range(1000)
    ]
    assert stats.kstest(np.array(ranks) / 4096, "uniform").pvalue > 0.001


def test_networks_without_attention_and_no_puzzles_are_refused(network):
    with pytest.raises(ValueError, match="is a residual tower and has no attention patterns"):
        attention_reading.measure(network("se-convolution"), [BACK_RANK])
    with pytest.raises(ValueError, match="no puzzles to read attention of"):
        attention_reading.measure(network("attention"), [])
    with pytest.raises(ValueError, match="no puzzle has plies 7"):
        attention_reading.measure(network("attention"), [BACK_RANK], plies=(7,))
