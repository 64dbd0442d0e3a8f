"""What a puzzle has to be to be kept, and the verdict on one.

A right first move is evidence of look-ahead in puzzles that a weak network does not see, that a
strong network solves, and whose answer is forced. The thresholds are those of Jenner et al. (2024),
`scripts/make_puzzles.py` of their code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from leela_probe.positions.planes import History
from leela_probe.puzzles.dumps import MalformedRow, RepeatedRow
from leela_probe.puzzles.lichess import Puzzle
from leela_probe.puzzles.plies import Ply

__all__ = ["PRESETS", "VERDICTS", "Criteria", "Verdict", "strong_minimum", "verdict"]


class Verdict(str, Enum):
    """What can become of a puzzle, in the order of the questions: the first that applies counts."""

    MALFORMED = "malformed"
    DUPLICATE_ID = "duplicate_id"
    MATE_IN_1 = "mate_in_1"
    TOO_SHORT = "too_short"
    NOT_HARD = "not_hard"
    NOT_CORRECT = "not_correct"
    NOT_FORCING = "not_forcing"
    KEPT = "kept"


VERDICTS = tuple(verdict.value for verdict in Verdict)
"""The verdicts as the column has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Thresholds, and what the networks are told of earlier positions.

    Attributes:
        hard: the weak network gives the first move less than this probability.
        correct: the strong network gives each of the solver's moves more than this.
        forcing: the weak network gives the answer to the first move more than this.
        plies: the solution has at least so many.
        weak_history: history as the weak network gets it.
        strong_history: history as the strong network gets it.

    Example:
        >>> import leela_probe as lp
        >>> lp.Criteria(hard=0.1).hard
        0.1
    """

    hard: float = 0.05
    correct: float = 0.5
    forcing: float = 0.7
    plies: int = 3
    weak_history: History = History.FILLED
    strong_history: History = History.FILLED


PRESETS: Mapping[str, Criteria] = MappingProxyType(
    {
        "default": Criteria(),
        # The paper's code fed its weak network the current position eight times, seven of them
        # marked as repetitions; its strong network got the known positions and ignored them.
        "jenner2024": Criteria(weak_history=History.JENNER2024_WEAK, strong_history=History.KNOWN),
    }
)
"""Criteria by name. All have the paper's thresholds; `jenner2024` has its kinds of history too."""


def verdict(
    puzzle: Puzzle | MalformedRow,
    criteria: Criteria,
    *,
    weak: Mapping[int, Ply],
    strong: Mapping[int, Ply],
) -> Verdict | None:
    """The first verdict that applies; None where it takes an answer that is not there yet.

    A mate in one is what the dump's themes say, in which the paper's code looks for the text
    `mateIn1`; where there are no themes, a solution of one move is too short anyway.

    Args:
        puzzle: a row of the dump.
        criteria: the thresholds.
        weak: the weak network's answers by ply; plies 0 and 1 count.
        strong: the strong network's answers by ply; the solver's, 0, 2, 4, ..., count.

    Example:
        >>> puzzle = Puzzle(puzzle_id="x", fen="", moves=("a2e2", "d1d8", "e2e8", "d8e8"),
        ...                 rating=None, themes=(), game_id=None, line=2)
        >>> def ply(probability):
        ...     return Ply(probability=probability, top="", legal=9, q=None, wdl=None)
        >>> verdict(puzzle, Criteria(), weak={0: ply(0.2)}, strong={}).value
        'not_hard'
        >>> print(verdict(puzzle, Criteria(), weak={0: ply(0.01)}, strong={0: ply(0.9)}))
        None
        >>> strong = {0: ply(0.9), 2: ply(0.5)}
        >>> verdict(puzzle, Criteria(), weak={0: ply(0.01)}, strong=strong).value
        'not_correct'
    """
    if isinstance(puzzle, RepeatedRow):
        return Verdict.DUPLICATE_ID
    if isinstance(puzzle, MalformedRow):
        return Verdict.MALFORMED
    if "mateIn1" in " ".join(puzzle.themes):
        return Verdict.MATE_IN_1
    length = len(puzzle.moves) - 1
    if length < criteria.plies:
        return Verdict.TOO_SHORT
    if 0 not in weak:
        return None
    if not weak[0].probability < criteria.hard:
        return Verdict.NOT_HARD
    solver = range(0, length, 2)
    if any(not strong[ply].probability > criteria.correct for ply in solver if ply in strong):
        return Verdict.NOT_CORRECT
    if any(ply not in strong for ply in solver) or (length > 1 and 1 not in weak):
        return None
    if length > 1 and not weak[1].probability > criteria.forcing:
        return Verdict.NOT_FORCING
    return Verdict.KEPT


def strong_minimum(length: int, strong: Mapping[int, Ply]) -> float | None:
    """The least probability over the solver's moves; None unless each of them was evaluated.

    Args:
        length: how many plies the solution has.
        strong: the strong network's answers by ply.
    """
    solver = range(0, length, 2)
    if any(ply not in strong for ply in solver):
        return None
    return min(strong[ply].probability for ply in solver)
