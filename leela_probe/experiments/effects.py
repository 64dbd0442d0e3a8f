"""Puzzles x sweep points -> one long table of effects.

A row is one changed run of one puzzle: the measure in the clean run, in the corrupted run and in
the changed run, and the effect, positive where the change hurts the move. Puzzles that cannot be
measured have one row that says why.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import chess
import numpy as np
import pyarrow
import torch
from torch import Tensor

from leela_probe.experiments import categories, effect_tables
from leela_probe.experiments.effect_tables import MEASURED, SCHEMA, VERDICTS, EffectTable
from leela_probe.experiments.sweeps import Sweep, SweepPoint
from leela_probe.files import progress_display, store
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.networks import patching
from leela_probe.networks.measures import MEASURES
from leela_probe.networks.network import Network
from leela_probe.networks.patching import BaseRuns, Job, RunOutputs
from leela_probe.networks.places import Places
from leela_probe.networks.references import Reference
from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.planes import History
from leela_probe.positions.squares import NetSquare
from leela_probe.puzzles import pairs as pair_files
from leela_probe.puzzles.pairs import Pair

__all__ = ["DIRECTIONS", "PreparedPairs", "Settings", "join", "measure", "sweep"]

DIRECTIONS = ("noising", "denoising")
"""Noising patches activations of the corrupted run into the clean one, denoising the reverse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is measured in every run of a sweep, and of which pairs.

    The move that is asked about is always the first of the line, and its rivals are always the
    legal moves of the clean position. The effect is the measure in the base run (clean when
    noising, corrupted when denoising) minus that in the changed run, so that what denoising
    restores is negative.

    Attributes:
        measure: one of `measures.MEASURES`; log odds are in nats.
        direction: one of `DIRECTIONS`.
        history: what stands for positions before the known ones, in both boards of a pair.
        seed: for the choice of control squares.
        batch_size: changed runs at once; by default as many as suit the device.
        limit: only the first so many pairs of a file.
        ranks: which partners of each puzzle of a file; 1 is the nearest.
        share: False computes every run from its planes on, to compare with.
        fused: False runs every ONNX node by itself, to compare with.

    Raises:
        ValueError: if the measure or direction is unknown.

    Example:
        >>> import leela_probe as lp
        >>> lp.Settings(measure="probability", direction="denoising").direction
        'denoising'
    """

    schema: ClassVar[pyarrow.Schema] = SCHEMA

    measure: str = "log_odds"
    direction: str = "noising"
    history: History = History.FILLED
    seed: int = 0
    batch_size: int | None = None
    limit: int | None = None
    ranks: tuple[int, ...] = (1,)
    share: bool = True
    fused: bool = True

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}: choose {', '.join(MEASURES)}")
        if self.direction not in DIRECTIONS:
            raise ValueError(
                f"unknown direction {self.direction!r}: choose {' or '.join(DIRECTIONS)}"
            )

    def rows_of(self, network: Network, sweep: Sweep) -> Callable[[PreparedPairs], pyarrow.Table]:
        """What makes rows of the schema from prepared pairs: every sweep point is measured."""
        return lambda prepared: prepared.table(prepared.run())

    def options(self) -> dict[str, object]:
        """What a table depends on, for its manifest."""
        return {
            "measure": self.measure,
            "direction": self.direction,
            "history": self.history.value,
            "batch_size": self.batch_size,
            "limit": self.limit,
            "ranks": list(self.ranks),
            "seed": self.seed,
        }


def measure(
    network: Network,
    pairs: Sequence[Pair],
    sweep: Sweep,
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> EffectTable:
    """The effects table of a sweep, in memory; see `effect_tables.SCHEMA` for its columns.

    Args:
        network: whose runs are changed.
        pairs: the puzzles.
        sweep: the changed runs.
        settings: what is measured; by default the log odds of noised runs.
        out: a table, `.parquet` or `.csv`, that keeps what is done if the call is interrupted:
            the same call goes on from there.
        progress: called after each batch of pairs; by default a bar is shown in a terminal or
            notebook, with False nothing.

    Raises:
        TypeError: if `pairs` is one pair.
        ValueError: if the network lacks what is asked for.
        KeyError, IndexError: if a site or a place in it does not exist.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> table = lp.measure(network, pairs[:20], lp.sweeps.heads(network))
        >>> table.groupby(["layer", "head"])["effect"].mean().idxmax() == (3, 3)  # planted there
        True
    """
    if isinstance(pairs, Pair):
        raise TypeError(
            f"expected a sequence of pairs, got the pair {pairs.puzzle_id!r}: "
            "write measure(network, [pair], sweep)"
        )
    settings = Settings() if settings is None else settings
    if out is not None:
        finished = _write(network, pairs, sweep, out, settings, progress=progress)
        return effect_tables.read(finished.path)
    rows, places = settings.rows_of(network, sweep), Places(network)
    tables, done, counts = [], 0, Counter(dict.fromkeys(VERDICTS, 0))
    with progress_display.shown(progress, sweep.name, unit="pairs") as report:
        for batch in _batches(pairs, sweep):
            tables.append(rows(PreparedPairs(network, batch, sweep, settings, places)))
            done += len(batch)
            counts.update(tables[-1]["verdict"].to_pylist())
            report(done, len(pairs), counts)
    return join(tables)


def sweep(
    network: Network,
    puzzles: str | Path,
    sweep: Sweep,
    out: str | Path,
    settings: Settings | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Finished:
    """The effects table of a sweep over a file of pairs, written to `out`.

    A sweep that was interrupted goes on where it was.

    Args:
        network: whose runs are changed.
        puzzles: what `corrupt` or `filter` has written; see `pairs.read`.
        sweep: the changed runs.
        out: the table to write, `.parquet` or `.csv`.
        settings: what is measured, and of which pairs; with `screen.Settings` the best places of
            each puzzle alone.
        overwrite: see `store.Stage`.
        progress: see `measure`.

    Raises:
        PlanChangedError: if the output was made with other settings; and what else `store.Stage`
            and `measure` raise.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = Path(folder, "heads.parquet")
        ...     sweep = lp.sweeps.heads(network)
        ...     _ = lp.sweep(network, "bundled:planted-puzzles", sweep, out, lp.Settings(limit=5))
        ...     len(lp.read_effects(out))  # a row per puzzle and head
        80
    """
    settings = Settings() if settings is None else settings
    return _write(network, puzzles, sweep, out, settings, overwrite=overwrite, progress=progress)


def _write(
    network: Network,
    puzzles: str | Path | Sequence[Pair],
    sweep: Sweep,
    out: str | Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Finished:
    inputs: dict[str, str | Path] = {"network": network.path}
    options: dict[str, object] = {"sweep": sweep.name, **sweep.options}
    if isinstance(puzzles, (str, Path)):
        inputs = {"puzzles": puzzles, **inputs}
        pairs: Sequence[Pair] = pair_files.read(puzzles, ranks=settings.ranks)[: settings.limit]
    else:
        pairs = puzzles
        options["pairs"] = _fingerprint(pairs)
    rows = settings.rows_of(network, sweep)
    size = max(1, len(next(_batches(pairs, sweep), ())))
    if settings.batch_size is None:
        settings = dataclasses.replace(settings, batch_size=patching.rows_at_once(network))
    with store.Stage(
        out,
        name="patch",
        inputs=inputs,
        loaded={"network": network.sha256},
        networks={"network": network.identity()},
        options={**options, **settings.options()},
        schema=settings.schema,
        verdicts=VERDICTS,
        overwrite=overwrite,
        progress=progress,
    ) as stage:
        if not stage.assembled:
            places = Places(network)
            for chunk in stage.unfinished(pairs, size=size, total=len(pairs)):
                prepared = PreparedPairs(network, chunk.rows, sweep, settings, places)
                stage.add(chunk, rows(prepared))
        return stage.finish()


def _fingerprint(pairs: Sequence[Pair]) -> str:
    text = json.dumps([dataclasses.asdict(pair) for pair in pairs])
    return hashlib.sha256(text.encode()).hexdigest()


_RUNS_AT_ONCE = 4096
_RUNS_JUDGED_AT_ONCE = 1024
_PAIRS_AT_ONCE = 64


def _batches(pairs: Sequence[Pair], sweep: Sweep) -> Iterator[Sequence[Pair]]:
    """Pairs to be measured together: few enough that their runs and activations fit in memory."""
    runs = max((len(sweep.points(pair)) for pair in pairs[:8]), default=1)
    size = max(1, min(_PAIRS_AT_ONCE, _RUNS_AT_ONCE // max(1, runs)))
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


class PreparedPairs:
    """Pairs ready to be measured: sorted into good ones and others, encoded, run unchanged.

    Both boards of every good pair run once, and what changed runs start from is kept from that run.

    Args:
        network: whose runs are changed.
        pairs: so few that all of them fit in memory at once.
        sweep: the changed runs.
        settings: what is measured.
        places: see `patching.run`.

    Attributes:
        pairs: those that can be measured.
        points: the sweep points of each.
        base_planes: planes of the boards that runs start from, pair by pair.
        other_planes: planes of the boards that activations are taken from.
        base_runs: the unchanged runs of these boards.
        output_sites: the sites that `judge` needs.

    Raises:
        ValueError: if a sweep that takes nothing from partners is given a direction.
    """

    def __init__(
        self,
        network: Network,
        pairs: Sequence[Pair],
        sweep: Sweep,
        settings: Settings,
        places: Places | None = None,
    ) -> None:
        if settings.direction == "denoising" and not sweep.needs_partner:
            raise ValueError(
                f"the sweep {sweep.name!r} takes nothing from a partner: it changes the clean run, "
                "and denoising has no meaning there"
            )
        points = [sweep.points(pair) for pair in pairs]
        self._every, self._sweep, self._settings = pairs, sweep, settings
        self._verdicts = [
            _verdict(pair, sweep, of_pair) for pair, of_pair in zip(pairs, points, strict=True)
        ]
        good = [i for i, verdict in enumerate(self._verdicts) if verdict == MEASURED]
        self.pairs, self.points = [pairs[i] for i in good], [points[i] for i in good]
        self.output_sites = tuple(
            name for name in ("policy.logits", "value.logits") if name in network.sites
        )
        clean = network.encode([pair.clean for pair in self.pairs], history=settings.history)
        # A pair without a partner is its own: nothing is taken from it, and it need not run twice.
        apart = sweep.needs_partner or any(pair.corrupted is not None for pair in self.pairs)
        partners = [pair.corrupted or pair.clean for pair in self.pairs]
        corrupted = network.encode(partners, history=settings.history)
        planes = {
            "clean": torch.from_numpy(clean.planes()),
            "corrupted": torch.from_numpy(corrupted.planes()),
        }
        self._base, other = "clean", "corrupted"
        if settings.direction == "denoising":
            self._base, other = other, self._base
        self.base_planes, self.other_planes = planes[self._base], planes[other]
        self.base_runs = BaseRuns(
            network,
            self.base_planes,
            _jobs(self.points),
            other=self.other_planes if apart else None,
            share=settings.share,
            fused=settings.fused,
            places=places,
        )
        assert self.base_runs.base is not None
        runs = {
            self._base: self.base_runs.base,
            other: self.base_runs.other or self.base_runs.base,
        }
        self._judge = _Judge(settings.measure, self.pairs, clean, runs["clean"].logits)
        every_board = np.arange(len(self.pairs))
        self._plain = {of: self._judge(runs[of], every_board) for of in runs}
        self._favourites = _favourites(corrupted, runs["corrupted"].logits)

    def judge(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The measure of unchanged or changed runs, one for each pair, from the `output_sites`."""
        return self._judge.of_runs(
            outputs["policy.logits"], outputs.get("value.logits"), torch.arange(len(self.pairs))
        )

    def run(self, points: Sequence[Sequence[SweepPoint]] | None = None) -> list[np.ndarray]:
        """The measure of the changed runs, an array for each pair in the order of its points.

        Args:
            points: some of the points of each pair; by default all.
        """
        points = self.points if points is None else points
        jobs = _jobs(points)
        outputs = self.base_runs.changed(jobs, batch_size=self._settings.batch_size)
        values = self._judge(outputs, np.array([job.board for job in jobs], dtype=np.int64))
        return np.split(values, np.cumsum([len(of_pair) for of_pair in points])[:-1])

    def table(
        self,
        changed: Sequence[np.ndarray] | None,
        *,
        points: Sequence[Sequence[SweepPoint]] | None = None,
        estimate: Sequence[np.ndarray] | None = None,
    ) -> pyarrow.Table:
        """The rows of all pairs, in their order.

        Args:
            changed: what `run` gave, or None to leave effects empty.
            points: those that `run` was given.
            estimate: values for a further column `estimate`.
        """
        points = self.points if points is None else points
        columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
        estimates: list[float | None] = []
        good = iter(range(len(self.pairs)))
        for pair, verdict in zip(self._every, self._verdicts, strict=True):
            rows: Sequence[dict[str, object]] = [{}]
            if verdict == MEASURED:
                index = next(good)
                rows = self._rows(index, points[index], None if changed is None else changed[index])
                estimates += [] if estimate is None else estimate[index].tolist()
            else:
                estimates.append(None)
            of_puzzle = {
                "puzzle_id": pair.puzzle_id,
                "game_id": pair.game_id,
                "target_pattern": pair.target_pattern,
                "mate": pair.mate,
                "rank": pair.rank,
                "verdict": verdict,
                "sweep": self._sweep.name,
                "direction": self._settings.direction if self._sweep.needs_partner else "ablation",
                "measure": self._settings.measure,
            }
            for row in rows:
                for name, values in columns.items():
                    values.append(row[name] if name in row else of_puzzle.get(name))
        table = pyarrow.table(columns, schema=SCHEMA)
        if estimate is None:
            return table
        return table.append_column("estimate", pyarrow.array(estimates, pyarrow.float32()))

    def _rows(
        self, index: int, points: Sequence[SweepPoint], changed: np.ndarray | None
    ) -> list[dict[str, object]]:
        pair = self.pairs[index]
        partnered = pair.corrupted_fen is not None
        names = categories.of(
            pair, favourite=self._favourites[index] if partnered else None, seed=self._settings.seed
        )
        base = float(self._plain[self._base][index])
        values = [None] * len(points) if changed is None else changed.tolist()
        return [
            {
                "site": point.site,
                "label": point.label,
                "layer": point.layer,
                "head": point.head,
                "square": point.square,
                "query": point.query,
                "key": point.key,
                "category": None
                if point.square is None
                else categories.joined(names[NetSquare(point.square)]),
                "clean": float(self._plain["clean"][index]),
                "corrupted": float(self._plain["corrupted"][index]) if partnered else None,
                "changed": value,
                "effect": None if value is None else base - value,
            }
            for point, value in zip(points, values, strict=True)
        ]


def _jobs(points: Sequence[Sequence[SweepPoint]]) -> list[Job]:
    return [
        Job(board=board, interventions=point.interventions)
        for board, of_pair in enumerate(points)
        for point in of_pair
    ]


def join(tables: Sequence[pyarrow.Table]) -> EffectTable:
    """Tables of effects one after the other, as a data frame."""
    joined = pyarrow.concat_tables(
        [*tables, SCHEMA.empty_table()], promote_options="permissive"
    ).unify_dictionaries()
    return effect_tables.to_pandas(joined)


def _verdict(pair: Pair, sweep: Sweep, points: Sequence[SweepPoint]) -> str:
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
    return MEASURED if points else "nothing_to_change"


class _Judge:
    """Turns outputs of runs into the measure, run by run."""

    def __init__(
        self, name: str, pairs: Sequence[Pair], clean: EncodedBoards, clean_logits: Tensor
    ) -> None:
        self.measure = MEASURES[name]
        # castling in either notation
        moves = [pair.clean.parse_uci(pair.line[0]) for pair in pairs]
        self.reference = Reference.of(clean, moves, clean_logits)

    def of_runs(self, logits: Tensor, value: Tensor | None, boards: Tensor) -> Tensor:
        """The measure of runs that start from these boards."""
        return self.measure(self.reference.runs(logits, boards, value=value))

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
