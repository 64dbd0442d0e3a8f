"""What weights files say about themselves, older ones and broken ones included."""

from typing import Any

import pytest

from leela_probe.positions.planes import InputFormat
from leela_probe.weights import headers, random_networks, schema
from leela_probe.weights.architectures import PRESETS, Activation, PolicyFormat, ValueFormat
from leela_probe.weights.headers import Training


def network(preset: str) -> Any:
    architecture = PRESETS[preset]
    net = schema.new_net()
    headers.fill(net, architecture, (0, 31, 0), "", None)
    for name, values in random_networks.tensors(architecture, seed=1).items():
        schema.set_tensor(net, name, values)
    return net


@pytest.mark.parametrize("preset", [p for p in PRESETS if p != "attention-15x768"])
def test_the_architecture_of_every_preset_is_read_back(preset: str) -> None:
    header = headers.of(network(preset))

    assert header.undescribed == ""
    assert header.architecture == PRESETS[preset]


def test_training_licence_and_version_are_read_back() -> None:
    net = network("se-convolution")
    training = Training(training_steps=12, accuracy=0.5, lc0_params="x")
    headers.fill(net, PRESETS["se-convolution"], (0, 30, 7), "CC0", training)
    header = headers.of(net)

    assert (header.training, header.license, header.min_version) == (training, "CC0", (0, 30, 7))


def test_a_file_without_a_format_is_a_classical_tower() -> None:
    net = network("classical")
    net.format.ClearField("network_format")
    header = headers.of(net)

    assert header.structure == "NETWORK_CLASSICAL_WITH_HEADFORMAT"
    assert header.input_format == InputFormat.CLASSICAL
    assert header.architecture == PRESETS["classical"]


def test_a_structure_from_before_the_heads_were_said_has_classical_heads() -> None:
    net = network("se-classical")
    said = net.format.network_format
    said.network = 2
    said.ClearField("policy")
    said.ClearField("value")
    header = headers.of(net)

    assert header.structure == "NETWORK_SE_WITH_HEADFORMAT"
    assert (header.policy, header.value) == (PolicyFormat.CLASSICAL, ValueFormat.CLASSICAL)


def test_an_early_attention_body_is_known_by_its_encoders() -> None:
    net = network("attention")
    said = net.format.network_format
    said.network = 4
    for field in ("input_embedding", "smolgen_activation", "ffn_activation"):
        said.ClearField(field)
    header = headers.of(net)

    assert header.structure == "NETWORK_ATTENTIONBODY_WITH_HEADFORMAT"
    assert header.architecture == PRESETS["attention"]


def test_an_early_attention_body_without_smolgen_keeps_its_activations() -> None:
    net = network("attention-no-smolgen")
    net.format.network_format.network = 4
    net.format.network_format.ClearField("ffn_activation")
    architecture = headers.of(net).architecture

    assert architecture is not None
    assert architecture.feed_forward_activation == Activation.DEFAULT


@pytest.mark.parametrize("number", [6, 134])
def test_an_early_multihead_network_is_known_by_its_heads(number: int) -> None:
    net = network("multihead")
    net.format.network_format.network = number
    header = headers.of(net)

    assert header.structure == "NETWORK_ATTENTIONBODY_WITH_MULTIHEADFORMAT"
    assert header.architecture == PRESETS["multihead"]


def test_reading_the_header_changes_nothing_in_the_message() -> None:
    net = network("attention")
    net.format.network_format.network = 4
    before = net.SerializeToString(deterministic=True)
    headers.of(net)

    assert net.SerializeToString(deterministic=True) == before


def test_a_wrapped_onnx_model_has_a_header_but_no_architecture() -> None:
    net = schema.new_net()
    net.onnx_model.model = b"..."
    net.format.network_format.network = 5
    net.format.network_format.input = 3
    header = headers.of(net)

    assert header.embeds_onnx
    assert header.structure == "NETWORK_ONNX"
    assert header.input_format == InputFormat.CANONICAL
    assert header.architecture is None
    assert header.undescribed == "it wraps an ONNX model instead of tensors"


def test_a_network_of_a_new_kind_has_a_header_that_says_what_is_missing() -> None:
    net = network("attention")
    net.weights.ClearField("ip_emb_b")
    header = headers.of(net)

    assert header.architecture is None
    assert header.undescribed.startswith("its architecture is not known here: tensor 'ip_emb_b'")


def test_a_tower_before_an_attention_body_is_not_known() -> None:
    net = network("attention")
    net.weights.residual.add().conv1.biases.params = b"12"

    assert "residual blocks and encoder layers both" in headers.of(net).undescribed


def test_an_empty_network_is_refused() -> None:
    with pytest.raises(ValueError, match="it holds neither weights nor an ONNX model"):
        headers.of(schema.new_net())


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("input", "its InputFormat is 77; known are 1, 2, 3, 4, 5, 132, 133"),
        ("policy", "its PolicyFormat is 77; known are 0, 1, 2, 3"),
        ("value", "its ValueFormat is 77; known are 0, 1, 2"),
    ],
)
def test_an_unknown_format_is_named(field: str, message: str) -> None:
    net = network("se-convolution")
    setattr(net.format.network_format, field, 77)

    with pytest.raises(ValueError, match=message):
        headers.of(net)


def test_an_unknown_embedding_is_named() -> None:
    net = network("attention")
    net.format.network_format.input_embedding = 9
    header = headers.of(net)

    assert header.architecture is None
    assert "its Embedding is 9; known are 0, 1, 2" in header.undescribed
