"""A checkpoint becomes the file that its name says, and nothing else."""

import shutil

import chess
import numpy as np
import onnx
import pytest
import typer
from typer.testing import CliRunner

from leela_probe.networks import network
from training import export
from training.train import Run


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "checkpoint.safetensors"
    Run("tiny", seed=3, muon=0.01, adam=0.01, device="cpu").save(path)
    return path


def call(checkpoint, out, size="tiny"):
    command = typer.Typer()
    command.command()(export.main)
    return CliRunner().invoke(command, [str(checkpoint), "--size", size, "--out", str(out)])


def test_onnx_and_leela_files_of_a_checkpoint_say_the_same(checkpoint, tmp_path, cache):
    files = [tmp_path / "tiny.pb.gz", tmp_path / "tiny.onnx"]
    for path in files:
        result = call(checkpoint, path)
        assert result.exit_code == 0, result.output
    onnx.checker.check_model(str(files[1]))
    boards = [chess.Board(), chess.Board("8/8/8/2k5/8/8/1Q6/K7 w - - 0 1")]
    one, other = (network.load(path, cache=cache).evaluate(boards) for path in files)
    np.testing.assert_array_equal(one.wdl, other.wdl)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.onnx", "tiny.pb.gz"]


@pytest.mark.parametrize("name", ["tiny", "tiny.safetensors", "tiny.gz"])
def test_a_name_that_says_no_format_is_a_usage_error(checkpoint, tmp_path, name):
    result = call(checkpoint, tmp_path / name)
    assert result.exit_code == 2
    assert ".pb.gz, .pb, .onnx" in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_size_is_a_usage_error(checkpoint, tmp_path):
    result = call(checkpoint, tmp_path / "tiny.onnx", size="huge")
    assert result.exit_code == 2
    words = " ".join(result.output.replace("\u2502", " ").split())
    assert "no 'huge': choose one of strong, deep, plain, weak, narrow, tiny" in words


def test_without_lc0_there_is_no_onnx_file(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    body, steps = export.load(checkpoint, size="tiny")
    with pytest.raises(FileNotFoundError, match="needs lc0"):
        export.write(tmp_path / "tiny.onnx", body, steps=steps)
    with pytest.raises(ValueError, match=r"'tiny.txt' says no format: end the name in .pb.gz"):
        export.write(tmp_path / "tiny.txt", body, steps=steps)
