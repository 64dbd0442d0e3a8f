"""Which puzzles of a dump to keep, and why each other one was dropped.

`filter_puzzles` writes a verdict for every row, with the probabilities that decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow

from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.files.workers import Pool
from leela_probe.puzzles import cascade, judging, lichess, sampling, target_patterns
from leela_probe.puzzles.cascade import Judged
from leela_probe.puzzles.criteria import PRESETS, VERDICTS, Criteria, strong_minimum
from leela_probe.puzzles.lichess import MalformedRow, Puzzle, Row

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["SCHEMA", "filter_puzzles"]

_TEXT, _NUMBER = pyarrow.string(), pyarrow.float32()
SCHEMA = pyarrow.schema(
    [
        ("puzzle_id", _TEXT),
        ("fen", _TEXT),  # before the set-up move, as in the dump
        ("moves", _TEXT),  # the set-up move, then the solution
        ("verdict", _TEXT),
        ("weak_p1", _NUMBER),  # weak network: probability of the solver's first move
        ("strong_min_player", _NUMBER),  # strong network: the least over the solver's moves
        ("weak_p2", _NUMBER),  # weak network: probability of the answer to the first move
        ("target_pattern", _TEXT),  # of the solution's target squares
        ("eq12", pyarrow.bool_()),  # the first and the second move share their target square
        ("eq13", pyarrow.bool_()),
        ("eq23", pyarrow.bool_()),
        ("reason", _TEXT),  # why a malformed row is malformed
        # From here on one entry a ply of the solution, missing where it was not computed.
        ("strong_p", pyarrow.list_(_NUMBER)),  # probability of the solution's move
        ("weak_p", pyarrow.list_(_NUMBER)),
        ("strong_top", pyarrow.list_(_TEXT)),  # the likeliest move
        ("weak_top", pyarrow.list_(_TEXT)),
        ("strong_q", pyarrow.list_(_NUMBER)),  # from the side to move
        ("weak_q", pyarrow.list_(_NUMBER)),
        ("strong_wdl", pyarrow.list_(pyarrow.list_(_NUMBER))),
        ("weak_wdl", pyarrow.list_(pyarrow.list_(_NUMBER))),
        ("legal", pyarrow.list_(pyarrow.int16())),  # how many moves are legal
        # From the dump.
        ("rating", pyarrow.int32()),
        ("themes", _TEXT),
        ("game_id", _TEXT),
        ("line", pyarrow.int64()),
    ]
)
"""The columns of the output."""


def filter_puzzles(
    dump: str | Path,
    out: str | Path,
    *,
    strong: Network,
    weak: Network,
    criteria: Criteria = PRESETS["default"],
    all_plies: bool = False,
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    batch_size: int = 256,
    chunk_rows: int = 1024,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Finished:
    """A verdict for every puzzle of a dump, written to `out`; a run that was cut off goes on.

    The columns are those of `SCHEMA`, the rows those of the dump in its order. Where the strong
    network misses the first move, its later moves are not evaluated and `strong_min_player` stays
    empty (`strong_p` has the first), unless `all_plies` is set.

    Args:
        dump: see `lichess.read`.
        out: the table to write, `.parquet` or `.csv`; see `store.Stage`.
        strong: the network whose look-ahead is in question.
        weak: the network that must not see the first move.
        criteria: thresholds and kinds of history.
        all_plies: evaluate every ply of every puzzle with both networks; verdicts are the same.
        limit: only the first so many rows of the dump.
        sample: only so many of these rows, drawn at random; see `sampling.draw`. The dump is read
            once more to count its rows.
        seed: of the sample.
        batch_size: positions that go through a network at once.
        chunk_rows: rows that are finished together, and so the most that a kill costs.
        workers: processes that read and encode; see `workers.Pool`. The output does not depend
            on them.
        overwrite: see `store.Stage`.
        progress: called after each part; see `files.progress.Progress`.

    Raises:
        NotAPuzzleDumpError: the dump is something else.
        ValueError: the sample has less than one row.
        PlanChangedError: the output was made with other settings; and what else `store.Stage`
            raises.
    """
    if sample is not None and sample < 1:
        raise ValueError(f"expected a sample of at least one row, got {sample}")
    with judging.stage(
        out,
        name="filter",
        inputs={"dump": dump},
        networks={"strong": strong, "weak": weak},
        options={
            "criteria": asdict(criteria),
            "all_plies": all_plies,
            "limit": limit,
            "sample": None if sample is None else {"rows": sample, "seed": seed},
            "batch_size": batch_size,
            "chunk_rows": chunk_rows,
        },
        schema=SCHEMA,
        verdicts=VERDICTS,
        overwrite=overwrite,
        progress=progress,
    ) as stage:
        if not stage.assembled:
            rows, total = _wanted(dump, limit=limit, sample=sample, seed=seed)
            with Pool(workers) as pool:
                for judged in cascade.judge(
                    stage.unfinished(rows, size=chunk_rows, total=total),
                    strong=strong,
                    weak=weak,
                    criteria=criteria,
                    all_plies=all_plies,
                    batch_size=batch_size,
                    pool=pool,
                ):
                    stage.add(judged.chunk, _table(judged))
        return stage.finish()


def _wanted(
    dump: str | Path, *, limit: int | None, sample: int | None, seed: int
) -> tuple[Iterator[Row | MalformedRow], int]:
    """The rows to judge, and how many there are (about, where no sample is drawn)."""
    rows = islice(lichess.rows(dump), limit)
    if sample is not None:
        total = sum(1 for _ in islice(lichess.rows(dump), limit))
        return sampling.draw(rows, count=sample, total=total, seed=seed), min(sample, total)
    total = lichess.count(dump)
    return rows, total if limit is None else min(limit, total)


def _table(judged: Judged) -> pyarrow.Table:
    columns: dict[str, Sequence[object]] = {"verdict": judged.verdicts, **_answers(judged)}
    rows = [
        _malformed(row) if isinstance(row, MalformedRow) else _facts(row) for row in judged.puzzles
    ]
    for name in SCHEMA.names:
        if name not in columns:
            columns[name] = [row.get(name) for row in rows]
    return pyarrow.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def _malformed(row: MalformedRow) -> dict[str, object]:
    return {
        "puzzle_id": row.puzzle_id,
        "fen": row.fen or None,
        "moves": row.moves or None,
        "reason": row.reason,
        "line": row.line,
    }


def _facts(puzzle: Puzzle) -> dict[str, object]:
    line = puzzle.principal_variation
    return {
        "puzzle_id": puzzle.puzzle_id,
        "fen": puzzle.fen,
        "moves": " ".join(puzzle.moves),
        "target_pattern": target_patterns.label(line),
        "eq12": target_patterns.same_target(line, 1, 2),
        "eq13": target_patterns.same_target(line, 1, 3),
        "eq23": target_patterns.same_target(line, 2, 3),
        "rating": puzzle.rating,
        "themes": " ".join(puzzle.themes) or None,
        "game_id": puzzle.game_id,
        "line": puzzle.line,
    }


def _answers(judged: Judged) -> dict[str, Sequence[object]]:
    """The columns with what the networks said."""
    lengths = [
        None if isinstance(row, MalformedRow) else len(row.moves) - 1 for row in judged.puzzles
    ]

    def gaps() -> list[Any]:
        return [None if length is None else [None] * length for length in lengths]

    columns: dict[str, Sequence[object]] = {"legal": (legal := gaps())}
    for name, answers in (("strong", judged.strong), ("weak", judged.weak)):
        columns |= {
            f"{name}_p": (probabilities := gaps()),
            f"{name}_top": (tops := gaps()),
            f"{name}_q": (qs := gaps()),
            f"{name}_wdl": (wdls := gaps()),
        }
        for place, of_puzzle in enumerate(answers):
            for ply, answer in of_puzzle.items():
                probabilities[place][ply] = answer.probability
                tops[place][ply] = answer.top
                qs[place][ply] = answer.q
                wdls[place][ply] = answer.wdl
                legal[place][ply] = answer.legal
    return columns | {
        "weak_p1": [weak[0].probability if 0 in weak else None for weak in judged.weak],
        "weak_p2": [weak[1].probability if 1 in weak else None for weak in judged.weak],
        "strong_min_player": [
            None if length is None else strong_minimum(length, strong)
            for length, strong in zip(lengths, judged.strong, strict=True)
        ],
    }
