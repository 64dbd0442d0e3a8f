"""Every operator against onnxruntime, the outside witness of what ONNX means."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from leela_probe.torch_onnx.graph import Graph
from leela_probe.torch_onnx.operators import UnsupportedOperatorError, supported

RNG = np.random.default_rng(7)
SQUARE = RNG.normal(size=(2, 3, 4, 4)).astype(np.float32)
MATRIX = RNG.normal(size=(6, 5)).astype(np.float32)


def constant(*values, dtype=np.int64):
    return np.array(values, dtype=dtype)


def vector(size):
    return RNG.normal(size=size).astype(np.float32)


# operator, input, constants, attributes, opset, number of outputs
CASES = [
    *((op, MATRIX, [], {}, 17, 1) for op in ("Relu", "Selu", "Elu", "LeakyRelu", "Sigmoid")),
    *((op, MATRIX, [], {}, 17, 1) for op in ("Tanh", "Softplus", "Identity", "Neg", "Abs")),
    *((op, MATRIX, [], {}, 17, 1) for op in ("Exp", "Erf")),
    *((op, np.abs(MATRIX) + 1, [], {}, 17, 1) for op in ("Sqrt", "Log", "Reciprocal")),
    *((op, np.abs(MATRIX) + 1, [vector(5)], {}, 17, 1) for op in ("Add", "Sub", "Mul", "Div")),
    ("Pow", np.abs(MATRIX), [constant(2, dtype=np.float32)], {}, 17, 1),
    ("Mish", MATRIX, [], {}, 18, 1),
    ("Selu", MATRIX, [], {"alpha": 1.1, "gamma": 0.7}, 17, 1),
    ("Elu", MATRIX, [], {"alpha": 0.3}, 17, 1),
    ("Softmax", MATRIX, [], {}, 17, 1),
    ("Softmax", SQUARE, [], {"axis": 1}, 17, 1),
    ("Softmax", SQUARE, [], {"axis": 2}, 11, 1),
    ("Softmax", SQUARE, [], {}, 11, 1),
    ("LogSoftmax", SQUARE, [], {"axis": -2}, 17, 1),
    ("MatMul", MATRIX, [RNG.normal(size=(5, 3)).astype(np.float32)], {}, 17, 1),
    ("Gemm", MATRIX, [RNG.normal(size=(3, 5)).astype(np.float32), vector(3)],
     {"transB": 1, "alpha": 0.5, "beta": 2.0}, 17, 1),
    ("Gemm", MATRIX.T.copy(), [RNG.normal(size=(5, 3)).astype(np.float32)], {"transA": 1}, 17, 1),
    ("Conv", SQUARE, [RNG.normal(size=(5, 3, 3, 3)).astype(np.float32), vector(5)],
     {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}, 17, 1),
    ("Conv", SQUARE, [RNG.normal(size=(5, 3, 1, 1)).astype(np.float32)], {"strides": [2, 2]},
     17, 1),
    ("BatchNormalization", SQUARE, [vector(3), vector(3), vector(3), np.abs(vector(3))],
     {"epsilon": 1e-3}, 17, 1),
    ("LayerNormalization", MATRIX, [vector(5), vector(5)], {"axis": 1, "epsilon": 1e-3}, 17, 1),
    ("LayerNormalization", SQUARE, [vector((4, 4))], {"axis": 2}, 17, 1),
    ("ReduceMean", SQUARE, [], {"axes": [2, 3], "keepdims": 0}, 17, 1),
    ("ReduceMean", SQUARE, [constant(1)], {}, 18, 1),
    ("ReduceMax", SQUARE, [], {"axes": [1]}, 17, 1),
    ("ReduceSum", SQUARE, [constant(1, 2)], {"keepdims": 0}, 17, 1),
    ("GlobalAveragePool", SQUARE, [], {}, 17, 1),
    ("Reshape", SQUARE, [constant(0, -1)], {}, 17, 1),
    ("Reshape", SQUARE, [constant(-1, 4)], {}, 17, 1),
    ("Flatten", SQUARE, [], {"axis": 2}, 17, 1),
    ("Transpose", SQUARE, [], {"perm": [0, 2, 3, 1]}, 17, 1),
    ("Transpose", MATRIX, [], {}, 17, 1),
    ("Unsqueeze", MATRIX, [constant(0, -1)], {}, 17, 1),
    ("Squeeze", MATRIX[:, None], [constant(1)], {}, 17, 1),
    ("Slice", SQUARE, [constant(0, 1), constant(2, 2**31 - 1), constant(1, 3)], {}, 17, 1),
    ("Slice", MATRIX, [constant(-3), constant(-1), constant(0), constant(2)], {}, 17, 1),
    ("Split", MATRIX, [constant(2, 3)], {"axis": 1}, 17, 2),
    ("Split", MATRIX, [], {"axis": 0}, 17, 2),
    ("Gather", MATRIX, [constant(4, 0, 0, 2)], {"axis": 1}, 17, 1),
    ("Gather", SQUARE, [np.array([[0, 1], [2, 2]])], {"axis": -1}, 17, 1),
    ("Concat", MATRIX, [MATRIX], {"axis": 1}, 17, 1),
    ("Cast", MATRIX, [], {"to": 1}, 17, 1),
    ("Cast", MATRIX * 3, [], {"to": 7}, 17, 1),
    ("Shape", SQUARE, [], {}, 17, 1),
    ("Shape", SQUARE, [], {"start": 1, "end": -1}, 17, 1),
    ("Expand", MATRIX[:1], [constant(3, 6, 5)], {}, 17, 1),
    # what onnxruntime's optimiser joins nodes into
    ("com.microsoft.QuickGelu", MATRIX, [], {"alpha": 1.0}, 17, 1),
    ("com.microsoft.QuickGelu", MATRIX, [], {}, 17, 1),
    ("com.microsoft.FusedMatMul", SQUARE, [RNG.normal(size=(2, 3, 5, 4)).astype(np.float32)],
     {"transB": 1, "alpha": 0.25}, 17, 1),
    ("com.microsoft.FusedGemm", MATRIX, [RNG.normal(size=(5, 3)).astype(np.float32), vector(3)],
     {"activation": "Relu", "beta": 0.5}, 17, 1),
    ("com.microsoft.FusedGemm", MATRIX, [RNG.normal(size=(5, 3)).astype(np.float32), vector(3)],
     {"activation": "Tanh"}, 17, 1),
    ("com.microsoft.FusedGemm", MATRIX, [RNG.normal(size=(5, 3)).astype(np.float32), vector(3)],
     {"activation": "Selu", "activation_alpha": 1.6732632, "activation_gamma": 1.050701}, 17, 1),
    ("com.microsoft.FusedConv", SQUARE, [RNG.normal(size=(5, 3, 1, 1)).astype(np.float32),
     vector(5)], {"activation": "Relu"}, 17, 1),
    ("com.microsoft.FusedConv", SQUARE, [RNG.normal(size=(3, 3, 3, 3)).astype(np.float32),
     vector(3), SQUARE[::-1].copy()], {"activation": "Relu", "pads": [1, 1, 1, 1]}, 17, 1),
]  # fmt: skip


def model_of(op, x, constants, attributes, opset, outputs):
    names = [f"c{i}" for i in range(len(constants))]
    domain, _, op = op.rpartition(".")
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(
        op, ["x", *names], results, name="the_node", domain=domain, **attributes
    )
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
        [helper.make_value_info(result, onnx.TypeProto()) for result in results],
        [numpy_helper.from_array(v, n) for v, n in zip(constants, names, strict=True)],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[3]}-{case[4]}")
def test_an_operator_gives_what_onnxruntime_gives(case):
    model = model_of(*case)
    inferred = onnx.shape_inference.infer_shapes(model)
    session = onnxruntime.InferenceSession(inferred.SerializeToString())
    names = [entry.name for entry in session.get_outputs()]
    expected = session.run(names, {"x": case[1]})
    found = Graph(model).run({"x": torch.from_numpy(case[1])}, names)
    for name, value in zip(names, expected, strict=True):
        assert tuple(found[name].shape) == value.shape
        np.testing.assert_allclose(found[name].numpy(), value, rtol=2e-6, atol=2e-6)


def test_every_supported_operator_is_compared_with_onnxruntime():
    assert set(supported()) == {case[0] for case in CASES}


def test_an_unknown_operator_is_refused_by_node_and_name():
    with pytest.raises(
        UnsupportedOperatorError, match=r"node 'the_node', operator Hardmax: unknown"
    ):
        Graph(model_of("Hardmax", MATRIX, [], {}, 17, 1))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (("Conv", SQUARE, [RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)],
          {"pads": [0, 1, 1, 1]}, 17, 1), "uneven padding"),
        (("Slice", MATRIX, [constant(4), constant(0), constant(0), constant(-1)], {}, 17, 1),
         r"steps \[-1\]"),
        (("ReduceMean", MATRIX, [], {}, 17, 1), "no axes given"),
        (("Cast", MATRIX, [], {"to": 8}, 17, 1), "cast to ONNX type 8"),
        (("Reshape", MATRIX, [constant(-1)], {"allowzero": 1}, 17, 1), "allowzero"),
        (("com.microsoft.FusedMatMul", SQUARE, [SQUARE], {"transBatchA": 1}, 17, 1),
         "it transposes batches"),
        (("com.microsoft.FusedGemm", MATRIX, [MATRIX], {"activation": "HardSigmoid"}, 17, 1),
         "activation 'HardSigmoid'"),
        (("com.microsoft.nchwc.Conv", SQUARE, [SQUARE], {}, 17, 1),
         "operator com.microsoft.nchwc.Conv: unknown operator"),
    ],
)  # fmt: skip
def test_a_form_of_an_operator_that_is_not_run_is_refused(case, message):
    with pytest.raises(UnsupportedOperatorError, match=f"the_node.*{message}"):
        Graph(model_of(*case))
