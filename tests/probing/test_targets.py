"""What probes are asked."""

from __future__ import annotations

import re

import chess
import numpy as np
import pytest
from example_pairs import BACK_RANK, BACK_RANK_BLACK, BY_HAND, random_pairs

from leela_probe.positions.squares import parse_name
from leela_probe.probing import targets
from leela_probe.puzzles.pairs import Pair


def test_colour_mirrored_puzzles_have_the_same_answers():
    for kind in ("target", "source"):
        for ply in (1, 2, 3):
            found = targets.target_of([BACK_RANK, BACK_RANK_BLACK], kind, ply)
            assert found.answer[0] == found.answer[1]
            assert found.given[0] == found.given[1]


def test_answers_are_the_squares_of_the_line_on_the_movers_board():
    # the knight's sacrifice of the paper: Ng6+ hxg6 Rh4 mate
    pair = BY_HAND[2]
    squares = {
        ("target", 3): ("h4", "g6"),
        ("source", 3): ("d4", "h4"),
        ("target", 2): ("g6", "g6"),
        ("source", 2): ("h7", "g6"),
        ("source", 1): ("f4", "g6"),
    }
    for (kind, ply), (answer, given) in squares.items():
        found = targets.target_of([pair], kind, ply)
        assert (found.answer[0], found.given[0]) == (parse_name(answer), parse_name(given))


def test_plies_past_the_end_of_a_line_are_not_known():
    long = random_pairs(1, 2, plies=5)
    found = targets.target_of([*long, BACK_RANK], "target", 5)
    assert found.known.tolist() == [True, True, False]


def test_the_share_of_trivial_answers_is_counted():
    # the 2nd move takes back on the 1st target, the 3rd goes elsewhere
    assert targets.target_of([BACK_RANK], "target", 2).trivial == 1.0
    assert targets.target_of([BACK_RANK], "target", 3).trivial == 0.0
    assert targets.target_of([BACK_RANK], "target", 1).trivial == 1.0
    assert np.isnan(targets.target_of([BACK_RANK], "target", 9).trivial)


def test_a_control_task_answers_alike_where_square_and_piece_are_alike():
    pairs = random_pairs(3, 80)
    asked = targets.targets_of(pairs, [3])
    tasks = targets.control_tasks(pairs, asked, seed=4)
    assert [task.name for task in tasks] == ["target 3 (control task)", "source 3 (control task)"]
    for real, task in zip(asked, tasks, strict=True):
        answers: dict[tuple[object, ...], set[int]] = {}
        for pair, given, answer in zip(pairs, task.given, task.answer, strict=True):
            square = chess.SQUARES[given] if pair.turn else chess.square_mirror(given)
            piece = pair.clean.piece_at(square)
            word = (given, piece and (piece.piece_type, piece.color == pair.turn))
            answers.setdefault(word, set()).add(int(answer))
        assert len(answers) < 80  # some come twice
        assert {len(found) for found in answers.values()} == {1}
        assert set(task.answer) <= set(real.answer)
        assert (task.answer != real.answer).mean() > 0.8
    again, other = (targets.control_tasks(pairs, asked, seed=seed) for seed in (4, 5))
    assert (tasks[0].answer == again[0].answer).all()
    assert (tasks[0].answer != other[0].answer).any()


def test_the_source_of_a_control_task_is_told_the_target_of_the_control_task():
    pairs = random_pairs(3, 20)
    target, source = targets.control_tasks(pairs, targets.targets_of(pairs, [3]), seed=4)
    assert (source.given == target.answer).all()
    (alone,) = targets.control_tasks(pairs, [targets.target_of(pairs, "source", 3)], seed=4)
    assert (alone.given == targets.target_of(pairs, "source", 3).given).all()


def test_subsets_tell_which_targets_coincide():
    once = Pair(  # 111: all of it on e8
        puzzle_id="111",
        game_id=None,
        target_pattern="111",
        clean_fen="3rr1k1/8/8/8/8/8/4R3/4R1K1 w - - 0 1",
        line=("e2e8", "d8e8", "e1e8"),
    )
    pairs = [BACK_RANK, once]
    assert targets.subset(pairs, "all").all()
    assert targets.subset(pairs, "differing").tolist() == [True, False]
    assert targets.subset(pairs, "different").tolist() == [False, False]
    assert targets.subset(pairs, "same").all()
    shuffle = random_pairs(9, 60)
    for pair, differs, apart in zip(
        shuffle,
        targets.subset(shuffle, "differing"),
        targets.subset(shuffle, "different"),
        strict=True,
    ):
        ends = [move.to_square for move in pair.moves[:3]]
        assert differs == (ends[0] != ends[2])
        assert apart == (len(set(ends)) == 3)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: targets.target_of([BACK_RANK], "origin", 3),
            "'origin' is neither target nor source",
        ),
        (lambda: targets.target_of([BACK_RANK], "target", 0), "ply 0 asked for"),
        (lambda: targets.targets_of([BACK_RANK], [3, 3]), "name each once"),
        (lambda: targets.targets_of([BACK_RANK], [3, 7]), "no puzzle has a ply 7"),
        (lambda: targets.subset([BACK_RANK], "odd"), "unknown subset 'odd'"),
    ],
)
def test_targets_that_make_no_sense_are_refused(ask, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ask()
