"""A network in onnxruntime, which evaluates on the CPU; what it refuses is said in one line.

The threads of onnxruntime that share an operator wait for each other actively, and waste what other
work the machine has. So a small network's batch is cut into shares, each on a thread of its own. A
large network takes all threads for one share: it has work enough for them in every operator, and
its activations come once.

onnxruntime is imported here and nowhere else in the package. Unless the user has chosen otherwise
it is told before to send no telemetry: later it would not listen, and keeps files under the home
folder and looks for a host of its maker's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx

from leela_probe.files import unpacking
from leela_probe.files.workers import cores
from leela_probe.networks import batches

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

__all__ = ["Runtime", "run_file"]

_FATAL_ONLY = 4  # what goes wrong comes as an exception too
_LARGE = 1 << 26  # bytes of a model
_DTYPES = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(double)": "f8"}
_SHARE = (4, 32)  # the fewest and the most boards of a share


class Runtime:
    """A model opened by onnxruntime.

    Args:
        model: the ONNX model.
        path: the file that messages name.
        threads: CPU threads; by default one for each core.

    Raises:
        ValueError: if onnxruntime refuses the model.
    """

    def __init__(self, model: onnx.ModelProto, path: Path, *, threads: int | None = None) -> None:
        self._path = path
        serialised = model.SerializeToString()
        self._threads = threads or cores()
        self._apart = len(serialised) < _LARGE
        self._sharers = ThreadPoolExecutor(self._threads)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        options.intra_op_num_threads = 1 if self._apart else self._threads
        # threads that spin while they wait slow down the other network and the worker processes
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                serialised, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower class
            raise ValueError(f"{path} cannot be opened by onnxruntime: {_reason(error)}") from error

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """The outputs, in the order of their names.

        Args:
            feeds: the inputs by name, each with the boards on its first axis.
            outputs: the names of what is asked for.

        Raises:
            MemoryError: if memory does not suffice.
            ValueError: if onnxruntime fails.
        """
        boards = len(next(iter(feeds.values())))
        size = self._share(boards)
        if size >= boards:
            return self._run(feeds, outputs)
        shares = [
            {name: value[start : start + size] for name, value in feeds.items()}
            for start in range(0, boards, size)
        ]
        found = self._sharers.map(lambda share: self._run(share, outputs), shares)
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def _share(self, boards: int) -> int:
        if not self._apart or self._threads == 1:
            return boards
        fewest, most = _SHARE
        return min(max(-(-boards // self._threads), fewest), most)

    def _run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        try:
            return list(self._session.run(list(outputs), dict(feeds)))
        except Exception as error:
            kind = MemoryError if batches.says_out_of_memory(error) else ValueError
            raise kind(f"{self._path} fails in onnxruntime: {_reason(error)}") from error


def run_file(path: Path, planes: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray] | None:
    """What onnxruntime gives for a file as it is, in float32; None if it cannot run that.

    Args:
        path: an ONNX file, gzipped or not, of any floating type and for any size of batch.
        planes: the input.
        outputs: the names of what is asked for.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    content = unpacking.unpacked(path) if path.name.lower().endswith(".gz") else str(path)
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        (entry,) = session.get_inputs()[:1]
        fixed = entry.shape[0] if isinstance(entry.shape[0], int) else len(planes)
        padded = np.concatenate([planes, planes[: -len(planes) % fixed]])
        typed = padded.astype(_DTYPES[entry.type])
        batches = [
            session.run(list(outputs), {entry.name: typed[start : start + fixed]})
            for start in range(0, len(typed), fixed)
        ]
    except Exception:  # whatever it is, onnxruntime is no witness then
        return None
    return [
        np.concatenate(parts)[: len(planes)].astype(np.float32)
        for parts in zip(*batches, strict=True)
    ]


def _reason(error: Exception) -> str:
    """What onnxruntime says, in one line, without its number and the place in its own source."""
    said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    return re.sub(r"^\S+\.(cc|h):\d+ .*?\) (?=[A-Z])", "", said)
