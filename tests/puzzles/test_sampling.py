"""Samples of a stream: exact in number, uniform, and the same again."""

import tracemalloc
from collections import Counter
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leela_probe.puzzles import sampling


def drawn(total, count, seed):
    return tuple(sampling.draw(range(total), count=count, total=total, seed=seed))


def test_every_set_of_rows_is_as_likely_as_any_other():
    seeds = 7000
    found = Counter(drawn(7, 3, seed) for seed in range(seeds))
    sets = list(combinations(range(7), 3))
    assert len(sets) == comb(7, 3) == 35
    assert set(found) <= set(sets)
    assert stats.chisquare([found[each] for each in sets]).pvalue > 0.001


def test_an_uneven_draw_would_be_seen():
    """The same count with the first row three times in four instead of 3 in 7."""
    found = Counter()
    for seed in range(7000):
        rows = drawn(7, 3, seed)
        found[rows if rows[0] == 0 or seed % 2 else (0, *rows[1:])] += 1
    sets = list(combinations(range(7), 3))
    assert stats.chisquare([found[each] for each in sets]).pvalue < 1e-6


def test_the_beginning_of_a_long_stream_is_no_likelier_than_its_end():
    places = [place / 20_000 for place in drawn(20_000, 2000, 3)]
    assert stats.kstest(places, "uniform").pvalue > 0.001


@given(st.integers(0, 60), st.integers(1, 70), st.integers(0, 10_000))
def test_exactly_so_many_are_drawn_in_order(total, count, seed):
    rows = drawn(total, count, seed)
    assert len(rows) == min(count, total)
    assert list(rows) == sorted(set(rows))
    assert rows == drawn(total, count, seed)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10_000))
def test_a_larger_sample_holds_the_smaller_ones(total, count, seed):
    assert set(drawn(total, count, seed)) <= set(drawn(total, count + 1, seed))


@pytest.mark.parametrize("total", [1000, 200_000])
def test_memory_grows_neither_with_the_stream_nor_with_the_sample(total):
    tracemalloc.start()
    try:
        for _ in sampling.draw(range(total), count=total // 2, total=total, seed=0):
            pass
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()
