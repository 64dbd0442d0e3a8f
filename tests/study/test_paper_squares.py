"""The paper's kinds of squares, as its code chose them."""

from dataclasses import replace

import example_pairs
import pytest

from leela_probe.study import paper_squares


def test_the_squares_of_a_puzzle_are_as_the_papers_code_chose_them():
    # h4 is the third target, g6 the first, h6 the corrupted square of the running example
    squares = paper_squares.of(example_pairs.KNIGHT_SACRIFICE)
    assert squares["first"] == (46,)
    assert squares["third_and_later"] == (31,)
    assert squares["corrupted"] == (47,)
    assert len(squares["other"]) == 61
    assert tuple(squares) == paper_squares.KINDS


def test_the_kinds_divide_the_board():
    for pair in example_pairs.random_pairs(3, 20):
        squares = paper_squares.of(pair)
        if squares is not None:
            assert sorted(square for kind in squares.values() for square in kind) == [*range(64)]


def test_the_opponents_later_targets_count_as_later():
    pair = replace(example_pairs.KNIGHT_SACRIFICE, line=("f4g6", "h7g6", "d4h4", "h8g8", "h4h1"))
    assert paper_squares.of(pair)["third_and_later"] == (7, 31, 62)


@pytest.mark.parametrize(
    "line",
    [
        ("f4g6", "h7g6"),  # no third move
        ("f4g6", "h7g6", "a1g6"),  # to the first target
        ("f4g6", "h7g6", "d4h6"),  # to the corrupted square
        ("f4g6", "h7g6", "d4h4", "h8g6"),  # a later one to the first target
    ],
)
def test_puzzles_in_which_two_kinds_share_a_square_are_skipped(line):
    assert paper_squares.of(replace(example_pairs.KNIGHT_SACRIFICE, line=line)) is None
