"""Reading ONNX files: what is refused, and half precision widened to the same numbers."""

import subprocess

import numpy as np
import onnx
import onnxruntime
import pytest

from leela_probe.networks import conversion, onnx_files
from leela_probe.torch_onnx.graph import Graph


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("preset", ["se-convolution", "attention", "multihead"])
def test_a_half_precision_export_runs_in_float32(preset, kind, network_file, onnx_file, tmp_path):
    half = tmp_path / "half.onnx"
    subprocess.run(
        [
            conversion.find_lc0(),
            "leela2onnx",
            f"--input={network_file(preset)}",
            f"--output={half}",
            f"--onnx-data-type={kind}",
        ],
        check=True,
        capture_output=True,
    )
    planes = (np.random.default_rng(0).random((2, 112, 8, 8)) < 0.1).astype(np.float32)
    wide = onnx_files.read(half)
    assert not any(node.op_type == "Cast" for node in wide.graph.node)
    results = [
        onnxruntime.InferenceSession(model.SerializeToString()).run(
            ["/output/policy", "/output/wdl"], {"/input/planes": planes}
        )
        for model in (wide, onnx.load(onnx_file(preset)))
    ]
    assert results[0][0].dtype == np.float32
    for found, expected in zip(*results, strict=True):
        # the weights were rounded to half precision when exported, so only nearly equal
        np.testing.assert_allclose(found, expected, atol=0.2 if kind == "bf16" else 0.03)
    weights = {entry.name: onnx.numpy_helper.to_array(entry) for entry in wide.graph.initializer}
    for entry in onnx.load(half).graph.initializer:
        value = onnx.numpy_helper.to_array(entry)
        np.testing.assert_array_equal(weights[entry.name], value.astype(weights[entry.name].dtype))


@pytest.mark.parametrize("preset", ["attention", "multihead", "se-attention", "classical"])
def test_a_file_of_lc0s_is_left_as_it_is(preset, onnx_file):
    opened = onnx_files.open_file(onnx_file(preset))
    assert not opened.rewritten
    assert opened.model == onnx.load(onnx_file(preset))
    assert (opened.narrowest, dict(opened.external)) == ("float32", {})


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    path = tmp_path / "not.onnx"
    path.write_bytes(b"PuzzleId,FEN,Moves\n" * 30)
    with pytest.raises(ValueError, match=r"not\.onnx is not an ONNX file \(570 bytes"):
        onnx_files.read(path)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.onnx holds no ONNX graph"):
        onnx_files.read(path)


def test_a_truncated_file_is_refused(attention_file, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(attention_file.read_bytes()[:20000])
    with pytest.raises(ValueError, match=r"cut\.onnx is not an ONNX file"):
        onnx_files.read(path)


def test_a_network_of_other_inputs_is_refused(tmp_path):
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Relu", ["image"], ["y"])],
        "other",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 224, 224])],
    )
    onnx.save(helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"takes .*224.*: expected one input of shape"):
        onnx_files.read(tmp_path / "other.onnx")


@pytest.mark.parametrize("preset", ["attention", "multihead", "se-attention"])
def test_an_export_in_simple_operators_fuses_to_the_same_network(
    preset, network_file, onnx_file, tmp_path
):
    import torch

    simple = tmp_path / "simple.onnx"
    subprocess.run(
        [
            conversion.find_lc0(),
            "leela2onnx",
            f"--input={network_file(preset)}",
            f"--output={simple}",
            "--onnx2pytorch",
        ],
        check=True,
        capture_output=True,
    )
    planes = torch.rand(2, 112, 8, 8, generator=torch.Generator().manual_seed(1)).round()
    plain, spelled_out = (Graph(onnx.load(path)) for path in (onnx_file(preset), simple))
    for name in plain.outputs:
        found, expected = (
            graph.run({"/input/planes": planes}, [name])[name] for graph in (spelled_out, plain)
        )
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    steps = [
        len(graph._plan(frozenset(graph.inputs), graph.outputs, frozenset(), True).steps)
        for graph in (spelled_out, plain)
    ]
    assert steps[0] == steps[1]
