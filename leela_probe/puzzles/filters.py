"""Which puzzles of a dump to keep, and why each other one was dropped.

`filter_puzzles` writes a verdict for every row, with the probabilities that decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow

from leela_probe.files import store
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.files.workers import Pool
from leela_probe.puzzles import (
    cascade,
    dumps,
    lichess,
    plies,
    repeats,
    sampling,
    target_patterns,
)
from leela_probe.puzzles.cascade import Judged
from leela_probe.puzzles.criteria import PRESETS, VERDICTS, Criteria, Verdict, strong_minimum
from leela_probe.puzzles.dumps import MalformedRow, Row
from leela_probe.puzzles.lichess import Puzzle
from leela_probe.puzzles.plies import View

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["SCHEMA", "filter_puzzles", "remarks"]

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
    progress: Progress | bool | None = None,
) -> Finished:
    """A verdict for every puzzle of a dump, written to `out`; a run that was cut off goes on.

    The columns are those of `SCHEMA`, the rows those of the dump in its order. Where the strong
    network misses the first move, its later moves are not evaluated and `strong_min_player` stays
    empty (`strong_p` has the first), unless `all_plies` is set.

    Args:
        dump: see `lichess.read`. What comes out of a pipe is kept beside the output until the end.
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
        progress: called after each part; by default a bar is shown in a terminal or notebook, with
            False nothing.

    Raises:
        NotAPuzzleDumpError: the dump is something else, or none of its rows is a puzzle.
        ValueError: the sample has less than one row.
        PlanChangedError: the output was made with other settings; and what else `store.Stage`
            raises.

    Example:
        >>> import leela_probe as lp
        >>> strong, weak = lp.load("bundled:strong"), lp.load("bundled:weak")
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = lp.filter(
        ...         "bundled:mates",
        ...         Path(folder, "kept.parquet"),
        ...         strong=strong,
        ...         weak=weak,
        ...         criteria=lp.Criteria(forcing=0.0),
        ...         limit=20,
        ...     )
        >>> sum(done.counts.values())
        20
    """
    if sample is not None and sample < 1:
        raise ValueError(f"expected a sample of at least one row, got {sample}")
    view = plies.view(strong, criteria.strong_history)
    other_games = _OtherGames()
    copy = Path(out).with_name(f"{Path(out).name}.pipe")
    with (
        dumps.seekable(dump, copy=copy) as dump,
        store.Stage(
            out,
            name="filter",
            inputs={"dump": dump, "strong": strong.path, "weak": weak.path},
            loaded={"strong": strong.sha256, "weak": weak.sha256},
            networks={"strong": strong.identity(), "weak": weak.identity()},
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
        ) as stage,
    ):
        if not stage.assembled:
            lichess.check_readable(dump, limit=limit)
            rows, total = _wanted(dump, limit=limit, sample=sample, seed=seed)
            with Pool(workers) as pool:
                for judged in cascade.judge(
                    stage.unfinished(other_games.counted(rows), size=chunk_rows, total=total),
                    strong=strong,
                    weak=weak,
                    criteria=criteria,
                    all_plies=all_plies,
                    batch_size=batch_size,
                    pool=pool,
                ):
                    stage.add(judged.chunk, _table(judged))
        return stage.finish(
            lambda tables: {
                "ignored_columns": list(dumps.ignored_columns(dump)),
                "other_games": other_games.count,
                "same_network": strong.identity() == weak.identity(),
                "first_moves": _first_moves(tables, strong=strong, view=view),
            }
        )


def _wanted(
    dump: Path, *, limit: int | None, sample: int | None, seed: int
) -> tuple[Iterator[Row | MalformedRow], int]:
    """The rows to judge, and how many there are (about, where no sample is drawn)."""
    rows = repeats.marked(islice(dumps.rows(dump), limit))
    if sample is not None:
        total = sum(1 for _ in islice(dumps.rows(dump), limit))
        return sampling.draw(rows, count=sample, total=total, seed=seed), min(sample, total)
    total = dumps.count(dump)
    return rows, total if limit is None else min(limit, total)


# What there is to say of a run


_LOOKED_AT = 50  # puzzles whose first moves both networks are asked for, to see which is stronger


def remarks(counts: Mapping[str, int], facts: Mapping[str, Any]) -> list[str]:
    """What is likely wrong with a run of the filter, and what of the dump was not used.

    Args:
        counts: how many rows have each verdict, as a `Finished` or a manifest says.
        facts: what else it says.

    Example:
        >>> first_moves = {"puzzles": 100, "strong": 31, "weak": 58}
        >>> remarks({"not_hard": 199, "kept": 1}, {"first_moves": first_moves})
        ['the weak network finds the first move of 58 of the first 100 puzzles, the strong one of \
31: are the two swapped?']
    """
    lines = []
    first = facts.get("first_moves", {"puzzles": 0, "strong": 0, "weak": 0})
    if facts.get("same_network"):
        lines.append(
            "strong and weak are the same network, so that no puzzle is solved by one and too hard "
            "for the other: name another weak network"
        )
    elif first["weak"] > first["strong"]:
        lines.append(
            f"the weak network finds the first move of {first['weak']} of the first "
            f"{first['puzzles']} puzzles, the strong one of {first['strong']}: are the two swapped?"
        )
    elif not counts.get(Verdict.KEPT.value):
        lines.append(f"no puzzle is kept: {_last_hurdle(counts)}")
    if facts.get("other_games"):
        lines.append(
            f"{facts['other_games']:,} rows name a game that is not one of Lichess: each counts as "
            f"from a game of its own"
        )
    if facts.get("ignored_columns"):
        lines.append(f"columns that are not used: {', '.join(facts['ignored_columns'])}")
    return lines


def _last_hurdle(counts: Mapping[str, int]) -> str:
    """What stopped those puzzles that came farthest."""
    reasons = {
        Verdict.NOT_FORCING: "those that came farthest have an answer that the weak network does "
        "not expect; --min-weak-reply 0 takes them too, as it takes most mates",
        Verdict.NOT_CORRECT: "the strong network misses a move of each that is hard; a stronger "
        "network or a lower --min-strong-solver keeps some",
        Verdict.NOT_HARD: "the weak network sees the first move of each; a weaker network or a "
        "higher --max-weak-first keeps some",
        Verdict.TOO_SHORT: "each solution is too short; a lower --min-plies keeps some",
        Verdict.MATE_IN_1: "each is a mate in one by its theme",
    }
    return next(
        (reason for verdict, reason in reasons.items() if counts.get(verdict.value)),
        "no row is a puzzle that has not come before",
    )


class _OtherGames:
    """Counts the rows that name a game which is not one of Lichess."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, rows: Iterable[Row | MalformedRow]) -> Iterator[Row | MalformedRow]:
        for row in rows:
            if isinstance(row, Row) and row.game and not row.verdict:
                self.count += lichess.game_id(row.game) is None
            yield row


def _first_moves(tables: Iterable[pyarrow.Table], *, strong: Network, view: View) -> dict[str, int]:
    """How many of the first puzzles' first moves each of the networks likes best."""
    rows = list(islice(_judged_rows(tables), _LOOKED_AT))
    return {
        "puzzles": len(rows),
        "strong": sum(_strong_finds(rows, strong, view)),
        "weak": sum(row["weak_top"][0] == row["moves"].split()[1] for row in rows),
    }


def _judged_rows(tables: Iterable[pyarrow.Table]) -> Iterator[dict[str, Any]]:
    """The rows in which the weak network was asked for the first move."""
    for table in tables:
        columns = table.select(["puzzle_id", "fen", "moves", "strong_top", "weak_top"])
        for batch in columns.to_batches(max_chunksize=_LOOKED_AT):
            for row in batch.to_pylist():
                if row["weak_top"] and row["weak_top"][0] is not None:
                    yield row


def _strong_finds(rows: Sequence[dict[str, Any]], strong: Network, view: View) -> Iterator[bool]:
    """Whether the strong network likes the first move best; it is asked where it was not yet."""
    left = []
    for place, row in enumerate(rows):
        top = row["strong_top"][0]
        if top is not None:
            yield top == row["moves"].split()[1]
            continue
        puzzle = lichess.parse(Row(0, row["puzzle_id"], row["fen"], row["moves"]))
        assert isinstance(puzzle, Puzzle)
        left.append((place, puzzle, (0,)))
    for (place, _), ply in plies.ask(strong, plies.encode(left, view)).items():
        yield ply.top == rows[place]["moves"].split()[1]


# The table


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
