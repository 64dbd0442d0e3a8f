"""Similarity of policies, against scipy and plain sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance

from leela_probe.puzzles import similarity


def log_softmax(logits):
    logits = np.asarray(logits, dtype=np.float64)
    return (logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())).astype(np.float32)


policies = st.dictionaries(
    st.integers(0, 40), st.floats(-12, 12, width=32), min_size=1, max_size=30
).map(lambda logits: (sorted(logits), log_softmax([logits[key] for key in sorted(logits)])))


@given(policies, st.lists(policies, min_size=1, max_size=5))
def test_the_divergence_is_scipy_s(reference, others):
    moves, logs = reference
    found = similarity.jensen_shannon(
        np.array(moves, dtype=np.uint16),
        logs,
        np.array([move for other, _ in others for move in other], dtype=np.uint16),
        np.concatenate([other for _, other in others]),
        np.cumsum([0, *(len(other) for other, _ in others)]),
    )
    for value, (other_moves, other_logs) in zip(found, others, strict=True):
        p, q = np.zeros(41), np.zeros(41)
        p[moves] = np.exp(logs.astype(np.float64))
        q[other_moves] = np.exp(other_logs.astype(np.float64))
        assert value == pytest.approx(distance.jensenshannon(p, q) ** 2, abs=1e-9)
        assert 0 <= value <= np.log(2)


def test_the_divergence_runs_from_0_for_the_same_to_ln_2_for_nothing_in_common():
    moves, logs = np.array([1, 2, 3], dtype=np.uint16), log_softmax([0, 1, 2])
    other = np.concatenate([moves, moves + 10])
    found = similarity.jensen_shannon(
        moves, logs, other, np.concatenate([logs, logs]), np.array([0, 3, 6])
    )
    assert found == pytest.approx([0, np.log(2)], abs=1e-12)


@given(
    st.lists(
        st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=20), min_size=1, max_size=5
    )
)
def test_log_odds_are_those_of_the_probability(logits):
    logs = [log_softmax(row) for row in logits]
    offsets = np.cumsum([0, *map(len, logs)])
    found = similarity.log_odds(np.concatenate(logs), offsets, offsets[:-1] + 1)
    for value, row in zip(found, logits, strict=True):
        exact = np.asarray(row, dtype=np.float64)
        others = np.delete(exact, 1)
        high = others.max()
        assert value == pytest.approx(
            exact[1] - high - np.log(np.exp(others - high).sum()), abs=1e-4
        )


def test_log_odds_do_not_saturate_where_a_probability_rounds_to_1():
    logs = log_softmax([40, 0, 0])
    assert np.exp(logs[0]) == 1
    found = similarity.log_odds(logs, np.array([0, 3]), np.array([0]))
    assert found == pytest.approx([40 - np.log(2)], abs=1e-5)


def test_the_only_move_has_infinite_log_odds():
    logs = np.concatenate([log_softmax([1.0]), log_softmax([0, 0])])
    found = similarity.log_odds(logs, np.array([0, 1, 3]), np.array([0, 2]))
    assert found[0] == np.inf
    assert found[1] == pytest.approx(0, abs=1e-6)
