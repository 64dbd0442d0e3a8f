"""Shapes of tensors from an architecture, and the architecture from them."""

from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leela_probe.weights import shapes
from leela_probe.weights.architectures import (
    POLICY_HEADS,
    PRESETS,
    VALUE_HEADS,
    Architecture,
    Embedding,
    PolicyFormat,
    Smolgen,
    ValueFormat,
)

DECLARED = (
    "input_format",
    "heads",
    "embedding",
    "policy",
    "policy_encoder_heads",
    "value",
    "moves_left",
    "activation",
    "smolgen_activation",
    "feed_forward_activation",
)
SIZE = st.integers(1, 24)


def declared(architecture: Architecture) -> dict[str, Any]:
    return {name: getattr(architecture, name) for name in DECLARED}


def sizes(architecture: Architecture) -> dict[str, int]:
    return {name: prod(shape) for name, shape in shapes.of(architecture).items()}


@st.composite
def descriptions(draw: st.DrawFn) -> dict[str, Any]:
    """The arguments of an architecture of any kind."""
    found: dict[str, Any] = {
        "value": draw(st.sampled_from([ValueFormat.CLASSICAL, ValueFormat.WDL])),
        "value_channels": draw(SIZE),
        "value_hidden": draw(SIZE),
        "moves_left": draw(st.booleans()),
    }
    if found["moves_left"]:
        found |= {"moves_left_channels": draw(SIZE), "moves_left_hidden": draw(SIZE)}
    if draw(st.booleans()):
        found |= {
            "blocks": draw(st.integers(1, 12)),
            "filters": draw(SIZE),
            "squeeze": draw(st.integers(0, 8)),
            "batch_norm": draw(st.booleans()),
            "policy": draw(st.sampled_from(list(PolicyFormat)[1:])),
        }
    else:
        found |= {
            "layers": draw(st.integers(1, 12)),
            "width": (width := 4 * draw(SIZE)),
            "heads": 4,
            "feed_forward": (hidden := draw(SIZE)),
            "attention_width": draw(st.sampled_from([0, 2 * width])),
            "gating": draw(st.booleans()),
            "smolgen": draw(
                st.none()
                | st.fixed_dictionaries({"channels": SIZE, "hidden": SIZE, "generated": SIZE})
            ),
            "policy": PolicyFormat.ATTENTION,
            "embedding": draw(st.sampled_from([Embedding.MAP, Embedding.DENSE])),
        }
        if found["embedding"] == Embedding.DENSE:
            found["embedding_channels"] = draw(SIZE)
            found["embedding_feed_forward"] = draw(st.sampled_from([0, hidden + 1]))
        if draw(st.booleans()):
            found["policy_heads"] = POLICY_HEADS[: draw(st.integers(1, 4))]
            found["value_heads"] = VALUE_HEADS[: draw(st.integers(1, 3))]
            found["own_policy_embeddings"] = draw(st.booleans())
    if found["policy"] == PolicyFormat.CLASSICAL:
        found["policy_channels"] = draw(SIZE)
    if found["policy"] == PolicyFormat.ATTENTION:
        found["policy_width"] = width = 2 * draw(SIZE)
        found["policy_query_width"] = draw(st.sampled_from([0, width + 1]))
        found["policy_layers"] = draw(st.integers(0, 11))
        if found["policy_layers"]:
            found |= {"policy_encoder_heads": 2, "policy_feed_forward": draw(SIZE)}
    return found


@given(descriptions())
def test_an_architecture_is_found_again_from_the_sizes_of_its_tensors(
    description: dict[str, Any],
) -> None:
    smolgen = description.get("smolgen")
    architecture = Architecture(
        **(description | {"smolgen": smolgen and Smolgen(**smolgen)}),
    )

    assert shapes.infer(sizes(architecture), declared(architecture)) == architecture


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_found_again_from_the_sizes_of_its_tensors(name: str) -> None:
    assert shapes.infer(sizes(PRESETS[name]), declared(PRESETS[name])) == PRESETS[name]


def test_a_missing_tensor_that_others_hang_on_is_named() -> None:
    there = sizes(PRESETS["attention"])
    del there["ip_emb_b"]

    with pytest.raises(ValueError, match="tensor 'ip_emb_b' is missing, and the sizes of others"):
        shapes.infer(there, declared(PRESETS["attention"]))


def test_a_tensor_of_broken_rows_is_named() -> None:
    there = sizes(PRESETS["se-convolution"]) | {"value.weights": 1001}

    with pytest.raises(ValueError, match=r"'value.weights' holds 1001 numbers, no rows of 32"):
        shapes.infer(there, declared(PRESETS["se-convolution"]))


def test_heads_without_a_body_are_refused() -> None:
    with pytest.raises(ValueError, match="neither residual blocks nor encoder layers"):
        shapes.infer({"ip_pol_w": 1}, {})
