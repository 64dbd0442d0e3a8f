"""One finished study that the tests of this room look at and copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import small_study

from leela_probe.study.study import Study


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, network_file: Callable[..., Path], cache: Path
) -> Study:
    """A study of an attention network."""
    folder = tmp_path_factory.mktemp("study")
    study = small_study.study(
        folder / "out",
        small_study.dump(folder / "dump.csv"),
        network_file("attention"),
        network_file("se-convolution", seed=2),
    )
    assert all(small_study.run(study, cache).values())
    return study
