"""Puzzles x changes -> one long table of effects.

A row is one changed run of one puzzle: the measure in the clean run, in the corrupted run and in
the changed run, and the effect, positive where the change hurts the move. Puzzles that cannot be
measured have one row that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import chess
import numpy as np
import pandas as pd
import pyarrow
import torch
from torch import Tensor

from leela_probe.experiments import categories, effect_tables
from leela_probe.experiments.effect_tables import MEASURED, SCHEMA, VERDICTS
from leela_probe.experiments.sweeps import Sweep, SweepPoint
from leela_probe.files import store
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.networks import patching
from leela_probe.networks.measures import MEASURES, Runs
from leela_probe.networks.network import Network
from leela_probe.networks.patching import Job, RunOutputs, Unchanged
from leela_probe.networks.places import Places
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import History
from leela_probe.positions.squares import NetSquare
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair

__all__ = [
    "DIRECTIONS",
    "PreparedPairs",
    "Question",
    "join",
    "measure",
    "prepare",
    "sweep",
]

DIRECTIONS = ("noising", "denoising")
"""Noising takes activations of the corrupted run into the clean one, denoising the reverse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of every run of a sweep; the arguments of that name of `measure`.

    Raises:
        ValueError: if the measure or direction is unknown.
    """

    measure: str = "log_odds"
    direction: str = "noising"
    history: History = History.FILLED
    seed: int = 0

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}: choose {', '.join(MEASURES)}")
        if self.direction not in DIRECTIONS:
            raise ValueError(
                f"unknown direction {self.direction!r}: choose {' or '.join(DIRECTIONS)}"
            )


def measure(
    network: Network,
    pairs: Sequence[Pair],
    sweep: Sweep,
    *,
    measure: str = "log_odds",
    direction: str = "noising",
    history: History = History.FILLED,
    batch_size: int | None = None,
    share: bool = True,
    fused: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """The effects table of a sweep, in memory; see `effect_tables.SCHEMA` for its columns.

    The move that is asked about is always the first of the line, and its rivals are always the
    legal moves of the clean position. The effect is the measure in the base run (clean when
    noising, corrupted when denoising) minus that in the changed run.

    Args:
        network: whose runs are changed.
        pairs: the puzzles.
        sweep: the changes.
        measure: one of `measures.MEASURES`; log odds are in nats.
        direction: one of `DIRECTIONS`.
        history: what stands for positions before the known ones, in both boards of a pair.
        batch_size: changed runs at once; by default as many as suit the device.
        share: False computes every run from its planes on, to compare with.
        fused: False runs every ONNX node by itself, to compare with.
        seed: of the choice of control squares.

    Raises:
        ValueError: if the measure or direction is unknown, or the network lacks what is asked for.
        KeyError, IndexError: if a site or a place in it does not exist.
    """
    question = Question(measure=measure, direction=direction, history=history, seed=seed)
    tables, places = [], Places(network)
    for some in _portions(pairs, sweep):
        prepared = prepare(network, some, sweep, question, places, share=share, fused=fused)
        tables.append(prepared.table(prepared.run(batch_size=batch_size)))
    return join(tables)


def sweep(
    network: Network,
    puzzles: str | Path,
    sweep: Sweep,
    out: str | Path,
    *,
    options: dict[str, object],
    measure: str = "log_odds",
    direction: str = "noising",
    history: History = History.FILLED,
    batch_size: int | None = None,
    limit: int | None = None,
    ranks: Sequence[int] = (1,),
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    rows: Callable[[PreparedPairs], pyarrow.Table] | None = None,
    schema: pyarrow.Schema = SCHEMA,
) -> Finished:
    """The effects table of a sweep over a file of pairs, written to `out`; a run cut off goes on.

    Args:
        network: whose runs are changed.
        puzzles: what `corrupt` or `filter` has written; see `pairs.read`.
        sweep: the changes.
        out: the table to write, `.parquet` or `.csv`.
        options: what the sweep was made with, for the manifest.
        measure: see `measure`.
        direction: see `measure`.
        history: see `measure`.
        batch_size: see `measure`.
        limit: only the first so many pairs.
        ranks: which partners of each puzzle.
        seed: see `measure`.
        overwrite: see `store.Stage`.
        progress: see `files.progress.Progress`.
        rows: makes the rows of prepared pairs; by default every change is measured exactly
            (`screen.screen` measures the best of each puzzle).
        schema: the columns of what `rows` makes.

    Raises:
        PlanChangedError: the output was made with other settings; and what else `store.Stage`
            and `measure` raise.
    """
    question = Question(measure=measure, direction=direction, history=history, seed=seed)
    found = pair_files.read(puzzles, ranks=ranks)[:limit]
    size = max(1, len(next(_portions(found, sweep), ())))
    batch_size = patching.rows_at_once(network) if batch_size is None else batch_size
    with store.Stage(
        out,
        name="patch",
        inputs={"puzzles": puzzles, "network": network.path},
        loaded={"network": network.sha256},
        networks={"network": network.identity()},
        options={
            "sweep": sweep.name,
            **options,
            "measure": measure,
            "direction": direction,
            "history": history.value,
            "batch_size": batch_size,
            "limit": limit,
            "ranks": list(ranks),
            "seed": seed,
        },
        schema=schema,
        verdicts=VERDICTS,
        overwrite=overwrite,
        progress=progress,
    ) as stage:
        if not stage.assembled:
            places = Places(network)
            for chunk in stage.unfinished(found, size=size, total=len(found)):
                prepared = prepare(network, chunk.rows, sweep, question, places)
                if rows is None:
                    stage.add(chunk, prepared.table(prepared.run(batch_size=batch_size)))
                else:
                    stage.add(chunk, rows(prepared))
        return stage.finish()


_RUNS_AT_ONCE = 4096
_RUNS_JUDGED_AT_ONCE = 1024
_PAIRS_AT_ONCE = 64


def _portions(pairs: Sequence[Pair], sweep: Sweep) -> Iterator[Sequence[Pair]]:
    """Pairs to be measured together: few enough that their runs and activations fit in memory."""
    each = max((len(sweep.changes(pair)) for pair in pairs[:8]), default=1)
    size = max(1, min(_PAIRS_AT_ONCE, _RUNS_AT_ONCE // max(1, each)))
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def prepare(
    network: Network,
    pairs: Sequence[Pair],
    sweep: Sweep,
    question: Question,
    places: Places | None = None,
    *,
    share: bool = True,
    fused: bool = True,
) -> PreparedPairs:
    """Some pairs ready to be measured: sorted into good ones and others, encoded, run unchanged.

    Args:
        network: see `measure`.
        pairs: so few that all of them fit in memory at once.
        sweep: see `measure`.
        question: what is measured, and how.
        places: see `patching.run`.
        share: see `measure`.
        fused: see `measure`.

    Raises:
        ValueError: if a sweep that takes nothing from partners is given a direction.
    """
    if question.direction == "denoising" and not sweep.needs_partner:
        raise ValueError(
            f"the sweep {sweep.name!r} takes nothing from a partner: it changes the clean run, and "
            "denoising has no meaning there"
        )
    changes = [sweep.changes(pair) for pair in pairs]
    verdicts = [
        _verdict(pair, sweep, of_pair) for pair, of_pair in zip(pairs, changes, strict=True)
    ]
    good = [i for i, verdict in enumerate(verdicts) if verdict == MEASURED]
    return PreparedPairs(
        network,
        every=pairs,
        verdicts=verdicts,
        pairs=[pairs[i] for i in good],
        changes=[changes[i] for i in good],
        sweep=sweep,
        question=question,
        places=places,
        share=share,
        fused=fused,
    )


class PreparedPairs:
    """Pairs whose unchanged runs are known; `prepare` makes it.

    Both boards of every pair run once, and what changed runs start from is kept from that run.

    Attributes:
        pairs: those that can be measured.
        changes: the changes of each.
        base_planes: planes of the boards that runs start from, pair by pair.
        other_planes: planes of the boards that activations are taken from.
        unchanged: the unchanged runs of these boards.
        output_sites: the sites that `judge` needs.
    """

    def __init__(
        self,
        network: Network,
        *,
        every: Sequence[Pair],
        verdicts: Sequence[str],
        pairs: Sequence[Pair],
        changes: Sequence[Sequence[SweepPoint]],
        sweep: Sweep,
        question: Question,
        places: Places | None,
        share: bool,
        fused: bool,
    ) -> None:
        self.pairs, self.changes = pairs, changes
        self._every, self._verdicts, self._sweep, self._question = every, verdicts, sweep, question
        self.output_sites = tuple(
            name for name in ("policy.logits", "value.logits") if name in network.sites
        )
        clean = network.encode([pair.clean for pair in pairs], history=question.history)
        # A pair without a partner is its own: nothing is taken from it, and it need not run twice.
        apart = sweep.needs_partner or any(pair.corrupted is not None for pair in pairs)
        partners = [pair.corrupted or pair.clean for pair in pairs]
        corrupted = network.encode(partners, history=question.history)
        planes = {
            "clean": torch.from_numpy(clean.planes()),
            "corrupted": torch.from_numpy(corrupted.planes()),
        }
        self._base, other = "clean", "corrupted"
        if question.direction == "denoising":
            self._base, other = other, self._base
        self.base_planes, self.other_planes = planes[self._base], planes[other]
        self.unchanged = Unchanged(
            network,
            self.base_planes,
            self._jobs(),
            other=self.other_planes if apart else None,
            share=share,
            fused=fused,
            places=places,
        )
        assert self.unchanged.base is not None
        runs = {
            self._base: self.unchanged.base,
            other: self.unchanged.other or self.unchanged.base,
        }
        self._judge = _Judge(question.measure, pairs, clean, runs["clean"].logits)
        every_board = np.arange(len(pairs))
        self._plain = {of: self._judge(runs[of], every_board) for of in runs}
        self._favourites = _favourites(corrupted, runs["corrupted"].logits)

    def _jobs(self) -> list[Job]:
        return [
            Job(board=i, interventions=change.interventions)
            for i, of_pair in enumerate(self.changes)
            for change in of_pair
        ]

    def judge(self, found: Mapping[str, Tensor]) -> Tensor:
        """The measure of unchanged or changed runs, one for each pair, from the `output_sites`."""
        return self._judge.of_runs(
            found["policy.logits"], found.get("value.logits"), torch.arange(len(self.pairs))
        )

    def restrict(self, chosen: Sequence[np.ndarray]) -> PreparedPairs:
        """The same pairs with some of their changes, given by their places in `changes`."""
        kept = copy(self)
        kept.changes = [
            [of_pair[place] for place in places]
            for of_pair, places in zip(self.changes, chosen, strict=True)
        ]
        return kept

    def run(self, *, batch_size: int | None = None) -> list[np.ndarray]:
        """The measure of the changed runs, an array for each pair in the order of its changes."""
        jobs = self._jobs()
        outputs = self.unchanged.run(jobs, batch_size=batch_size)
        values = self._judge(outputs, np.array([job.board for job in jobs], dtype=np.int64))
        return np.split(values, np.cumsum([len(of_pair) for of_pair in self.changes])[:-1])

    def table(
        self,
        changed: Sequence[np.ndarray] | None,
        *,
        estimate: Sequence[np.ndarray] | None = None,
    ) -> pyarrow.Table:
        """The rows of all pairs, in their order.

        Args:
            changed: what `run` gave, or None to leave effects empty.
            estimate: values for a further column `estimate`.
        """
        columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
        guesses: list[float | None] = []
        good = iter(range(len(self.pairs)))
        for pair, verdict in zip(self._every, self._verdicts, strict=True):
            rows: Sequence[dict[str, object]] = [{}]
            if verdict == MEASURED:
                index = next(good)
                rows = self._rows(index, None if changed is None else changed[index])
                guesses += [] if estimate is None else estimate[index].tolist()
            else:
                guesses.append(None)
            of_puzzle = {
                "puzzle_id": pair.puzzle_id,
                "game_id": pair.game_id,
                "target_pattern": pair.target_pattern,
                "mate": pair.mate,
                "rank": pair.rank,
                "verdict": verdict,
                "sweep": self._sweep.name,
                "direction": self._question.direction if self._sweep.needs_partner else "ablation",
                "measure": self._question.measure,
            }
            for row in rows:
                for name, values in columns.items():
                    values.append(row[name] if name in row else of_puzzle.get(name))
        table = pyarrow.table(columns, schema=SCHEMA)
        if estimate is None:
            return table
        return table.append_column("estimate", pyarrow.array(guesses, pyarrow.float32()))

    def _rows(self, index: int, changed: np.ndarray | None) -> list[dict[str, object]]:
        pair, of_pair = self.pairs[index], self.changes[index]
        partnered = pair.corrupted_fen is not None
        names = categories.of(
            pair, favourite=self._favourites[index] if partnered else None, seed=self._question.seed
        )
        base = float(self._plain[self._base][index])
        values = [None] * len(of_pair) if changed is None else changed.tolist()
        return [
            {
                "site": change.site,
                "label": change.label,
                "layer": change.layer,
                "head": change.head,
                "square": change.square,
                "query": change.query,
                "key": change.key,
                "category": None
                if change.square is None
                else categories.SEPARATOR.join(names[NetSquare(change.square)]),
                "clean": float(self._plain["clean"][index]),
                "corrupted": float(self._plain["corrupted"][index]) if partnered else None,
                "changed": value,
                "effect": None if value is None else base - value,
            }
            for change, value in zip(of_pair, values, strict=True)
        ]


def join(tables: Sequence[pyarrow.Table]) -> pd.DataFrame:
    """Tables of effects one after the other, as a data frame."""
    joined = pyarrow.concat_tables(
        [*tables, SCHEMA.empty_table()], promote_options="permissive"
    ).unify_dictionaries()
    return effect_tables.to_pandas(joined)


def _verdict(pair: Pair, sweep: Sweep, changes: Sequence[SweepPoint]) -> str:
    clean, partner = pair.clean, pair.corrupted
    first = pair.moves[0] if pair.line else chess.Move.null()
    if partner is None and sweep.needs_partner:
        return "no_partner"
    if partner is not None and partner.turn != clean.turn:
        return "other_side_to_move"
    if not clean.is_legal(first):
        return "illegal_first_move"
    if partner is not None and not partner.is_legal(first):
        return "illegal_in_partner"
    if clean.legal_moves.count() < 2:
        return "only_legal_move"
    return MEASURED if changes else "nothing_to_change"


class _Judge:
    """Turns outputs of runs into the measure, run by run."""

    def __init__(
        self, name: str, pairs: Sequence[Pair], clean: EncodedBoards, clean_logits: Tensor
    ) -> None:
        self.measure: Callable[[Runs], Tensor] = MEASURES[name]
        self.clean_logits = clean_logits
        self.legal = torch.zeros(clean_logits.shape, dtype=torch.bool)
        slots = []
        for i, pair in enumerate(pairs):
            own = clean.slots[clean.offsets[i] : clean.offsets[i + 1]]
            self.legal[i, torch.from_numpy(own.astype(np.int64))] = True
            first = pair.clean.parse_uci(pair.line[0])  # castling in either notation
            slots.append(int(own[clean.moves[i].index(first)]))
        self.slot = torch.tensor(slots, dtype=torch.int64)

    def of_runs(self, logits: Tensor, value: Tensor | None, boards: Tensor) -> Tensor:
        """The measure of runs that start from these boards."""
        device = logits.device
        return self.measure(
            Runs(
                logits=logits,
                value=value,
                legal=self.legal[boards].to(device),
                slot=self.slot[boards].to(device),
                clean_logits=self.clean_logits[boards].to(device),
            )
        )

    def __call__(self, outputs: RunOutputs, boards: np.ndarray) -> np.ndarray:
        found = [np.zeros(0, dtype=np.float32)]
        for start in range(0, len(boards), _RUNS_JUDGED_AT_ONCE):
            some = slice(start, start + _RUNS_JUDGED_AT_ONCE)
            value = None if outputs.value is None else outputs.value[some]
            chosen = torch.from_numpy(boards[some])
            found.append(self.of_runs(outputs.logits[some], value, chosen).numpy())
        return np.concatenate(found)


def _favourites(encoded: EncodedBoards, logits: Tensor) -> list[chess.Move | None]:
    found: list[chess.Move | None] = []
    for i, moves in enumerate(encoded.moves):
        own = encoded.slots[encoded.offsets[i] : encoded.offsets[i + 1]]
        found.append(moves[int(np.argmax(logits[i].numpy()[own]))] if moves else None)
    return found
