"""Fixtures for the tests and the examples in docstrings: small random networks of every kind."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leela_probe.networks import conversion
from leela_probe.networks.network import Network, load
from leela_probe.positions.planes import InputFormat
from leela_probe.weights import random_networks
from leela_probe.weights.architectures import PRESETS

# Networks this small are several times faster on one thread, and tests run beside one another.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # in the processes that tests start
# What a shell starts in the background ignores Ctrl-C; what tests start and interrupt must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real networks, puzzles and answers that lies beside a checkout, if it does."""
    folder = Path(__file__).resolve().parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data does not exist here")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of converted networks for the whole run."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="session")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a random network of a preset, once, and gives its path."""
    folder = tmp_path_factory.mktemp("networks")

    def write(preset: str, *, input_format: int = 1, seed: int = 1) -> Path:
        path = folder / f"{preset}-format{input_format}-seed{seed}.pb.gz"
        if not path.exists():
            architecture = dataclasses.replace(
                PRESETS[preset], input_format=InputFormat(input_format)
            )
            random_networks.write(path, architecture, seed=seed)
        return path

    return write


@pytest.fixture(scope="session")
def onnx_file(network_file: Callable[..., Path], cache: Path) -> Callable[..., Path]:
    """The ONNX form of a random network of a preset."""
    return lambda preset, **kinds: conversion.to_onnx(network_file(preset, **kinds), cache=cache)


@pytest.fixture(scope="session")
def network(network_file: Callable[..., Path], cache: Path) -> Callable[..., Network]:
    """Loads a random network of a preset, once."""
    loaded: dict[Any, Network] = {}

    def get(preset: str, **kinds: int) -> Network:
        key = (preset, *sorted(kinds.items()))
        if key not in loaded:
            loaded[key] = load(network_file(preset, **kinds), cache=cache)
        return loaded[key]

    return get


@pytest.fixture(scope="session")
def attention_file(onnx_file: Callable[..., Path]) -> Path:
    """The ONNX file of a small random attention body."""
    return onnx_file("attention")
