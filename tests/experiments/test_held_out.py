"""Held-out positions are legal, undecided and depend on the seed alone."""

from leela_probe.experiments import held_out


def test_positions_are_legal_and_undecided():
    for board in held_out.boards(20, seed=3):
        assert board.is_valid()
        assert not board.is_game_over()
        assert 8 <= len(board.move_stack) <= 60


def test_positions_depend_on_the_seed_alone():
    first, again, other = (
        [board.fen() for board in held_out.boards(6, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
