"""A network in onnxruntime, which evaluates on the CPU; what it refuses is said in one line.

Stands on no other room, and needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

__all__ = ["Runtime"]

_FATAL_ONLY = 4  # what goes wrong comes as an exception too


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
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        # threads that spin while they wait slow down the other network and the worker processes
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower class
            raise ValueError(f"{path} cannot be opened by onnxruntime: {_reason(error)}") from error

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """The outputs, in the order of their names.

        Raises:
            ValueError: if onnxruntime fails.
        """
        try:
            return list(self._session.run(list(outputs), dict(feeds)))
        except Exception as error:
            raise ValueError(f"{self._path} fails in onnxruntime: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What onnxruntime says, in one line, without its number and the place in its own source."""
    said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    return re.sub(r"^\S+\.(cc|h):\d+ .*?\) (?=[A-Z])", "", said)
