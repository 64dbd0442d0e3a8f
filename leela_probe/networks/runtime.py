"""A network in onnxruntime, which evaluates on the CPU; what it refuses is said in one line.

The threads of onnxruntime that share an operator wait for each other actively, and waste what other
work the machine has. So a small network's batch is cut into shares, each on a thread of its own. A
large network takes all threads for one share: it has work enough for them in every operator, and
its activations come once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from leela_probe.files.workers import cores

__all__ = ["Runtime"]

_FATAL_ONLY = 4  # what goes wrong comes as an exception too
_LARGE = 1 << 26  # bytes of a model
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
                serialised, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower class
            raise ValueError(f"{path} cannot be opened by onnxruntime: {_reason(error)}") from error

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """The outputs, in the order of their names.

        Args:
            feeds: the inputs by name, each with the boards on its first axis.
            outputs: the names of what is asked for.

        Raises:
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
            raise ValueError(f"{self._path} fails in onnxruntime: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What onnxruntime says, in one line, without its number and the place in its own source."""
    said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    return re.sub(r"^\S+\.(cc|h):\d+ .*?\) (?=[A-Z])", "", said)
