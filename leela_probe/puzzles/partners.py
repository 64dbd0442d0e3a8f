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
from dataclasses import dataclass, field
from enum import Enum
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
    edited,
    edits,
    is_playable,
    line_squares,
    third_mover_square,
)
from leela_probe.puzzles.dumps import MalformedRow, Row
from leela_probe.puzzles.lichess import Puzzle
from leela_probe.puzzles.plies import View
from leela_probe.puzzles.scores import StrongAnswers, WeakScores, strong_answers, weak_scores

if TYPE_CHECKING:
    from leela_probe.networks.network import Network

__all__ = [
    "PRESETS",
    "VERDICTS",
    "Outcome",
    "Partner",
    "Prepared",
    "Search",
    "Trial",
    "Verdict",
    "find",
    "prepare",
]


class Verdict(str, Enum):
    """What can become of a puzzle in the search.

    The search knows the clean board without the game before it, unlike the filter, and the
    experiments ask about the strong network's favourite there (experiment E0b of Jenner et al.
    2024); so a puzzle whose first move is not that favourite has no partner.
    """

    MALFORMED = "malformed"
    DUPLICATE_ID = "duplicate_id"
    NOT_FAVOURITE = "not_favourite"
    NO_CANDIDATE = "no_candidate"
    """No edit leaves the first move legal."""
    WEAK_NOTICES = "weak_notices"
    """The weak network notices every edit."""
    STRONG_UNMOVED = "strong_unmoved"
    """The strong network is not moved by those that the weak one does not notice."""
    FOUND = "found"
    """The nearest partner of a puzzle."""
    FURTHER = "further"
    """Its second nearest, and those after it."""


VERDICTS = tuple(verdict.value for verdict in Verdict)
"""The verdicts as the column has them."""

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
        kinds: the classes of edit, of `candidates.KINDS`.
        kings: kings may be moved.
        line_squares: the squares that the solution changes may change (`candidates.line_squares`).
        third_mover: the piece that makes the solution's third move may be moved or removed.
        weak_history: history as the weak network gets it.
        strong_history: history as the strong network gets it.
        clean_history: the clean board knows the position before the set-up move, though the
            corrupted board cannot. Right only to repeat the paper.

    Raises:
        ValueError: a class is unknown, or none is allowed; or `keep` is less than 1.

    Example:
        >>> import leela_probe as lp
        >>> lp.Search(keep=3).keep
        3
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
                f"expected classes of edit among {', '.join(KINDS)}, at least one; got "
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
    """A puzzle with the edits that leave it a legal position with the first move legal.

    Attributes:
        puzzle: the puzzle.
        clean_fen: its position with the solver to move.
        generated: how many edits there are.
        allowed: how many of them the search allows.
        valid: how many of those leave a legal position.
        edits: those of them that leave the first move legal.
    """

    puzzle: Puzzle
    clean_fen: str
    generated: int
    allowed: int
    valid: int
    edits: tuple[BoardEdit, ...]

    @property
    def first_move(self) -> int:
        """The solution's first move as a number."""
        return number_of(self.puzzle.principal_variation[0])

    def corrupted(self, candidate: int) -> chess.Board:
        """The position with one of the edits made."""
        return _bare(edited(self.puzzle.board(), self.edits[candidate]))


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
        edit: what is changed.
        fen: the corrupted position.
        d_log_odds_weak: how far the first move's log odds fall for the weak network.
        jsd: Jensen-Shannon divergence of the weak network's policies.
        d_value_strong: how far the value rises for the strong network; negative if it falls.
        strong_p: the strong network's probability of the first move in the corrupted position.
    """

    edit: BoardEdit
    fen: str
    d_log_odds_weak: float
    jsd: float
    d_value_strong: float
    strong_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a trial: the verdict, the partners, and how many candidates passed each stage.

    Attributes:
        verdict: what became of the puzzle.
        partners: the nearest first.
        similar: candidates that pass mask 1.
        near: those of them within the divergence.
        asked: those of them that the strong network was asked about.
        weak_p: the weak network's probability of the first move in the clean position.
        strong_p: the strong network's.
        favourite: the move that the strong network likes best in the clean position.
        value: the clean position's value for the strong network.
    """

    verdict: Verdict
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
        search: which edits are allowed.
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
        weak_boards.extend(_bare(edited(board, edit)) for edit in trial.edits)
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
    first_moves = [trial.first_move for trial in trials]
    clean = ask_strong(prepared.strong, np.array(first_moves))
    candidates = [len(trial.edits) for trial in trials]
    scores = weak_scores(weak, prepared.weak, first_moves, candidates, batch_size=batch_size)
    quests = [
        _quest(trial, scores[place], clean, place, search) for place, trial in enumerate(trials)
    ]
    size = _FIRST_ROUND
    while queue := [(quest, candidate) for quest in quests for candidate in quest.next(size)]:
        boards = [quest.trial.corrupted(candidate) for quest, candidate in queue]
        moves = np.array([quest.trial.first_move for quest, _ in queue])
        answers = ask_strong(strong_view.encode(boards), moves)
        for (quest, candidate), board, p, value in zip(
            queue, boards, answers.p, answers.value, strict=True
        ):
            quest.judge(candidate, board, p=float(p), value=float(value))
        size = min(2 * size, _LONGEST_ROUND)
    outcomes = (quest.outcome() for quest in quests)
    return [next(outcomes) if isinstance(trial, Trial) else None for trial in prepared.trials]


@dataclass(slots=True, kw_only=True)
class _Quest:
    """A trial while the strong network is asked about its candidates, the nearest first.

    Attributes:
        trial: the trial.
        search: what a partner has to be.
        scores: the weak network's judgement of the candidates.
        similar: how many of them pass mask 1.
        near: the places of those that are within the divergence too, the nearest first.
        strong_p: the strong network's probability of the first move on the clean board.
        favourite: the number of the move that it likes best there.
        value: the value that it gives there.
        asked: how many of the near candidates it was asked about.
        partners: those that passed.
    """

    trial: Trial
    search: Search
    scores: WeakScores
    similar: int
    near: list[int]
    strong_p: float
    favourite: int
    value: float
    asked: int = 0
    partners: list[Partner] = field(default_factory=list)

    @property
    def is_barred(self) -> bool:
        """Whether the strong network likes another move better, and that matters."""
        return self.search.favourite and self.favourite != self.trial.first_move

    def next(self, count: int) -> list[int]:
        """The candidates to ask about next; none where enough partners are there."""
        if self.is_barred or len(self.partners) >= self.search.keep:
            return []
        return self.near[self.asked : self.asked + count]

    def judge(self, candidate: int, board: chess.Board, *, p: float, value: float) -> None:
        """Take the strong network's answer for a candidate."""
        self.asked += 1
        rise = value - self.value
        passes = rise < -self.search.value and p < self.search.probability
        if passes and len(self.partners) < self.search.keep:
            self.partners.append(
                Partner(
                    edit=self.trial.edits[candidate],
                    fen=board.fen(),
                    d_log_odds_weak=float(self.scores.d_log_odds[candidate]),
                    jsd=float(self.scores.jsd[candidate]),
                    d_value_strong=rise,
                    strong_p=p,
                )
            )

    def outcome(self) -> Outcome:
        """What came of it."""
        return Outcome(
            verdict=self._verdict(),
            partners=tuple(self.partners),
            similar=self.similar,
            near=len(self.near),
            asked=self.asked,
            weak_p=self.scores.clean_p,
            strong_p=self.strong_p,
            favourite=move_of(self.favourite),
            value=self.value,
        )

    def _verdict(self) -> Verdict:
        if self.is_barred:
            return Verdict.NOT_FAVOURITE
        if self.partners:
            return Verdict.FOUND
        if not self.trial.edits:
            return Verdict.NO_CANDIDATE
        return Verdict.STRONG_UNMOVED if self.near else Verdict.WEAK_NOTICES


def _quest(
    trial: Trial, scores: WeakScores, clean: StrongAnswers, place: int, search: Search
) -> _Quest:
    """The beginning of a quest; `place` is that of the trial among the clean boards."""
    similar = scores.d_log_odds < search.log_odds
    near = np.flatnonzero(similar & (scores.jsd <= search.divergence))
    return _Quest(
        trial=trial,
        search=search,
        scores=scores,
        similar=int(similar.sum()),
        near=near[np.argsort(scores.jsd[near], kind="stable")].tolist(),
        strong_p=float(clean.p[place]),
        favourite=int(clean.favourite[place]),
        value=float(clean.value[place]),
    )


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
    for edit in edits(board):
        generated += 1
        if edit.kind not in search.kinds or not untouchable.isdisjoint(edit.squares):
            continue
        if edit.piece.piece_type == chess.KING and not search.kings:
            continue
        allowed += 1
        is_valid, keeps_first = is_playable(board, edit, line[0])
        valid += is_valid
        if keeps_first:
            playable.append(edit)
    return Trial(
        puzzle=puzzle,
        clean_fen=board.fen(),
        generated=generated,
        allowed=allowed,
        valid=valid,
        edits=tuple(playable),
    )


def _bare(board: chess.Board) -> chess.Board:
    """The position as its FEN alone gives it: no history, en passant only where it is possible."""
    board = board.copy(stack=False)
    if not board.has_legal_en_passant():
        board.ep_square = None
    return board
