"""Stages in which networks judge puzzles: what their plans and manifests say of the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow

from leela_probe.files import store
from leela_probe.files.progress import Progress

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["stage"]


def stage(
    out: str | Path,
    *,
    name: str,
    inputs: Mapping[str, str | Path],
    networks: Mapping[str, Network],
    options: Mapping[str, object],
    schema: pyarrow.Schema,
    verdicts: Sequence[str],
    overwrite: bool,
    progress: Progress | bool | None,
) -> store.Stage:
    """A stage that stands on networks too: their files as they were loaded, and how they are run.

    Args:
        out: the table to write.
        name: the stage.
        inputs: the other files that it reads.
        networks: the networks by their part in it.
        options: whatever else the output depends on.
        schema: the columns.
        verdicts: see `store.Stage`, as for `overwrite` and `progress`.
        overwrite: replace a finished output.
        progress: called after each part.

    Raises:
        PlanChangedError: the output was made with other settings; and what else `store.Stage`
            raises.
    """
    return store.Stage(
        out,
        name=name,
        inputs={**inputs, **{part: network.path for part, network in networks.items()}},
        loaded={part: network.sha256 for part, network in networks.items()},
        networks={part: network.identity() for part, network in networks.items()},
        options=options,
        schema=schema,
        verdicts=verdicts,
        overwrite=overwrite,
        progress=progress,
    )
