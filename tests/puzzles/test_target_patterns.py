"""Target patterns, against a table made by hand."""

import chess
import pytest

from leela_probe.puzzles import target_patterns


def line(text):
    return [chess.Move.from_uci(word) for word in text.split()]


@pytest.mark.parametrize(
    ("moves", "label", "equal"),
    [
        ("c2h7 g8h7 g7g8q", "112", (True, False, False)),
        ("d6c5 d4c5 g5g4", "112", (True, False, False)),
        ("b7d7 d6d7 b4d7", "111", (True, True, True)),
        ("c8c5 b4b5 f3f2", "123", (False, False, False)),
        ("c8c5 b4b5 f3c5", "121", (False, True, False)),
        ("c8c5 b4b5 f3b5", "122", (False, False, True)),
        ("g3g7 h7g7 d5d7 g7f8 d7c8", "11234", (True, False, False)),
        ("g3g7 h7g7 d5d7 g7d7 e1d7", "11222", (True, False, False)),
        ("f4g6 h7g6", "11", (True, None, None)),
        ("f4g6", "1", (None, None, None)),
        ("a7a8q b7a8", "11", (True, None, None)),
    ],
)
def test_labels_and_flags_of_lines(moves, label, equal):
    assert target_patterns.label(line(moves)) == label
    found = tuple(
        target_patterns.same_target(line(moves), *pair) for pair in ((1, 2), (1, 3), (2, 3))
    )
    assert found == equal


def test_more_than_nine_targets_are_told_apart():
    moves = [chess.Move(63, square) for square in range(12)]
    assert target_patterns.label(moves) == "1-2-3-4-5-6-7-8-9-10-11-12"
    assert target_patterns.label(moves[:9]) == "123456789"


@pytest.mark.parametrize(
    "squares", [(1, 2, 1), (1, 1, 2), (1, 2, 3), (1, 2, 2), (1, 1, 1), (1, 1), (1,)]
)
@pytest.mark.parametrize("more", [0, 5, 12], ids=["alone", "few more", "past nine"])
def test_a_label_tells_what_the_moves_tell(squares, more):
    moves = [chess.Move(63, square) for square in (*squares, *range(20, 20 + more))]
    label = target_patterns.label(moves)
    assert ("-" in label) == (len({move.to_square for move in moves}) > 9)
    same = target_patterns.same_target(moves, 1, 3)
    assert target_patterns.first_and_third_differ(label) == (same is False)
    numbers = target_patterns.targets(label)
    assert [numbers.index(number) for number in numbers] == [
        [move.to_square for move in moves].index(move.to_square) for move in moves
    ]


def test_a_missing_label_tells_nothing():
    assert target_patterns.targets("nan") == ()
    assert not target_patterns.first_and_third_differ("<NA>")
