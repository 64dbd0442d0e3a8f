"""Which changed runs an experiment measures for each puzzle: descriptions, which `effects` runs.

Every sweep of the two look-ahead papers is a function here.

Example:
    >>> import leela_probe as lp
    >>> network = lp.load("bundled:planted")
    >>> lp.sweeps.residual(network, layers=[1, 2])
    <Sweep 'residual': 128 changed runs per puzzle, takes activations from corrupted inputs>
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Float

from leela_probe.experiments.piece_heads import PIECES, ablations, control_sizes
from leela_probe.networks.interventions import Action, Intervention, Mask, Patch, Zero
from leela_probe.positions.planes import History
from leela_probe.positions.squares import NetSquare
from leela_probe.positions.squares import name as square_name
from leela_probe.puzzles.pairs import Pair

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = [
    "Choice",
    "EntryControls",
    "Sweep",
    "SweepPoint",
    "control_entries",
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
class SweepPoint:
    """One changed run of a puzzle, and how the effects table names it.

    Attributes:
        interventions: what is done in the run.
        label: names it among the points of the sweep where the places below do not.
        site: the activation, without its layer.
        layer, head, square, query, key: the place, where there is one.

    Example:
        >>> import leela_probe as lp
        >>> head = lp.Intervention(site="layer1.head_output", head=2, action=lp.Zero())
        >>> lp.SweepPoint(site="head_output", layer=1, head=2, interventions=(head,))
        <SweepPoint head_output, layer=1, head=2>
    """

    interventions: tuple[Intervention, ...]
    site: str
    label: str | None = None
    layer: int | None = None
    head: int | None = None
    square: int | None = None
    query: int | None = None
    key: int | None = None

    def __repr__(self) -> str:
        names = ("label", "layer", "head", "square", "query", "key")
        given = [
            f"{name}={value!r}" for name in names if (value := getattr(self, name)) is not None
        ]
        return f"<SweepPoint {', '.join([self.site, *given])}>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """The changed runs that are measured for every puzzle.

    Attributes:
        name: goes into the column `sweep`.
        points: the changed runs of one puzzle; the same list where they do not depend on it. An
            empty list leaves the puzzle out. A sweep of your own can be pickled and copied if this
            is a function of a module or an object with `__call__`, not a lambda.
        needs_partner: True if activations are taken from the corrupted run.
        reason: why a puzzle with an empty list is left out.
        options: what the sweep was made with, as JSON values, for the manifest.

    Example:
        Patch the target of the third move in every layer at once:

        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> def at_third_target(pair):
        ...     square = pair.target(3)
        ...     sites = [f"layer{layer}.residual_after" for layer in range(network.layers)]
        ...     patches = [
        ...         lp.Intervention(site=site, square=square, action=lp.Patch()) for site in sites
        ...     ]
        ...     point = lp.SweepPoint(site="residual_after", interventions=tuple(patches))
        ...     return [] if square is None else [point]
        >>> sweep = lp.Sweep(name="mine", points=at_third_target, needs_partner=True)
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")[:3]
        >>> len(lp.measure(network, pairs, sweep))
        3
    """

    name: str
    points: Callable[[Pair], Sequence[SweepPoint]]
    needs_partner: bool
    reason: str = "the sweep has nothing to change here"
    options: Mapping[str, object] = field(default_factory=dict)

    def __repr__(self) -> str:
        if isinstance(self.points, _SameForAll):
            count = len(self.points.points)
            runs = f"{count:,} changed {'run' if count == 1 else 'runs'} per puzzle"
        else:
            runs = "changed runs that depend on the puzzle"
        source = "takes activations from corrupted inputs" if self.needs_partner else "ablates"
        return f"<Sweep {self.name!r}: {runs}, {source}>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _SameForAll:
    """The same points for every puzzle."""

    points: Sequence[SweepPoint]

    def __call__(self, pair: Pair) -> Sequence[SweepPoint]:
        return self.points


Choice = Action | Callable[[str], Action]
"""What is done at every place of a sweep, or what is done at a site, by the site's name."""

_PATCH = Patch()

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
    action: Choice = _PATCH,
) -> Sweep:
    """Change the residual stream at one square of one layer at a time (E1).

    Args:
        network: whose layers they are.
        where: "after" each layer (the paper's), in the "middle" (before the MLP), "before" it, or
            the "embedding".
        layers: some of the layers only.
        squares: some of the squares only.
        action: what is done there, by default patching; `actions.with_action` makes others by name.

    Raises:
        ValueError: if `where` is none of these, the network has no such site or layer, one is named
            twice, or layers of the embedding are asked for.
    """
    if where not in _STREAM:
        raise ValueError(f"no place {where!r} in the residual stream: choose {', '.join(_STREAM)}")
    if where == "embedding" and layers is not None:
        raise ValueError("the embedding comes before all layers: name none of them")
    kind = _STREAM[where]
    chosen = range(64) if squares is None else _once(squares, "square")
    places = [None] if where == "embedding" else _layers(network, layers)
    points = []
    for layer in places:
        site = _site(network, layer, kind)
        done = _at(site, action)
        points += [
            SweepPoint(
                interventions=(Intervention(site=site, action=done, square=square),),
                site=kind,
                layer=layer,
                square=square,
            )
            for square in chosen
        ]
    return _same_for_all("residual", points, where=where, layers=_listed(layers))


def heads(
    network: Network, *, layers: Sequence[int] | None = None, action: Choice = _PATCH
) -> Sweep:
    """Change the output of one attention head on all squares, head by head (E2).

    Args:
        network: whose heads they are.
        layers: some of the layers only.
        action: see `residual`.

    Raises:
        ValueError: if the network has no attention heads, or no such layer.
    """
    points = []
    for layer in _layers(network, layers):
        site = _site(network, layer, "head_output")
        done = _at(site, action)
        points += [
            SweepPoint(
                interventions=(Intervention(site=site, action=done, head=head),),
                site="head_output",
                layer=layer,
                head=head,
            )
            for head in range(network.heads)
        ]
    return _same_for_all("heads", points, layers=_listed(layers))


def head_squares(network: Network, layer: int, head: int, *, action: Choice = _PATCH) -> Sweep:
    """Change one head's output at one query square at a time.

    Args:
        network: whose sites they are.
        layer: counted from 0.
        head: counted from 0.
        action: see `residual`.

    Raises:
        ValueError: if the network has no such layer or head.
    """
    site = _head_site(network, layer, head, "head_output")
    done = _at(site, action)
    points = [
        SweepPoint(
            interventions=(Intervention(site=site, action=done, head=head, square=square),),
            site="head_output",
            layer=layer,
            head=head,
            square=square,
        )
        for square in range(64)
    ]
    return _same_for_all("head_squares", points, head=f"{layer}.{head}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryControls:
    """How the single entries are drawn that `entry` is compared with.

    Attributes:
        seed: for the draws, which depend on it and the puzzle alone.
        history: what stands for positions before the known ones where attention is looked up.
    """

    seed: int = 0
    history: History = History.FILLED


def entry(
    network: Network,
    layer: int,
    head: int,
    *,
    query_ply: int = 1,
    key_ply: int = 3,
    method: str = "zero",
    controls: EntryControls | None = None,
) -> Sweep:
    """Zero one entry of a head's attention pattern, and in another run all its other entries (E3).

    The entry moves information from the target of ply `key_ply` to the target of `query_ply`: for
    the paper, from the third to the first. All others are 4,095, whole rows among them; so there
    are controls of one entry too (W12): `another of its row`, `another of its column`, and `one of
    matched weight`, drawn from the few of the head whose attention in the clean run is nearest.

    Args:
        network: whose sites they are.
        layer: counted from 0.
        head: counted from 0.
        query_ply: whose target square is the query.
        key_ply: whose target square is the key.
        method: "zero" (the paper's: after the softmax), "renormalise" (zero, then the row sums to 1
            again) or "mask" (minus infinity before the softmax). A row of which nothing is left
            stays zero with all three.
        controls: makes three further runs, each with one other entry.

    Raises:
        ValueError: if the network has no such layer or head, the method is unknown, or a ply is
            below 1.
    """
    kind, action = _method(method)
    site = _head_site(network, layer, head, kind)
    for ply in (query_ply, key_ply):
        if ply < 1:
            raise ValueError(f"no ply {ply}: plies are counted from 1, the solver's first move")
    points = _EntryPoints(
        site=site,
        pattern=_head_site(network, layer, head, "pattern"),
        action=action,
        layer=layer,
        head=head,
        query_ply=query_ply,
        key_ply=key_ply,
        network=None if controls is None else network,
        controls=controls,
    )
    return Sweep(
        name="entry",
        points=points,
        needs_partner=False,
        reason=f"the line has fewer than {max(query_ply, key_ply)} plies",
        options={
            "head": f"{layer}.{head}",
            "query_ply": query_ply,
            "key_ply": key_ply,
            "method": method,
            "controls": controls is not None,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _EntryPoints:
    """The points of `entry`.

    Attributes:
        site: what is changed: `pattern`, or the scores before its softmax.
        pattern: the site of the head's pattern.
        action: what is done there.
        layer, head, query_ply, key_ply, network, controls: see `entry`.
    """

    site: str
    pattern: str
    action: Action
    layer: int
    head: int
    query_ply: int
    key_ply: int
    network: Network | None
    controls: EntryControls | None

    def __call__(self, pair: Pair) -> list[SweepPoint]:
        query, key = pair.target(self.query_ply), pair.target(self.key_ply)
        if query is None or key is None:
            return []
        points = [
            self._point(f"{self.key_ply}->{self.query_ply}", (query, key)),
            self._point("all other entries", (query, key), self._all_others(query, key)),
        ]
        if self.controls is not None and self.network is not None:
            history, seed = self.controls.history, f"{self.controls.seed} {pair.puzzle_id}"
            captured = self.network.capture([pair.clean], [self.pattern], history=history)
            weights = captured[self.pattern][0, self.head].float().cpu().numpy()
            drawn = control_entries(weights, query, key, seed)
            points += [self._point(label, place) for label, place in drawn.items()]
        return points

    def _point(
        self,
        label: str,
        place: tuple[int, int],
        interventions: tuple[Intervention, ...] | None = None,
    ) -> SweepPoint:
        query, key = place
        single = Intervention(
            site=self.site, action=self.action, head=self.head, query=query, key=key
        )
        return SweepPoint(
            interventions=(single,) if interventions is None else interventions,
            site=self.site.rpartition(".")[2],
            label=label,
            layer=self.layer,
            head=self.head,
            query=query,
            key=key,
        )

    def _all_others(self, query: NetSquare, key: NetSquare) -> tuple[Intervention, ...]:
        if self.site == self.pattern:
            return (
                Intervention(
                    site=self.site,
                    action=self.action,
                    head=self.head,
                    query=query,
                    key=key,
                    complement=True,
                ),
            )
        keys, queries = (tuple(s for s in range(64) if s != square) for square in (key, query))
        return (  # a softmax with nothing to choose from is not defined, so other rows are zeroed
            Intervention(
                site=self.site,
                action=self.action,
                head=self.head,
                query=(query,) * len(keys),
                key=keys,
            ),
            Intervention(site=self.pattern, action=Zero(), head=self.head, query=queries),
        )


def entries(
    network: Network,
    layer: int,
    head: int,
    *,
    chosen: Sequence[tuple[int, int]] | None = None,
    method: str = "zero",
    together: bool = False,
) -> Sweep:
    """Change the entries of one head's attention pattern one by one: all 4,096, or some.

    Args:
        network: whose sites they are.
        layer: counted from 0.
        head: counted from 0.
        chosen: (query, key) squares of the mover's board; by default all.
        method: see `entry`.
        together: True changes the chosen entries as a set, in one run.

    Raises:
        ValueError: if an entry is named twice, or none is chosen to change together; see `entry`.
    """
    kind, action = _method(method)
    site = _head_site(network, layer, head, kind)
    options: dict[str, object] = {
        "head": f"{layer}.{head}",
        "entries": None if chosen is None else [list(place) for place in chosen],
        "method": method,
        "together": together,
    }
    if chosen is not None:
        chosen = _once(chosen, "entry", lambda named: ":".join(map(_square_name, named)))
    if together:
        if not chosen:
            raise ValueError("no entries are chosen to be changed together: name at least one")
        queries, keys = zip(*chosen, strict=True)
        point = SweepPoint(
            interventions=(
                Intervention(site=site, action=action, head=head, query=queries, key=keys),
            ),
            site=kind,
            label=f"{len(chosen)} {'entry' if len(chosen) == 1 else 'entries together'}",
            layer=layer,
            head=head,
        )
        return _same_for_all("entries", [point], **options)
    every = ((query, key) for query in range(64) for key in range(64))
    points = [
        SweepPoint(
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
    return _same_for_all("entries", points, **options)


def head_sets(
    network: Network, sets: Sequence[Sequence[tuple[int, int]]], *, action: Choice = _PATCH
) -> Sweep:
    """Change the outputs of several heads at once, set by set (T3).

    Args:
        network: whose sites they are.
        sets: each a sequence of (layer, head); `pairs_of_heads` lists all pairs.
        action: see `residual`.

    Raises:
        ValueError: if the network has no such layer or head, a set is empty, or a head stands twice
            in a set or a set twice among them.
    """
    points = []
    _once([tuple(sorted(chosen)) for chosen in sets], "set of heads", _head_names)
    for chosen in sets:
        if not chosen:
            raise ValueError("a set of heads is empty: name at least one (layer, head)")
        _once(chosen, "head", _head_name)
        label = _set_name(network, sorted(chosen))
        sites = [(_head_site(network, *place, "head_output"), place[1]) for place in sorted(chosen)]
        interventions = tuple(
            Intervention(site=site, action=_at(site, action), head=head) for site, head in sites
        )
        points.append(SweepPoint(interventions=interventions, site="head_output", label=label))
    names = ",".join("+".join(map(_head_name, chosen)) for chosen in sets)
    if len(sets) > _LISTED_SETS:  # of all pairs of heads of a large network there are 65,000
        names = f"{len(sets)} sets of SHA-256 {hashlib.sha256(names.encode()).hexdigest()}"
    return _same_for_all("head_sets", points, sets=names)


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
    in the heads of the other pieces, as many of them (or all, where they are fewer), drawn at
    random; and another column in each of the piece's own heads, drawn for every head (never the
    third target, which the paper's could hit, nor the third source).

    Args:
        network: whose sites they are.
        heads_of: (layer, head) lists by piece: "knight", "bishop", "rook".
        seed: of the draws, which depend on the puzzle and on nothing else.

    Raises:
        ValueError: if the network has no such layer or head, a list names one twice, or it is of
            another piece.
    """
    for piece, listed in heads_of.items():
        if piece not in PIECES:
            raise ValueError(f"{piece!r} has no list of heads: expected {', '.join(PIECES)}")
        for layer, head in _once(listed, f"{piece}'s head", _head_name):
            _head_site(network, layer, head, "pattern")

    return Sweep(
        name="piece_heads",
        points=_PieceHeadPoints(
            heads_of={piece: tuple(listed) for piece, listed in heads_of.items()}, seed=seed
        ),
        needs_partner=False,
        reason="no bishop, knight or rook stands ready to make the third of five plies",
        options={
            "heads": {piece: [*map(list, listed)] for piece, listed in heads_of.items()},
            "other_heads": {piece: size for piece, (_, size) in control_sizes(heads_of).items()},
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _PieceHeadPoints:
    """The points of `piece_heads`."""

    heads_of: Mapping[str, Sequence[tuple[int, int]]]
    seed: int

    def __call__(self, pair: Pair) -> list[SweepPoint]:
        return [
            SweepPoint(
                interventions=ablation.interventions,
                site="pattern",
                label=ablation.label,
                key=ablation.column,
            )
            for ablation in ablations(pair, self.heads_of, seed=self.seed)
        ]


def _at(site: str, action: Choice) -> Action:
    return action(site) if callable(action) else action


def _same_for_all(name: str, points: Sequence[SweepPoint], **options: object) -> Sweep:
    patches = (isinstance(made.action, Patch) for point in points for made in point.interventions)
    return Sweep(
        name=name,
        points=_SameForAll(points=points),
        needs_partner=any(patches),
        options=options,
    )


def _listed(numbers: Sequence[int] | None) -> list[int] | None:
    return None if numbers is None else list(numbers)


_Named = TypeVar("_Named", bound=Hashable)


def _once(
    named: Sequence[_Named], what: str, text: Callable[[_Named], str] = str
) -> Sequence[_Named]:
    """What was named, if nothing is named twice, as its runs would count twice."""
    counts = Counter(named)
    twice = [each for each, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{what} {text(twice[0])} is named twice: name it once")
    return named


def _square_name(square: int) -> str:
    return square_name(NetSquare(square))


_NAMED_ONE_BY_ONE = 4  # heads of a set
_LISTED_SETS = 100


def _set_name(network: Network, chosen: Sequence[tuple[int, int]]) -> str:
    """A short name of a set of heads; no other set of the network has it."""
    if len(chosen) <= _NAMED_ONE_BY_ONE:
        return _head_names(chosen)
    left = [
        (layer, head)
        for layer in range(network.layers)
        for head in range(network.heads)
        if (layer, head) not in chosen
    ]
    if not left:
        return "all heads"
    if len(left) <= _NAMED_ONE_BY_ONE:
        return f"all but {_head_names(left)}"
    layers = sorted({layer for layer, _ in chosen})
    return "+".join(
        f"L{layer}H{_ranges([head for at, head in chosen if at == layer])}" for layer in layers
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as text, such as `0-3,7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def _head_name(place: tuple[int, int]) -> str:
    return "{}.{}".format(*place)


def _head_names(chosen: Sequence[tuple[int, int]]) -> str:
    return "+".join(f"L{layer}H{head}" for layer, head in chosen)


_LIKE = 16  # entries of the nearest weights, of which one is drawn


def control_entries(
    weights: Float[np.ndarray, "query key"], query: int, key: int, seed: str
) -> dict[str, tuple[int, int]]:
    """One other entry of each kind that an entry is held against, never the entry itself.

    Args:
        weights: of the head's pattern on the clean board.
        query: of the entry.
        key: of the entry.
        seed: of the draws.

    Returns:
        (query, key) by the control's label; see `entry`.
    """
    draw = random.Random(seed)
    apart = np.abs(weights - weights[query, key])
    apart[query, key] = np.inf
    nearest = np.argsort(apart, axis=None, kind="stable")[:_LIKE].tolist()
    return {
        "another of its row": (query, draw.choice([k for k in range(64) if k != key])),
        "another of its column": (draw.choice([q for q in range(64) if q != query]), key),
        "one of matched weight": divmod(draw.choice(nearest), 64),
    }


_METHODS: dict[str, tuple[str, Action]] = {
    "zero": ("pattern", Zero()),
    "renormalise": ("pattern", Zero(renormalise=True)),
    "mask": ("scores", Mask()),
}


def _method(name: str) -> tuple[str, Action]:
    """The kind of site that a method changes, and what it does there."""
    if name not in _METHODS:
        raise ValueError(f"unknown method {name!r}: choose {', '.join(_METHODS)}")
    return _METHODS[name]


def _layers(network: Network, layers: Sequence[int] | None) -> Sequence[int]:
    chosen = range(network.layers) if layers is None else _once(layers, "layer")
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
