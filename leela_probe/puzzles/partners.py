"""The search for a puzzle's corrupted partners.

A corrupted partner looks almost the same to a weak network and different to the strong one (Jenner
et al. 2024, `scripts/make_corruptions.py` of their code). The weak network judges every candidate.
The strong one is asked about the nearest first, only until one passes, which gives the same answer
as asking about all.

Both boards of a pair are built from their FENs alone: a corrupted position has no game before it,
so the clean one is denied its own, and the networks get the same kind of history for both. The
preset `jenner2024` does as the paper did, whose clean board knew one earlier position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import chess
import numpy as np

from leela_probe.positions.encoding import EncodedBoards
from leela_probe.positions.moves import move_of, number_of
from leela_probe.positions.planes import History
from leela_probe.puzzles import lichess
from leela_probe.puzzles.candidates import (
    KINDS,
    BoardEdit,
    changed,
    changes,
    is_playable,
    line_squares,
    third_mover_square,
)
from leela_probe.puzzles.lichess import MalformedRow, Puzzle, Row
from leela_probe.puzzles.plies import View
from leela_probe.puzzles.scores import WeakScores, strong_answers, weak_scores

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

    from leela_probe.networks.network import Network

__all__ = [
    "PRESETS",
    "VERDICTS",
    "Outcome",
    "Partner",
    "Prepared",
    "Search",
    "Trial",
    "find",
    "prepare",
]

VERDICTS = (
    "malformed",
    "not_favourite",
    "no_candidate",
    "weak_notices",
    "strong_unmoved",
    "found",
    "further",
)
"""What can become of a puzzle: it cannot be read; the strong network likes another move better than
the first move on the clean board, which the search knows without the game before it, unlike the
filter (the experiments ask about the favourite there: experiment E0b of Jenner et al. 2024); no
change leaves the first move legal; the weak network notices every change; the strong network is not
moved by those it does not notice; found. A puzzle's second nearest partner and those after it are
`further`."""

_FIRST_ROUND, _LONGEST_ROUND = 4, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a corrupted partner has to be, and which changes are allowed.

    Attributes:
        log_odds: the first move's log odds for the weak network fall by less than this (mask 1).
        value: the position's value for the strong network falls by more than this (mask 2).
        probability: the strong network gives the first move less than this (mask 3).
        divergence: the weak network's policy is no farther away than this (Jensen-Shannon, nats);
            among partners the nearest counts.
        keep: how many partners are kept, the nearest first.
        favourite: the first move is the strong network's favourite on the clean board.
        kinds: the classes of change, of `candidates.KINDS`.
        kings: kings may be moved.
        line_squares: the squares that the solution changes may change (`candidates.line_squares`).
        third_mover: the piece that makes the solution's third move may be moved or removed.
        weak_history: history as the weak network gets it.
        strong_history: history as the strong network gets it.
        clean_history: the clean board knows the position before the set-up move, though the
            corrupted board cannot. Right only to repeat the paper.

    Raises:
        ValueError: a class is unknown, or none is allowed; or `keep` is less than 1.
    """

    log_odds: float = 0.2
    value: float = 0.1
    probability: float = 0.1
    divergence: float = 0.2
    keep: int = 1
    favourite: bool = True
    kinds: tuple[str, ...] = KINDS
    kings: bool = True
    line_squares: bool = True
    third_mover: bool = True
    weak_history: History = History.FILLED
    strong_history: History = History.FILLED
    clean_history: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(KINDS)
        if unknown or not self.kinds:
            raise ValueError(
                f"expected classes of change among {', '.join(KINDS)}, at least one; got "
                f"{', '.join(self.kinds) or 'none'}"
            )
        if self.keep < 1:
            raise ValueError(f"expected to keep at least 1 partner, got {self.keep}")


PRESETS: Mapping[str, Search] = MappingProxyType(
    {
        "default": Search(),
        "jenner2024": Search(
            weak_history=History.JENNER2024_WEAK,
            strong_history=History.KNOWN,
            clean_history=True,
        ),
    }
)
"""Searches by name. Both have the paper's thresholds; `jenner2024` has its kinds of history too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A puzzle with the changes that leave it a legal position with the first move legal.

    Attributes:
        puzzle: the puzzle.
        clean_fen: its position with the solver to move.
        generated: how many changes there are.
        allowed: how many of them the search allows.
        valid: how many of those leave a legal position.
        changes: those of them that leave the first move legal.
    """

    puzzle: Puzzle
    clean_fen: str
    generated: int
    allowed: int
    valid: int
    changes: tuple[BoardEdit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Trials, with the boards that the networks see first.

    `weak` holds for each trial its clean board, then its candidates; `strong` the clean boards.
    """

    trials: tuple[Trial | MalformedRow, ...]
    weak: EncodedBoards
    strong: EncodedBoards


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A corrupted partner with its scores.

    Attributes:
        change: what is changed.
        fen: the corrupted position.
        d_log_odds_weak: how far the first move's log odds fall for the weak network.
        jsd: Jensen-Shannon divergence of the weak network's policies.
        d_value_strong: how far the value rises for the strong network; negative if it falls.
        strong_p: the strong network's probability of the first move in the corrupted position.
    """

    change: BoardEdit
    fen: str
    d_log_odds_weak: float
    jsd: float
    d_value_strong: float
    strong_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a trial: the verdict, the partners, and how many candidates passed each stage.

    Attributes:
        verdict: one of `VERDICTS`.
        partners: the nearest first.
        similar: candidates that pass mask 1.
        near: those of them within the divergence.
        asked: those of them that the strong network was asked about.
        weak_p: the weak network's probability of the first move in the clean position.
        strong_p: the strong network's.
        favourite: the move that the strong network likes best in the clean position.
        value: the clean position's value for the strong network.
    """

    verdict: str
    partners: tuple[Partner, ...]
    similar: int
    near: int
    asked: int
    weak_p: float
    strong_p: float
    favourite: chess.Move
    value: float


def prepare(
    rows: Sequence[Row | MalformedRow], *, search: Search, weak_view: View, strong_view: View
) -> Prepared:
    """The trials of some rows of a puzzle file; work for other processes.

    Args:
        rows: the rows.
        search: which changes are allowed.
        weak_view: how the weak network takes boards.
        strong_view: how the strong network takes them.
    """
    trials: list[Trial | MalformedRow] = []
    weak_boards: list[chess.Board] = []
    clean_boards: list[chess.Board] = []
    for row in rows:
        puzzle = row if isinstance(row, MalformedRow) else lichess.parse(row)
        if isinstance(puzzle, MalformedRow):
            trials.append(puzzle)
            continue
        trial = _trial(puzzle, search)
        board = puzzle.board()
        clean = board if search.clean_history else _bare(board)
        trials.append(trial)
        clean_boards.append(clean)
        weak_boards.append(clean)
        weak_boards.extend(_bare(changed(board, change)) for change in trial.changes)
    return Prepared(
        trials=tuple(trials),
        weak=weak_view.encode(weak_boards),
        strong=strong_view.encode(clean_boards),
    )


def find(
    prepared: Prepared,
    *,
    strong: Network,
    weak: Network,
    search: Search,
    strong_view: View,
    batch_size: int,
) -> list[Outcome | None]:
    """What comes of each trial; None for a malformed row.

    Args:
        prepared: trials and their boards.
        strong: the strong network; it needs a value head.
        weak: the weak network.
        search: what a partner has to be.
        strong_view: how the strong network takes boards.
        batch_size: positions that go through a network at once.

    Raises:
        ValueError: the strong network has no value head, or an answer is not a finite number.
    """
    trials = [trial for trial in prepared.trials if isinstance(trial, Trial)]
    if not trials:
        return [None] * len(prepared.trials)
    ask_strong = partial(strong_answers, strong, batch_size=batch_size)
    first_moves = [number_of(trial.puzzle.principal_variation[0]) for trial in trials]
    clean = ask_strong(prepared.strong, np.array(first_moves))
    barred = (clean.favourite != first_moves) & search.favourite
    candidates = [len(trial.changes) for trial in trials]
    scores = weak_scores(weak, prepared.weak, first_moves, candidates, batch_size=batch_size)
    similar = [score.d_log_odds < search.log_odds for score in scores]
    near = [_nearest(score, mask, search) for score, mask in zip(scores, similar, strict=True)]
    found: list[list[Partner]] = [[] for _ in trials]
    asked = [0] * len(trials)
    size = _FIRST_ROUND
    while True:
        queue = [
            (index, int(candidate))
            for index, order in enumerate(near)
            if not barred[index] and len(found[index]) < search.keep
            for candidate in order[asked[index] : asked[index] + size]
        ]
        if not queue:
            break
        boards = [
            _bare(changed(trials[index].puzzle.board(), trials[index].changes[candidate]))
            for index, candidate in queue
        ]
        moves = np.array([first_moves[index] for index, _ in queue])
        answers = ask_strong(strong_view.encode(boards), moves)
        for (index, candidate), board, p, value in zip(
            queue, boards, answers.p, answers.value, strict=True
        ):
            asked[index] += 1
            rise = float(value - clean.value[index])
            passes = rise < -search.value and p < search.probability
            if passes and len(found[index]) < search.keep:
                found[index].append(
                    Partner(
                        change=trials[index].changes[candidate],
                        fen=board.fen(),
                        d_log_odds_weak=float(scores[index].d_log_odds[candidate]),
                        jsd=float(scores[index].jsd[candidate]),
                        d_value_strong=rise,
                        strong_p=float(p),
                    )
                )
        size = min(2 * size, _LONGEST_ROUND)
    outcomes = iter(
        [
            Outcome(
                verdict="not_favourite"
                if barred[index]
                else _verdict(trial, near[index], found[index]),
                partners=tuple(found[index]),
                similar=int(similar[index].sum()),
                near=len(near[index]),
                asked=asked[index],
                weak_p=scores[index].clean_p,
                strong_p=float(clean.p[index]),
                favourite=move_of(int(clean.favourite[index])),
                value=float(clean.value[index]),
            )
            for index, trial in enumerate(trials)
        ]
    )
    return [next(outcomes) if isinstance(trial, Trial) else None for trial in prepared.trials]


# Candidates


def _trial(puzzle: Puzzle, search: Search) -> Trial:
    board = puzzle.board()
    line = puzzle.principal_variation
    untouchable: set[chess.Square | None] = set()
    if not search.line_squares:
        untouchable |= line_squares(board, line)
    if not search.third_mover:
        untouchable |= {third_mover_square(board, line)}
    generated = allowed = valid = 0
    playable: list[BoardEdit] = []
    for change in changes(board):
        generated += 1
        if change.kind not in search.kinds or not untouchable.isdisjoint(change.squares):
            continue
        if change.piece.piece_type == chess.KING and not search.kings:
            continue
        allowed += 1
        is_valid, keeps_first = is_playable(board, change, line[0])
        valid += is_valid
        if keeps_first:
            playable.append(change)
    return Trial(
        puzzle=puzzle,
        clean_fen=board.fen(),
        generated=generated,
        allowed=allowed,
        valid=valid,
        changes=tuple(playable),
    )


def _bare(board: chess.Board) -> chess.Board:
    """The position as its FEN alone gives it: no history, en passant only where it is possible."""
    board = board.copy(stack=False)
    if not board.has_legal_en_passant():
        board.ep_square = None
    return board


def _nearest(
    scores: WeakScores, similar: Bool[np.ndarray, " candidate"], search: Search
) -> Int64[np.ndarray, " near_candidate"]:
    """The places of the similar candidates within the divergence, the nearest first."""
    near = np.flatnonzero(similar & (scores.jsd <= search.divergence))
    return near[np.argsort(scores.jsd[near], kind="stable")]


def _verdict(
    trial: Trial, near: Int64[np.ndarray, " near_candidate"], found: Sequence[Partner]
) -> str:
    if found:
        return "found"
    if not trial.changes:
        return "no_candidate"
    return "strong_unmoved" if len(near) else "weak_notices"
