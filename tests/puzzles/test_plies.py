"""What a network says of each ply: the same as asking it about each position alone."""

import chess
import numpy as np
import pytest
from puzzle_dumps import HashNetwork, random_rows

from leela_probe.networks import evaluation
from leela_probe.positions import encoding
from leela_probe.positions.planes import History, InputFormat
from leela_probe.puzzles import lichess, plies
from leela_probe.puzzles.dumps import Row

PUZZLES = [
    lichess.parse(Row(line, row["PuzzleId"], row["FEN"], row["Moves"]))
    for line, row in enumerate(random_rows(8, 20))
]
VIEW = plies.View(input_format=InputFormat.CLASSICAL, no_history=False, history=History.FILLED)
WANTED = [(number, puzzle, range(len(puzzle.moves) - 1)) for number, puzzle in enumerate(PUZZLES)]


def test_a_random_network_of_our_own_says_the_same_as_board_by_board(network):
    found = network("se-convolution")
    answers = plies.ask(found, plies.encode(WANTED[:6], VIEW))
    for number, puzzle, asked in WANTED[:6]:
        board = chess.Board(puzzle.fen)
        board.push_uci(puzzle.moves[0])
        for ply in asked:
            alone = found.evaluate([board])
            move = chess.Move.from_uci(puzzle.moves[ply + 1])
            answer = answers[number, ply]
            assert answer.probability == pytest.approx(alone.policy(0)[move], abs=1e-6)
            assert answer.top == next(iter(alone.policy(0))).uci()
            assert answer.legal == board.legal_moves.count()
            assert answer.q == pytest.approx(alone.q[0], abs=1e-6)
            assert answer.wdl == pytest.approx(tuple(alone.wdl[0]), abs=1e-6)
            board.push(move)


def test_boards_that_the_caller_has_are_used_and_give_the_same():
    boards = {number: puzzle.board() for number, puzzle in enumerate(PUZZLES)}
    before = {number: board.fen() for number, board in boards.items()}
    ours, theirs = plies.encode(WANTED, VIEW), plies.encode(WANTED, VIEW, boards=boards)
    np.testing.assert_array_equal(ours.boards.masks, theirs.boards.masks)
    np.testing.assert_array_equal(ours.played, theirs.played)
    assert {number: board.fen() for number, board in boards.items()} == before


def test_taking_positions_is_encoding_those_positions():
    every = plies.encode(WANTED, VIEW)
    some = every.take([(3, 0), (1, 0), (0, 0)])
    expected = plies.encode([(number, PUZZLES[number], (0,)) for number in (3, 1, 0)], VIEW)
    assert some.keys == expected.keys
    np.testing.assert_array_equal(some.played, expected.played)
    np.testing.assert_array_equal(some.boards.masks, expected.boards.masks)
    np.testing.assert_array_equal(some.boards.slots, expected.boards.slots)


def test_a_range_of_positions_is_those_positions():
    every = plies.encode(WANTED, VIEW)
    some, expected = every[3:9], every.take(every.keys[3:9])
    assert some.keys == expected.keys
    np.testing.assert_array_equal(some.played, expected.played)
    np.testing.assert_array_equal(some.boards.masks, expected.boards.masks)
    np.testing.assert_array_equal(some.boards.slots, expected.boards.slots)


def test_nothing_asked_is_nothing_answered(tmp_path):
    assert plies.ask(HashNetwork(tmp_path / "net"), plies.encode([], VIEW)) == {}


def test_answers_that_are_not_finite_are_refused(tmp_path):
    found = HashNetwork(tmp_path / "net", sharpness=float("nan"))
    with pytest.raises(ValueError, match="the network 'net' gives answers that are not finite"):
        plies.ask(found, plies.encode(WANTED[:1], VIEW))


def test_a_network_without_value_head_gives_no_value():
    class PolicyOnly(HashNetwork):
        def __init__(self):
            self.name, self._seed, self.sharpness, self.evaluated = "net", 1, 1.0, 0

        def evaluate(self, encoded, *, batch_size=256):
            found = super().evaluate(encoded, batch_size=batch_size)
            return evaluation.from_logits(
                encoded, found.logits, wdl=None, value=None, moves_left=None
            )

    answer = plies.ask(PolicyOnly(), plies.encode(WANTED[:1], VIEW))[0, 0]
    assert (answer.q, answer.wdl) == (None, None)


@pytest.mark.parametrize("history", list(History))
def test_the_view_decides_what_the_network_is_shown(history):
    view = plies.View(input_format=InputFormat.CANONICAL, no_history=False, history=history)
    found = plies.encode([(0, PUZZLES[0], (0,))], view).boards.masks
    expected = encoding.encode(
        [PUZZLES[0].board()], input_format=InputFormat.CANONICAL, history=history
    ).masks
    np.testing.assert_array_equal(found, expected)
