"""The corrupted partners of a file of puzzles.

`corrupt` writes for each puzzle the smallest change that spoils its best move, with every score,
or why there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chess
import pyarrow

from leela_probe.files import manifests, store
from leela_probe.files.progress import Progress
from leela_probe.files.store import Finished
from leela_probe.files.workers import Pool
from leela_probe.puzzles import (
    criteria,
    dumps,
    lichess,
    partners,
    plies,
    repeats,
    target_patterns,
)
from leela_probe.puzzles.candidates import line_squares, third_mover_square
from leela_probe.puzzles.dumps import MalformedRow, RepeatedRow, Row
from leela_probe.puzzles.lichess import Puzzle
from leela_probe.puzzles.partners import PRESETS, VERDICTS, Outcome, Partner, Search, Trial, Verdict

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = ["SCHEMA", "check_verdicts", "corrupt", "remark"]

_TEXT, _NUMBER, _COUNT = pyarrow.string(), pyarrow.float32(), pyarrow.int32()
SCHEMA = pyarrow.schema(
    [
        ("puzzle_id", _TEXT),
        ("fen", _TEXT),  # before the set-up move, as in the dump
        ("moves", _TEXT),  # the set-up move, then the solution
        ("verdict", _TEXT),
        ("rank", _COUNT),  # 1 is the nearest partner
        ("clean_fen", _TEXT),  # the solver to move
        ("corrupted_fen", _TEXT),
        ("change", _TEXT),  # remove, add or move
        ("piece", _TEXT),  # that is removed, added or moved
        ("squares", _TEXT),  # that change
        # Scores of the pair.
        ("d_log_odds_weak", _NUMBER),  # clean minus corrupted, in nats
        ("d_value_strong", _NUMBER),  # corrupted minus clean, win minus loss
        ("strong_p_corrupted", _NUMBER),  # strong network: probability of the first move
        ("jsd", _NUMBER),  # of the weak network's policies, in nats
        # On the clean board alone, without the game before it (which the filter knows).
        ("strong_p_clean", _NUMBER),
        ("strong_top_clean", _TEXT),  # the likeliest move: E0b's target, so the first of a pair
        ("strong_value_clean", _NUMBER),
        ("weak_p_clean", _NUMBER),
        # What is changed.
        ("moves_king", pyarrow.bool_()),
        ("touches_line", pyarrow.bool_()),  # a square that the solution changes
        ("touches_third_mover", pyarrow.bool_()),
        # How many candidates were left after each stage.
        ("generated", _COUNT),
        ("allowed", _COUNT),
        ("valid", _COUNT),
        ("playable", _COUNT),  # the first move is legal
        ("similar", _COUNT),  # the weak network's log odds of it do not fall
        ("near", _COUNT),  # and its policy is near
        ("asked", _COUNT),  # the strong network was asked, the nearest first
        # From the puzzle.
        ("target_pattern", _TEXT),
        ("reason", _TEXT),  # why a malformed row is malformed
        ("rating", _COUNT),
        ("themes", _TEXT),
        ("game_id", _TEXT),
        ("line", pyarrow.int64()),
    ]
)
"""The columns of the output."""


def corrupt(
    puzzles: str | Path,
    out: str | Path,
    *,
    strong: Network,
    weak: Network,
    search: Search = PRESETS["default"],
    verdicts: Sequence[str] = ("kept",),
    batch_size: int = 256,
    chunk_rows: int = 32,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | bool | None = None,
) -> Finished:
    """The corrupted partners of puzzles, written to `out`; a run that was cut off goes on.

    The columns are those of `SCHEMA`; a row for each puzzle in the order of the file, or as
    many as `search.keep` allows where more partners are found.

    Args:
        puzzles: what the filter wrote; or a dump, of which every puzzle is taken.
        out: the table to write, `.parquet` or `.csv`; see `store.Stage`.
        strong: the network whose best move the change must spoil; it needs a value head.
        weak: the network that must not notice.
        search: what a partner has to be. Where the manifest of the filter says that it took first
            moves which need not be the favourite (`correct` below 0.5), they are taken here too.
        verdicts: which of the filter's verdicts to take.
        batch_size: positions that go through a network at once.
        chunk_rows: puzzles that are finished together, and so the most that a kill costs.
        workers: processes that make and encode candidates; see `workers.Pool`. The output does not
            depend on them.
        overwrite: see `store.Stage`.
        progress: called after each part; by default a bar is shown in a terminal or notebook, with
            False nothing.

    Raises:
        NotAPuzzleDumpError: the file holds no puzzles.
        DamagedError: the file is not what the manifest beside it says.
        ValueError: the strong network has no value head.
        PlanChangedError: the output was made with other settings; and what else `store.Stage`
            raises.

    Example:
        >>> import leela_probe as lp
        >>> strong, weak = lp.load("bundled:strong"), lp.load("bundled:weak")
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kept, pairs = Path(folder, "kept.parquet"), Path(folder, "pairs.parquet")
        ...     criteria = lp.Criteria(forcing=0.0)
        ...     _ = lp.filter(
        ...         "bundled:mates", kept, strong=strong, weak=weak, criteria=criteria, limit=20
        ...     )
        ...     done = lp.corrupt(kept, pairs, strong=strong, weak=weak)
        ...     len(lp.read_pairs(pairs)) == done.counts["found"]
        True
    """
    copy = Path(out).with_name(f"{Path(out).name}.pipe")
    with dumps.seekable(puzzles, copy=copy) as puzzles:
        thresholds = _thresholds(puzzles)
        search = replace(search, favourite=search.favourite and thresholds["correct"] >= 0.5)
        weak_view = plies.view(weak, search.weak_history)
        strong_view = plies.view(strong, search.strong_history)
        with store.Stage(
            out,
            name="corrupt",
            inputs={"puzzles": puzzles, "strong": strong.path, "weak": weak.path},
            loaded={"strong": strong.sha256, "weak": weak.sha256},
            networks={"strong": strong.identity(), "weak": weak.identity()},
            options={
                "search": asdict(search),
                "verdicts": list(verdicts),
                "thresholds": thresholds,
                "batch_size": batch_size,
                "chunk_rows": chunk_rows,
            },
            schema=SCHEMA,
            verdicts=VERDICTS,
            overwrite=overwrite,
            progress=progress,
        ) as stage:
            if not stage.assembled:
                lichess.check_readable(puzzles)
                chunks = stage.unfinished(
                    _wanted(puzzles, verdicts),
                    size=chunk_rows,
                    total=sum(1 for _ in _wanted(puzzles, verdicts)),
                )
                prepare = partial(
                    partners.prepare, search=search, weak_view=weak_view, strong_view=strong_view
                )
                with Pool(workers) as pool:
                    for chunk, prepared in pool.map_with_items(
                        prepare, chunks, request=lambda chunk: chunk.rows
                    ):
                        outcomes = partners.find(
                            prepared,
                            strong=strong,
                            weak=weak,
                            search=search,
                            strong_view=strong_view,
                            batch_size=batch_size,
                        )
                        stage.add(chunk, _table(prepared.trials, outcomes))
            facts = partial(_facts_of_clean_boards, thresholds=thresholds)
            return stage.finish(None if search.clean_history else facts)


def check_verdicts(puzzles: str | Path, verdicts: Sequence[str]) -> None:
    """Refuse a file whose verdicts are all others than those wanted.

    Raises:
        ValueError: saying which verdicts it has.
    """
    counts: Counter[str] = Counter()
    for row in dumps.rows(puzzles):
        if isinstance(row, MalformedRow):
            continue
        if not row.verdict or row.verdict in verdicts:
            return
        counts[row.verdict] += 1
    if counts:
        there = ", ".join(f"{verdict}: {count:,}" for verdict, count in counts.items())
        raise ValueError(
            f"no row of {str(puzzles)!r} has verdict {' or '.join(verdicts)}; the file has {there}"
        )


def remark(facts: Mapping[str, Any]) -> str | None:
    """What there is to say of the found pairs' clean boards; None if they are as the filter says.

    The filter knows the game before a puzzle, the search and the experiments do not, and a network
    that minds may judge the same position otherwise.

    Args:
        facts: of a finished run.

    Example:
        >>> print(remark({"clean_boards": {"found": 9, "hard": 0.05, "correct": 0.5,
        ...     "not_favourite": 0, "not_correct": 2, "not_hard": 0}}))
        without the game before it, as the experiments take it, the clean board is not what the \
filter asks for in some of the 9 pairs found: 2 not correct (strong network: first move not \
above 0.5)
    """
    clean = facts.get("clean_boards")
    if clean is None:  # the search knew the game
        return None
    meanings = {
        "not_favourite": "strong network: another move is likelier than the first",
        "not_correct": f"strong network: first move not above {clean['correct']:g}",
        "not_hard": f"weak network: first move not below {clean['hard']:g}",
    }
    said = [
        f"{clean[name]:,} {name.replace('_', ' ')} ({meaning})"
        for name, meaning in meanings.items()
        if clean[name]
    ]
    if not said:
        return None
    return (
        "without the game before it, as the experiments take it, the clean board is not "
        f"what the filter asks for in some of the {clean['found']:,} pairs found: {', '.join(said)}"
    )


def _thresholds(puzzles: Path) -> dict[str, float]:
    """What the filter that wrote the puzzles asked of first moves; else the paper's thresholds.

    Raises:
        DamagedError: the puzzles are not what their manifest says.
    """
    manifests.check(puzzles)
    beside = manifests.manifest_path(puzzles)
    manifest = manifests.read(beside) if beside.is_file() else {}
    asked = manifest.get("options", {}).get("criteria", asdict(criteria.PRESETS["default"]))
    return {name: asked[name] for name in ("hard", "correct")}


def _facts_of_clean_boards(
    tables: Iterable[pyarrow.Table], *, thresholds: Mapping[str, float]
) -> dict[str, object]:
    counts = Counter(found=0, not_favourite=0, not_correct=0, not_hard=0)
    names = ["verdict", "moves", "strong_top_clean", "strong_p_clean", "weak_p_clean"]
    for table in tables:
        for row in table.select(names).to_pylist():
            if row["verdict"] == Verdict.FOUND.value:
                counts["found"] += 1
                counts["not_favourite"] += row["moves"].split()[1] != row["strong_top_clean"]
                counts["not_correct"] += not row["strong_p_clean"] > thresholds["correct"]
                counts["not_hard"] += not row["weak_p_clean"] < thresholds["hard"]
    return {"clean_boards": {**thresholds, **counts}}


def _wanted(puzzles: str | Path, verdicts: Sequence[str]) -> Iterator[Row | MalformedRow]:
    """The rows with one of these verdicts; all rows of a file without verdicts."""
    return repeats.marked(
        row
        for row in dumps.rows(puzzles)
        if isinstance(row, MalformedRow) or not row.verdict or row.verdict in verdicts
    )


def _table(
    trials: Sequence[Trial | MalformedRow], outcomes: Sequence[Outcome | None]
) -> pyarrow.Table:
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}

    def add(record: dict[str, object]) -> None:
        for name, values in columns.items():
            values.append(record.get(name))

    for trial, outcome in zip(trials, outcomes, strict=True):
        if isinstance(trial, MalformedRow):
            add(
                {
                    "puzzle_id": trial.puzzle_id,
                    "fen": trial.fen or None,
                    "moves": trial.moves or None,
                    "verdict": _verdict_of_row(trial).value,
                    "reason": trial.reason,
                    "line": trial.line,
                }
            )
            continue
        assert outcome is not None
        facts = _facts(trial, outcome)
        if not outcome.partners:
            add(facts)
        for rank, partner in enumerate(outcome.partners, 1):
            verdict = Verdict.FOUND if rank == 1 else Verdict.FURTHER
            add(facts | _pair(trial.puzzle, partner) | {"rank": rank, "verdict": verdict.value})
    return pyarrow.table(columns, schema=SCHEMA)


def _verdict_of_row(row: MalformedRow) -> Verdict:
    return Verdict.DUPLICATE_ID if isinstance(row, RepeatedRow) else Verdict.MALFORMED


def _facts(trial: Trial, outcome: Outcome) -> dict[str, object]:
    puzzle = trial.puzzle
    return {
        "puzzle_id": puzzle.puzzle_id,
        "fen": puzzle.fen,
        "moves": " ".join(puzzle.moves),
        "verdict": outcome.verdict.value,
        "clean_fen": trial.clean_fen,
        "strong_p_clean": outcome.strong_p,
        "strong_top_clean": outcome.favourite.uci(),
        "strong_value_clean": outcome.value,
        "weak_p_clean": outcome.weak_p,
        "generated": trial.generated,
        "allowed": trial.allowed,
        "valid": trial.valid,
        "playable": len(trial.edits),
        "similar": outcome.similar,
        "near": outcome.near,
        "asked": outcome.asked,
        "target_pattern": target_patterns.label(puzzle.principal_variation),
        "rating": puzzle.rating,
        "themes": " ".join(puzzle.themes) or None,
        "game_id": puzzle.game_id,
        "line": puzzle.line,
    }


def _pair(puzzle: Puzzle, partner: Partner) -> dict[str, object]:
    line = puzzle.principal_variation
    squares = set(partner.edit.squares)
    return {
        "corrupted_fen": partner.fen,
        "change": partner.edit.kind,
        "piece": partner.edit.piece.symbol(),
        "squares": partner.edit.square_names,
        "d_log_odds_weak": partner.d_log_odds_weak,
        "d_value_strong": partner.d_value_strong,
        "strong_p_corrupted": partner.strong_p,
        "jsd": partner.jsd,
        "moves_king": partner.edit.piece.piece_type == chess.KING,
        "touches_line": bool(line_squares(puzzle.board(), line) & squares),
        "touches_third_mover": third_mover_square(puzzle.board(), line) in squares,
    }
