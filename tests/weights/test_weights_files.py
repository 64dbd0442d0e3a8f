"""Weights files: written for lc0, read as lc0 reads them, refused with a reason."""

import errno
import gzip
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from leela_probe.networks import conversion
from leela_probe.weights import random_networks, schema, shapes, weights_files
from leela_probe.weights.architectures import PRESETS, Architecture
from leela_probe.weights.headers import Training

SMALL = PRESETS["attention-one-layer"]


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    path = tmp_path / "network.pb.gz"
    random_networks.write(path, SMALL, seed=1)
    return path


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    return random_networks.tensors(SMALL, seed=1)


def onnx_constants(path: Path) -> dict[str, np.ndarray]:
    """lc0's own reading of a weights file: the constants of the ONNX model it makes."""
    target = path.with_suffix(".onnx")
    subprocess.run(
        [conversion.find_lc0(), "leela2onnx", f"--input={path}", f"--output={target}"],
        check=True,
        capture_output=True,
    )
    graph = onnx.load(str(target)).graph
    return {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}


def test_what_was_written_is_read_back_within_half_a_step(
    network_file: Path, tensors: dict[str, np.ndarray]
) -> None:
    found = weights_files.read(network_file)

    assert found.architecture == SMALL
    assert found.tensors.keys() == tensors.keys()
    for name, values in tensors.items():
        assert found.tensors[name].shape == values.shape
        assert found.tensors[name].dtype == np.float32
        half_step = float(np.ptp(values)) / 65535 / 2
        assert np.abs(found.tensors[name] - values).max() <= 1.01 * half_step + 1e-7


@pytest.mark.parametrize(
    ("preset", "constant", "tensor", "axes"),
    [
        ("classical", "/policy/dense/matmul/w", "ip_pol_w", (1, 0)),
        ("classical", "/value/dense1/matmul/w", "ip1_val_w", (1, 0)),
        ("se-convolution", "/inputconv/w/kernel", "input.weights", (0, 1, 2, 3)),
        ("se-convolution", "/block1/conv2/w/bias", "residual.1.conv2.biases", (0,)),
        ("se-convolution", "/block1/conv2/se/matmul2/w", "residual.1.se.w2", (1, 0)),
        ("se-convolution", "/policy/conv2/w/kernel", "policy.weights", (0, 1, 2, 3)),
        ("attention", "/encoder1/mha/Q/w/w", "encoder.1.mha.q_w", (1, 0)),
        ("attention", "/encoder1/mha/out/dense/w/w", "encoder.1.mha.dense_w", (1, 0)),
        ("attention", "/encoder2/ffn/dense1/w/w", "encoder.2.ffn.dense1_w", (1, 0)),
        ("attention", "/encoder0/ln1/w/scale", "encoder.0.ln1_gammas", (0,)),
        ("attention", "/encoder0/smolgen/compress/w", "encoder.0.mha.smolgen.compress", (1, 0)),
        ("attention", "/const/smolgen_w", "smolgen_w", (1, 0)),
        ("attention", "/ip_mul_gate/w", "ip_mult_gate", (1, 0)),
        ("attention", "/policy/promotion/matmul/w", "ip4_pol_w", (1, 0)),
        ("attention", "/mlh/embed/matmul/w", "ip_mov_w", (1, 0)),
        ("multihead", "/attn_body/embedding/preprocess/matmul/w", "ip_emb_preproc_w", (1, 0)),
        ("multihead", "/attn_body/ffn/dense2/b/w", "ip_emb_ffn.dense2_b", (0,)),
        ("multihead", "/policy/Q/matmul/w", "policy_heads.vanilla.ip2_pol_w", (1, 0)),
        ("multihead", "/policy/dense1/matmul/w", "policy_heads.ip_pol_w", (1, 0)),
        ("multihead", "/value/dense2/matmul/w", "value_heads.winner.ip2_val_w", (1, 0)),
    ],
)
def test_lc0_reads_the_same_numbers_bit_for_bit(
    onnx_constants_of: Callable[[str], tuple[weights_files.WeightsFile, dict[str, np.ndarray]]],
    preset: str,
    constant: str,
    tensor: str,
    axes: tuple[int, ...],
) -> None:
    found, constants = onnx_constants_of(preset)

    assert np.array_equal(constants[constant], found.tensors[tensor].transpose(axes))


@pytest.fixture(scope="module")
def onnx_constants_of(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[weights_files.WeightsFile, dict[str, np.ndarray]]]:
    folder = tmp_path_factory.mktemp("converted")
    known: dict[str, tuple[weights_files.WeightsFile, dict[str, np.ndarray]]] = {}

    def find(preset: str) -> tuple[weights_files.WeightsFile, dict[str, np.ndarray]]:
        if preset not in known:
            path = folder / f"{preset}.pb"
            random_networks.write(path, PRESETS[preset], seed=1)
            known[preset] = weights_files.read(path), onnx_constants(path)
        return known[preset]

    return find


def test_a_batch_normalisation_is_folded_by_lc0_as_its_definition_says(
    onnx_constants_of: Callable[[str], tuple[weights_files.WeightsFile, dict[str, np.ndarray]]],
) -> None:
    found, constants = onnx_constants_of("se-batch-norm")
    part = {
        field: found.tensors[f"residual.0.conv1.{field}"].astype(float)
        for field in ("weights", "bn_means", "bn_stddivs", "bn_gammas", "bn_betas")
    }
    scale = part["bn_gammas"] / np.sqrt(part["bn_stddivs"] + 1e-5)

    kernel = part["weights"] * scale[:, None, None, None]
    bias = part["bn_betas"] - part["bn_means"] * scale
    assert np.allclose(constants["/block0/conv1/w/kernel"], kernel, rtol=1e-5, atol=1e-7)
    assert np.allclose(constants["/block0/conv1/w/bias"], bias, rtol=1e-5, atol=1e-7)


def test_the_same_network_gives_the_same_bytes_whatever_the_order(
    tmp_path: Path, network_file: Path, tensors: dict[str, np.ndarray]
) -> None:
    turned = tmp_path / "turned.pb.gz"
    weights_files.write(turned, SMALL, dict(reversed(tensors.items())))

    assert turned.read_bytes() == network_file.read_bytes()


def test_the_gzip_header_holds_no_time(network_file: Path) -> None:
    assert network_file.read_bytes()[4:8] == bytes(4)


def test_a_plain_file_holds_what_the_gzipped_one_holds(tmp_path: Path, network_file: Path) -> None:
    plain = tmp_path / "network.pb"
    random_networks.write(plain, SMALL, seed=1)

    assert plain.read_bytes() == gzip.decompress(network_file.read_bytes())
    assert weights_files.read_header(plain) == weights_files.read_header(network_file)


def test_training_licence_and_version_are_written(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "trained.pb.gz"
    training = Training(training_steps=7, policy_loss=1.5)
    weights_files.write(
        path, SMALL, tensors, min_version=(0, 30, 1), license="CC0", training=training
    )
    header = weights_files.read_header(path)

    assert (header.min_version, header.license) == ((0, 30, 1), "CC0")
    assert header.training == training


def test_tensors_that_lc0_does_not_use_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "errors.pb.gz"
    multihead = PRESETS["multihead-two-heads"]
    tensors = random_networks.tensors(multihead, seed=1)
    error = {
        "value_heads.q.ip_val_err_w": np.eye(2, 128, dtype=np.float32),
        "value_heads.q.ip_val_err_b": np.ones(2, dtype=np.float32),
    }
    weights_files.write(path, multihead, tensors | error)
    found = weights_files.read(path)

    assert found.architecture == multihead
    for name, values in error.items():
        assert np.array_equal(found.tensors[name], values)
    assert onnx_constants(path)


@pytest.mark.parametrize("preset", ["se-batch-norm", "multihead"])
def test_a_file_that_was_read_can_be_written_again(tmp_path: Path, preset: str) -> None:
    first, second = tmp_path / "first.pb.gz", tmp_path / "second.pb.gz"
    random_networks.write(first, PRESETS[preset], seed=3)
    once = weights_files.read(first)
    weights_files.write(second, once.architecture, once.tensors)
    twice = weights_files.read(second)

    for name, values in once.tensors.items():
        assert np.allclose(twice.tensors[name], values, rtol=1e-6, atol=1e-7)


# Refusals of the writer.


def test_a_missing_tensor_is_named_with_its_shape(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    del tensors["encoder.0.mha.q_w"], tensors["ip_emb_b"]

    with pytest.raises(ValueError, match=r"'ip_emb_b' of shape \(32,\) is missing \(and 1 more\)"):
        weights_files.write(tmp_path / "x.pb.gz", SMALL, tensors)


def test_an_unexpected_tensor_is_named_with_the_nearest_name(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    tensors["encoder.0.mha.q_weight"] = tensors["encoder.0.mha.q_w"]
    message = "'encoder.0.mha.q_weight' is no part of this attention body; .* 'encoder.0.mha.q_"

    with pytest.raises(ValueError, match=message):
        weights_files.write(tmp_path / "x.pb.gz", SMALL, tensors)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    tensors["ip4_pol_w"] = tensors["ip4_pol_w"].T

    with pytest.raises(ValueError, match=r"'ip4_pol_w' has shape \(32, 4\), expected \(4, 32\)"):
        weights_files.write(tmp_path / "x.pb.gz", SMALL, tensors)


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("attention", {"value_hidden": 64}, "value_hidden is 64: lc0 reads .* layer of 128 only"),
        ("se-convolution", {"value_hidden": 256}, "value_hidden is 256: lc0 reads value heads"),
        ("se-convolution", {"value_channels": 8}, "value_channels is 8: after .* 32 channels only"),
    ],
)
def test_sizes_that_lc0_cannot_read_are_not_written(
    preset: str, changes: dict[str, int], message: str, tmp_path: Path
) -> None:
    architecture = replace(PRESETS[preset], **changes)
    with pytest.raises(ValueError, match=message):
        random_networks.write(tmp_path / "net.pb.gz", architecture, seed=1)
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_are_refused(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    tensors["ip_emb_b"] = np.zeros(32, dtype=np.int64)

    with pytest.raises(ValueError, match="'ip_emb_b' is int64, expected float32"):
        weights_files.write(tmp_path / "x.pb.gz", SMALL, tensors)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray], bad: float
) -> None:
    tensors["ip_emb_b"][3] = bad

    with pytest.raises(ValueError, match="'ip_emb_b' holds numbers that are not finite"):
        weights_files.write(tmp_path / "x.pb.gz", SMALL, tensors)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = network_file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        random_networks.write(network_file, PRESETS["attention"], seed=2)

    assert network_file.read_bytes() == before
    assert list(network_file.parent.iterdir()) == [network_file]


def test_a_refused_network_leaves_nothing(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    tensors["ip_emb_b"][0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        weights_files.write(tmp_path / "x.pb.gz", SMALL, tensors)

    assert list(tmp_path.iterdir()) == []


# Refusals of the reader.


def refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(weights_files.WeightsFileError, match=message):
        weights_files.read_header(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.pb.gz is empty: expected a Leela network"),
        (gzip.compress(b"", mtime=0), "x.pb.gz is no Leela network: nothing is compressed in it"),
        (b"hello, world", "starts with b'hello, world', expected gzip or the magic number 0x1c0"),
        (b"\n<!DOCTYPE html>", "it is a web page; the download went wrong"),
        (b"\x08\x08\x12\x03", "it looks like an ONNX model; give it the ending .onnx"),
        (gzip.compress(b"2\n0.1 0.2", mtime=0), "it is a text file of weights of 2018"),
        (b"\x0d\xef\xbe\xad\xde", "its magic number is 0xdeadbeef, expected 0x1c0"),
        (b"\x0d\xc0\x01\x00\x00", "x.pb.gz: it holds neither weights nor an ONNX model"),
        (b"\x1f\x8b\xff" + bytes(20), "x.pb.gz is damaged: Unknown compression method"),
    ],
)
def test_a_file_that_is_no_network_is_refused_with_a_reason(
    tmp_path: Path, content: bytes, message: str
) -> None:
    refused(tmp_path / "x.pb.gz", content, message)


def test_a_gzip_stream_that_breaks_off_is_told_at_every_length(network_file: Path) -> None:
    content = network_file.read_bytes()
    for length in (2, 9, 10, 100, len(content) // 2, len(content) - 8, len(content) - 1):
        refused(network_file, content[:length], f"is cut off: .* after {length} bytes")


def test_a_plain_file_that_breaks_off_is_told(tmp_path: Path, network_file: Path) -> None:
    content = gzip.decompress(network_file.read_bytes())

    refused(tmp_path / "x.pb", content[: len(content) // 2], "x.pb is damaged or cut off: its")


def test_a_changed_byte_is_told_by_the_checksum(network_file: Path) -> None:
    content = bytearray(network_file.read_bytes())
    content[-6] ^= 0xFF

    refused(network_file, bytes(content), "is damaged: CRC check failed")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pb\.gz"):
        weights_files.read_header(tmp_path / "nothing.pb.gz")


def test_a_wrapped_onnx_model_has_no_tensors_to_read(tmp_path: Path) -> None:
    net = schema.new_net()
    net.magic = 0x1C0
    net.onnx_model.model = b"..."
    net.format.network_format.network = 5
    net.format.network_format.input = 1
    path = tmp_path / "wrapped.pb"
    path.write_bytes(net.SerializeToString())

    assert weights_files.read_header(path).embeds_onnx
    with pytest.raises(
        weights_files.WeightsFileError, match="no tensors to read: it wraps an ONNX"
    ):
        weights_files.read(path)


@pytest.mark.parametrize(
    ("tensor", "params", "message"),
    [
        ("k_b", b"1234", r"'encoder.0.mha.k_b' holds 2 numbers, expected shape \(32,\)"),
        ("k_b", None, r"lacks tensor 'encoder.0.mha.k_b' of shape \(32,\)"),
        ("k_b", b"123", "x.pb: tensor 'encoder.0.mha.k_b' has 3 bytes: no whole numbers"),
    ],
)
def test_a_broken_tensor_is_named(
    tmp_path: Path, network_file: Path, tensor: str, params: bytes | None, message: str
) -> None:
    net = schema.new_net()
    net.ParseFromString(gzip.decompress(network_file.read_bytes()))
    attention = net.weights.encoder[0].mha
    if params is None:
        attention.ClearField(tensor)
    else:
        getattr(attention, tensor).params = params
    path = tmp_path / "x.pb"
    path.write_bytes(net.SerializeToString())

    with pytest.raises(weights_files.WeightsFileError, match=message):
        weights_files.read(path)


def test_an_old_batch_normalisation_without_factors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pb"
    random_networks.write(path, PRESETS["se-batch-norm"], seed=1)
    net = schema.new_net()
    net.ParseFromString(path.read_bytes())
    net.weights.input.ClearField("bn_gammas")
    net.weights.input.ClearField("bn_betas")
    path.write_bytes(net.SerializeToString())

    assert "input.bn_gammas" not in weights_files.read(path).tensors


def architecture_of_shared(name: str) -> Architecture:
    tower = replace(PRESETS["se-batch-norm"], moves_left=False)
    return replace(tower, blocks=6, filters=64, squeeze=8) if name.startswith("maia") else tower


@pytest.mark.shared
def test_maia_is_read_as_lc0_reads_it(shared: Path, tmp_path: Path) -> None:
    found = weights_files.read(shared / "nets" / "maia-1900.pb.gz")
    copy = tmp_path / "copy.pb.gz"
    weights_files.write(copy, found.architecture, found.tensors)

    assert found.architecture == architecture_of_shared("maia-1900")
    assert found.header.training.training_steps == 400_000
    lc0_reads = onnx_constants(copy)
    assert np.array_equal(
        lc0_reads["/policy/conv2/w/kernel"], weights_files.read(copy).tensors["policy.weights"]
    )
    assert shapes.of(found.architecture).keys() == found.tensors.keys()


@pytest.mark.shared
def test_every_real_network_has_an_architecture(shared: Path) -> None:
    for path in sorted((shared / "nets").rglob("*.pb.gz")):
        assert weights_files.read_header(path).undescribed == "", path
