"""Activations on disk are those that `capture` gives, and an unfinished folder is recognised."""

import contextlib
import json

import chess
import pytest
import torch
from crash_points import Crash, crash_at

from leela_probe.files.manifests import DamagedError
from leela_probe.files.store import PlanChangedError
from leela_probe.files.unfinished import DamagedWarning
from leela_probe.networks import activations

WANTED = ["layer1.residual_after", "layer0.pattern"]


@pytest.fixture(scope="module")
def boards():
    board, made = chess.Board(), []
    for move in "e2e4 e7e5 g1f3 b8c6 f1b5 a7a6 b5a4".split():
        board.push_uci(move)
        made.append(board.copy())
    return made


def test_what_is_written_is_what_capture_gives(network, boards, tmp_path):
    net = network("attention")
    stored = activations.write(net, boards, WANTED, tmp_path / "a", batch_size=3)
    captured = net.capture(boards, WANTED)
    assert [path.name for path in stored.files] == [f"batch-{i:06d}.safetensors" for i in range(3)]
    for name in WANTED:
        assert stored.axes[name] == net.sites[name].axes
        torch.testing.assert_close(stored.load(name), captured[name], atol=1e-5, rtol=1e-5)
    assert [len(batch) for batch in stored.batches(WANTED[0])] == [3, 3, 1]


def test_what_is_stored_shows_itself_in_a_line(network, boards, tmp_path):
    stored = activations.write(network("attention"), boards, WANTED, tmp_path / "a", batch_size=3)
    assert repr(stored) == (
        f"<StoredActivations of 7 positions in 3 files of {str(tmp_path / 'a')!r}: "
        "layer1.residual_after (board square width); layer0.pattern (board head query key)>"
    )
    net = network("attention")
    every = activations.write(net, boards, [*net.sites][:9], tmp_path / "b")
    assert repr(every).endswith("; 5 more sites>")


def test_writing_reports_how_many_positions_are_kept(network, boards, tmp_path):
    reported = []
    activations.write(
        network("attention"),
        boards,
        WANTED,
        tmp_path,
        batch_size=3,
        progress=lambda done, total, counts: reported.append((done, total)),
    )
    assert reported == [(3, 7), (6, 7), (7, 7)]


def test_half_precision_is_kept_as_half_precision(network, boards, tmp_path):
    stored = activations.write(network("attention"), boards, WANTED, tmp_path, dtype="float16")
    assert stored.load(WANTED[0]).dtype == torch.float16
    assert json.loads((tmp_path / "manifest.json").read_text())["dtype"] == "float16"


def test_a_folder_without_a_manifest_is_refused(network, boards, tmp_path):
    activations.write(network("attention"), boards, WANTED, tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no manifest\.json.*cut short"):
        activations.read(tmp_path)


def test_a_folder_that_holds_something_is_never_written_to(network, boards, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="is not empty"):
        activations.write(network("attention"), boards, WANTED, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"wanted": ["layer1.residual"]}, KeyError, r"did you mean layer1\.residual_"),
        ({"dtype": "int8"}, ValueError, "unknown dtype 'int8'"),
        ({"boards": []}, ValueError, "no boards"),
        ({"batch_size": 0}, ValueError, "batch_size is 0: take at least 1 board"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_written(
    change, error, message, network, boards, tmp_path
):
    arguments = {"boards": boards, "wanted": WANTED, "folder": tmp_path / "new"} | change
    with pytest.raises(error, match=message):
        activations.write(network("attention"), **arguments)
    assert not (tmp_path / "new").exists()


def test_asking_for_a_site_that_was_not_kept_names_those_that_were(network, boards, tmp_path):
    stored = activations.write(network("attention"), boards, WANTED, tmp_path)
    with pytest.raises(KeyError, match=r"holds layer1\.residual_after, layer0\.pattern"):
        stored.load("embedding")


def test_an_onnx_name_keeps_the_axes_of_its_site_and_no_others_are_made_up(
    network, boards, tmp_path
):
    names = ["/encoder1/ln1", "/encoder1/mha/Q/b"]
    stored = activations.write(network("attention"), boards, names, tmp_path)
    assert stored.axes == {names[0]: ("board", "square", "width"), names[1]: ("...",)}
    assert stored.load(names[0]).shape == (len(boards), 64, 32)
    assert stored.load(names[1]).shape == (len(boards) * 64, 32)


def test_writing_goes_on_wherever_the_program_ends(network, boards, tmp_path):
    net = network("attention")
    whole = tmp_path / "whole"
    activations.write(net, boards, WANTED, whole, batch_size=3)
    for step in range(1, 99):
        folder = tmp_path / str(step)
        with pytest.MonkeyPatch.context() as patch:
            reached = crash_at(patch, step)
            with contextlib.suppress(Crash):
                activations.write(net, boards, WANTED, folder, batch_size=3)
            if reached() < step:
                break
        activations.write(net, boards, WANTED, folder, batch_size=3)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            path.name: path.read_bytes() for path in whole.iterdir()
        }, step
    assert step > 10


def test_batches_that_are_there_are_not_computed_again(network, boards, tmp_path, monkeypatch):
    net = network("attention")

    def cut(done, total, counts):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        activations.write(net, boards, WANTED, tmp_path / "a", batch_size=3, progress=cut)
    ran = []
    run = type(net).run
    monkeypatch.setattr(
        type(net),
        "run",
        lambda self, planes, *more: ran.append(len(planes)) or run(self, planes, *more),
    )
    activations.write(net, iter(boards), WANTED, tmp_path / "a", batch_size=3)
    assert ran == [1]
    with pytest.raises(
        PlanChangedError, match=r"holds other activations: batch_size was 3 and is 2"
    ):
        activations.write(net, boards, WANTED, tmp_path / "a", batch_size=2)
    with pytest.raises(PlanChangedError, match=r"batch-000000.* holds activations of other boards"):
        activations.write(net, boards[::-1], WANTED, tmp_path / "a", batch_size=3)


def test_a_flipped_bit_is_found_and_the_batch_made_again(network, boards, tmp_path):
    net = network("attention")
    stored = activations.write(net, boards, WANTED, tmp_path, batch_size=3)
    whole = stored.files[1].read_bytes()
    for place in range(8, len(whole), len(whole) // 25):
        content = bytearray(whole)
        content[place] ^= 16
        stored.files[1].write_bytes(content)
        with pytest.raises(DamagedError, match=r"batch-000001\.safetensors' is damaged"):
            stored.check()
    with pytest.warns(DamagedWarning, match=r"batch-000001.* is damaged: .* is made again"):
        activations.write(net, boards, WANTED, tmp_path, batch_size=3)
    assert stored.files[1].read_bytes() == whole
    (tmp_path / "manifest.json").write_text("null")
    with pytest.raises(
        DamagedError, match=r"manifest\.json' is damaged: it does not hold a JSON ob"
    ):
        activations.read(tmp_path)
