"""Activations of many positions kept on disk, with no more than a batch of them in memory.

A folder holds one safetensors file for each batch, with a checksum of each site's activations, and,
once it is complete, `manifest.json`, which says what is in it. Until then it holds `plan.json`.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chess
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import leela_probe
from leela_probe.files import disk, manifests, progress_display
from leela_probe.files.manifests import DamagedError
from leela_probe.files.progress import Progress
from leela_probe.files.store import PlanChangedError
from leela_probe.files.unfinished import DamagedWarning
from leela_probe.networks.network import Network
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import History

__all__ = ["StoredActivations", "read", "write"]

_MANIFEST, _PLAN = "manifest.json", "plan.json"
_FACTS = "leela_probe"  # in a batch's metadata: checksums of its planes and of each site, as JSON
_SITES_SHOWN = 4
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredActivations:
    """Activations in a folder that `write` has made.

    Attributes:
        folder: where they are.
        boards: how many positions they are of.
        axes: the axes of each site, by its name.
        files: the batches, in the order of the positions.
        manifest: everything the manifest says.
    """

    folder: Path
    boards: int
    axes: dict[str, tuple[str, ...]]
    files: tuple[Path, ...]
    manifest: dict[str, object]

    def __repr__(self) -> str:
        sites = [f"{name} ({' '.join(axes)})" for name, axes in self.axes.items()]
        more = len(sites) - _SITES_SHOWN
        shown = [*sites[:_SITES_SHOWN], *([f"{more} more sites"] if more > 0 else [])]
        return (
            f"<StoredActivations of {self.boards:,} positions in {len(self.files):,} files of "
            f"{str(self.folder)!r}: {'; '.join(shown)}>"
        )

    def batches(self, site: str) -> Iterator[Tensor]:
        """The site's activations batch by batch, in the order of the positions.

        Raises:
            KeyError: if the site was not kept.
            DamagedError: if a batch is not what was written.
        """
        self._check(site)
        for file in self.files:
            yield _read(file, site)

    def load(self, site: str) -> Tensor:
        """The site's activations of all positions, in memory.

        Raises:
            KeyError: if the site was not kept.
            DamagedError: if a batch is not what was written.
        """
        return torch.cat(list(self.batches(site)))

    def check(self, sites: Iterable[str] | None = None) -> None:
        """Compares activations with their checksums.

        Args:
            sites: of these sites; by default of all.

        Raises:
            DamagedError: if a batch is not what was written.
        """
        for site in self.axes if sites is None else sites:
            for _ in self.batches(site):
                pass

    def _check(self, site: str) -> None:
        if site not in self.axes:
            raise KeyError(f"no site {site!r} in {self.folder}: it holds {', '.join(self.axes)}")


def write(
    network: Network,
    boards: Iterable[chess.Board] | EncodedBoards,
    wanted: Sequence[str],
    folder: str | Path,
    *,
    dtype: str = "float32",
    batch_size: int = 64,
    history: History = History.FILLED,
    progress: Progress | bool | None = None,
) -> StoredActivations:
    """The wanted activations of all boards, written to a folder batch by batch.

    Writing that was cut short goes on where it was if it is started again; a batch that is damaged
    is written again.

    Args:
        network: whose activations.
        boards: positions.
        wanted: names of sites.
        folder: a new or empty folder, or one in which the same was begun or finished.
        dtype: what the numbers are kept in: "float32", "float16" or "bfloat16".
        batch_size: positions in memory at once, and in a file.
        history: what stands for positions before the known ones.
        progress: called after each batch; by default a bar is shown in a terminal or notebook, with
            False nothing.

    Raises:
        FileExistsError: if the folder holds anything else.
        PlanChangedError: if it holds activations of another network, of other boards or sites.
        DamagedError: if the plan or manifest in it is damaged.
        KeyError: naming the nearest right names, if there is no such site.
        ValueError: if the dtype is unknown, there are no boards, or `batch_size` is below 1.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> import tempfile
        >>> from pathlib import Path
        >>> boards = [pair.clean for pair in lp.read_pairs("bundled:planted-puzzles")[:5]]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "activations")
        ...     stored = lp.write_activations(network, boards, ["layer1.pattern"], path)
        ...     stored.load("layer1.pattern").shape
        torch.Size([5, 4, 64, 64])
    """
    folder = Path(folder)
    if dtype not in _DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}: choose {', '.join(_DTYPES)}")
    boards = boards if isinstance(boards, (Sequence, EncodedBoards)) else list(boards)
    if len(boards) == 0:
        raise ValueError("no boards to keep activations of: give at least one")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: take at least 1 board")
    sites = [network.site(name) for name in wanted]
    plan = {
        "boards": len(boards),
        "batch_size": batch_size,
        "dtype": dtype,
        "history": str(history.value),
        "leela_probe": leela_probe.__version__,
        "network": {"name": network.name, **network.identity()},
        "sites": {site.name: list(site.axes) for site in sites},
    }
    _begin(folder, plan)
    names = []
    with progress_display.shown(progress, "activations", unit="positions") as report:
        for number, start in enumerate(range(0, len(boards), batch_size)):
            places = range(start, min(start + batch_size, len(boards)))
            batch = (
                boards.take(places)
                if isinstance(boards, EncodedBoards)
                else network.encode(boards[places.start : places.stop], history=history)
            )
            planes = batch.planes()
            digest = hashlib.sha256(planes.tobytes()).hexdigest()
            names.append(f"batch-{number:06d}.safetensors")
            if not _is_written(folder / names[-1], wanted, digest):
                values = network.run(torch.from_numpy(planes), wanted)
                kept = {name: value.to("cpu", _DTYPES[dtype]) for name, value in values.items()}
                _write(folder / names[-1], kept, digest)
            report(places.stop, len(boards), {})
    manifests.write(folder / _MANIFEST, {**plan, "files": names})
    (folder / _PLAN).unlink(missing_ok=True)
    return read(folder)


def _begin(folder: Path, plan: Mapping[str, object]) -> None:
    """Notes the plan in the folder, or makes sure that it is the one that is there."""
    there = [name for name in (_MANIFEST, _PLAN) if (folder / name).exists()]
    if not there:
        begun = f".{_PLAN}."  # what a program left that ended while it wrote the plan
        if folder.exists() and any(not file.name.startswith(begun) for file in folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty: name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        manifests.write(folder / _PLAN, plan)
        return
    try:
        content = manifests.read(folder / there[0])
    except DamagedError as error:
        raise DamagedError(f"{error}. Name another folder, or delete this one") from None
    earlier = {name: content.get(name) for name in plan}
    changes = list(manifests.differences(earlier, json.loads(json.dumps(plan))))
    if changes:
        raise PlanChangedError(
            f"{folder} holds other activations: {'; '.join(changes)}. Name another folder"
        )


def _write(path: Path, values: Mapping[str, Tensor], digest: str) -> None:
    values = {name: value.contiguous().clone() for name, value in values.items()}
    sums = {name: _checksum(value) for name, value in values.items()}
    # one entry: safetensors writes several in no certain order
    content = save(values, metadata={_FACTS: json.dumps({"planes": digest, "sites": sums})})
    disk.write(path, lambda file: file.write(content))


def _is_written(path: Path, wanted: Sequence[str], digest: str) -> bool:
    """Whether a batch is there and whole."""
    if not path.exists():
        return False
    try:
        for site in wanted:
            _read(path, site)
        with safe_open(str(path), framework="pt") as stored:
            planes = _facts(stored.metadata()).get("planes")
    except DamagedError as error:
        warnings.warn(f"{error}: it is made again", DamagedWarning, stacklevel=3)
        return False
    if planes != digest:
        raise PlanChangedError(f"{path} holds activations of other boards: name another folder")
    return True


def _read(path: Path, site: str) -> Tensor:
    try:
        with safe_open(str(path), framework="pt") as stored:
            value: Tensor = stored.get_tensor(site)
            sums = _facts(stored.metadata()).get("sites", {})
    except (SafetensorError, ValueError, OSError) as error:
        raise DamagedError(f"{str(path)!r} is damaged or missing: {error}") from None
    if not isinstance(sums, dict) or sums.get(site) != _checksum(value):
        raise DamagedError(f"{str(path)!r} is damaged: {site} does not fit its checksum")
    return value


def _facts(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    facts = json.loads((metadata or {}).get(_FACTS, "{}"))
    return facts if isinstance(facts, dict) else {}


def _checksum(value: Tensor) -> str:
    digest = hashlib.sha256(f"{value.dtype} {list(value.shape)}".encode())
    digest.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read(folder: str | Path) -> StoredActivations:
    """What `write` has put into the folder.

    Raises:
        FileNotFoundError: if the folder has no manifest: it was never completed.
        DamagedError: if the manifest is damaged.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> import tempfile
        >>> from pathlib import Path
        >>> boards = [pair.clean for pair in lp.read_pairs("bundled:planted-puzzles")[:5]]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "activations")
        ...     _ = lp.write_activations(network, boards, ["layer1.pattern"], path)
        ...     lp.read_activations(path).boards
        5
    """
    folder = Path(folder)
    path = folder / _MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no {_MANIFEST}: it holds no activations, or writing them was cut short; "
            "write them again"
        )
    manifest = manifests.read(path)
    if not {"boards", "sites", "files"} <= manifest.keys():
        raise DamagedError(f"{str(path)!r} is not a manifest of activations")
    return StoredActivations(
        folder=folder,
        boards=manifest["boards"],
        axes={name: tuple(axes) for name, axes in manifest["sites"].items()},
        files=tuple(folder / name for name in manifest["files"]),
        manifest=manifest,
    )
