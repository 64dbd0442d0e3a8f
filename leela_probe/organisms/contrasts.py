"""Each experiment as a contrast: its effect on the planted line minus that on the placebo line.

A network may react to a man more on the board, and to the squares that its own men can reach,
without looking ahead: an effect that differs from 0 is no evidence. The two lines of a
`planted_puzzles.PlantedPuzzle` differ in nothing but which of two squares the third move goes to,
so that without look-ahead the contrast has mean 0.

Two experiments of the package have no contrast here. Probes (E5): where the third move goes follows
in planted puzzles from the first move's target, so that a probe finds it in any network, and in the
planes. Piece heads (E4): they need lines of five plies and heads that follow a piece, and planted
networks have neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from leela_probe.experiments import attention_reading, effect_tables, effects, screen, sweeps
from leela_probe.experiments.sweeps import Sweep, SweepPoint
from leela_probe.networks.interventions import Intervention, Patch
from leela_probe.networks.network import Network
from leela_probe.organisms.planted_puzzles import PlantedPuzzle
from leela_probe.puzzles.pairs import Pair

__all__ = ["EXPERIMENTS", "ROUNDING", "Contrast", "measure"]

EXPERIMENTS = (
    "residual third", "residual first", "residual other", "heads", "joint", "entry", "complement",
    "screen", "attention", "attention rank", "attribution",
)  # fmt: skip
"""The experiments.

- `residual third`, `residual first`: the residual stream patched at the third, the first move's
  target, layer by layer (E1);
- `residual other`: the largest effect of the other 62 squares;
- `heads`: one head's output patched on all squares (E2);
- `joint`: two heads of a layer patched at once, beyond the sum of both alone (T3);
- `entry`: the entry from the third to the first target zeroed, head by head (E3);
- `complement`: all other entries of the head zeroed instead. Here the placebo minus the planted
  line: what is kept where the planted entry is the one that is left;
- `screen`: the effects of `heads` estimated from gradients;
- `attention`: nothing changed, the entry from the third to the first target read;
- `attention rank`: how far ahead of the middle it ranks among the head's 4,096, in halvings;
- `attribution`: it times the gradient of the log odds.
"""

ROUNDING = 1e-4
"""Smaller effects count as 0. Where none should be, rounding in float32 leaves some of about 1e-6,
possibly all of one sign."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrast:
    """One experiment's effects on one network.

    Effects are in nats of the first move's log odds, those of `attention` in shares of attention,
    those of `attention rank` in halvings of the rank.

    Attributes:
        table: a row for each puzzle and location (a layer, a head 2.1, a pair 2.0+2.1), with
            puzzle_id, game_id, location and effect: planted minus placebo.
        plain: the same of the planted pairs alone, as one would read it without a placebo.
        locations: all of them in order.
        square_ranks: of `residual third` and `residual first`, by location: the rank of that square
            among the 64 on the planted line, 1 being the largest effect, equal ones sharing their
            mean rank; the median over puzzles.
    """

    table: pd.DataFrame
    plain: pd.DataFrame
    locations: tuple[str, ...]
    square_ranks: Mapping[str, float] = field(default_factory=dict)


def measure(
    network: Network, puzzles: Sequence[PlantedPuzzle], *, most: int | None = None
) -> dict[str, Contrast]:
    """Every experiment that the network has the parts for, by name.

    Args:
        network: whose runs are changed.
        puzzles: from `planted_puzzles.make`.
        most: of how many of the puzzles all squares of the stream and all pairs of heads are
            patched; by default of all.

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

    some = puzzles[:most]
    stream = contrast(lambda pairs: effects.measure(network, pairs, _targets(network)), _labelled)
    squares = {
        line: _by_square(network, [getattr(puzzle, line) for puzzle in some])
        for line in ("planted", "placebo")
    }
    found = {
        f"residual {name}": replace(
            _part(stream, f"ply{ply} "), square_ranks=_square_ranks(squares["planted"], ply)
        )
        for ply, name in ((3, "third"), (1, "first"))
    }
    found["residual other"] = _contrast([_others(table) for table in squares.values()])
    if not network.heads:
        return found
    heads, sets = sweeps.heads(network), sweeps.pairs_of_heads(network)
    found["heads"] = contrast(lambda pairs: effects.measure(network, pairs, heads), _head)
    pairs_of_heads = contrast(
        lambda pairs: effects.measure(network, pairs, sweeps.head_sets(network, sets)),
        lambda table: table["label"].astype("string"),
        some,
    )
    found["joint"] = _beyond_the_sum(pairs_of_heads, found["heads"], sets)
    entries = contrast(lambda pairs: effects.measure(network, pairs, _entries(network)), _labelled)
    found["entry"] = _part(entries, "3->1 ")
    found["complement"] = _reversed(_part(entries, "all other entries "))
    found["screen"] = contrast(
        lambda pairs: screen.estimate(network, pairs, heads).assign(
            effect=lambda table: table["estimate"], verdict=effect_tables.MEASURED
        ),
        _head,
    )
    read = contrast(lambda pairs: _attention(network, pairs), _labelled)
    for name, label in (("attention", "share"), ("attention rank", "rank"), ("attribution",) * 2):
        found[name] = _part(read, f"{label} ")
    return found


def _attention(network: Network, pairs: Sequence[Pair]) -> pd.DataFrame:
    """What each head holds at the entry from the third to the first target, as effects."""
    table = attention_reading.measure(network, pairs, plies=(1, 3))
    entry = table[table["relation"] == "3->1"].dropna(subset="attribution")
    middle = (attention_reading.ENTRIES + 1) / 2
    read = {
        "share": entry["attention"],
        "rank": np.log2(middle / entry["rank"]),
        "attribution": entry["attribution"],
    }
    return pd.concat(
        [entry.assign(label=label, effect=effect) for label, effect in read.items()]
    ).assign(verdict=effect_tables.MEASURED)


def _by_square(network: Network, pairs: Sequence[Pair]) -> pd.DataFrame:
    """The effects of the residual stream at every square after every layer.

    Returns:
        A row for each puzzle and layer with the columns 0 to 63, and game_id, ply1 and ply3, the
        targets.
    """
    table = effect_tables.measured(effects.measure(network, pairs, sweeps.residual(network)))
    named = table.assign(puzzle_id=table["puzzle_id"].astype(str), effect=_rounded(table["effect"]))
    wide = named.pivot(index=["puzzle_id", "layer"], columns="square", values="effect")
    wide = wide.reset_index()
    own = {pair.puzzle_id: pair for pair in pairs}
    wide["game_id"] = [own[puzzle].game_id for puzzle in wide["puzzle_id"]]
    for ply in (1, 3):
        wide[f"ply{ply}"] = [own[puzzle].target(ply) for puzzle in wide["puzzle_id"]]
    return wide


def _square_ranks(wide: pd.DataFrame, ply: int) -> dict[str, float]:
    values = wide[list(range(64))].to_numpy(dtype=np.float64)
    own = values[np.arange(len(wide)), wide[f"ply{ply}"]][:, None]
    ranks = (values > own).sum(axis=1) + ((values == own).sum(axis=1) + 1) / 2
    medians = pd.Series(ranks).groupby(wide["layer"].to_numpy()).median()
    return {str(layer): float(rank) for layer, rank in medians.items()}


def _others(wide: pd.DataFrame) -> pd.DataFrame:
    """The largest effect of the squares that are neither target, located by layer."""
    values = wide[list(range(64))].to_numpy(dtype=np.float64).copy()
    for ply in (1, 3):
        values[np.arange(len(wide)), wide[f"ply{ply}"]] = -np.inf
    return wide[["puzzle_id", "game_id"]].assign(
        location=wide["layer"].astype("string"), effect=values.max(axis=1)
    )


def _targets(network: Network) -> Sweep:
    """The residual stream after each layer, patched at the third and at the first target."""

    def points(pair: Pair) -> list[SweepPoint]:
        return [
            SweepPoint(
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

    return Sweep(name="targets", points=points, needs_partner=True)


def _entries(network: Network) -> Sweep:
    """The entry from the third to the first target zeroed in each head, and all but it."""
    each = [
        sweeps.entry(network, layer, head)
        for layer in range(network.layers)
        for head in range(network.heads)
    ]
    return Sweep(
        name="entry",
        points=lambda pair: [change for sweep in each for change in sweep.points(pair)],
        needs_partner=False,
    )


def _labelled(table: pd.DataFrame) -> pd.Series:
    """The label, then the layer or the head."""
    whole = "head" not in table or table["head"].isna().all()
    place = table["layer"].astype("string") if whole else _head(table)
    return table["label"].astype("string") + " " + place


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


def _reversed(contrast: Contrast) -> Contrast:
    """Placebo minus planted."""
    table = contrast.table
    return replace(contrast, table=table.assign(effect=0.0 - table["effect"]))


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
