"""Training learns, resumes after a kill, and several processes take the steps of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from training import certificates

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
    # the mean over positions that the teacher speaks of differs a little between the halves
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, atol=0.15, err_msg=name)


def test_the_loss_falls(whole):
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [8, 16, 24]
    assert lines[-1]["moves_loss"] + lines[-1]["outcome_loss"] < sum(
        (lines[0]["moves_loss"], lines[0]["outcome_loss"])
    )
    assert set(lines[-1]["held_out"]) == {"mate_in_2", "mate_in_1", "defence", "near_miss"}
