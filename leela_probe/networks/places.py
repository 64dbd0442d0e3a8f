"""Where interventions are in the activations of a network: found and checked once each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from leela_probe.networks.interventions import Intervention
from leela_probe.networks.network import Network
from leela_probe.networks.sites import Site

__all__ = ["Coordinates", "Places"]

_PLACE_AXES: tuple[str, ...] = ("head", "square", "query", "key")
Coordinates = tuple[np.ndarray | None, ...]
"""Places along each axis after `board`; None is the whole axis."""


_REMEMBERED = 64 << 20  # bytes
_BYTES_EACH = 400  # of an intervention and what keeps it, without the numbers


class Places:
    """Where interventions are in the activations of a network: found and checked once each.

    What is remembered has a bound: interventions that many puzzles share are found once, and those
    of single puzzles are forgotten after a while.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._sites: dict[str, Site] = {}
        self._coordinates: dict[int, tuple[Intervention, Coordinates]] = {}
        self._bytes = 0

    def site(self, name: str) -> Site:
        """The site of that name; see `Network.site`.

        The ONNX name of a tensor that has a name of its own here stands for that site.
        """
        if name not in self._sites:
            found = self.network.site(name)
            named = (s for s in self.network.sites.values() if s.tensor == found.tensor)
            self._sites[name] = next(named, found)
        return self._sites[name]

    def of(self, change: Intervention) -> Coordinates:
        """The places of a change along each axis after `board`; None is the whole axis."""
        if id(change) in self._coordinates:  # the change is kept, so that its id stays its own
            return self._coordinates[id(change)][1]
        found = self._find(change)
        if self._bytes > _REMEMBERED:
            self._coordinates.clear()
            self._bytes = 0
        self._coordinates[id(change)] = (change, found)
        self._bytes += _BYTES_EACH + sum(axis.nbytes for axis in found if axis is not None)
        return found

    def _size(self, axis: str) -> int:
        return self.network.heads if axis == "head" else 64

    def _find(self, change: Intervention) -> Coordinates:
        site = self.site(change.site)
        given: dict[str, np.ndarray] = {
            axis: np.array(places, dtype=np.int64)
            for axis in _PLACE_AXES
            if (places := getattr(change, axis)) is not None
        }
        for axis, places in given.items():
            if axis not in site.axes:
                raise ValueError(
                    f"{change.site} has no axis {axis!r}: its axes are {' '.join(site.axes)}"
                )
            size = self._size(axis)
            for place in places:
                if not 0 <= place < size:
                    raise IndexError(
                        f"{axis} {place} is not in {change.site} of {self.network.name!r}: "
                        f"it runs from 0 to {size - 1}"
                    )
        axes = site.axes[1:]
        if change.complement:
            return self._complement(site, change, given)
        if all(len(found) == 1 for found in given.values()):
            return tuple(given.get(axis) for axis in axes)
        pairs = "query" in given and "key" in given
        sets = [a for a in axes if a in given and not (pairs and a == "key")]
        grid = np.meshgrid(*(np.arange(len(given[a])) for a in sets), indexing="ij")
        chosen = {a: given[a][g.ravel()] for a, g in zip(sets, grid, strict=True)}
        if pairs:
            chosen["key"] = given["key"][grid[sets.index("query")].ravel()]
        return tuple(chosen.get(axis) for axis in axes)

    def _complement(
        self, site: Site, change: Intervention, given: Mapping[str, np.ndarray]
    ) -> Coordinates:
        axes = [axis for axis in _PLACE_AXES if axis in site.axes]
        selected = np.ones([self._size(axis) for axis in axes], dtype=bool)
        every = slice(None)
        inside: list[np.ndarray | slice] = [given.get(axis, every) for axis in axes]
        if "head" in given:
            selected[:] = False
            selected[given["head"]] = True
            for head in given["head"]:
                selected[(int(head),)][tuple(inside[1:])] = False
        else:
            selected[tuple(inside)] = False
        found = dict(zip(axes, np.nonzero(selected), strict=True))
        return tuple(found.get(axis) for axis in site.axes[1:])
