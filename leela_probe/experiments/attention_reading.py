"""Reading attention without changing it: who looks at whom, averaged by relation, rank, gradient.

A relation names two squares of a puzzle: `3->1` is the entry whose query is the first move's target
and whose key is the third's, along which information flows from the third to the first. Stands on
`networks.network`, `networks.measures` and `puzzles.pairs`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy import stats

from leela_probe.networks.measures import Runs, log_odds
from leela_probe.networks.network import Network
from leela_probe.positions.planes import History
from leela_probe.puzzles.pairs import Pair

__all__ = ["ENTRIES", "chance", "measure", "relations", "summary"]

ENTRIES = 4096
"""Entries of a head's pattern."""

_AT_ONCE = 4


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
        >>> pair = Pair(puzzle_id="a", game_id=None, pattern="112", line=("c2c8", "e6c8", "e1e8"),
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


def measure(
    network: Network,
    pairs: Sequence[Pair],
    *,
    plies: Sequence[int] = (1, 2, 3),
    attribution: bool = True,
    history: History = History.FILLED,
    batch_size: int = _AT_ONCE,
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
    """
    if not network.heads:
        raise ValueError(f"{network.name!r} is a {network.body} and has no attention patterns")
    if not pairs:
        raise ValueError("no puzzles to read attention of: give at least one")
    sites = [f"layer{layer}.pattern" for layer in range(network.layers)]
    total = np.zeros((network.layers, network.heads, 64, 64))
    parts = []
    for start in range(0, len(pairs), batch_size):
        some = pairs[start : start + batch_size]
        patterns, gradients = _run(network, some, sites, history, attribution)
        total += patterns.sum(axis=1, dtype=np.float64)
        for row, pair in enumerate(some):
            named = relations(pair, plies)
            if named:
                gradient = None if gradients is None else gradients[:, row]
                draw = np.random.default_rng([seed, start + row])
                parts.append(_rows(pair, named, patterns[:, row], gradient, draw))
    if not parts:
        raise ValueError(f"no puzzle has plies {', '.join(map(str, plies))}: ask for earlier ones")
    table = pd.concat(parts, ignore_index=True)
    place = tuple(table[name].to_numpy() for name in ("layer", "head", "query", "key"))
    others = max(len(pairs) - 1, 1)
    elsewhere = (total[place] - table["attention"].to_numpy()) / others
    table.insert(7, "elsewhere", elsewhere if len(pairs) > 1 else np.nan)
    return table


def _run(
    network: Network,
    pairs: Sequence[Pair],
    sites: Sequence[str],
    history: History,
    attribution: bool,
) -> tuple[Float[np.ndarray, "layer board head query key"], np.ndarray | None]:
    """Patterns, and pattern times gradient of the log odds."""
    encoded = network.encode([pair.clean for pair in pairs], history=history)
    planes = torch.from_numpy(encoded.planes()).to(network.device)
    if not attribution:
        found = network.run(planes, sites)
        return np.stack([found[site].float().cpu().numpy() for site in sites]), None
    named = {name: network.site(name) for name in (*sites, "policy.logits")}
    values = network.graph.run(
        {network.graph.inputs[0]: planes.requires_grad_()},
        [site.tensor for site in named.values()],
        gradients=True,
    )
    logits = values[named["policy.logits"].tensor]
    legal = torch.zeros(logits.shape, dtype=torch.bool)
    slots, rivals = [], []
    for row, pair in enumerate(pairs):
        own = encoded.slots[encoded.offsets[row] : encoded.offsets[row + 1]].astype(np.int64)
        legal[row, torch.from_numpy(own)] = True
        slots.append(int(own[encoded.moves[row].index(pair.clean.parse_uci(pair.line[0]))]))
        rivals.append(len(own) > 1)
    good = torch.tensor(rivals, device=logits.device)
    runs = Runs(
        logits=logits[good],
        value=None,
        legal=legal.to(logits.device)[good],
        slot=torch.tensor(slots, device=logits.device)[good],
        clean_logits=logits.detach()[good],
    )
    tensors = [values[named[site].tensor] for site in sites]
    if bool(good.any()):
        gradients = torch.autograd.grad(log_odds(runs).sum(), tensors)
    else:
        gradients = tuple(torch.zeros_like(tensor) for tensor in tensors)
    patterns, products = [], []
    for site, tensor, gradient in zip(sites, tensors, gradients, strict=True):
        pattern = named[site].read(tensor.detach()).float()
        product = pattern * named[site].read(gradient).float()
        product[~good] = torch.nan
        patterns.append(pattern.cpu().numpy())
        products.append(product.cpu().numpy())
    return np.stack(patterns), np.stack(products)


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
            "pattern": pair.pattern,
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


def chance(top: int, *, puzzles: int = 1, heads: int = 1) -> float:
    """The chance that an entry is among the `top` of 4,096, if every entry is as likely as another.

    Args:
        top: how many entries count.
        puzzles: the chance that it is so in at least one of so many puzzles, or
        heads: in at least one of so many heads, each independent of the others.

    Returns:
        1 - (1 - top / 4096) ^ (puzzles * heads).

    Raises:
        ValueError: if `top` is not from 1 to 4096.

    Example:
        >>> chance(1) == 1 / 4096, round(chance(1, heads=360), 4)
        (True, 0.0841)
    """
    if not 1 <= top <= ENTRIES:
        raise ValueError(f"top {top}: a head has {ENTRIES} entries, so take 1 to {ENTRIES}")
    return 1 - (1 - top / ENTRIES) ** (puzzles * heads)


def summary(
    table: pd.DataFrame,
    *,
    tops: Sequence[int] = (1, 10, 64),
    differing: bool = True,
) -> pd.DataFrame:
    """Each head's attention by relation, over puzzles, beside the exact chance level of its rank.

    Args:
        table: of `measure`.
        tops: an entry counts as found if it is among so many.
        differing: leave out relations of a square with itself.

    Returns:
        A row for each layer, head and relation: means of `attention`, `elsewhere` and
        `attribution`, the median `rank` (2048.5 by chance), and for each `top` the share of puzzles
        `top1` with its chance level `chance1` and `p1`, the probability of so many or more puzzles
        (binomial tail, puzzles independent; multiply by heads and relations tried). `n` puzzles.

    Raises:
        ValueError: if nothing is left of the table.
    """
    kept = table[~table["same_square"]] if differing else table
    if kept.empty:
        raise ValueError("no relation is left: every query is its own key in these puzzles")
    for top in tops:
        kept = kept.assign(**{f"top{top}": (kept["rank"] <= top).astype(float)})
    groups = kept.groupby(["layer", "head", "relation"], sort=False)
    found = groups[["attention", "elsewhere", "attribution"]].mean()
    found["rank"] = groups["rank"].median()
    found["n"] = groups.size()
    for top in tops:
        share, level = groups[f"top{top}"].mean(), chance(top)
        found[f"top{top}"] = share
        found[f"chance{top}"] = level
        count = groups[f"top{top}"].sum().round().astype(int)
        found[f"p{top}"] = stats.binom.sf(count - 1, found["n"], level)
    return found.reset_index()
