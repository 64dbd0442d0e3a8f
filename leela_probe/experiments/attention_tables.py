"""Attention at the relations of a file of puzzles: one table on disk, and its summary by head.

Rows are written and counted some puzzles at a time, so that memory does not grow with the number of
puzzles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import safetensors.numpy
from jaxtyping import Int64

from leela_probe.experiments.attention_reading import (
    AT_ONCE,
    ENTRIES,
    Patterns,
    measure,
    patterns,
    relations,
)
from leela_probe.files import store, tables
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.networks.network import Network
from leela_probe.positions.planes import History
from leela_probe.puzzles import pairs as pair_files
from leela_probe.statistics.comparisons import beyond_chance
from leela_probe.statistics.intervals import share_intervals
from leela_probe.statistics.resampling import ClusterSums, cluster_codes

__all__ = ["SCHEMA", "chance", "parts", "summary", "tabulate"]

_PAIRS_AT_ONCE = 16
_ROWS_AT_ONCE = 1 << 18
_WORDS = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
_PATTERNS = "patterns.safetensors"
_MEANS = ("attention", "elsewhere", "attribution")

SCHEMA = pyarrow.schema(
    {
        "puzzle_id": pyarrow.string(),
        "game_id": pyarrow.string(),
        "target_pattern": _WORDS,
        "layer": pyarrow.int16(),
        "head": pyarrow.int16(),
        "relation": _WORDS,
        "attention": pyarrow.float32(),
        "elsewhere": pyarrow.float32(),
        "rank": pyarrow.int16(),
        "query": pyarrow.int8(),
        "key": pyarrow.int8(),
        "same_square": pyarrow.bool_(),
        "attribution": pyarrow.float32(),
        "verdict": _WORDS,
    }
)
"""The columns of the table that `tabulate` writes; see `measure`."""

_READ = pyarrow.schema(
    [
        ("puzzle_id", _WORDS),
        ("game_id", _WORDS),
        *(SCHEMA.field(name) for name in ("layer", "head", "relation", *_MEANS, "rank")),
        SCHEMA.field("same_square"),
    ]
)
"""What `summary` needs."""


def tabulate(
    network: Network,
    puzzles: str | Path,
    out: str | Path,
    *,
    plies: Sequence[int] = (1, 2, 3),
    attribution: bool = True,
    history: History = History.FILLED,
    limit: int | None = None,
    batch_size: int = AT_ONCE,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Finished:
    """What `measure` says of a file of puzzles, written to `out`; a run cut off goes on.

    All puzzles go through the network twice: first the patterns are added up. No more than a few
    puzzles' rows are in memory.

    Args:
        network: an attention body.
        puzzles: what `corrupt` or `filter` has written; see `pairs.read`.
        out: the table to write, `.parquet` or `.csv`; see `SCHEMA`.
        plies: see `measure`.
        attribution: see `measure`.
        history: see `measure`.
        limit: only the first so many puzzles.
        batch_size: see `measure`.
        seed: see `measure`.
        overwrite: see `store.Stage`.
        progress: called for both passes together.

    Raises:
        PlanChangedError: the output was made with other settings; and what else `store.Stage`
            and `measure` raise.
    """
    pairs = pair_files.read(puzzles)[:limit]
    if not any(relations(pair, plies) for pair in pairs):
        raise ValueError(f"no puzzle has plies {', '.join(map(str, plies))}: ask for earlier ones")
    count = len(pairs)

    def report(done: int, total: int | None, counts: Mapping[str, int]) -> None:
        if progress is not None:
            progress(done, 2 * count, counts)

    with store.Stage(
        out,
        name="attention",
        inputs={"puzzles": puzzles, "network": network.path},
        loaded={"network": network.sha256},
        networks={"network": network.identity()},
        options={
            "plies": list(plies),
            "attribution": attribution,
            "seed": seed,
            "history": history.value,
            "limit": limit,
            "batch_size": batch_size,
        },
        schema=SCHEMA,
        verdicts=("read",),
        overwrite=overwrite,
        progress=lambda done, total, counts: report(count + done, total, counts),
    ) as stage:
        if not stage.assembled:
            kept = stage.kept(_PATTERNS)
            if kept is None:
                among = patterns(
                    network, pairs, history=history, batch_size=batch_size, progress=report
                )
                stage.keep(_PATTERNS, safetensors.numpy.save({"total": among.total}))
            else:
                among = Patterns(total=safetensors.numpy.load(kept)["total"], puzzles=count)
            for chunk in stage.unfinished(pairs, size=_PAIRS_AT_ONCE, total=count):
                with_relations = [pair for pair in chunk.rows if relations(pair, plies)]
                table = SCHEMA.empty_table()
                if with_relations:
                    rows = measure(
                        network,
                        with_relations,
                        plies=plies,
                        attribution=attribution,
                        among=among,
                        history=history,
                        batch_size=batch_size,
                        seed=seed,
                    )
                    rows = rows.assign(verdict="read")
                    table = pyarrow.Table.from_pandas(rows, SCHEMA, preserve_index=False)
                stage.add(chunk, table)
        return stage.finish()


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


def parts(path: str | Path) -> Iterator[pd.DataFrame]:
    """The rows of a table that `tabulate` has written, some at a time, for `summary`.

    Args:
        path: `.parquet` or `.csv`.
    """
    for batch in tables.batches(
        path,
        _READ,
        columns=_READ.names,
        what="a table that leela-probe attention has written",
        rows=_ROWS_AT_ONCE,
    ):
        yield batch.to_pandas()


def summary(
    table: pd.DataFrame | Iterable[pd.DataFrame],
    *,
    tops: Sequence[int] = (1, 10, 64),
    differing: bool = True,
) -> pd.DataFrame:
    """Each head's attention by relation, over puzzles, beside the exact chance level of its rank.

    Args:
        table: of `measure`, or some rows of it at a time; see `parts`. All heads of a relation
            have the same puzzles.
        tops: an entry counts as found if it is among so many.
        differing: leave out relations of a square with itself.

    Returns:
        A row for each layer, head and relation: means of `attention`, `elsewhere` and
        `attribution`, the median `rank` (2048.5 by chance), `n` puzzles in `clusters` games, and
        for each `top` the share of puzzles `top1` with its interval by game, `low1` and `high1`
        (see `intervals.share_intervals`), its chance level `chance1` and `p1`, the probability by
        chance of so many games with one (see `comparisons.beyond_chance`; multiply by heads and
        relations tried).

    Raises:
        ValueError: if nothing is left of the table, or heads of one relation have other puzzles.
    """
    tally = _Tally(tops)
    for some in [table] if isinstance(table, pd.DataFrame) else table:
        tally.add(some[~some["same_square"]] if differing else some)
    if not tally.places:
        raise ValueError("no relation is left: every query is its own key in these puzzles")
    return tally.summary()


class _Tally:
    """Sums, counts and ranks of each layer, head and relation, some rows at a time."""

    def __init__(self, tops: Sequence[int]) -> None:
        self.tops = tops
        self.places: dict[tuple[int, int, str], int] = {}
        self.games: dict[tuple[str, object], int] = {}
        self.ranks = np.zeros((0, ENTRIES + 1), dtype=np.int32)
        self.sums = np.zeros((0, len(_MEANS)))
        self.counts = np.zeros((0, len(_MEANS)), dtype=np.int64)
        self.hits = [np.zeros((3, 0), dtype=np.int32)]  # place, game and rank
        self.rows: list[pd.Series] = []  # how many, by relation and game

    def add(self, rows: pd.DataFrame) -> None:
        if rows.empty:
            return
        names = rows[["layer", "head", "relation"]].astype({"relation": object})
        number = names.groupby(["layer", "head", "relation"], sort=False).ngroup().to_numpy()
        distinct = names.drop_duplicates().itertuples(index=False, name=None)
        place = np.array([self.places.setdefault(name, len(self.places)) for name in distinct],
                         dtype=np.int64)[number]  # fmt: skip
        more = len(self.places) - len(self.ranks)
        if more:
            self.ranks = np.pad(self.ranks, ((0, more), (0, 0)))
            self.sums = np.pad(self.sums, ((0, more), (0, 0)))
            self.counts = np.pad(self.counts, ((0, more), (0, 0)))
        rank = rows["rank"].to_numpy(np.int64)
        np.add.at(self.ranks, (place, rank), 1)
        values = rows[list(_MEANS)].to_numpy(np.float64)
        np.add.at(self.sums, place, np.nan_to_num(values))
        np.add.at(self.counts, place, ~np.isnan(values))
        game = self._game(rows)
        near = rank <= max(self.tops, default=0)
        self.hits.append(np.stack([place, game, rank])[:, near].astype(np.int32))
        asked = pd.DataFrame({"relation": names["relation"].to_numpy(), "game": game})
        self.rows.append(asked.value_counts())

    def _game(self, rows: pd.DataFrame) -> Int64[np.ndarray, " row"]:
        """The number of each row's game, or of its puzzle where that has none."""
        codes = cluster_codes(rows["puzzle_id"], rows["game_id"])
        first = rows.iloc[np.unique(codes, return_index=True)[1]]
        keys = [
            ("puzzle", puzzle) if pd.isna(game) else ("game", game)
            for puzzle, game in zip(first["puzzle_id"], first["game_id"], strict=True)
        ]
        return np.array([self.games.setdefault(key, len(self.games)) for key in keys])[codes]

    def summary(self) -> pd.DataFrame:
        found = pd.DataFrame(list(self.places), columns=["layer", "head", "relation"])
        known = np.where(self.counts > 0, self.counts, np.nan)
        found[list(_MEANS)] = self.sums / known
        upto = self.ranks.cumsum(axis=1)
        n = upto[:, -1]
        middle = [(upto >= half[:, None]).argmax(axis=1) for half in ((n + 1) // 2, n // 2 + 1)]
        found["rank"] = np.mean(middle, axis=0)
        found["n"] = n
        found["clusters"] = 0
        rows = pd.concat(self.rows).groupby(level=[0, 1]).sum()
        place, game, rank = np.concatenate(self.hits, axis=1)
        for relation, places in found.groupby("relation").indices.items():
            if len(np.unique(n[places])) > 1:
                raise ValueError(f"heads have different puzzles at {relation}: give all of each")
            asked = rows.loc[relation] // len(places)
            counts = np.zeros((len(self.games), 1))
            counts[asked.index, 0] = asked
            found.loc[places, "clusters"] = len(asked)
            column = np.full(len(found), -1)
            column[places] = np.arange(len(places))
            for top in self.tops:
                own = (rank <= top) & (column[place] >= 0)
                sums = np.zeros((len(self.games), len(places)))
                np.add.at(sums, (game[own], column[place[own]]), 1.0)
                tallied = ClusterSums(sums=sums, counts=counts)
                share = share_intervals(tallied)
                found.loc[places, f"top{top}"] = share.value
                found.loc[places, f"low{top}"] = share.low
                found.loc[places, f"high{top}"] = share.high
                found.loc[places, f"chance{top}"] = chance(top)
                found.loc[places, f"p{top}"] = beyond_chance(tallied, chance(top))
        return found
