"""Activations of many positions kept on disk, with no more than a batch of them in memory.

A folder holds one safetensors file for each batch and, once it is complete, `manifest.json`, which
says what is in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import chess
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import leela_probe
from leela_probe.files import progress_display
from leela_probe.files.progress import Progress
from leela_probe.networks.network import Network
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import History

__all__ = ["StoredActivations", "read", "write"]

_MANIFEST = "manifest.json"
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
        """
        self._check(site)
        for file in self.files:
            with safe_open(str(file), framework="pt") as stored:
                yield stored.get_tensor(site)

    def load(self, site: str) -> Tensor:
        """The site's activations of all positions, in memory.

        Raises:
            KeyError: if the site was not kept.
        """
        return torch.cat(list(self.batches(site)))

    def _check(self, site: str) -> None:
        if site not in self.axes:
            raise KeyError(f"no site {site!r} in {self.folder}: it holds {', '.join(self.axes)}")


def write(
    network: Network,
    boards: Sequence[chess.Board] | EncodedBoards,
    wanted: Sequence[str],
    folder: str | Path,
    *,
    dtype: str = "float32",
    batch_size: int = 64,
    history: History = History.FILLED,
    progress: Progress | bool | None = None,
) -> StoredActivations:
    """The wanted activations of all boards, written to a folder batch by batch.

    Args:
        network: whose activations.
        boards: positions.
        wanted: names of sites.
        folder: a new or empty folder.
        dtype: what the numbers are kept in: "float32", "float16" or "bfloat16".
        batch_size: positions in memory at once, and in a file.
        history: what stands for positions before the known ones.
        progress: called after each batch; by default a bar is shown in a terminal or notebook, with
            False nothing.

    Raises:
        FileExistsError: if the folder holds anything.
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
    if len(boards) == 0:
        raise ValueError("no boards to keep activations of: give at least one")
    found = [network.site(name) for name in wanted]
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder")
    stream = network.stream(boards, wanted, batch_size=batch_size, history=history)
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    with progress_display.shown(progress, "activations", unit="positions") as report:
        for number, values in enumerate(stream):
            names.append(f"batch-{number:06d}.safetensors")
            kept = {name: value.to("cpu", _DTYPES[dtype]) for name, value in values.items()}
            kept = {name: value.contiguous().clone() for name, value in kept.items()}
            save_file(kept, str(folder / f".{names[-1]}"))
            os.replace(folder / f".{names[-1]}", folder / names[-1])
            report(min(len(boards), (number + 1) * batch_size), len(boards), {})
    manifest = {
        "boards": len(boards),
        "dtype": dtype,
        "files": names,
        "history": str(history.value),
        "leela_probe": leela_probe.__version__,
        "network": {"name": network.name, "sha256": network.sha256},
        "sites": {site.name: list(site.axes) for site in found},
    }
    partial = folder / f".{_MANIFEST}"
    partial.write_text(json.dumps(manifest, indent=2) + "\n")
    os.replace(partial, folder / _MANIFEST)
    return read(folder)


def read(folder: str | Path) -> StoredActivations:
    """What `write` has put into the folder.

    Raises:
        FileNotFoundError: if the folder has no manifest: it was never completed.

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
            "write them again to a new folder"
        )
    manifest = json.loads(path.read_text())
    return StoredActivations(
        folder=folder,
        boards=manifest["boards"],
        axes={name: tuple(axes) for name, axes in manifest["sites"].items()},
        files=tuple(folder / name for name in manifest["files"]),
        manifest=manifest,
    )
