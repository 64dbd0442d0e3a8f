"""What each square is to a line: names, several at once, and a control of the same kind."""

import dataclasses

import chess
import pytest
from example_pairs import BACK_RANK, BACK_RANK_BLACK, KNIGHT_SACRIFICE, random_pairs

from leela_probe.experiments import categories
from leela_probe.positions.squares import name, parse_name, to_board
from leela_probe.puzzles.pairs import Pair

MANY = random_pairs(21, 40)


def named(pair, **kinds):
    """The names of the squares that have any, by square name."""
    found = categories.of(pair, **kinds)
    assert list(found) == list(range(64))
    return {name(square): names for square, names in found.items() if names != ("other",)}


@pytest.mark.parametrize("pair", [BACK_RANK, BACK_RANK_BLACK])
def test_squares_are_named_from_the_movers_side(pair):
    found = named(pair)
    control = [square for square, names in found.items() if "matched_control" in names]
    assert len(control) == 1
    del found[control[0]]
    assert found == {
        "g7": ("corrupted",),
        "c2": ("ply1_source",),
        "c8": ("ply1_target", "ply2_target"),
        "e6": ("ply2_source",),
        "e8": ("ply3_target",),
        "e1": ("ply3_source",),
    }


def test_a_square_carries_all_its_names():
    pair = dataclasses.replace(
        BACK_RANK,
        line=("c2c8", "e6c8", "e1e8", "c8e8"),
        corrupted_fen="4r1k1/pp3ppp/4b3/1B6/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1",
    )
    found = named(pair, favourite=chess.Move.from_uci("e1e8"))
    assert found["e8"] == ("corrupted", "ply3_target", "ply4_target", "corrupted_favourite")
    assert found["d5"] == ("corrupted",)
    assert found["c8"] == ("ply1_target", "ply2_target", "ply4_source")


def test_the_favourite_of_the_corrupted_board_is_named_from_the_movers_side():
    found = named(BACK_RANK_BLACK, favourite=chess.Move.from_uci("f7f6"))
    assert found["f3"] == ("corrupted_favourite",)


def test_a_puzzle_without_partner_has_no_corrupted_square():
    pair = dataclasses.replace(BACK_RANK, corrupted_fen=None)
    assert not any("corrupted" in names for names in categories.of(pair).values())


def test_a_line_of_two_plies_has_no_control():
    pair = dataclasses.replace(BACK_RANK, line=BACK_RANK.line[:2])
    assert not any("matched_control" in names for names in categories.of(pair).values())
    assert categories.matched_control(pair, set()) is None


def test_the_control_is_an_unnamed_square_in_the_state_of_the_third_target():
    for pair in (BACK_RANK, BACK_RANK_BLACK, KNIGHT_SACRIFICE, *MANY):
        found = categories.of(pair)
        (control,) = (s for s, names in found.items() if "matched_control" in names)
        assert found[control] == ("matched_control",)
        board = pair.clean

        def state(square, board=board, pair=pair):
            return board.color_at(to_board(square, pair.turn))

        assert state(control) == state(pair.target(3))
        # no other such square has a distance from the first target nearer to the third's
        first, third = pair.target(1), pair.target(3)
        wanted = chess.square_distance(first, third)
        free = [
            s
            for s, names in found.items()
            if names in (("other",), ("matched_control",)) and state(s) == state(third)
        ]
        misses = {s: abs(chess.square_distance(first, s) - wanted) for s in free}
        assert misses[control] == min(misses.values())


def test_the_control_depends_on_the_seed_and_the_puzzle_alone():
    def controls(seed, some):
        return [
            square
            for pair in some
            for square, names in categories.of(pair, seed=seed).items()
            if "matched_control" in names
        ]

    assert controls(0, MANY) == controls(0, MANY)
    assert controls(0, MANY)[::-1] == controls(0, MANY[::-1])
    assert controls(0, MANY) != controls(1, MANY)
    # one position under many names: every equally good square is drawn
    renamed = [dataclasses.replace(BACK_RANK, puzzle_id=str(number)) for number in range(60)]
    assert len(set(controls(0, renamed))) > 3


def test_where_no_square_is_like_the_third_target_there_is_no_control():
    # the third move takes the only enemy piece
    pair = Pair(
        puzzle_id="lone",
        game_id=None,
        target_pattern="123",
        clean_fen="8/8/8/8/8/8/8/k1KR4 w - - 0 1",
        line=("d1d2", "a1a2", "d2a1"),
    )
    assert categories.matched_control(pair, set()) == parse_name("a1")
    named = {pair.target(1), pair.target(2), pair.target(3)}
    assert categories.matched_control(pair, named) is None


# -- tables ---------------------------------------------------------------------------------------


def test_every_category_is_some_square_of_a_puzzle():
    found = {n for pair in MANY for names in categories.of(pair).values() for n in names}
    plies = {f"ply{ply}_{end}" for ply in range(1, 6) for end in ("target", "source")}
    assert found == plies | {"corrupted", "matched_control", "other"}
