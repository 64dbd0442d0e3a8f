"""Verdicts: the first that applies, and only once it is certain."""

import dataclasses

import pytest

from leela_probe.positions.planes import History
from leela_probe.puzzles.criteria import PRESETS, VERDICTS, Criteria, strong_minimum, verdict
from leela_probe.puzzles.dumps import MalformedRow
from leela_probe.puzzles.lichess import Puzzle
from leela_probe.puzzles.plies import Ply

LONG = ("a2e2", "d1d8", "e2e8", "d8e8", "e8e7", "e7e6")


def puzzle(plies=3, themes=()):
    return Puzzle(
        puzzle_id="x",
        fen="",
        moves=LONG[: plies + 1],
        rating=None,
        themes=themes,
        game_id=None,
        line=2,
    )


def answers(probabilities):
    return {
        ply: Ply(probability=value, top="", legal=9, q=None, wdl=None)
        for ply, value in probabilities.items()
    }


@pytest.mark.parametrize(
    ("what", "weak", "strong", "expected"),
    [
        (puzzle(), {0: 0.01, 1: 0.9}, {0: 0.9, 2: 0.6}, "kept"),
        (puzzle(), {0: 0.01, 1: 0.7}, {0: 0.9, 2: 0.6}, "not_forcing"),
        (puzzle(), {0: 0.01, 1: 0.1}, {0: 0.9, 2: 0.5}, "not_correct"),
        (puzzle(), {0: 0.01, 1: 0.9}, {0: 0.5, 2: 0.6}, "not_correct"),
        (puzzle(), {0: 0.05, 1: 0.1}, {0: 0.1, 2: 0.1}, "not_hard"),
        (puzzle(plies=2), {0: 0.05}, {}, "too_short"),
        (puzzle(plies=1), {}, {}, "too_short"),
        (puzzle(plies=1, themes=("mateIn1", "short")), {}, {}, "mate_in_1"),
        (puzzle(plies=5, themes=("mateIn1",)), {0: 0.9}, {}, "mate_in_1"),
        (puzzle(plies=1, themes=("['mateIn1',", "'short']")), {}, {}, "mate_in_1"),
        (puzzle(plies=1, themes=("mateIn2",)), {}, {}, "too_short"),
        (MalformedRow(line=2, reason="bad"), {}, {}, "malformed"),
        (puzzle(plies=5), {0: 0.01, 1: 0.9}, {0: 0.9, 2: 0.9, 4: 0.4}, "not_correct"),
        (puzzle(plies=5), {0: 0.01, 1: 0.9}, {0: 0.9, 1: 0.1, 2: 0.9, 4: 0.6}, "kept"),
        # What is not known yet is not decided, and what is certain is not waited for.
        (puzzle(), {}, {}, None),
        (puzzle(), {0: 0.01}, {}, None),
        (puzzle(), {0: 0.01}, {0: 0.9}, None),
        (puzzle(), {0: 0.01}, {0: 0.9, 2: 0.9}, None),
        (puzzle(), {0: 0.01, 1: 0.1}, {0: 0.9}, None),
        (puzzle(), {0: 0.01}, {0: 0.4}, "not_correct"),
        (puzzle(), {0: 0.2}, {}, "not_hard"),
    ],
)
def test_the_first_verdict_that_applies_counts(what, weak, strong, expected):
    assert verdict(what, Criteria(), weak=answers(weak), strong=answers(strong)) == expected


def test_thresholds_are_those_given():
    lenient = Criteria(hard=0.5, correct=0.1, forcing=0.2, plies=1)
    weak, strong = answers({0: 0.4, 1: 0.3}), answers({0: 0.2, 2: 0.2})
    assert verdict(puzzle(), lenient, weak=weak, strong=strong) == "kept"
    assert verdict(puzzle(), Criteria(), weak=weak, strong=strong) == "not_hard"
    assert verdict(puzzle(plies=1), lenient, weak=weak, strong=strong) == "kept"


def test_the_least_of_the_solver_s_moves_is_known_only_when_all_are():
    assert strong_minimum(5, answers({0: 0.9, 1: 0.1, 2: 0.6, 4: 0.7})) == 0.6
    assert strong_minimum(5, answers({0: 0.9, 2: 0.6})) is None
    assert strong_minimum(1, answers({0: 0.3})) == 0.3


def test_the_presets_have_the_paper_s_thresholds():
    for preset in PRESETS.values():
        assert (preset.hard, preset.correct, preset.forcing, preset.plies) == (0.05, 0.5, 0.7, 3)
    assert PRESETS["default"].weak_history == History.FILLED
    assert PRESETS["jenner2024"].weak_history == History.JENNER2024_WEAK
    assert (
        dataclasses.replace(
            PRESETS["jenner2024"], weak_history=History.FILLED, strong_history=History.FILLED
        )
        == PRESETS["default"]
    )


def test_the_verdicts_stand_in_the_order_of_the_questions():
    assert VERDICTS == (
        "malformed",
        "duplicate_id",
        "mate_in_1",
        "too_short",
        "not_hard",
        "not_correct",
        "not_forcing",
        "kept",
    )
