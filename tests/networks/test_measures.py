"""Measures against the formulas in plain numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leela_probe.networks import measures
from leela_probe.networks.measures import MEASURES, Runs

SLOTS = 12


def runs_of(logits, *, legal=None, slot=0, value=None, clean=None):
    logits = torch.as_tensor(np.atleast_2d(logits), dtype=torch.float32)
    count, slots = logits.shape
    mask = torch.zeros(count, slots, dtype=torch.bool)
    mask[:, range(slots) if legal is None else legal] = True
    return Runs(
        logits=logits,
        value=None if value is None else torch.as_tensor(np.atleast_2d(value), dtype=torch.float32),
        legal=mask,
        slot=torch.full((count,), slot),
        clean_logits=logits if clean is None else torch.as_tensor(np.atleast_2d(clean)).float(),
    )


def policy(logits):
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()


@pytest.fixture
def logits():
    return np.random.default_rng(1).normal(0, 2, (5, SLOTS)).astype(np.float32)


@pytest.mark.parametrize("slot", [0, 3, 7])
def test_log_odds_are_those_of_the_probability_among_legal_moves(logits, slot):
    legal = [0, 2, 3, 7, 11]
    found = measures.log_odds(runs_of(logits, legal=legal, slot=slot))
    for row, value in zip(logits, found, strict=True):
        p = policy(row[legal])[legal.index(slot)]
        assert float(value) == pytest.approx(np.log(p / (1 - p)), abs=1e-6)


def test_probability_is_the_softmax_over_legal_moves(logits):
    legal = [1, 4, 5]
    found = measures.probability(runs_of(logits, legal=legal, slot=4))
    expected = [policy(row[legal])[1] for row in logits]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("gap", [200.0, -200.0, 30.0, -30.0])
def test_log_odds_stay_finite_and_exact_where_probabilities_saturate(gap):
    found = measures.log_odds(runs_of([gap, 0.0, 0.0], slot=0))
    assert float(found[0]) == pytest.approx(gap - np.log(2), rel=1e-6)


def test_illegal_moves_have_no_say(logits):
    louder = logits.copy()
    louder[:, [1, 5]] = 1000.0
    legal = [slot for slot in range(SLOTS) if slot not in (1, 5)]
    for name in ("log_odds", "probability", "kl"):
        plain, loud = (
            MEASURES[name](runs_of(some, legal=legal, slot=2, clean=some[::-1].copy()))
            for some in (logits, louder)
        )
        assert torch.equal(plain, loud), name


def test_every_run_has_its_own_legal_moves_and_its_own_move(logits):
    runs = runs_of(logits)
    legal = torch.zeros(5, SLOTS, dtype=torch.bool)
    slots = torch.tensor([1, 0, 4, 2, 11])
    for row in range(5):
        legal[row, row:] = True
        legal[row, slots[row]] = True
    runs = Runs(
        logits=runs.logits, value=None, legal=legal, slot=slots, clean_logits=runs.clean_logits
    )
    for row, value in enumerate(measures.log_odds(runs)):
        chosen = np.flatnonzero(legal[row])
        p = policy(logits[row, chosen])[list(chosen).index(slots[row])]
        assert float(value) == pytest.approx(np.log(p / (1 - p)), abs=1e-6)


def test_win_log_odds_and_q_are_those_of_the_value_head(logits):
    value = np.random.default_rng(2).normal(0, 2, (5, 3)).astype(np.float32)
    runs = runs_of(logits, value=value)
    wdl = np.stack([policy(row) for row in value])
    np.testing.assert_allclose(
        measures.win_log_odds(runs), np.log(wdl[:, 0] / (1 - wdl[:, 0])), atol=1e-6
    )
    np.testing.assert_allclose(measures.q(runs), wdl[:, 0] - wdl[:, 2], atol=1e-6)


def test_win_log_odds_stay_finite_where_a_win_is_certain():
    runs = runs_of(np.zeros((2, 3)), value=[[200.0, 0.0, 0.0], [-200.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        measures.win_log_odds(runs), [200 - np.log(2), -200 - np.log(2)], rtol=1e-6
    )


@pytest.mark.parametrize("name", ["win_log_odds", "q"])
@pytest.mark.parametrize("value", [None, [[0.3]]])
def test_a_network_without_win_draw_and_loss_has_no_such_measure(name, value):
    runs = runs_of(np.zeros((1, 3)), value=value)
    with pytest.raises(ValueError, match="needs a network with a win-draw-loss head"):
        MEASURES[name](runs)


def test_kl_is_minus_the_divergence_from_the_clean_policy(logits):
    clean = np.random.default_rng(3).normal(0, 2, (5, SLOTS)).astype(np.float32)
    legal = [0, 1, 2, 6, 9]
    found = measures.kl(runs_of(logits, legal=legal, clean=clean))
    for row, before, value in zip(logits, clean, found, strict=True):
        p, q = policy(before[legal]), policy(row[legal])
        assert float(value) == pytest.approx(-(p * np.log(p / q)).sum(), abs=1e-6)


def test_kl_of_the_clean_run_is_zero(logits):
    assert measures.kl(runs_of(100 * logits, legal=[0, 3, 4])).tolist() == [0.0] * 5


@given(seed=st.integers(0, 10**6), size=st.sampled_from([1e-6, 1e-4, 1e-2, 1.0, 100.0]))
@settings(max_examples=60, deadline=None)
def test_kl_is_never_above_zero(seed, size):
    rng = np.random.default_rng(seed)
    clean = rng.normal(0, 3, (4, SLOTS)).astype(np.float32)
    changed = clean + rng.normal(0, size, (4, SLOTS)).astype(np.float32)
    found = measures.kl(runs_of(changed, legal=[0, 1, 5, 6, 7], clean=clean))
    assert float(found.max()) <= 0.0
    assert bool(torch.isfinite(found).all())


def test_measures_of_half_precision_logits_are_float32(logits):
    half = torch.from_numpy(logits).bfloat16()
    runs = runs_of(logits, value=np.zeros((5, 3)))
    runs = Runs(
        logits=half,
        value=torch.zeros(5, 3, dtype=torch.bfloat16),
        legal=runs.legal,
        slot=runs.slot,
        clean_logits=half,
    )
    assert all(measure(runs).dtype == torch.float32 for measure in MEASURES.values())


def test_measures_leave_their_input_as_it_was(logits):
    runs = runs_of(logits, value=np.ones((5, 3)))
    before = runs.logits.clone()
    for measure in MEASURES.values():
        measure(runs)
    assert torch.equal(runs.logits, before)


def test_gradients_flow_through_every_measure(logits):
    raw = torch.from_numpy(logits).requires_grad_()
    value = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    runs = runs_of(logits)
    runs = Runs(
        logits=raw,
        value=value,
        legal=runs.legal,
        slot=runs.slot,
        clean_logits=torch.zeros(5, SLOTS),
    )
    for name, measure in MEASURES.items():
        source = value if name in ("win_log_odds", "q") else raw
        (gradient,) = torch.autograd.grad(measure(runs).sum(), source)
        assert bool(torch.isfinite(gradient).all()), name
        assert float(gradient.abs().max()) > 0, name


def test_a_measure_is_a_record_with_all_that_is_said_of_it():
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.unit
        assert measure.title
        assert measure.function is getattr(measures, name)
    assert [name for name, measure in MEASURES.items() if measure.needs_wdl] == [
        "win_log_odds",
        "q",
    ]
    assert [name for name, measure in MEASURES.items() if measure.flat_at_clean] == ["kl"]
