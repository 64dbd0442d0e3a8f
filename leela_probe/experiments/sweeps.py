"""Which changes an experiment makes to each puzzle's run. Descriptions; `effects` runs them.

Every sweep of the two look-ahead papers is a function here. Stands on `networks.interventions`,
`puzzles.pairs` and `piece_heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from leela_probe.experiments.piece_heads import ablations
from leela_probe.networks.interventions import Action, Intervention, Mask, Patch, Zero
from leela_probe.positions.squares import NetSquare
from leela_probe.puzzles.pairs import Pair

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = [
    "Change",
    "Sweep",
    "entries",
    "entry",
    "head_sets",
    "head_squares",
    "heads",
    "pairs_of_heads",
    "piece_heads",
    "residual",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """One changed run of a puzzle, and how the effects table names it.

    Attributes:
        interventions: what is done in the run.
        label: names it among the changes of the sweep where the places below do not.
        site: the activation, without its layer.
        layer, head, square, query, key: the place, where there is one.
    """

    interventions: tuple[Intervention, ...]
    site: str
    label: str | None = None
    layer: int | None = None
    head: int | None = None
    square: int | None = None
    query: int | None = None
    key: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """The changes that are made to every puzzle.

    Attributes:
        name: goes into the column `sweep`.
        changes: the changes of one puzzle; the same list where they do not depend on it. An empty
            list leaves the puzzle out.
        needs_partner: True if activations are taken from the corrupted run.
        reason: why a puzzle with an empty list is left out.
    """

    name: str
    changes: Callable[[Pair], Sequence[Change]]
    needs_partner: bool
    reason: str = "the sweep has nothing to change here"


_STREAM = {
    "after": "residual_after",
    "middle": "residual_middle",
    "before": "residual_before",
    "embedding": "embedding",
}


def residual(
    network: Network,
    *,
    where: str = "after",
    layers: Sequence[int] | None = None,
    squares: Sequence[int] | None = None,
) -> Sweep:
    """Patch the residual stream at one square of one layer at a time (E1).

    Args:
        network: tells the layers.
        where: "after" each layer (the paper's), in the "middle" (before the MLP), "before" it, or
            the "embedding".
        layers: some of the layers only.
        squares: some of the squares only.

    Raises:
        ValueError: if `where` is none of these, or the network has no such site or layer.
    """
    if where not in _STREAM:
        raise ValueError(f"no place {where!r} in the residual stream: choose {', '.join(_STREAM)}")
    kind = _STREAM[where]
    chosen = range(64) if squares is None else squares
    places = [None] if where == "embedding" else _layers(network, layers)
    changes = [
        Change(
            interventions=(Intervention(site=site, action=Patch(), square=square),),
            site=kind,
            layer=layer,
            square=square,
        )
        for layer in places
        for site in [_site(network, layer, kind)]
        for square in chosen
    ]
    return Sweep(name="residual", changes=lambda pair: changes, needs_partner=True)


def heads(network: Network, *, layers: Sequence[int] | None = None) -> Sweep:
    """Patch the output of one attention head on all squares, head by head (E2).

    Raises:
        ValueError: if the network has no attention heads, or no such layer.
    """
    changes = [
        Change(
            interventions=(Intervention(site=site, action=Patch(), head=head),),
            site="head_output",
            layer=layer,
            head=head,
        )
        for layer in _layers(network, layers)
        for site in [_site(network, layer, "head_output")]
        for head in range(network.heads)
    ]
    return Sweep(name="heads", changes=lambda pair: changes, needs_partner=True)


def head_squares(network: Network, layer: int, head: int) -> Sweep:
    """Patch one head's output at one query square at a time.

    Raises:
        ValueError: if the network has no such layer or head.
    """
    site = _head_site(network, layer, head, "head_output")
    changes = [
        Change(
            interventions=(Intervention(site=site, action=Patch(), head=head, square=square),),
            site="head_output",
            layer=layer,
            head=head,
            square=square,
        )
        for square in range(64)
    ]
    return Sweep(name="head_squares", changes=lambda pair: changes, needs_partner=True)


def entry(
    network: Network,
    layer: int,
    head: int,
    *,
    query_ply: int = 1,
    key_ply: int = 3,
    method: str = "zero",
) -> Sweep:
    """Zero one entry of a head's attention pattern, and in another run all its other entries (E3).

    The entry moves information from the target of ply `key_ply` to the target of `query_ply`: for
    the paper, from the third to the first.

    Args:
        network: tells the sites.
        layer: counted from 0.
        head: counted from 0.
        query_ply: whose target square is the query.
        key_ply: whose target square is the key.
        method: "zero" (the paper's: after the softmax), "renormalise" (zero, then the row sums to 1
            again) or "mask" (minus infinity before the softmax). A row of which nothing is left
            stays zero with all three.

    Raises:
        ValueError: if the network has no such layer or head, the method is unknown, or a ply is
            below 1.
    """
    kind, action = _METHODS[_method(method)]
    site = _head_site(network, layer, head, kind)
    pattern = _head_site(network, layer, head, "pattern")
    for ply in (query_ply, key_ply):
        if ply < 1:
            raise ValueError(f"no ply {ply}: plies are counted from 1, the solver's first move")

    def all_others(query: NetSquare, key: NetSquare) -> tuple[Intervention, ...]:
        if kind == "pattern":
            return (
                Intervention(
                    site=site, action=action, head=head, query=query, key=key, complement=True
                ),
            )
        keys, queries = (tuple(s for s in range(64) if s != square) for square in (key, query))
        return (  # a softmax with nothing to choose from is not defined, so other rows are zeroed
            Intervention(site=site, action=action, head=head, query=(query,) * len(keys), key=keys),
            Intervention(site=pattern, action=Zero(), head=head, query=queries),
        )

    def changes(pair: Pair) -> list[Change]:
        query, key = pair.target(query_ply), pair.target(key_ply)
        if query is None or key is None:
            return []
        one = (Intervention(site=site, action=action, head=head, query=query, key=key),)
        return [
            Change(
                interventions=interventions,
                site=kind,
                label=label,
                layer=layer,
                head=head,
                query=query,
                key=key,
            )
            for interventions, label in (
                (one, f"{key_ply}->{query_ply}"),
                (all_others(query, key), "all other entries"),
            )
        ]

    return Sweep(
        name="entry",
        changes=changes,
        needs_partner=False,
        reason=f"the line has fewer than {max(query_ply, key_ply)} plies",
    )


def entries(
    network: Network,
    layer: int,
    head: int,
    *,
    chosen: Sequence[tuple[int, int]] | None = None,
    method: str = "zero",
) -> Sweep:
    """Change the entries of one head's attention pattern one by one: all 4,096, or some.

    Args:
        network: tells the sites.
        layer: counted from 0.
        head: counted from 0.
        chosen: (query, key) squares of the mover's board; by default all.
        method: see `entry`.

    Raises:
        ValueError: see `entry`.
    """
    kind, action = _METHODS[_method(method)]
    site = _head_site(network, layer, head, kind)
    every = ((query, key) for query in range(64) for key in range(64))
    changes = [
        Change(
            interventions=(
                Intervention(site=site, action=action, head=head, query=query, key=key),
            ),
            site=kind,
            layer=layer,
            head=head,
            query=query,
            key=key,
        )
        for query, key in (every if chosen is None else chosen)
    ]
    return Sweep(name="entries", changes=lambda pair: changes, needs_partner=False)


def head_sets(network: Network, sets: Sequence[Sequence[tuple[int, int]]]) -> Sweep:
    """Patch the outputs of several heads at once, set by set (T3).

    Args:
        network: tells the sites.
        sets: each a sequence of (layer, head); `pairs_of_heads` lists all pairs.

    Raises:
        ValueError: if the network has no such layer or head, or a set is empty.
    """
    changes = []
    for chosen in sets:
        if not chosen:
            raise ValueError("a set of heads is empty: name at least one (layer, head)")
        label = "+".join(f"L{layer}H{head}" for layer, head in sorted(chosen))
        interventions = tuple(
            Intervention(
                site=_head_site(network, layer, head, "head_output"), action=Patch(), head=head
            )
            for layer, head in sorted(chosen)
        )
        changes.append(Change(interventions=interventions, site="head_output", label=label))
    return Sweep(name="head_sets", changes=lambda pair: changes, needs_partner=True)


def pairs_of_heads(network: Network, *, margin: int = 0) -> list[tuple[tuple[int, int], ...]]:
    """All pairs of heads whose layers are at most `margin` apart."""
    every = [(layer, head) for layer in range(network.layers) for head in range(network.heads)]
    return [(a, b) for a, b in combinations(every, 2) if b[0] - a[0] <= margin]


def piece_heads(
    network: Network,
    heads_of: dict[str, Sequence[tuple[int, int]]],
    *,
    seed: int = 0,
) -> Sweep:
    """Zero the third target's column in the heads that follow its piece, with controls (E4).

    For puzzles of at least five plies whose third move is made by a bishop, knight or rook that is
    already on its square. In every head of that piece's list the column of the third target is
    zeroed, but for the row of the third source. Two controls, in runs of their own: the same column
    in the heads of the other pieces, as many of them, drawn at random; and another column of the
    piece's own heads, drawn at random (never the third target, which the paper's could hit).

    Args:
        network: tells the sites.
        heads_of: (layer, head) lists by piece: "knight", "bishop", "rook".
        seed: of the draws, which depend on the puzzle and on nothing else.

    Raises:
        ValueError: if the network has no such layer or head.
    """
    for listed in heads_of.values():
        for layer, head in listed:
            _head_site(network, layer, head, "pattern")

    def changes(pair: Pair) -> list[Change]:
        return [
            Change(
                interventions=ablation.interventions,
                site="pattern",
                label=ablation.label,
                key=ablation.column,
            )
            for ablation in ablations(pair, heads_of, seed=seed)
        ]

    return Sweep(
        name="piece_heads",
        changes=changes,
        needs_partner=False,
        reason="no bishop, knight or rook stands ready to make the third of five plies",
    )


_METHODS: dict[str, tuple[str, Action]] = {
    "zero": ("pattern", Zero()),
    "renormalise": ("pattern", Zero(renormalise=True)),
    "mask": ("scores", Mask()),
}


def _method(name: str) -> str:
    if name not in _METHODS:
        raise ValueError(f"unknown method {name!r}: choose {', '.join(_METHODS)}")
    return name


def _layers(network: Network, layers: Sequence[int] | None) -> Sequence[int]:
    chosen = range(network.layers) if layers is None else layers
    for layer in chosen:
        if not 0 <= layer < network.layers:
            raise ValueError(
                f"layer {layer} is not in {network.name!r}: layers run from 0 to "
                f"{network.layers - 1}"
            )
    return chosen


def _site(network: Network, layer: int | None, kind: str) -> str:
    name = kind if layer is None else f"layer{layer}.{kind}"
    if name not in network.sites:
        raise ValueError(
            f"{network.name!r} has no site {name}: it is a network of body {network.body!r} "
            "(leela-probe info --sites lists what it has)"
        )
    return name


def _head_site(network: Network, layer: int, head: int, kind: str) -> str:
    _layers(network, [layer])
    site = _site(network, layer, kind)
    if not 0 <= head < network.heads:
        raise ValueError(
            f"head {head} is not in layer {layer} of {network.name!r}: heads run from 0 to "
            f"{network.heads - 1}"
        )
    return site
