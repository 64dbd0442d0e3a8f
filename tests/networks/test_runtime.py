"""Batches in shares; and ONNX files that cannot be run: one line that names the file, whichever
library refuses it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import chess
import numpy as np
import onnx
import pytest
import torch

from leela_probe.networks import runtime
from leela_probe.networks.network import load
from leela_probe.networks.runtime import Runtime


def weights_of(model, count):
    return next(
        entry
        for entry in model.graph.initializer
        if entry.data_type == onnx.TensorProto.FLOAT and len(entry.raw_data) >= 4 * count
    )


def without_an_initializer(model):
    model.graph.initializer.remove(weights_of(model, 100))


def with_an_unknown_input(model):
    model.graph.node[10].input[0] = "/nowhere"


def with_an_output_that_is_not_there(model):
    node = next(node for node in model.graph.node if node.output[0] == "/output/policy")
    node.output[0] = "/elsewhere"


def of_a_later_opset(model):
    model.opset_import[0].version = 99


def of_a_later_format(model):
    model.ir_version = 99


def with_a_tensor_cut_short(model):
    entry = weights_of(model, 100)
    entry.raw_data = entry.raw_data[:-4]


def with_an_unknown_operator(model):
    model.graph.node[10].op_type = "Asinh"


def with_a_wrong_input_format(model):
    onnx.helper.set_model_props(model, {"leela_probe.input_format": "99"})


def with_an_input_format_in_words(model):
    onnx.helper.set_model_props(model, {"leela_probe.input_format": "classical"})


def with_a_smaller_policy(model):
    entry = next(e for e in model.graph.initializer if list(e.dims) == [1858])
    values = onnx.numpy_helper.to_array(entry)[:100]
    entry.CopyFrom(onnx.numpy_helper.from_array(values, entry.name))
    policy = next(output for output in model.graph.output if "policy" in output.name)
    policy.type.tensor_type.shape.dim[1].dim_value = 100


def with_a_nan(model):
    entry = weights_of(model, 100)
    values = onnx.numpy_helper.to_array(entry).copy()
    values.flat[0] = np.nan
    entry.CopyFrom(onnx.numpy_helper.from_array(values, entry.name))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_an_initializer, "cannot be opened by onnxruntime: .* is not a graph input"),
        (with_an_unknown_input, "cannot be opened by onnxruntime: .*'/nowhere' is not a graph"),
        (with_an_output_that_is_not_there, "onnxruntime: .*/output/policy"),
        (of_a_later_opset, "cannot be opened by onnxruntime: ONNX Runtime only .guarantees. supp"),
        (of_a_later_format, "cannot be opened by onnxruntime: Unsupported model IR version: 99"),
        (with_a_tensor_cut_short, "cannot reshape array of size"),
        (with_an_unknown_operator, "operator Asinh: unknown operator"),
        (with_a_wrong_input_format, "notes the input format '99', which is none of 1, 2, 3"),
        (with_an_input_format_in_words, "notes the input format 'classical', which is none of"),
        (with_a_smaller_policy, r"its policy output gives \(100,\) numbers .*: expected 1858"),
        (with_a_nan, "the file holds NaN .* in 1 of its tensors, '/"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused_by_name_in_one_line(
    spoil, message, attention_file, tmp_path
):
    model = onnx.load(attention_file)
    spoil(model)
    onnx.save(model, tmp_path / "spoilt.onnx")
    with pytest.raises(ValueError, match=rf"spoilt\.onnx.*{message}") as refused:
        load(tmp_path / "spoilt.onnx")
    assert "\n" not in str(refused.value)


def test_weights_in_a_file_that_is_gone_are_missed_by_name(attention_file, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(
        onnx.load(attention_file), path, save_as_external_data=True, location="net.bin",
        size_threshold=16,
    )  # fmt: skip
    assert load(path).layers == 3
    (tmp_path / "net.bin").unlink()
    with pytest.raises(ValueError, match=r"net\.onnx keeps its tensors in another file.*net\.bin"):
        load(path)


def test_a_network_exported_for_one_position_takes_several(attention_file, tmp_path, network):
    model = onnx.load(attention_file)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "one.onnx")
    boards = [chess.Board(), chess.Board("8/8/8/4k3/8/3QK3/8/8 w - - 0 1")]
    expected = network("attention").evaluate(boards).logits
    np.testing.assert_array_equal(load(tmp_path / "one.onnx").evaluate(boards).logits, expected)


def test_the_ending_onnx_counts_in_capitals_too(attention_file, tmp_path):
    shutil.copy(attention_file, tmp_path / "NET.ONNX")
    assert load(tmp_path / "NET.ONNX").name == "NET"


def test_planes_of_another_shape_are_refused(network):
    net, message = network("attention"), r"planes have the shape \(.*\): expected \(boards, 112, 8"
    for engine in ("onnxruntime", "torch"):
        with pytest.raises(ValueError, match=message):
            net.evaluate_planes(np.zeros((2, 111, 8, 8), np.float32), engine=engine)
    for shape in ((2, 111, 8, 8), (112, 8, 8), (2, 112, 64)):
        with pytest.raises(ValueError, match=message):
            net.run(torch.zeros(shape), ["embedding"])


def test_what_fails_in_onnxruntime_names_the_file(attention_file):
    runtime = Runtime(onnx.load(attention_file), attention_file)
    planes = np.zeros((1, 111, 8, 8), np.float32)
    with pytest.raises(ValueError, match=r"\.onnx fails in onnxruntime: Got invalid dimensions"):
        runtime.run({"/input/planes": planes}, ["/output/policy"])


@pytest.mark.parametrize("boards", [1, 3, 4, 9, 33, 70])
def test_a_batch_in_shares_is_the_batch_at_once(attention_file, boards):
    random = np.random.default_rng(boards)
    feeds = {"/input/planes": random.random((boards, 112, 8, 8), dtype=np.float32)}
    outputs = ["/output/policy", "/output/wdl"]
    model = onnx.load(attention_file)
    at_once = Runtime(model, attention_file, threads=1).run(feeds, outputs)
    for shares in (2, 3, 8):
        found = Runtime(model, attention_file, threads=shares).run(feeds, outputs)
        for one, other in zip(at_once, found, strict=True):
            assert one.shape == other.shape == (boards, *one.shape[1:])
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(("large", "shapes"), [(1 << 26, [32, 32, 6]), (1, [70])])
def test_a_large_network_takes_its_batch_whole(attention_file, monkeypatch, large, shapes):
    monkeypatch.setattr(runtime, "_LARGE", large)
    found = Runtime(onnx.load(attention_file), attention_file, threads=2)
    asked = []
    run = found._run
    monkeypatch.setattr(
        found,
        "_run",
        lambda feeds, names: (asked.append(len(*feeds.values())), run(feeds, names))[1],
    )
    found.run({"/input/planes": np.zeros((70, 112, 8, 8), np.float32)}, ["/output/policy"])
    assert sorted(asked, reverse=True) == shapes


def test_one_module_imports_onnxruntime():
    package = Path(runtime.__file__).parents[1]
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"^\s*(import|from) onnxruntime", path.read_text(encoding="utf-8"), re.M)
    }
    assert found == {str(Path("networks", "runtime.py"))}


LOADED = """
import os, sys, time
from leela_probe.networks.network import load
import chess
load(sys.argv[1]).evaluate([chess.Board()])
time.sleep(3)
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def can_trace():
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


def in_an_empty_home(code, home, *arguments, **more):
    """What the code prints in a new home folder, and its network calls where strace can run."""
    log = home.parent / "network.strace"
    tracing = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(log)]
    home.mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG", "ORT"))
    }
    found = subprocess.run(
        [*(tracing if can_trace() else []), sys.executable, "-c", code, *arguments],
        env={**kept, "HOME": str(home), "USERPROFILE": str(home), **more},
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip(), log.read_text() if log.exists() else ""


def test_an_empty_home_stays_empty_and_nobody_is_called(attention_file, tmp_path):
    said, calls = in_an_empty_home(LOADED, tmp_path / "home", str(attention_file))
    assert said == "1"
    assert list((tmp_path / "home").rglob("*")) == []
    assert "AF_INET" not in calls


def test_a_users_own_choice_of_telemetry_stays(tmp_path):
    code = (
        "import os\nfrom leela_probe.networks import runtime\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    said, _ = in_an_empty_home(code, tmp_path / "home", ORT_DISABLE_TELEMETRY="0")
    assert said == "0"


def test_onnxruntime_prints_nothing_of_its_own_where_it_refuses(attention_file, capfd):
    model = onnx.load(attention_file)
    with_an_unknown_input(model)
    with pytest.raises(ValueError, match="cannot be opened by onnxruntime"):
        Runtime(model, attention_file)
    assert capfd.readouterr() == ("", "")
