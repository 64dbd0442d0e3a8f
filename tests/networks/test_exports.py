"""ONNX files that other tools have written or changed: onnxruntime on the file is the witness."""

import gzip
import random
import shutil
import subprocess
from pathlib import Path

import chess
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from network_families import FAMILIES
from onnx import TensorProto, helper, numpy_helper

from leela_probe.networks import conversion, network, onnx_files
from leela_probe.networks.network import load
from leela_probe.networks.parity import MismatchError
from leela_probe.networks.verification import POSITIONS
from leela_probe.networks.verification import boards as boards_of

BOARDS = boards_of(POSITIONS)


def answers(path, net, names=("/output/policy", "/output/wdl", "/output/value", "/output/mlh")):
    """What onnxruntime gives for the file itself, by the names of lc0's outputs that it has."""
    session = onnxruntime.InferenceSession(str(path))
    names = [entry.name for entry in session.get_outputs() if entry.name in names]
    entry = next(e for e in session.get_inputs() if e.shape[-3:] == [112, 8, 8])
    planes = net.encode(BOARDS).planes()
    typed = planes.astype(np.float16 if "float16" in entry.type else np.float32)
    return dict(zip(names, session.run(names, {entry.name: typed}), strict=True))


def check(path, *, atol=3e-6, twin=None):
    """The network answers as onnxruntime does for its file, and has the sites of its twin."""
    net = load(path)
    expected = answers(path, net)
    outputs = net.evaluate_planes(net.encode(BOARDS).planes())
    torch_outputs = net.evaluate_planes(net.encode(BOARDS).planes(), engine="torch")
    for found in (outputs, torch_outputs):
        np.testing.assert_allclose(found.logits, expected["/output/policy"], atol=max(atol, 1e-5))
        if "/output/wdl" in expected:
            np.testing.assert_allclose(found.wdl, expected["/output/wdl"], atol=atol)
        if "/output/value" in expected:
            value = expected["/output/value"].reshape(-1)
            np.testing.assert_allclose(found.value, value, atol=atol)
    if twin is not None:
        assert list(net.sites) == list(twin.sites)
        assert [site.axes for site in net.sites.values()] == [
            site.axes for site in twin.sites.values()
        ]
        assert not net.lost_sites
        known = twin.capture(BOARDS[:3], list(twin.sites))
        for name, value in net.capture(BOARDS[:3], list(net.sites)).items():
            scale = max(1.0, float(known[name].abs().max()))
            torch.testing.assert_close(
                value, known[name], atol=max(atol, 1e-5) * scale, rtol=0, msg=name
            )
    return net


# -- outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", FAMILIES)
def test_an_inner_tensor_appended_as_an_output_changes_nothing(
    preset, onnx_file, network, tmp_path
):
    model = onnx.load(onnx_file(preset))
    outputs = {entry.name for entry in model.graph.output}
    inner = [
        name for node in model.graph.node for name in node.output
        if name not in outputs and any(word in name for word in ("policy", "value", "wdl", "mlh"))
    ]  # fmt: skip
    assert len(inner) > 4
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    infos = {info.name: info for info in known}
    twin, net = network(preset), None
    for name in [*random.Random(preset).sample(inner, 3), None]:
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        names = inner if name is None else [name]
        changed.graph.output.extend(infos[name] for name in names)
        path = tmp_path / "appended.onnx"
        onnx.save(changed, path)
        net = check(path, twin=twin)
    assert np.array_equal(net.evaluate(BOARDS).logits, twin.evaluate(BOARDS).logits)


def test_outputs_of_other_names_are_known_by_their_words_and_notes(attention_file, tmp_path):
    def renamed(names, notes=(), extra=()):
        model = onnx.load(attention_file)
        for node in model.graph.node:
            node.output[:] = [names.get(name, name) for name in node.output]
        for entry in model.graph.output:
            entry.name = names.get(entry.name, entry.name)
        for name in extra:
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        onnx_files.set_metadata(model, dict(notes))
        onnx.save(model, tmp_path / "renamed.onnx")
        return tmp_path / "renamed.onnx"

    everything = {"/output/policy": "p/policy", "/output/wdl": "WDL", "/output/mlh": "mlh:0"}
    expected = load(attention_file).evaluate(BOARDS)
    found = load(renamed(everything)).evaluate(BOARDS)
    assert np.array_equal(found.logits, expected.logits)
    assert np.array_equal(found.wdl, expected.wdl)
    assert np.array_equal(found.moves_left, expected.moves_left)
    with pytest.raises(
        ValueError, match=r"has 2 outputs that may be its policy: p/policy, /policy/scale\. Name"
    ):
        load(renamed(everything, extra=["/policy/scale"]))
    notes = {"leela_probe.output.policy": "p/policy", "leela_probe.output.wdl": "WDL"}
    found = load(renamed(everything, notes, extra=["/policy/scale"])).evaluate(BOARDS)
    assert np.array_equal(found.logits, expected.logits)
    assert np.array_equal(found.wdl, expected.wdl)
    with pytest.raises(ValueError, match=r"renamed\.onnx notes 'p' as its policy output, and its"):
        load(renamed(everything, {"leela_probe.output.policy": "p"}))
    with pytest.raises(ValueError, match=r"the outputs moves, WDL, mlh:0: expected one named '/o"):
        load(renamed({**everything, "/output/policy": "moves"}))


# -- what nodes and weights look like -------------------------------------------------------------


@pytest.mark.parametrize("preset", ["attention", "multihead", "se-attention", "classical"])
@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_nodes_may_come_in_any_order(preset, order, onnx_file, network, tmp_path):
    model = onnx.load(onnx_file(preset))
    nodes = list(model.graph.node)
    random.Random(3).shuffle(nodes)
    if order == "reversed":
        nodes = list(reversed(model.graph.node))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, tmp_path / "order.onnx")
    check(tmp_path / "order.onnx", twin=network(preset))


def test_what_lc0_appends_to_divide_the_clock_is_read(onnx_file, network, tmp_path):
    # lc0 onnx2leela --fix-rule50: a node at the end that the first node needs
    model = onnx.load(onnx_file("attention"))
    factors = np.ones((1, 112, 1, 1), np.float32)
    factors[0, 109] = 1 / 99
    model.graph.initializer.append(numpy_helper.from_array(factors, "rule50fix_factors"))
    for node in model.graph.node:
        node.input[:] = ["rule50fix" if n == "/input/planes" else n for n in node.input]
    model.graph.node.append(
        helper.make_node("Mul", ["/input/planes", "rule50fix_factors"], ["rule50fix"])
    )
    onnx.save(model, tmp_path / "fixed.onnx")
    net = check(tmp_path / "fixed.onnx")
    assert list(net.sites) == list(network("attention").sites)


def with_constant_nodes(model, kind=None):
    """The model with its weights in Constant nodes, of half precision if asked for."""
    nodes = []
    for entry in model.graph.initializer:
        tensor = entry
        if kind is not None and entry.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(entry).astype(np.float16)
            tensor = numpy_helper.from_array(half, entry.name)
        name = entry.name if tensor is entry else f"{entry.name}/half"
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        if tensor is not entry:
            nodes.append(helper.make_node("Cast", [name], [entry.name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    nodes += [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("kind", [None, TensorProto.FLOAT16])
@pytest.mark.parametrize("preset", ["attention", "multihead", "se-convolution", "classical"])
def test_weights_may_be_in_constant_nodes(preset, kind, onnx_file, network, tmp_path):
    onnx.save(with_constant_nodes(onnx.load(onnx_file(preset)), kind), tmp_path / "c.onnx")
    net = check(tmp_path / "c.onnx", twin=network(preset) if kind is None else None, atol=2e-5)
    assert list(net.sites) == list(network(preset).sites)
    assert set(net.graph.constants) >= set(network(preset).graph.constants)


@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_weights_may_be_among_the_inputs(preset, onnx_file, network, tmp_path):
    model = onnx.load(onnx_file(preset))
    infos = [
        helper.make_tensor_value_info(entry.name, entry.data_type, list(entry.dims))
        for entry in model.graph.initializer
    ]
    planes = onnx.ValueInfoProto.FromString(model.graph.input[0].SerializeToString())
    del model.graph.input[:]
    model.graph.input.extend([*infos[:5], planes, *infos[5:]])
    model.ir_version = 3
    model.opset_import[0].version = 17
    onnx.save(model, tmp_path / "old.onnx")
    check(tmp_path / "old.onnx", twin=network(preset))


@pytest.mark.parametrize("where", ["nodes", "initializers"])
@pytest.mark.parametrize("preset", ["attention", "multihead", "se-convolution"])
def test_half_precision_may_be_kept_inside_the_file_alone(
    preset, where, onnx_file, network, network_file, tmp_path
):
    # as onnxconverter-common writes it with keep_io_types: casts at both ends
    half = tmp_path / "lc0.onnx"
    subprocess.run(
        [conversion.find_lc0(), "leela2onnx", f"--input={network_file(preset)}",
         f"--output={half}", "--onnx-data-type=f16"],
        check=True, capture_output=True,
    )  # fmt: skip
    model = onnx.load(half)
    ends = [entry.name for entry in model.graph.output]
    for node in model.graph.node:
        node.input[:] = ["graph_input_cast_0" if n == "/input/planes" else n for n in node.input]
        node.output[:] = [f"graph_output_cast_{n}" if n in ends else n for n in node.output]
    model.graph.node.insert(0, helper.make_node(
        "Cast", ["/input/planes"], ["graph_input_cast_0"], to=TensorProto.FLOAT16))  # fmt: skip
    for name in ends:
        model.graph.node.append(
            helper.make_node("Cast", [f"graph_output_cast_{name}"], [name], to=TensorProto.FLOAT)
        )
    for entry in (*model.graph.input, *model.graph.output):
        entry.type.tensor_type.elem_type = TensorProto.FLOAT
    if where == "nodes":
        with_constant_nodes(model)
    onnx.save(model, tmp_path / "mixed.onnx")
    net = check(tmp_path / "mixed.onnx", atol=5e-2)
    assert list(net.sites) == list(network(preset).sites)
    names = [site.tensor for site in network(preset).sites.values()]
    assert [site.tensor for site in net.sites.values()] == names


def test_a_cast_around_one_operator_leaves_its_name(attention_file, network, tmp_path):
    model = onnx.load(attention_file)
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Softmax":
            (source,), (result,) = node.input, node.output
            nodes += [
                helper.make_node("Cast", [source], [f"{result}_input_cast_0"], to=11),
                helper.make_node("Softmax", [f"{result}_input_cast_0"],
                                 [f"{result}_output_cast_0"], axis=-1),
                helper.make_node("Cast", [f"{result}_output_cast_0"], [result], to=1),
            ]  # fmt: skip
        else:
            nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "cast.onnx")
    net = check(tmp_path / "cast.onnx", twin=network("attention"))
    assert net.site("layer0.pattern").tensor == "/encoder0/mha/QK/softmax"
    near = net.capture(BOARDS, ["/encoder0/mha/QK/softmax_output_cast_0", "layer0.pattern"])
    assert torch.equal(*near.values())


# -- files that a tool has optimised --------------------------------------------------------------


def optimised(path, target, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}"
    )
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return target


@pytest.mark.parametrize("level", ["BASIC", "EXTENDED"])
@pytest.mark.parametrize("preset", FAMILIES)
def test_a_file_that_a_tool_has_folded_is_read_and_what_is_lost_is_listed(
    preset, level, onnx_file, network, tmp_path
):
    net = check(optimised(onnx_file(preset), tmp_path / "folded.onnx", level), atol=1e-5)
    twin = network(preset)
    assert (net.layers, net.width, net.heads, net.mlp_width) == (
        twin.layers, twin.width, twin.heads, twin.mlp_width
    )  # fmt: skip
    assert set(net.sites) | set(net.lost_sites) >= {
        name for name in twin.sites if not name.endswith(("se_gate", "smolgen", "block_output"))
    }
    assert not set(net.sites) & set(net.lost_sites)
    known = twin.capture(BOARDS[:3], list(twin.sites))
    for name, value in net.capture(BOARDS[:3], list(net.sites)).items():
        scale = max(1.0, float(known[name].abs().max()))
        torch.testing.assert_close(value, known[name], atol=1e-5 * scale, rtol=0, msg=name)
    for name, tensor in net.lost_sites.items():
        with pytest.raises(KeyError, match=f"no site '{name}' in this file: .*'{tensor}'"):
            net.site(name)


def test_a_file_optimised_for_one_processor_is_refused_by_the_operator(onnx_file, tmp_path):
    path = optimised(onnx_file("se-convolution"), tmp_path / "all.onnx", "ALL")
    with pytest.raises(ValueError, match=r"all\.onnx: .*operator com\.microsoft\.nchwc\..* as lc0"):
        load(path)


def test_a_reading_that_differs_from_the_file_is_refused(attention_file, tmp_path, monkeypatch):
    model = onnx.load(attention_file)
    onnx.save(with_constant_nodes(model), tmp_path / "c.onnx")
    plain = onnx_files.plain_models.plain

    def wrong(model):
        made = plain(model)
        for entry in made.graph.initializer:
            if entry.name == "/encoder1/mha/Q/w/w":
                values = 3 * numpy_helper.to_array(entry)
                entry.CopyFrom(numpy_helper.from_array(values, entry.name))
        return made

    monkeypatch.setattr(onnx_files.plain_models, "plain", wrong)
    with pytest.raises(MismatchError, match=r"c\.onnx: the network as it is read here and the fil"):
        load(tmp_path / "c.onnx")


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["net.onnx.gz", "NET.ONNX.GZ", "net.onnx"])
def test_a_gzipped_onnx_file_is_read(name, attention_file, network, tmp_path):
    path = tmp_path / name
    path.write_bytes(gzip.compress(attention_file.read_bytes(), 1))
    net = load(path)
    assert net.name.lower() == "net"
    twin = network("attention")
    assert np.array_equal(net.evaluate(BOARDS).logits, twin.evaluate(BOARDS).logits)


def test_a_gzipped_onnx_file_of_another_form_is_compared_too(onnx_file, tmp_path):
    onnx.save(with_constant_nodes(onnx.load(onnx_file("attention"))), tmp_path / "c.onnx")
    packed = tmp_path / "c.onnx.gz"
    packed.write_bytes(gzip.compress((tmp_path / "c.onnx").read_bytes(), 1))
    found = network.runtime.run_file(packed, np.zeros((1, 112, 8, 8), np.float32), ["/output/wdl"])
    assert found[0].shape == (1, 3)
    assert load(packed).parity < 1e-4


def test_a_gzipped_onnx_file_that_is_cut_or_damaged_is_refused(attention_file, tmp_path):
    packed = gzip.compress(attention_file.read_bytes(), 1)
    (tmp_path / "cut.onnx.gz").write_bytes(packed[:-2000])
    with pytest.raises(ValueError, match=r"cut\.onnx\.gz is cut off: its gzip stream does not end"):
        load(tmp_path / "cut.onnx.gz")
    broken = bytearray(packed)
    broken[len(packed) // 2] ^= 255
    (tmp_path / "broken.onnx.gz").write_bytes(broken)
    with pytest.raises(ValueError, match=r"broken\.onnx\.gz is damaged: .*; get the file again"):
        load(tmp_path / "broken.onnx.gz")


def test_external_data_that_is_cut_off_is_refused_by_both_names(attention_file, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(onnx.load(attention_file), path, save_as_external_data=True, location="net.onnx.data",
              size_threshold=16)  # fmt: skip
    whole = (tmp_path / "net.onnx.data").read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        (tmp_path / "net.onnx.data").write_bytes(whole[:size])
        with pytest.raises(
            ValueError,
            match=rf"net\.onnx keeps its tensors in 'net\.onnx\.data', which is cut off: it has "
            rf"{size} bytes of at least {len(whole)}",
        ):
            load(path)


def test_more_inputs_than_the_planes_are_refused(attention_file, tmp_path):
    model = onnx.load(attention_file)
    model.graph.input.append(helper.make_tensor_value_info("elo", TensorProto.FLOAT, ["batch", 1]))
    onnx.save(model, tmp_path / "two.onnx")
    with pytest.raises(
        ValueError, match=r"two\.onnx takes .*'elo': .* expected one input of shape"
    ):
        load(tmp_path / "two.onnx")


def test_relative_position_encoding_is_refused_by_name(attention_file, tmp_path):
    model = onnx.load(attention_file)
    for entry in model.graph.initializer:
        if entry.name == "/encoder0/mha/Q/w/w":
            copy = onnx.TensorProto.FromString(entry.SerializeToString())
            copy.name = "/encoder0/mha/rpe_q/w"
            model.graph.initializer.append(copy)
            break
    onnx.save(model, tmp_path / "bt5.onnx")
    with pytest.raises(
        ValueError, match=r"bt5\.onnx has relative position encoding \('/encoder0/mha/rpe_q/w'\)"
    ):
        load(tmp_path / "bt5.onnx")


def test_a_copy_under_another_name_is_the_same_network(attention_file, tmp_path):
    shutil.copy(attention_file, tmp_path / "copy.onnx")
    assert load(tmp_path / "copy.onnx").identity() == load(attention_file).identity()
    assert load(Path(attention_file)).evaluate([chess.Board()]).logits.shape == (1, 1858)
