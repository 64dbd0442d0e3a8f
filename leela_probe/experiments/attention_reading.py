"""Reading attention without changing it: who looks at whom, averaged by relation, rank, gradient.

A relation names two squares of a puzzle: `3->1` is the entry whose query is the first move's target
and whose key is the third's, along which information flows from the third to the first.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from leela_probe.files.progress import Progress
from leela_probe.networks.measures import log_odds
from leela_probe.networks.network import Network
from leela_probe.networks.references import Reference
from leela_probe.positions.planes import History
from leela_probe.puzzles.pairs import Pair

__all__ = [
    "AT_ONCE", "ENTRIES", "Patterns", "measure", "patterns", "relation_names", "relations",
]  # fmt: skip

ENTRIES = 4096
"""Entries of a head's pattern."""

AT_ONCE = 4
"""Positions that go through the network at once by default."""


def relation_names(plies: Sequence[int] = (1, 2, 3)) -> list[str]:
    """The names of the relations between moves of these plies.

    Example:
        >>> relation_names([1, 3])
        ['1->3', '3->1', '1->1s', '1s->1', '3->3s', '3s->3']
    """
    between = [f"{key}->{query}" for key, query in itertools.permutations(plies, 2)]
    return between + [name for ply in plies for name in (f"{ply}->{ply}s", f"{ply}s->{ply}")]


def relations(pair: Pair, plies: Sequence[int] = (1, 2, 3)) -> dict[str, tuple[int, int]]:
    """The query and key square of each relation of a puzzle, by name.

    `a->b` is the target of ply b looking at the target of ply a, for any two of the plies; `a->as`
    and `as->a` are a ply's source looking at its target and the other way round. Squares are the
    mover's. Plies past the end of the line have no relations, and relations whose squares coincide
    are kept: they are a square looking at itself.

    Args:
        pair: the puzzle.
        plies: counted from 1.

    Example:
        >>> pair = Pair(puzzle_id="a", game_id=None, target_pattern="112",
        ...             line=("c2c8", "e6c8", "e1e8"),
        ...             clean_fen="6k1/pp3ppp/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1")
        >>> relations(pair, (1, 3))["3->1"]
        (58, 60)
    """
    found: dict[str, tuple[int, int]] = {}
    targets = {ply: target for ply in plies if (target := pair.target(ply)) is not None}
    for key, query in itertools.permutations(targets, 2):
        found[f"{key}->{query}"] = (int(targets[query]), int(targets[key]))
    for ply, target in targets.items():
        source = pair.source(ply)
        assert source is not None  # a move has both
        found[f"{ply}->{ply}s"] = (int(source), int(target))
        found[f"{ply}s->{ply}"] = (int(target), int(source))
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patterns:
    """The patterns of all heads, added up over puzzles.

    Attributes:
        total: the sum.
        puzzles: of how many.
    """

    total: Float[np.ndarray, "layer head query key"]
    puzzles: int

    def elsewhere(self, table: pd.DataFrame) -> Float[np.ndarray, " row"]:
        """The mean of the entry of each row over the puzzles without the row's own."""
        place = tuple(table[name].to_numpy() for name in ("layer", "head", "query", "key"))
        if self.puzzles < 2:
            return np.full(len(table), np.nan)
        return (self.total[place] - table["attention"].to_numpy()) / (self.puzzles - 1)


def patterns(
    network: Network,
    pairs: Sequence[Pair],
    *,
    history: History = History.FILLED,
    batch_size: int = AT_ONCE,
    progress: Progress | None = None,
) -> Patterns:
    """The sum of the patterns of every head over the puzzles.

    Args:
        network: an attention body.
        pairs: the puzzles.
        history: what stands for positions before the known ones.
        batch_size: positions at once.
        progress: told after each batch.

    Raises:
        ValueError: if the network has no attention patterns, or no pair is given.
    """
    _check(network, pairs)
    total = np.zeros((network.layers, network.heads, 64, 64))
    for start in range(0, len(pairs), batch_size):
        some = pairs[start : start + batch_size]
        total += _run(network, some, history, False)[0].sum(axis=1, dtype=np.float64)
        if progress is not None:
            progress(start + len(some), len(pairs), {})
    return Patterns(total=total, puzzles=len(pairs))


def measure(
    network: Network,
    pairs: Sequence[Pair],
    *,
    plies: Sequence[int] = (1, 2, 3),
    attribution: bool = True,
    among: Patterns | None = None,
    history: History = History.FILLED,
    batch_size: int = AT_ONCE,
    seed: int = 0,
) -> pd.DataFrame:
    """What each head's pattern holds at each relation of each puzzle.

    Args:
        network: an attention body.
        pairs: the puzzles.
        plies: of the relations.
        attribution: also the pattern times the gradient of the first move's log odds, which is to
            first order what zeroing the entry takes from the log odds. Puzzles whose first move has
            no rival have none (NaN).
        among: the patterns of all puzzles, if these are some of them.
        history: what stands for positions before the known ones.
        batch_size: positions at once.
        seed: of the order among entries that are equal, so that ranks by chance are uniform.

    Returns:
        A row for each puzzle, layer, head and relation: `attention` (0 to 1); `elsewhere`, the mean
        of the same entry over the other puzzles, which is what position alone gives; `rank` of the
        entry among the head's 4,096, 1 the largest; `same_square`, whether query and key coincide;
        `attribution` in nats.

    Raises:
        ValueError: if the network has no attention patterns, or no pair is given.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> table = lp.attention(network, pairs[:5], attribution=False)
        >>> ["attention" in table, "elsewhere" in table, "rank" in table]
        [True, True, True]
    """
    _check(network, pairs)
    if not any(relations(pair, plies) for pair in pairs):
        raise ValueError(f"no puzzle has plies {', '.join(map(str, plies))}: ask for earlier ones")
    total = np.zeros((network.layers, network.heads, 64, 64))
    found = []
    for start in range(0, len(pairs), batch_size):
        some = pairs[start : start + batch_size]
        values, products = _run(network, some, history, attribution)
        total += values.sum(axis=1, dtype=np.float64)
        for row, pair in enumerate(some):
            named = relations(pair, plies)
            if named:
                product = None if products is None else products[:, row]
                draw = np.random.default_rng([seed, zlib.crc32(pair.puzzle_id.encode())])
                found.append(_rows(pair, named, values[:, row], product, draw))
    table = pd.concat(found, ignore_index=True)
    among = Patterns(total=total, puzzles=len(pairs)) if among is None else among
    table.insert(7, "elsewhere", among.elsewhere(table))
    return table


def _check(network: Network, pairs: Sequence[Pair]) -> None:
    if not network.heads:
        raise ValueError(f"{network.name!r} is a {network.body} and has no attention patterns")
    if not pairs:
        raise ValueError("no puzzles to read attention of: give at least one")


def _run(
    network: Network, pairs: Sequence[Pair], history: History, attribution: bool
) -> tuple[Float[np.ndarray, "layer board head query key"], np.ndarray | None]:
    """Patterns, and pattern times gradient of the log odds."""
    sites = [f"layer{layer}.pattern" for layer in range(network.layers)]
    encoded = network.encode([pair.clean for pair in pairs], history=history)
    planes = torch.from_numpy(encoded.planes()).to(network.device)
    if not attribution:
        found = network.run(planes, sites)
        return np.stack([found[site].float().cpu().numpy() for site in sites]), None
    values = network.run(planes, [*sites, "policy.logits"], gradients=True)
    logits = values["policy.logits"]
    firsts = [pair.clean.parse_uci(pair.line[0]) for pair in pairs]
    reference = Reference.of(encoded, firsts, logits.detach())
    good = torch.tensor([len(moves) > 1 for moves in encoded.moves], device=logits.device)
    runs = reference.runs(logits[good], good)
    tensors = [values[site] for site in sites]
    if bool(good.any()):
        gradients = torch.autograd.grad(log_odds(runs).sum(), tensors)
    else:
        gradients = tuple(torch.zeros_like(tensor) for tensor in tensors)
    plain, products = [], []
    for tensor, gradient in zip(tensors, gradients, strict=True):
        pattern = tensor.detach().float()
        product = pattern * gradient.float()
        product[~good] = torch.nan
        plain.append(pattern.cpu().numpy())
        products.append(product.cpu().numpy())
    return np.stack(plain), np.stack(products)


def _rows(
    pair: Pair,
    named: Mapping[str, tuple[int, int]],
    patterns: Float[np.ndarray, "layer head query key"],
    products: np.ndarray | None,
    draw: np.random.Generator,
) -> pd.DataFrame:
    layers, heads = patterns.shape[:2]
    query, key = (np.array(squares) for squares in zip(*named.values(), strict=True))
    attention = patterns[:, :, query, key]
    flat = np.sort(patterns.reshape(layers, heads, ENTRIES), axis=-1)
    below = np.empty(attention.shape, dtype=np.int64)
    upto = np.empty_like(below)
    for layer, head in itertools.product(range(layers), range(heads)):
        below[layer, head] = np.searchsorted(flat[layer, head], attention[layer, head], "left")
        upto[layer, head] = np.searchsorted(flat[layer, head], attention[layer, head], "right")
    ties = upto - below
    rank = ENTRIES - upto + 1 + (draw.random(ties.shape) * ties).astype(np.int64)
    each = attention.size // len(named)
    return pd.DataFrame(
        {
            "puzzle_id": pair.puzzle_id,
            "game_id": pair.game_id,
            "target_pattern": pair.target_pattern,
            "layer": np.repeat(np.arange(layers), heads * len(named)),
            "head": np.tile(np.repeat(np.arange(heads), len(named)), layers),
            "relation": list(named) * each,
            "attention": attention.ravel(),
            "rank": rank.ravel(),
            "query": np.tile(query, each),
            "key": np.tile(key, each),
            "same_square": np.tile(query == key, each),
            "attribution": np.nan if products is None else products[:, :, query, key].ravel(),
        }
    )
