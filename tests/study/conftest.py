"""One finished study that the tests of this room look at and copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import small_study

from leela_probe.networks.network import Network
from leela_probe.study import contents
from leela_probe.study.records import Records
from leela_probe.study.results import Results
from leela_probe.study.study import Networks, Study


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


@pytest.fixture
def results(finished: Study) -> Results:
    """What that study has measured."""
    records = Records(finished.out)
    notes = {each.name: records.result(each.name) for each in contents.measurements()}
    return Results(finished, {name: note for name, note in notes.items() if note is not None})


@pytest.fixture
def networks_of(finished: Study, network: Callable[..., Network]) -> Callable[..., Networks]:
    """Networks of a study that are random ones of a preset."""
    return lambda preset: Networks(finished, lambda path, **how: network(preset))


@pytest.fixture
def networks(networks_of: Callable[..., Networks]) -> Networks:
    """Networks with attention heads."""
    return networks_of("attention")


@pytest.fixture
def papers_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every network pass for one with the paper's layers and heads."""
    monkeypatch.setattr(Networks, "has_papers_shape", lambda self: True)
