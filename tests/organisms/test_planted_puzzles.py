"""Planted puzzles are legal chess and differ where they should; python-chess is the witness."""

from collections import Counter

import chess
import pytest

from leela_probe.experiments import effects, sweeps
from leela_probe.files import bundled
from leela_probe.networks import network
from leela_probe.organisms import planted, planted_puzzles
from leela_probe.puzzles import pairs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    nets = {kind: planted.write(folder / "n.pb", kind, seed=1) for kind in planted.KINDS}
    puzzles = {kind: planted_puzzles.make(net, 30, seed=4) for kind, net in nets.items()}
    return nets, puzzles | {"none": planted_puzzles.make(None, 150, seed=4)}


def every_pair(puzzles):
    return [
        pair for some in puzzles.values() for each in some for pair in (each.planted, each.placebo)
    ]


def test_every_line_is_legal_and_its_third_target_is_blocked_in_the_partner_alone(made):
    for pair in every_pair(made[1]):
        board, partner = pair.clean, pair.corrupted
        assert board.is_valid()
        assert partner.is_valid()
        assert board.turn == partner.turn
        third = pair.moves[2].to_square
        assert board.piece_at(third) is None
        assert partner.piece_at(third).color != board.turn
        assert pair.changed_squares() == (pair.target(3),)
        assert partner.is_legal(pair.moves[0])
        assert pair.moves[0].to_square != third
        for move in pair.moves:
            assert board.is_legal(move)
            board.push(move)


def test_the_first_move_alone_takes_the_only_knight(made):
    for pair in every_pair(made[1]):
        board = pair.clean
        (knight,) = board.pieces(chess.KNIGHT, not board.turn)
        captures = [move for move in board.legal_moves if move.to_square == knight]
        assert captures == [pair.moves[0]]
        assert not pair.corrupted.pieces(chess.KNIGHT, not board.turn) - chess.SquareSet([knight])


def test_the_planted_line_goes_to_the_partner_and_the_placebo_elsewhere(made):
    nets, puzzles = made
    for kind in planted.KINDS:
        for puzzle in puzzles[kind]:
            line, other = puzzle.planted, puzzle.placebo
            assert line.target(3) == nets[kind].partner[line.target(1)]
            assert other.target(3) != line.target(3)
            assert other.clean_fen == line.clean_fen
            assert other.line[:2] == line.line[:2]
            both = [pair.corrupted.fen().split()[0] for pair in (line, other)]
            assert Counter(filter(str.isalpha, both[0])) == Counter(filter(str.isalpha, both[1]))


def test_a_sequence_has_a_bishop_on_the_square_between(made):
    nets, puzzles = made
    for puzzle in puzzles["sequence"]:
        board = puzzle.planted.clean
        (bishop,) = board.pieces(chess.BISHOP, not board.turn)
        square = bishop if board.turn else chess.square_mirror(bishop)
        assert square == nets["sequence"].middle[puzzle.planted.target(1)]


def test_squares_and_colours_vary(made):
    puzzles = made[1]["none"]
    assert len({puzzle.planted.target(1) for puzzle in puzzles}) > 40
    assert len({puzzle.planted.target(3) for puzzle in puzzles}) > 40
    assert 0.35 < sum(puzzle.planted.turn for puzzle in puzzles) / len(puzzles) < 0.65
    assert len({puzzle.planted.clean_fen for puzzle in puzzles}) == len(puzzles)
    assert len({puzzle.planted.puzzle_id for puzzle in puzzles}) == len(puzzles)


def test_without_a_network_the_two_squares_are_drawn_alike(made):
    # a sign test on which of the two is nearer to the knight
    nearer = 0, 0
    for puzzle in made[1]["none"]:
        one, other = (
            chess.square_distance(pair.target(1), pair.target(3))
            for pair in (puzzle.planted, puzzle.placebo)
        )
        nearer = nearer[0] + (one < other), nearer[1] + (other < one)
    assert abs(nearer[0] - nearer[1]) < 3 * sum(nearer) ** 0.5


def test_the_same_seed_gives_the_same_puzzles():
    assert planted_puzzles.make(None, 3, seed=8) == planted_puzzles.make(None, 3, seed=8)
    assert planted_puzzles.make(None, 3, seed=8) != planted_puzzles.make(None, 3, seed=9)


def test_a_file_of_puzzles_is_read_back_as_its_pairs(tmp_path):
    puzzles = planted_puzzles.make(None, 8, seed=2)
    planted_puzzles.write(tmp_path / "puzzles.csv", puzzles)
    read = pairs.read(tmp_path / "puzzles.csv")
    assert [(each.puzzle_id, each.clean_fen, each.corrupted_fen, each.line) for each in read] == [
        (each.puzzle_id, each.clean_fen, each.corrupted_fen, each.line)
        for each in (puzzle.planted for puzzle in puzzles)
    ]


def test_the_puzzles_that_come_along_show_what_the_planted_network_does(tmp_path):
    made = planted.write(tmp_path / "planted.pb.gz", "single", seed=0)
    planted_puzzles.write(tmp_path / "again.csv", planted_puzzles.make(made, 100, seed=0))
    shipped = bundled.path("bundled:planted-puzzles")
    assert shipped.read_bytes() == (tmp_path / "again.csv").read_bytes()
    net = network.load("bundled:planted")
    some = pairs.read(shipped)[:10]
    table = effects.measure(net, some, sweeps.heads(net))
    mean = table.groupby(["layer", "head"])["effect"].mean()
    assert mean.idxmax() == made.heads[0]
    assert mean.max() > 4
