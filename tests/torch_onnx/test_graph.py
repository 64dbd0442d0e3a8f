"""The torch graph against onnxruntime, and the laws of running part of a graph."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from network_families import SMALL

from leela_probe.torch_onnx.graph import Graph

HEADS = ("/output/policy", "/output/wdl")


@pytest.fixture(scope="module")
def planes():
    rng = np.random.default_rng(3)
    return torch.from_numpy((rng.random((3, 112, 8, 8)) < 0.12).astype(np.float32))


@pytest.fixture(scope="module")
def graph(attention_file):
    return Graph(onnx.load(attention_file))


def feed(graph, planes):
    return {graph.inputs[0]: planes}


@pytest.mark.parametrize("preset", SMALL)
def test_every_tensor_of_every_architecture_is_what_onnxruntime_computes(preset, onnx_file, planes):
    model = onnx.load(onnx_file(preset))
    graph = Graph(model)
    del model.graph.output[:]
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in graph.producer
    )
    inferred = onnx.shape_inference.infer_shapes(model)
    session = onnxruntime.InferenceSession(inferred.SerializeToString())
    names = list(graph.producer)
    expected = session.run(names, {graph.inputs[0]: planes.numpy()})
    found = graph.run(feed(graph, planes), names)
    for name, value in zip(names, expected, strict=True):
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(
            found[name].numpy(), value, atol=1e-5 * scale, rtol=0, err_msg=name
        )


@pytest.mark.parametrize("preset", SMALL)
def test_fusing_changes_nothing_but_rounding(preset, onnx_file, planes):
    graph = Graph(onnx.load(onnx_file(preset)))
    fused = graph.run(feed(graph, planes), graph.outputs)
    plain = graph.run(feed(graph, planes), graph.outputs, fused=False)
    for name in graph.outputs:
        torch.testing.assert_close(fused[name], plain[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preset", SMALL)
def test_a_step_writes_only_over_what_nobody_holds(preset, onnx_file, planes):
    """Whatever is read, fed or edited on the way, everything is as where every node runs alone."""
    graph = Graph(onnx.load(onnx_file(preset)))
    every = graph.run(feed(graph, planes), list(graph.producer), fused=False)
    rng = np.random.default_rng(5)
    real = [name for name in graph.producer if every[name].is_floating_point()]
    for _ in range(25):
        wanted = list(rng.choice(real, size=3, replace=False))
        (fed,) = rng.choice(real, size=1)
        try:
            kept = graph.boundary([fed], wanted)
        except ValueError:  # it has no influence on them
            continue
        feeds = {name: every[name].clone() for name in (fed, *kept) if name in every}
        feeds |= feed(graph, planes) if graph.inputs[0] in kept else {}
        found = graph.run(feeds, wanted, edits={fed: lambda value: value})
        for name in wanted:
            # rounding differs between processors; what was written over is off by the order of 1
            torch.testing.assert_close(found[name], every[name], atol=1e-4, rtol=1e-5)
        for name, value in feeds.items():
            assert torch.equal(value, every.get(name, planes))


def test_fusing_leaves_fewer_steps_than_nodes(graph, planes):
    graph.run(feed(graph, planes), graph.outputs)
    graph.run(feed(graph, planes), graph.outputs, fused=False)
    fused, plain = (
        len(graph._plan(frozenset(graph.inputs), graph.outputs, frozenset(), kind).steps)
        for kind in (True, False)
    )
    assert fused < 0.75 * plain


def test_a_run_computes_only_what_the_wanted_tensor_needs(graph, planes):
    calls = []
    graph.run(
        feed(graph, planes),
        ["/encoder0/mha/QK/softmax"],
        edits={"/encoder0/mha/Q/w": lambda value: calls.append(1) or value},
    )
    steps = graph._plan(
        frozenset(graph.inputs), ("/encoder0/mha/QK/softmax",), frozenset(), False
    ).steps
    made = {name for step, _ in steps for name in step.outputs}
    assert calls == [1]
    assert "/encoder0/mha/V/w" not in made
    assert not any(name.startswith(("/encoder1", "/policy", "/value")) for name in made)


def test_tensors_are_dropped_after_their_last_use(graph):
    plan = graph._plan(frozenset(graph.inputs), graph.outputs, frozenset(), True)
    alive, most = set(graph.inputs), 0
    for step, dropped in plan.steps:
        assert set(step.inputs) <= alive | set(plan.constants)
        alive |= set(step.outputs)
        most = max(most, len(alive))
        alive -= set(dropped)
    assert alive == set(graph.outputs)
    assert most < 20


@pytest.mark.parametrize("preset", SMALL)
def test_feeding_a_tensor_back_gives_the_same_outputs(preset, onnx_file, planes):
    graph = Graph(onnx.load(onnx_file(preset)))
    later = [name for name in graph.producer if name.startswith(("/encoder1", "/block1"))]
    name = later[0] if later else "/encoder0/mha/QKV/matmul"
    kept = graph.boundary([name], graph.outputs)
    first = graph.run(feed(graph, planes), [*graph.outputs, name, *kept])
    again = graph.run({n: first[n] for n in (name, *kept)}, graph.outputs)
    for output in graph.outputs:
        torch.testing.assert_close(again[output], first[output], atol=1e-6, rtol=1e-5)


def test_the_boundary_of_a_residual_stream_cut_is_the_stream_alone(graph):
    assert graph.boundary(["/encoder1/ln2"], HEADS) == ()


def test_the_boundary_of_a_head_output_is_the_stream_it_is_added_to(graph):
    assert graph.boundary(["/encoder1/mha/QKV/matmul"], HEADS) == ("/encoder0/ln2",)


def test_the_boundary_of_an_attention_pattern_holds_the_values_too(graph):
    assert graph.boundary(["/encoder1/mha/QK/softmax"], HEADS) == (
        "/encoder0/ln2",
        "/encoder1/mha/V/transpose",
    )


def test_an_edit_reaches_the_outputs_and_the_edited_tensor_comes_back(graph, planes):
    name = "/encoder1/ln1"
    clean = graph.run(feed(graph, planes), [*HEADS, name])
    edited = graph.run(feed(graph, planes), [*HEADS, name], edits={name: torch.zeros_like})
    assert float(edited[name].abs().max()) == 0.0
    assert float(clean[name].abs().max()) > 0.1
    assert float((edited[HEADS[0]] - clean[HEADS[0]]).abs().max()) > 0.1


def test_an_edit_leaves_nothing_behind(graph, planes):
    before = graph.run(feed(graph, planes), HEADS)
    graph.run(feed(graph, planes), HEADS, edits={"/encoder1/ln1": torch.zeros_like})
    after = graph.run(feed(graph, planes), HEADS)
    assert all(torch.equal(before[name], after[name]) for name in HEADS)


def test_a_fed_tensor_can_be_edited(graph, planes):
    edits = {graph.inputs[0]: torch.zeros_like}
    edited = graph.run(feed(graph, planes), HEADS, edits=edits)
    zeros = graph.run(feed(graph, torch.zeros_like(planes)), HEADS)
    assert torch.equal(edited[HEADS[0]], zeros[HEADS[0]])


def test_an_edit_that_would_never_happen_is_refused(graph, planes):
    with pytest.raises(ValueError, match=r"edit of '/value/embed/add' would never happen"):
        graph.run(feed(graph, planes), [HEADS[0]], edits={"/value/embed/add": torch.relu})


def test_changing_what_has_no_influence_is_refused(graph):
    with pytest.raises(ValueError, match=r"changing '/value/embed/add' has no influence"):
        graph.boundary(["/value/embed/add"], [HEADS[0]])


def test_an_unknown_tensor_is_refused(graph, planes):
    with pytest.raises(KeyError, match=r"no tensor '/encoder9/ln2'"):
        graph.run(feed(graph, planes), ["/encoder9/ln2"])


def test_a_run_without_its_input_is_refused(graph):
    with pytest.raises(ValueError, match=r"cannot be computed without /input/planes: only nothing"):
        graph.run({}, HEADS)


def test_gradients_flow_when_asked_for_and_only_then(graph, planes):
    planes = planes.clone().requires_grad_()
    assert not graph.run(feed(graph, planes), HEADS)[HEADS[0]].requires_grad
    output = graph.run(feed(graph, planes), HEADS, gradients=True)[HEADS[0]]
    (gradient,) = torch.autograd.grad(output[:, 7].sum(), planes)
    step = 1e-2 * gradient / gradient.norm()
    up, down = (
        graph.run(feed(graph, planes.detach() + sign * step), HEADS)[HEADS[0]][:, 7].sum()
        for sign in (1, -1)
    )
    slope = float((up - down) / 2e-2)
    assert slope == pytest.approx(float(gradient.norm()), rel=2e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_float32(attention_file, planes, dtype):
    half = Graph(onnx.load(attention_file), dtype=dtype)
    full = Graph(onnx.load(attention_file))
    for name in HEADS:
        found = half.run(feed(half, planes), HEADS)[name]
        assert found.dtype == dtype
        expected = full.run(feed(full, planes), HEADS)[name]
        assert float((found.float() - expected).abs().max()) < 0.3


def test_how_cuda_multiplies_is_set_for_a_run_and_put_back(monkeypatch):
    from leela_probe.torch_onnx.graph import _products

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    for tf32 in (True, False):
        with _products(torch.device("cuda"), tf32=tf32):
            assert torch.backends.cuda.matmul.allow_tf32 is tf32
            assert torch.backends.cudnn.allow_tf32 is tf32
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_runs_in_several_threads_multiply_each_in_its_own_way():
    from leela_probe.torch_onnx.graph import _products

    before = torch.backends.cuda.matmul.allow_tf32

    def runs(tf32):
        for _ in range(200):
            with _products(torch.device("cuda"), tf32=tf32):
                time.sleep(1e-5)
                if torch.backends.cuda.matmul.allow_tf32 is not tf32:
                    return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(runs, (True, False)))
    assert torch.backends.cuda.matmul.allow_tf32 is before
