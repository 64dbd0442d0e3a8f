"""Each experiment as a contrast: its effect on the planted line minus that on the placebo line.

A network may react to a man more on the board, and to the squares that its own men can reach,
without looking ahead: an effect that differs from 0 is no evidence. The two lines of a
`planted_puzzles.PlantedPuzzle` differ in nothing but which of two squares the third move goes to,
so that without look-ahead the contrast has mean 0. Probes have no contrast: where the third move
goes follows here from the first move's target alone, so that a probe finds it in any network.
Stands on `planted_puzzles` and `experiments`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from leela_probe.experiments import attention_reading, effect_tables, effects, screen, sweeps
from leela_probe.experiments.sweeps import Change, Sweep
from leela_probe.networks.interventions import Intervention, Patch
from leela_probe.networks.network import Network
from leela_probe.organisms.planted_puzzles import PlantedPuzzle
from leela_probe.puzzles.pairs import Pair

__all__ = ["EXPERIMENTS", "ROUNDING", "Contrast", "measure"]

EXPERIMENTS = (
    "residual third", "residual first", "heads", "joint", "entry", "screen", "attention",
)  # fmt: skip
"""The experiments.

- `residual third`, `residual first`: the residual stream patched at the third, the first move's
  target, layer by layer (E1);
- `heads`: one head's output patched on all squares (E2);
- `joint`: two heads of a layer patched at once, beyond the sum of both alone (T3);
- `entry`: the entry from the third to the first target zeroed, head by head (E3);
- `screen`: the effects of `heads` estimated from gradients;
- `attention`: nothing changed, the entry from the third to the first target read (E4).
"""

ROUNDING = 1e-4
"""Smaller effects count as 0. Where none should be, rounding in float32 leaves some of about 1e-6,
possibly all of one sign."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrast:
    """One experiment's effects on one network.

    Effects are in nats of the first move's log odds, those of `attention` in shares of attention.

    Attributes:
        table: a row for each puzzle and location (a layer, a head 2.1, a pair 2.0+2.1), with
            puzzle_id, game_id, location and effect: planted minus placebo.
        plain: the same of the planted pairs alone, as one would read it without a placebo.
        locations: all of them in order.
    """

    table: pd.DataFrame
    plain: pd.DataFrame
    locations: tuple[str, ...]


def measure(
    network: Network, puzzles: Sequence[PlantedPuzzle], *, joint: int | None = None
) -> dict[str, Contrast]:
    """Every experiment that the network has the parts for, by name.

    Args:
        network: whose runs are changed.
        puzzles: from `planted_puzzles.make`.
        joint: how many of the puzzles the pairs of heads are patched on; by default all.

    Raises:
        ValueError: if there is no puzzle.
    """
    if not puzzles:
        raise ValueError("no puzzles to measure on: give at least one")

    def contrast(
        run: Callable[[list[Pair]], pd.DataFrame],
        location: Callable[[pd.DataFrame], pd.Series],
        some: Sequence[PlantedPuzzle] = puzzles,
    ) -> Contrast:
        both = [
            run([puzzle.planted for puzzle in some]), run([puzzle.placebo for puzzle in some])
        ]  # fmt: skip
        return _contrast([_located(table, location(table)) for table in both])

    stream = contrast(lambda pairs: effects.measure(network, pairs, _targets(network)), _layer)
    found = {}
    for ply, name in ((3, "residual third"), (1, "residual first")):
        found[name] = _part(stream, f"ply{ply} ")
    if not network.heads:
        return found
    heads, sets = sweeps.heads(network), sweeps.pairs_of_heads(network)
    found["heads"] = contrast(lambda pairs: effects.measure(network, pairs, heads), _head)
    some = puzzles[:joint]
    pairs_of_heads = contrast(
        lambda pairs: effects.measure(network, pairs, sweeps.head_sets(network, sets)),
        lambda table: table["label"].astype("string"),
        some,
    )
    found["joint"] = _beyond_the_sum(pairs_of_heads, found["heads"], sets)
    found["entry"] = contrast(
        lambda pairs: effects.measure(network, pairs, _entries(network)), _head
    )
    found["screen"] = contrast(
        lambda pairs: screen.estimate(network, pairs, heads).assign(
            effect=lambda table: table["estimate"], verdict=effect_tables.MEASURED
        ),
        _head,
    )
    found["attention"] = contrast(lambda pairs: _attention(network, pairs), _head)
    return found


def _attention(network: Network, pairs: Sequence[Pair]) -> pd.DataFrame:
    """What each head holds at the entry from the third to the first target, as effects."""
    sites = [f"layer{layer}.pattern" for layer in range(network.layers)]
    patterns = network.capture([pair.clean for pair in pairs], sites)
    relations = [attention_reading.relations(pair, (1, 3))["3->1"] for pair in pairs]
    query, key = zip(*relations, strict=True)
    return pd.DataFrame(
        {
            "puzzle_id": pair.puzzle_id,
            "game_id": pair.game_id,
            "layer": layer,
            "head": head,
            "effect": float(patterns[site][row, head, query[row], key[row]]),
            "verdict": effect_tables.MEASURED,
        }
        for row, pair in enumerate(pairs)
        for layer, site in enumerate(sites)
        for head in range(network.heads)
    )


def _targets(network: Network) -> Sweep:
    """The residual stream after each layer, patched at the third and at the first target."""

    def changes(pair: Pair) -> list[Change]:
        return [
            Change(
                interventions=(
                    Intervention(
                        site=f"layer{layer}.residual_after", action=Patch(), square=square
                    ),
                ),
                site="residual_after",
                label=f"ply{ply}",
                layer=layer,
                square=square,
            )
            for ply in (3, 1)
            if (square := pair.target(ply)) is not None
            for layer in range(network.layers)
        ]

    return Sweep(name="targets", changes=changes, needs_partner=True)


def _entries(network: Network) -> Sweep:
    """The entry from the third to the first target, zeroed in each head."""
    each = [
        sweeps.entry(network, layer, head)
        for layer in range(network.layers)
        for head in range(network.heads)
    ]
    return Sweep(
        name="entry",
        changes=lambda pair: [sweep.changes(pair)[0] for sweep in each],
        needs_partner=False,
    )


def _layer(table: pd.DataFrame) -> pd.Series:
    return table["label"].astype("string") + " " + table["layer"].astype("string")


def _head(table: pd.DataFrame) -> pd.Series:
    return table["layer"].astype("string") + "." + table["head"].astype("string")


def _located(table: pd.DataFrame, location: pd.Series) -> pd.DataFrame:
    """The measured rows, with what is needed of them."""
    named = table.assign(location=location, puzzle_id=table["puzzle_id"].astype(str))
    return effect_tables.measured(named)[["puzzle_id", "game_id", "location", "effect"]]


def _contrast(both: Sequence[pd.DataFrame]) -> Contrast:
    keys = ["puzzle_id", "location"]
    joined = both[0].merge(both[1][[*keys, "effect"]], on=keys, suffixes=("", "_placebo"))
    locations = tuple(dict.fromkeys(joined["location"]))
    plain = joined[["puzzle_id", "game_id", "location"]].assign(
        effect=_rounded(joined["effect"].astype("float64"))
    )
    difference = joined["effect"].astype("float64") - joined["effect_placebo"].astype("float64")
    return Contrast(
        table=plain.assign(effect=_rounded(difference)), plain=plain, locations=locations
    )


def _rounded(values: pd.Series) -> pd.Series:
    return values.where(values.abs() >= ROUNDING, 0.0)


def _part(whole: Contrast, prefix: str) -> Contrast:
    """The locations that begin with a prefix, without it."""

    def chosen(table: pd.DataFrame) -> pd.DataFrame:
        rows = table[table["location"].str.startswith(prefix)].reset_index(drop=True)
        return rows.assign(location=rows["location"].str.removeprefix(prefix))

    return Contrast(
        table=chosen(whole.table),
        plain=chosen(whole.plain),
        locations=tuple(
            name.removeprefix(prefix) for name in whole.locations if name.startswith(prefix)
        ),
    )


def _beyond_the_sum(
    pairs: Contrast, singles: Contrast, sets: Sequence[tuple[tuple[int, int], ...]]
) -> Contrast:
    """Effects of pairs minus those of their two heads."""
    places = {  # as the sweep labels a pair, and as we do
        "+".join(f"L{layer}H{head}" for layer, head in pair): tuple(
            f"{layer}.{head}" for layer, head in pair
        )
        for pair in sets
    }

    def beyond(table: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
        single = alone.set_index(["puzzle_id", "location"])["effect"]
        heads = [places[label] for label in table["location"]]
        rest = table["effect"].to_numpy()
        for side in range(2):
            keys = [
                (puzzle, pair[side]) for puzzle, pair in zip(table["puzzle_id"], heads, strict=True)
            ]
            rest = rest - single.loc[keys].to_numpy()
        named = table.assign(location=["+".join(pair) for pair in heads], effect=rest)
        return named.assign(effect=_rounded(named["effect"]))

    return Contrast(
        table=beyond(pairs.table, singles.table),
        plain=beyond(pairs.plain, singles.plain),
        locations=tuple("+".join(places[label]) for label in pairs.locations),
    )
