"""Training learns, resumes after a kill, and several processes take the steps of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from safetensors.numpy import load_file
from typer.testing import CliRunner

from training import batches, certificates, export, tactics
from training import train as training

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "held-out"):
        (folder / split).mkdir()
        block = certificates.generate(seed=1, block=0, count=256, split=split)
        np.save(folder / split / "block-000000.npy", block, allow_pickle=False)
    return folder


def train(data, out, *options, check=True):
    command = [
        *(sys.executable, "-m", "training.train"),
        *("--data", data / "train", "--held-out", data / "held-out", "--out", out),
        *("--size", "tiny", "--batch", "32", "--no-bfloat16", *options),
    ]
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=check, capture_output=True, text=True,
    )  # fmt: skip


def weights(out):
    return {
        name: value
        for name, value in load_file(out / "checkpoint.safetensors").items()
        if name.startswith("weights/")
    }


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(data, out, "--steps", "24", "--every", "8")
    return out


def test_a_run_that_was_cut_off_ends_with_the_same_weights(data, whole, tmp_path):
    code = (
        "import os, training.train as t\n"
        "learn = t.Run.learn\n"
        "def dying(self, *a, **k):\n"
        "    if self.step == 13: os.kill(os.getpid(), 9)\n"
        "    return learn(self, *a, **k)\n"
        "t.Run.learn = dying\n"
        "import typer; typer.run(t.main)\n"
    )
    out = tmp_path / "cut"
    arguments = [
        *(
            "--data",
            data / "train",
            "--held-out",
            data / "held-out",
            "--out",
            out,
            "--size",
            "tiny",
        ),
        *("--batch", "32", "--no-bfloat16", "--steps", "24", "--every", "8"),
    ]
    killed = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True
    )
    assert killed.returncode == -9
    resumed = train(data, out, "--steps", "24", "--every", "8")
    assert "goes on at step 8" in resumed.stdout
    ours, theirs = weights(out), weights(whole)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_two_processes_take_the_steps_of_one(data, whole, tmp_path):
    out = tmp_path / "two"
    train(data, out, "--steps", "24", "--every", "8", "--processes", "2")
    ours, theirs = weights(out), weights(whole)
    # 24 steps enlarge the rounding of sums in another order, Muon's in bfloat16 more than others'
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, atol=1e-3, err_msg=name)


def test_the_loss_falls(whole):
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [8, 16, 24]
    assert lines[-1]["moves_loss"] + lines[-1]["outcome_loss"] < sum(
        (lines[0]["moves_loss"], lines[0]["outcome_loss"])
    )
    assert set(lines[-1]["held_out"]) == {"mate_in_2", "mate_in_1", "defence", "near_miss"}


def call(data, out, *options):
    """The command in this process."""
    command = typer.Typer()
    command.command()(training.main)
    arguments = [
        *("--data", data / "train", "--held-out", data / "held-out", "--out", out),
        *("--size", "tiny", "--batch", "32", "--no-bfloat16", *options),
    ]
    return CliRunner().invoke(command, list(map(str, arguments)))


def test_a_step_computes_where_the_weights_are_and_not_where_the_positions_come_from():
    found = certificates.generate(seed=1, block=0, count=64)
    run = training.Run("tiny", seed=0, muon=0.01, adam=0.01, device="meta", told=0.5)
    run.optimizers = run.base_rates = ()  # fused AdamW has nothing for a device without numbers
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
        run.learn(batches.of(found, teacher="told"), factor=1.0, bfloat16=False)
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        training.evaluate(run.body, found, teacher="strong")


def test_a_run_is_resumed_with_its_own_settings_only(data, whole):
    before = weights(whole)
    result = call(
        data, whole, "--steps", "24", "--teacher", "greedy", "--seed", "9", "--every", "3"
    )
    assert result.exit_code == 1
    assert "holds a run with seed 0 not 9, teacher 'strong' not 'greedy'" in result.output
    assert all((weights(whole)[name] == value).all() for name, value in before.items())


def test_a_run_is_not_resumed_with_other_data(data, whole, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "held-out").symlink_to(data / "held-out")
    block = certificates.generate(seed=2, block=0, count=128)
    np.save(tmp_path / "train" / "block-000000.npy", block, allow_pickle=False)
    result = call(tmp_path, whole, "--steps", "24", "--every", "8")
    assert result.exit_code == 1
    assert "holds a run with data " in result.output


def test_a_checkpoint_that_nobody_knows_the_settings_of_is_not_resumed(data, tmp_path):
    (tmp_path / "checkpoint.safetensors").touch()
    result = call(data, tmp_path)
    assert result.exit_code == 1
    assert "holds a run without a run.json: use another folder" in result.output


def test_the_settings_of_a_run_lie_beside_its_weights(whole):
    kept = json.loads((whole / "run.json").read_text())
    assert (kept["size"], kept["teacher"], kept["steps"], kept["muon"]) == (
        "tiny", "strong", 24, 0.015
    )  # fmt: skip
    assert len(kept["data"]) == len(kept["held_out"]) == 64


def test_a_run_that_is_finished_says_so(data, whole):
    result = call(data, whole, "--steps", "24", "--processes", "1")
    assert result.exit_code == 0, result.output
    assert result.output == "is finished at step 24\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--size", "huge"), "no 'huge': choose one of strong"),
        (("--teacher", "stockfish"), "no 'stockfish': choose one of strong"),
        (("--decay", "2"), "--decay"),
        (("--steps", "0"), "--steps"),
    ],
)
def test_what_no_run_can_have_is_a_usage_error(data, tmp_path, options, told):
    result = call(data, tmp_path / "run", *options)
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("\u2502", " ").split())
    assert not (tmp_path / "run").exists()


def test_a_folder_without_data_is_named(data, tmp_path):
    (tmp_path / "train").mkdir()
    result = call(tmp_path, tmp_path / "run")
    assert result.exit_code == 1
    assert "holds no block-*.npy: make some with training.generate" in result.output


def test_an_older_torch_is_told_what_is_missing(data, tmp_path, monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    result = call(data, tmp_path / "run")
    assert result.exit_code == 1
    assert "training, unlike the package, needs torch 2.9 or newer" in result.output


def test_the_weights_before_the_rate_falls_are_kept_where_it_does_not_fall_all_the_way(
    data, whole, tmp_path
):
    assert not (whole / "stable.safetensors").exists()
    result = call(data, tmp_path, "--steps", "6", "--decay", "0.5", "--every", "6")
    assert result.exit_code == 0, result.output
    with training.safetensors.safe_open(tmp_path / "stable.safetensors", "np") as file:
        assert file.metadata()["step"] == "3"


def test_a_run_begins_with_the_weights_of_another(data, whole, tmp_path):
    start = ("--start", whole / "checkpoint.safetensors")
    result = call(data, tmp_path / "on", *start, "--steps", "1", "--every", "1", "--muon", "0")
    assert result.exit_code == 0, result.output
    for name, value in weights(whole).items():  # a step of a rate that has not warmed up
        np.testing.assert_allclose(weights(tmp_path / "on")[name], value, atol=1e-3, err_msg=name)
    result = call(data, tmp_path / "on", "--steps", "1", "--every", "1", "--muon", "0")
    assert "holds a run with start '" in result.output
    result = call(data, tmp_path / "deep", *start, "--size", "weak")
    assert result.exit_code == 1
    assert "is no checkpoint of size 'weak': choose its --size" in result.output


def test_longer_mates_are_measured_by_what_experiments_need(tmp_path):
    parts = {name: int(index < tactics.ROOTS) for index, name in enumerate(tactics.SHARES)}
    found = tactics.generate(seed=5, block=0, count=80, mix=tactics.TacticsMix(**parts))
    run = training.Run("tiny", seed=0, muon=0.01, adam=0.01, device="cpu")
    measured = training.evaluate(run.body, found, teacher="strong")
    assert {name: each["positions"] for name, each in measured.items()} == {
        "mate_in_2": 40,
        "mate_in_3": 40,
        "mates_in_2_by_sacrifice": 20,
        "mates_in_3_by_sacrifice": 20,
        "five_plies_single_reply": int(((found["plies"] == 5) & (found["forced"] & 1 > 0)).sum()),
        "five_plies_a_piece_ready": int(((found["plies"] == 5) & (found["ready"] > 0)).sum()),
    }


def test_a_told_network_learns_the_third_squares_and_its_file_does_not_show_it(data, tmp_path):
    options = ("--teacher", "told", "--steps", "40", "--every", "20", "--adam", "0.02")
    result = call(data, tmp_path, *options)
    assert result.exit_code == 0, result.output
    first, last = map(json.loads, result.output.splitlines())
    assert last["told_loss"] < first["told_loss"] < np.log(64)
    tensors = load_file(tmp_path / "checkpoint.safetensors")
    assert np.abs(tensors["readout/weight"]).max() > 0
    body, steps = export.load(tmp_path / "checkpoint.safetensors", size="tiny")
    assert steps == 40
    assert set(body.tensors()) == {
        name.removeprefix("weights/").replace("/", ".")
        for name in tensors
        if name.startswith("weights/")
    }
    assert call(data, tmp_path, *options).output == "is finished at step 40\n"
