"""Descriptions of networks: what goes together and what does not."""

from dataclasses import replace
from typing import Any

import pytest

from leela_probe.weights.architectures import (
    POLICY_HEADS,
    PRESETS,
    Activation,
    Architecture,
    Embedding,
    PolicyFormat,
)

TOWER = PRESETS["se-convolution"]
ATTENTION = PRESETS["attention"]
MULTIHEAD = PRESETS["multihead"]


def test_presets_hold_every_kind_of_body_and_head() -> None:
    kinds = {(a.structure, a.policy.name, a.value.name, a.moves_left) for a in PRESETS.values()}

    assert {structure for structure, *_ in kinds} == {
        "residual tower",
        "attention body",
        "multihead attention body",
    }
    towers = {(policy, value) for structure, policy, value, _ in kinds if "tower" in structure}
    assert {policy for policy, _ in towers} == {"CLASSICAL", "CONVOLUTION", "ATTENTION"}
    assert {value for _, value in towers} == {"CLASSICAL", "WDL"}
    assert {moves_left for *_, moves_left in kinds} == {True, False}


def test_no_two_presets_are_the_same() -> None:
    assert len(set(PRESETS.values())) == len(PRESETS)


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        (TOWER, {"squeeze": -1}, "squeeze is -1: sizes are 0"),
        (TOWER, {"blocks": 0}, "blocks is 0 and layers is 0: a network has either"),
        (TOWER, {"layers": 2}, "blocks is 2 and layers is 2: a network has either"),
        (TOWER, {"filters": 0}, "blocks is 2 but filters is 0: give both or neither"),
        (ATTENTION, {"feed_forward": 0}, r"are \(32, 4, 0\): give all of them or none"),
        (TOWER, {"heads": 4}, r"layers is 0 but width, heads, feed_forward are \(0, 4, 0\)"),
        (ATTENTION, {"heads": 5}, "heads is 5, which does not divide the attention's width 32"),
        (ATTENTION, {"attention_width": 18}, "heads is 4, which does not divide .* 18"),
        (ATTENTION, {"embedding": Embedding.NONE}, "embedding is NONE: an attention body needs"),
        (TOWER, {"embedding": Embedding.MAP}, "embedding is MAP: .* residual tower NONE"),
        (ATTENTION, {"embedding": Embedding.DENSE}, "embedding_channels is 0 with .* DENSE"),
        (
            ATTENTION,
            {"policy": PolicyFormat.CONVOLUTION, "policy_width": 0},
            "policy is CONVOLUTION: an attention body needs ATTENTION",
        ),
        (ATTENTION, {"policy_width": 0}, "policy_width is 0 with policy ATTENTION"),
        (TOWER, {"policy_width": 8}, "policy_width is 8 with policy CONVOLUTION"),
        (TOWER, {"policy": PolicyFormat.CLASSICAL}, "policy_channels is 0 with .* CLASSICAL"),
        (ATTENTION, {"policy_layers": 1}, r"policy_layers is 1 but .* are \(0, 0\)"),
        (
            ATTENTION,
            {"policy_layers": 1, "policy_encoder_heads": 5, "policy_feed_forward": 8},
            "policy_encoder_heads is 5, which does not divide policy_width 32",
        ),
        (MULTIHEAD, {"value_heads": ()}, r"value_heads are \(\): a multihead network names both"),
        (
            TOWER,
            {"policy_heads": ("vanilla",), "value_heads": ("winner",)},
            r"policy_heads are \('vanilla',\), but only an attention body",
        ),
        (MULTIHEAD, {"policy_heads": ("soft",)}, r"the first must be \('vanilla', 'winner'\)"),
        (MULTIHEAD, {"policy_heads": ("vanilla", "best")}, "'best'.*names are some of"),
        (MULTIHEAD, {"value_heads": ("winner", "winner")}, "each once"),
        (TOWER, {"own_policy_embeddings": True}, "there are no named policy_heads"),
        (
            TOWER,
            {"value_channels": 0},
            r"value_channels, value_hidden are \(0, 128\): a value head",
        ),
        (ATTENTION, {"moves_left_hidden": 0}, r"moves_left_hidden are \(8, 0\): a moves-left head"),
        (TOWER, {"activation": Activation.SELU}, "activation is SELU: RELU and MISH"),
    ],
)
def test_sizes_and_kinds_that_do_not_go_together_are_refused(
    architecture: Architecture, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(architecture, **changes)


def test_names_of_policy_heads_are_those_of_the_file() -> None:
    assert POLICY_HEADS == ("vanilla", "optimistic_st", "soft", "opponent")
