"""Rows of patterns for figure 6."""

from __future__ import annotations

import pytest
from example_pairs import random_pairs

from leela_probe.positions.planes import History
from leela_probe.study import attention_rows


@pytest.mark.parametrize("history", [History.FILLED, History.KNOWN])
def test_a_row_is_that_of_the_pattern_under_the_history_that_is_asked_for(network, history):
    net, pairs = network("attention"), random_pairs(71, 6)
    lists = {"knight": [(0, 1), (2, 3)], "bishop": []}
    table = attention_rows.draw(net, pairs, lists, puzzles=3, history=history)
    assert len(table) == 3 * 64
    boards = {pair.puzzle_id: pair.clean for pair in pairs}
    for name, rows in table.groupby("puzzle_id"):
        first = rows.iloc[0]
        site = f"layer{first['layer']}.pattern"
        pattern = net.capture([boards[name]], [site], history=history)[site]
        assert rows["attention"].tolist() == pattern[0, first["head"], first["query"]].tolist()
