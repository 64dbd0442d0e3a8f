"""Tensors as 16-bit steps between their least and greatest number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from leela_probe.weights import schema

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)


def float32_rounding(values: np.ndarray) -> float:
    """What lc0's own arithmetic on the stored steps may be off by."""
    span = float(values.max()) - float(values.min())
    return 4 * float(np.spacing(np.float32(max(span, float(np.abs(values).max())))))


def stored(values: np.ndarray, name: str = "ip_emb_b") -> np.ndarray:
    net = schema.new_net()
    net.format.weights_encoding = schema.LINEAR16
    schema.set_tensor(net, name, values)
    return schema.tensors(net)[name]


@given(npst.arrays(np.float32, st.integers(1, 50), elements=FINITE))
def test_a_stored_number_is_off_by_half_a_step_at_most(values: np.ndarray) -> None:
    step = (float(values.max()) - float(values.min())) / 65535

    error = np.abs(stored(values).astype(float) - values).max()
    assert error <= 0.5 * step + float32_rounding(values)


@given(FINITE)
def test_a_constant_tensor_is_stored_exactly(value: float) -> None:
    values = np.full(5, value, dtype=np.float32)

    assert stored(values).tolist() == values.tolist()


@given(npst.arrays(np.float32, st.integers(1, 50), elements=FINITE))
def test_storing_what_was_stored_changes_no_step(values: np.ndarray) -> None:
    once = stored(values)

    assert np.abs(stored(once) - once).max() <= float32_rounding(values)


def test_the_order_of_numbers_is_rows_first() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)

    assert stored(values.T).tolist() == [0, 3, 1, 4, 2, 5]


def test_values_passed_in_are_not_changed() -> None:
    values = np.linspace(-1, 2, 7, dtype=np.float32)
    before = values.copy()
    stored(values)

    assert values.tolist() == before.tolist()


def test_a_span_that_overflows_is_refused() -> None:
    values = np.array([-3e38, 3e38], dtype=np.float32)

    with pytest.raises(ValueError, match="tensor 'ip_emb_b' runs from -3e\\+38 to 3e\\+38"):
        stored(values)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        (2, np.array([0.5, -2], dtype="<f2").tobytes()),
        (3, np.array([0.5, -2], dtype="<f4").view("<u2")[1::2].tobytes()),
        (4, np.array([0.5, -2], dtype="<f4").tobytes()),
    ],
)
def test_a_tensor_of_another_encoding_is_read(encoding: int, content: bytes) -> None:
    net = schema.new_net()
    net.format.weights_encoding = schema.LINEAR16
    net.weights.ip_emb_b.encoding = encoding
    net.weights.ip_emb_b.params = content

    assert schema.tensors(net)["ip_emb_b"].tolist() == [0.5, -2]
    assert schema.sizes(net) == {"ip_emb_b": 2}


def test_an_unknown_encoding_is_refused() -> None:
    net = schema.new_net()
    net.weights.ip_emb_b.params = b"12"

    with pytest.raises(ValueError, match="tensor 'ip_emb_b' has encoding 0; known are 1 to 4"):
        schema.tensors(net)


def test_half_a_number_is_refused() -> None:
    net = schema.new_net()
    net.format.weights_encoding = schema.LINEAR16
    net.weights.ip_emb_b.params = b"123"

    with pytest.raises(ValueError, match="tensor 'ip_emb_b' has 3 bytes: no whole numbers"):
        schema.tensors(net)
