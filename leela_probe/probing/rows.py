"""Activations of single positions at many sites, out of files or out of memory.

Probes ask for the rows of a few positions at a time. Files are mapped into memory while a batch is
read and let go afterwards, so that what is held does not grow with the number of positions. Stands
on `networks.activations`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors import safe_open
from torch import Tensor

from leela_probe.networks.activations import StoredActivations

__all__ = ["MemoryRows", "Rows", "StoredRows"]

_INPUT = ("board", "plane", "rank", "file")
_STREAM = ("board", "square", "width")


class MemoryRows:
    """Activations in memory.

    Args:
        values: a tensor for each site, all of one shape.
        sites: their names.

    Attributes:
        sites: the names of the sites.
        boards: how many positions.
        width: numbers a square.

    Raises:
        ValueError: if the shape and the names do not go together.

    Example:
        >>> rows = MemoryRows(torch.zeros(2, 5, 64, 8), ["layer0", "layer1"])
        >>> rows.boards, rows.width, rows.read(np.array([4, 0])).shape
        (5, 8, torch.Size([2, 2, 64, 8]))
    """

    def __init__(
        self, values: Float[Tensor, "layer board square width"], sites: Sequence[str]
    ) -> None:
        if values.shape[0] != len(sites) or values.shape[2] != 64:
            raise ValueError(
                f"activations of shape {tuple(values.shape)} and {len(sites)} sites: expected "
                "(sites, boards, 64, width)"
            )
        self._values = values
        self.sites = tuple(sites)
        self.boards, self.width = values.shape[1], values.shape[3]

    def read(
        self, boards: Int64[np.ndarray, " board"]
    ) -> Float[Tensor, "layer board square width"]:
        """The activations of these positions in float32, or float64 where that is what is held."""
        found = self._values[:, torch.from_numpy(boards)]
        return found if found.dtype == torch.float64 else found.float()


class StoredRows:
    """Activations in a folder that `activations.write` has made.

    Args:
        stored: the folder.
        sites: which of its sites; all of them by default. The input planes count as a site of
            squares, 112 numbers each.

    Attributes:
        sites: see `MemoryRows`.
        boards: see `MemoryRows`.
        width: see `MemoryRows`.

    Raises:
        KeyError: if a site was not kept.
        ValueError: if a site is not one of squares, or the sites are not of one width.
        DamagedError: if an activation is not what was written.
    """

    def __init__(self, stored: StoredActivations, sites: Sequence[str] | None = None) -> None:
        self.sites = tuple(stored.axes if sites is None else sites)
        for site in self.sites:
            if site not in stored.axes:
                raise KeyError(
                    f"no site {site!r} in {stored.folder}: it holds {', '.join(stored.axes)}"
                )
            if stored.axes[site] not in (_INPUT, _STREAM):
                raise ValueError(
                    f"{site} has the axes {' '.join(stored.axes[site])}: probes read sites of "
                    "squares, such as layer0.residual_after"
                )
        stored.check(self.sites)
        self._files = stored.files
        widths, sizes = set(), []
        for number, file in enumerate(self._files):
            with safe_open(str(file), framework="pt") as opened:
                for site in self.sites[: None if number == 0 else 1]:
                    shape = opened.get_slice(site).get_shape()
                    widths.add(shape[1] if stored.axes[site] == _INPUT else shape[-1])
                sizes.append(shape[0])
        if len(widths) != 1:
            raise ValueError(
                f"the sites are {', '.join(map(str, sorted(widths)))} wide: probe sites of one "
                "width together"
            )
        self._planes = {site for site in self.sites if stored.axes[site] == _INPUT}
        self._ends = np.cumsum(sizes)
        self.boards, (self.width,) = stored.boards, widths

    def read(
        self, boards: Int64[np.ndarray, " board"]
    ) -> Float[Tensor, "layer board square width"]:
        """The activations of these positions in float32."""
        found = torch.empty(len(self.sites), len(boards), 64, self.width)
        files = np.searchsorted(self._ends, boards, side="right")
        for number in np.unique(files):
            places = np.flatnonzero(files == number)
            start = int(self._ends[number - 1]) if number else 0
            within = torch.from_numpy(boards[places] - start)
            at = torch.from_numpy(places)
            with safe_open(str(self._files[number]), framework="pt") as opened:
                for index, site in enumerate(self.sites):
                    value = opened.get_tensor(site)[within]  # copies these rows, no others
                    if site in self._planes:
                        value = value.flatten(2).transpose(1, 2)
                    found[index, at] = value.float()
        return found


Rows = MemoryRows | StoredRows
"""Where probes read from."""
