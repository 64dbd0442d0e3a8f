"""Where memory does not suffice the batch is halved, said once, and the results are the same."""

import chess
import numpy as np
import pyarrow
import pytest
import torch

from leela_probe.networks import patching
from leela_probe.networks.batches import Batches, SmallerBatchWarning, is_out_of_memory
from leela_probe.networks.interventions import Intervention, Zero
from leela_probe.networks.network import load
from leela_probe.networks.patching import Job
from leela_probe.networks.verification import POSITIONS
from leela_probe.networks.verification import boards as boards_of

BOARDS = boards_of(POSITIONS)
ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allo"),
    RuntimeError("CUDA error: out of memory"),
    pyarrow.lib.ArrowMemoryError("malloc of size 64 failed"),
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_every_librarys_word_for_it_is_known(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not is_out_of_memory(ValueError("out of memory"))


def limited(most, error):
    def work(batch):
        if batch.stop - batch.start > most:
            raise error
        return list(range(batch.start, batch.stop))

    return work


@pytest.mark.parametrize("error", ERRORS, ids=str)
@pytest.mark.parametrize("most", [1, 3, 7])
def test_the_batch_is_halved_until_it_fits_and_stays_so(error, most):
    batches = Batches()
    with pytest.warns(SmallerBatchWarning, match="for 16 boards at once: going on with"):
        found = list(batches.run(20, 16, limited(most, error), what="boards"))
    assert [piece for _, part in found for piece in part] == list(range(20))
    again = list(batches.run(20, 16, limited(most, error), what="boards"))  # no warning now
    assert [batch for batch, _ in again] == [batch for batch, _ in found]


def test_other_errors_are_not_caught():
    with pytest.raises(RuntimeError, match="shapes"):
        list(Batches().run(4, 4, limited(2, RuntimeError("shapes do not fit")), what="boards"))


def test_what_does_not_fit_alone_is_said_with_the_option():
    with pytest.raises(MemoryError, match="suffice for one of the runs, so that no --batch-size h"):
        list(Batches().run(2, 2, limited(0, MemoryError()), what="runs"))


def test_evaluations_captures_and_sweeps_go_on_in_smaller_batches(attention_file, monkeypatch):
    net, small = load(attention_file), load(attention_file)
    run, onnx_run = small.graph.run, small._runtime.run

    def torch_run(feeds, *arguments, **more):
        if max(len(value) // (64 if value.ndim == 2 else 1) for value in feeds.values()) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(feeds, *arguments, **more)

    def runtime_run(feeds, names):
        if len(next(iter(feeds.values()))) > 5:
            raise MemoryError("bad_alloc")
        return onnx_run(feeds, names)

    monkeypatch.setattr(small.graph, "run", torch_run)
    monkeypatch.setattr(small._runtime, "run", runtime_run)
    with pytest.warns(SmallerBatchWarning, match="16 boards at once: going on with 4"):
        found = small.evaluate(BOARDS)
    np.testing.assert_allclose(found.logits, net.evaluate(BOARDS).logits, atol=1e-5)
    small.batches = Batches()
    with pytest.warns(SmallerBatchWarning, match="16 boards at once: going on with 4"):
        captured = small.capture(BOARDS, ["layer1.pattern"])
    torch.testing.assert_close(captured, net.capture(BOARDS, ["layer1.pattern"]))
    jobs = [
        Job(board=board, interventions=(Intervention(site="layer0.pattern", head=head,
                                                     action=Zero()),))
        for board in range(len(BOARDS)) for head in range(4)
    ]  # fmt: skip
    small.batches = Batches()
    with pytest.warns(SmallerBatchWarning, match="(runs|boards) at once"):
        changed = patching.run(small, BOARDS, jobs)
    torch.testing.assert_close(changed.logits, patching.run(net, BOARDS, jobs).logits, atol=1e-5,
                               rtol=1e-5)  # fmt: skip


def test_onnxruntimes_word_for_it_is_a_memory_error(attention_file, monkeypatch):
    net = load(attention_file)

    class Session:
        def run(self, *arguments):
            raise Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc")

    monkeypatch.setattr(net._runtime, "_session", Session())
    with pytest.raises(MemoryError, match="suffice for one of the boards"):
        net.evaluate([chess.Board()])
