"""Names and axes of the activations worth touching, the same for every network.

A site is a named tensor of the graph with named axes: `layer3.pattern` has the axes `board head
query key` whatever the flattening inside the ONNX file. Sites are found by what the graph connects,
so that exports of different ages and kinds give the same names. An ONNX tensor name is a site too:
the named one of that tensor, or else the tensor as it is in the file, whose axes have no names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

from einops import rearrange
from torch import Tensor

from leela_probe.networks.site_tables import FAMILIES, MAPS, SQUARES, Family
from leela_probe.torch_onnx.graph import Graph

__all__ = ["Found", "Site", "Sites", "find", "resolve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A named activation.

    Attributes:
        name: such as `layer3.pattern`, or the ONNX name for a tensor that has no other.
        tensor: the ONNX name.
        axes: the names of its axes as `read` gives it, `board` first; "..." if nothing is known of
            them.
        meaning: what it holds.
        stored: the axes in the ONNX file, as an einops pattern; None if nothing is known of them.
        layer: counted from 0, or None outside the layers.
    """

    name: str
    tensor: str
    axes: tuple[str, ...]
    meaning: str
    stored: str | None = None
    layer: int | None = None

    def read(self, value: Tensor) -> Tensor:
        """The ONNX tensor with this site's axes."""
        if self.stored is None or self.stored == self._pattern:
            return value
        return rearrange(value, f"{self.stored} -> {self._pattern}", **self._sizes(self.stored))

    def write(self, value: Tensor) -> Tensor:
        """A tensor with this site's axes as the ONNX file has it: the inverse of `read`."""
        if self.stored is None or self.stored == self._pattern:
            return value
        return rearrange(value, f"{self._pattern} -> {self.stored}", **self._sizes(self._pattern))

    @property
    def _pattern(self) -> str:
        if self.stored == MAPS:
            return SQUARES
        return " ".join(self.axes)

    @staticmethod
    def _sizes(pattern: str) -> dict[str, int]:
        """What einops has to be told to split an axis of this pattern."""
        if "(board square)" in pattern:
            return {"square": 64}
        return {"rank": 8, "file": 8} if "(rank file)" in pattern else {}


class Sites(dict[str, Site]):
    """Sites by name, in the order of computing; shown as a table with one row for all layers."""

    def __repr__(self) -> str:
        layers = sorted({site.layer for site in self.values() if site.layer is not None})
        span = f"layer{{{layers[0]}..{layers[-1]}}}" if len(layers) > 1 else "layer0"
        rows: dict[str, tuple[str, str]] = {}
        for name, site in self.items():
            shown = re.sub(r"^layer\d+", span, name)
            rows.setdefault(shown, (" ".join(site.axes), site.meaning))
        if not rows:
            return "<no sites>"
        widths = [max(map(len, rows)), max(len(axes) for axes, _ in rows.values())]
        lines = (
            f"{name:<{widths[0]}}  {axes:<{widths[1]}}  {meaning}"
            for name, (axes, meaning) in rows.items()
        )
        return "\n".join([f"{len(self)} sites:", *lines])


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The sites of a network.

    Attributes:
        sites: by name, in the order of computing.
        lost: the ONNX names of those that networks of this kind have and this file does not, by the
            names of the sites: another tool has joined them with what comes after.
    """

    sites: Sites
    lost: Mapping[str, str]


def find(graph: Graph, outputs: Mapping[str, str]) -> Found:
    """All sites of the network.

    Args:
        graph: the network.
        outputs: the names of its outputs by what they are; see `onnx_files.roles`.
    """
    finder = _Finder(graph, outputs)
    found = Sites()
    lost: dict[str, str] = {}
    for family in FAMILIES:
        for layer in finder.layers(family):
            part = family.part.format(**layer)
            for row in family.rows:
                places = [place.format(**layer) for place in row.places]
                stream = found.get(f"{part}residual_before")
                tensor = finder.tensor(places, stream.tensor if stream else None)
                name = part + row.name
                if tensor is not None:
                    found[name] = Site(
                        name=name,
                        tensor=tensor,
                        axes=tuple(row.axes.split()),
                        meaning=row.meaning,
                        stored=row.stored,
                        layer=layer["i"] if part.startswith("layer") else None,
                    )
                elif row.always:
                    lost[name] = finder.slash + places[0].lstrip("<+=")
    return Found(sites=found, lost=lost)


def resolve(name: str, found: Found, graph: Graph) -> Site:
    """The site of that name, semantic or ONNX, with or without the ONNX name's leading slash.

    Raises:
        KeyError: if there is no such site: with the nearest right names, or saying that the file
            has lost it.
    """
    sites = found.sites
    if name in sites:
        return sites[name]
    if name in found.lost:
        raise KeyError(
            f"no site {name!r} in this file: a tool that changed it after lc0 joined "
            f"{found.lost[name]!r} with its neighbours; load the file as lc0 wrote it"
        )
    known = set(graph.tensors)
    for tensor in (name, f"/{name}", name.removeprefix("/")):
        if tensor in known:
            named = next((site for site in sites.values() if site.tensor == tensor), None)
            if named is not None:
                return replace(named, name=name)
            meaning = "as computed in the ONNX file"
            return Site(name=name, tensor=tensor, axes=("...",), meaning=meaning)
    raise KeyError(f"no site {name!r} in this network: {_nearest(name, sites, known)}")


def _nearest(name: str, sites: Mapping[str, Site], tensors: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*sites, *tensors], n=4, cutoff=0.6)
    layer = re.match(r"layer(\d+)\.(\w+)$", name)
    if layer:
        layers = sorted({site.layer for site in sites.values() if site.layer is not None})
        kinds = sorted(key.split(".")[1] for key in sites if key.startswith(f"layer{layers[0]}."))
        if int(layer[1]) not in layers:
            return f"layers run from 0 to {layers[-1]}"
        if layer[2] not in kinds:
            best = difflib.get_close_matches(layer[2], kinds, n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(f'layer{layer[1]}.{kind}' for kind in best)}? "
                if best
                else ""
            )
            return f"{hint}a layer of it has {', '.join(kinds)}"
    if near:
        return f"did you mean {' or '.join(near)}?"
    others = ", ".join(key for key in sites if not key.startswith("layer"))
    return f"the sites are {others} and those of the layers, such as layer0.residual_after"


class _Finder:
    """Looks for places in one graph."""

    def __init__(self, graph: Graph, outputs: Mapping[str, str]) -> None:
        self.graph = graph
        self.slash = "/" if any(name.startswith("/") for name in graph.producer) else ""
        self.ends = {"planes": graph.inputs[0], **outputs}

    def tensor(self, places: Iterable[str], stream: str | None = None) -> str | None:
        """The ONNX name of the first place that exists; `stream` enters the layer."""
        found = (self._tensor(place, stream) for place in places)
        return next((name for name in found if name is not None), None)

    def _tensor(self, place: str, stream: str | None) -> str | None:
        if place.startswith("="):
            return self.ends.get(place[1:])
        name = self.slash + place.lstrip("<+")
        node = self.graph.producer.get(name)
        if node is None:
            return None
        if place.startswith("<"):
            return node.inputs[0]
        if place.startswith("+"):
            return next((summand for summand in node.inputs if summand != stream), None)
        return name

    def layers(self, family: Family) -> Iterator[dict[str, int]]:
        """What to put into a family's names for each part of it that the network has."""
        if self.tensor(family.unless) is not None:
            return
        repeated = "{i}" in "".join(family.when)
        for i in count():
            layer = {"i": i, "next": i + 1}
            if self.tensor(place.format(**layer) for place in family.when) is None:
                return
            yield layer
            if not repeated:
                return
