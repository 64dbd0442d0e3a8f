"""ONNX models of any tool in one plain form: onnxruntime on the original is the witness."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from leela_probe.torch_onnx.graph import Graph
from leela_probe.torch_onnx.plain_models import floating_types, plain

X = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
WEIGHT = np.random.default_rng(6).normal(size=(4, 4)).astype(np.float32)


def model_of(nodes, weights, *, outputs=("y",), kind=TensorProto.FLOAT, out_kind=None, **more):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, [3, 4])],
        [helper.make_tensor_value_info(name, out_kind or kind, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **more)


def check(model, *, atol=2e-6):
    """Both engines on the plain form give what onnxruntime gives for the model itself."""
    before = model.SerializeToString()
    made = plain(model)
    assert model.SerializeToString() == before
    kind = model.graph.input[0].type.tensor_type.elem_type
    feed = X.astype(helper.tensor_dtype_to_np_dtype(kind))
    names = [entry.name for entry in model.graph.output]
    expected = onnxruntime.InferenceSession(before).run(names, {"x": feed})
    session = onnxruntime.InferenceSession(made.SerializeToString())
    found = Graph(model).run({"x": torch.from_numpy(X)}, names)
    for name, value, ours in zip(names, expected, session.run(names, {"x": X}), strict=True):
        for array in (ours, found[name].numpy()):
            np.testing.assert_allclose(array, value.astype(np.float32), rtol=atol, atol=atol)
    return made


def layers(*order):
    nodes = {
        "a": helper.make_node("MatMul", ["x", "w"], ["a"]),
        "b": helper.make_node("Relu", ["a"], ["b"]),
        "y": helper.make_node("Add", ["b", "a"], ["y"]),
    }
    return [nodes[name] for name in order]


def test_a_model_in_plain_form_is_left_as_it_is():
    model = model_of(layers("a", "b", "y"), {"w": WEIGHT})
    assert plain(model) is model


@pytest.mark.parametrize("order", ["yba", "bay", "yab"])
def test_nodes_are_put_in_an_order_of_computing(order):
    made = check(model_of(layers(*order), {"w": WEIGHT}))
    assert [node.output[0] for node in made.graph.node] == ["a", "b", "y"]


def test_nodes_in_a_circle_are_refused():
    nodes = layers("a", "b", "y")
    nodes[0].input[0] = "y"
    with pytest.raises(ValueError, match="in an order of computing: a, b, y need one another's"):
        plain(model_of(nodes, {"w": WEIGHT}))


def test_weights_among_the_inputs_are_no_inputs():
    model = model_of(layers("a", "b", "y"), {"w": WEIGHT}, ir_version=3)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 4]))
    made = check(model)
    assert [entry.name for entry in made.graph.input] == ["x"]
    assert Graph(model).inputs == ("x",)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("value", numpy_helper.from_array(WEIGHT[0])),
        ("value_float", 0.5),
        ("value_floats", [0.5, 1.5, -2.0, 0.25]),
    ],
)
def test_weights_in_constant_nodes_are_weights(attribute, value):
    nodes = [
        helper.make_node("Mul", ["x", "d"], ["y"]),
        helper.make_node("Constant", [], ["c"], **{attribute: value}),
        helper.make_node("Relu", ["c"], ["d"]),
    ]
    made = check(model_of(nodes, {}))
    assert [entry.name for entry in made.graph.initializer] == ["c"]


@pytest.mark.parametrize(("attribute", "value"), [("value_int", -1), ("value_ints", [0, -1])])
def test_whole_numbers_in_constant_nodes_stay_whole(attribute, value):
    nodes = [
        helper.make_node("Constant", [], ["c"], **{attribute: value}),
        helper.make_node("Constant", [], ["one"], value_ints=[1]),
        helper.make_node("Expand", ["c", "one"], ["shape"]),
        helper.make_node("Reshape", ["x", "c" if attribute == "value_ints" else "flat"], ["y"]),
        helper.make_node("Constant", [], ["flat"], value_ints=[-1]),
    ]
    made = check(model_of(nodes, {}))
    assert made.graph.initializer[0].data_type == TensorProto.INT64


def test_a_constant_that_holds_words_is_refused():
    node = helper.make_node("Constant", [], ["c"], value_string="queen")
    with pytest.raises(ValueError, match=r"node 'c', operator Constant: .* as 'value_string'"):
        plain(model_of([node, *layers("a", "b", "y")], {"w": WEIGHT}))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_weights_of_any_floating_type_are_widened(kind):
    weight = WEIGHT.astype(helper.tensor_dtype_to_np_dtype(kind))
    made = check(model_of(layers("a", "b", "y"), {"w": weight}, kind=kind), atol=2e-2)
    assert floating_types(made) == {TensorProto.FLOAT}


def test_a_mix_of_types_with_casts_between_them_is_one_type():
    half = WEIGHT.astype(np.float16)
    nodes = [
        helper.make_node("Cast", ["x"], ["x_cast_0"], to=TensorProto.FLOAT16),
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(half)),
        helper.make_node("MatMul", ["x_cast_0", "w"], ["a"]),
        helper.make_node("Cast", ["a"], ["a_input_cast_0"], to=TensorProto.DOUBLE),
        helper.make_node("Softplus", ["a_input_cast_0"], ["b_output_cast_0"]),
        helper.make_node("Cast", ["b_output_cast_0"], ["b"], to=TensorProto.FLOAT16),
        helper.make_node("Add", ["a", "b"], ["y_cast_0"]),
        helper.make_node("Cast", ["y_cast_0"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, {})
    # onnxruntime has no Softplus of float64 on some machines: the witness takes float32 there
    nodes[3].attribute[0].i = TensorProto.FLOAT
    made = check(model_of(nodes, {}), atol=5e-3)
    for form in (made, plain(model)):
        assert not any(node.op_type == "Cast" for node in form.graph.node)
        steps = [tuple(node.output) for node in form.graph.node if node.op_type != "Identity"]
        assert steps == [("a",), ("b",), ("y",)]


def test_the_name_of_a_cast_that_goes_still_stands_for_its_tensor():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["/lc0/name"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["/lc0/name"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["b", "a"], ["y"]),
    ]
    graph = Graph(model_of(nodes, {}))
    found = graph.run({"x": torch.from_numpy(X)}, ["a", "/lc0/name", "b", "y"])
    for name in ("/lc0/name", "b"):
        assert torch.equal(found[name], found["a"])
    torch.testing.assert_close(found["y"], 2 * found["a"])


def test_two_outputs_that_are_casts_of_one_tensor_are_both_there():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["y"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["a"], ["z"], to=TensorProto.FLOAT16),
    ]
    check(model_of(nodes, {}, outputs=("y", "z"), out_kind=TensorProto.FLOAT16), atol=2e-3)


def test_a_weight_and_an_input_may_be_outputs_by_a_cast():
    nodes = [
        helper.make_node("Cast", ["w"], ["y"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["x"], ["z"], to=TensorProto.FLOAT16),
    ]
    model = model_of(nodes, {"w": WEIGHT}, outputs=("y", "z"), out_kind=TensorProto.FLOAT16)
    check(model, atol=2e-3)


@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_whole_numbers_are_made_real_by_a_cast_that_stays(to):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["size"], to=to),
        helper.make_node("Cast", ["size"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Pow", ["wide", "half"], ["y"]),
    ]
    check(model_of(nodes, {}), atol=1e-5)
