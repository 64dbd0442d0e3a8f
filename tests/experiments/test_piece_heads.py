"""Heads that follow a piece's moves: its geometry, the rule that finds them, what is zeroed."""

import dataclasses
from types import SimpleNamespace

import chess
import numpy as np
import pytest
import torch
from example_pairs import BACK_RANK, random_pairs

from leela_probe.experiments import piece_heads, sweeps
from leela_probe.experiments.piece_heads import JENNER2024, PIECES
from leela_probe.networks.interventions import Zero
from leela_probe.positions import encoding
from leela_probe.puzzles.pairs import Pair

TYPES = {"knight": chess.KNIGHT, "bishop": chess.BISHOP, "rook": chess.ROOK}
BOARDS = [pair.clean for pair in random_pairs(31, 6)]
LISTS = {"knight": [(0, 0), (1, 0)], "bishop": [(0, 1)], "rook": [(0, 2), (1, 2), (2, 2)]}

# White's rook stands ready on d4 for the third of five plies.
ROOK = Pair(
    puzzle_id="rook",
    game_id=None,
    target_pattern="12345",
    clean_fen="2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32",
    line=("f4g6", "h7g6", "d4h4", "h8g8", "b3e6"),
)


@pytest.mark.parametrize("piece", PIECES)
def test_reach_is_what_python_chess_says_a_piece_attacks(piece):
    occupied = np.array([board.occupied for board in BOARDS] + [0], dtype=np.uint64)
    found = piece_heads.reach(piece, occupied)
    assert found.shape == (7, 64, 64)
    for board, geometry in zip([*BOARDS, chess.Board(None)], found, strict=True):
        for square in chess.SQUARES:
            placed = board.copy()
            placed.set_piece_at(square, chess.Piece(TYPES[piece], chess.WHITE))
            assert np.flatnonzero(geometry[square]).tolist() == list(placed.attacks(square))


def test_the_papers_lists_have_their_lengths_and_share_no_head():
    assert {piece: len(heads) for piece, heads in JENNER2024.items()} == {
        "knight": 22,
        "bishop": 27,
        "rook": 29,
    }
    every = [head for heads in JENNER2024.values() for head in heads]
    assert len(set(every)) == 22 + 27 + 29
    assert all(0 <= layer < 15 and 0 <= head < 24 for layer, head in every)


class Planted:
    """An attention body of 2 layers and 4 heads whose patterns are given."""

    name, body, layers, heads = "planted", "attention", 2, 4

    def __init__(self, patterns):
        self.patterns = patterns

    def encode(self, boards, *, history):
        return encoding.encode(boards, history=history)

    def stream(self, encoded, sites, *, batch_size):
        for start in range(0, len(encoded), batch_size):
            part = slice(start, min(start + batch_size, len(encoded)))
            yield {
                site: torch.from_numpy(self.patterns[part, int(site[5])]).float() for site in sites
            }


def planted():
    """Uniform attention but for one knight's head and one head that is half a rook's."""
    patterns = np.full((6, 2, 4, 64, 64), 1 / 64)
    for index, board in enumerate(BOARDS):
        for square in chess.SQUARES:
            for layer, head, piece, share in ((0, 3, "knight", 1.0), (1, 1, "rook", 0.5)):
                placed = board if board.turn else board.mirror()  # the mover's own board
                placed = placed.copy()
                placed.set_piece_at(square, chess.Piece(TYPES[piece], chess.WHITE))
                keys = list(placed.attacks(square))
                row = np.full(64, (1 - share) / 64)
                row[keys] += share / len(keys)
                patterns[index, layer, head, square] = row
    return Planted(patterns)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_a_planted_head_has_the_share_that_was_planted(batch_size):
    table = piece_heads.scores(planted(), BOARDS, batch_size=batch_size)
    assert len(table) == 2 * 4 * 3
    found = table.set_index(["layer", "head", "piece"])
    assert found.loc[(0, 3, "knight"), "share"] == pytest.approx(1.0, abs=1e-6)
    rook = found.loc[(1, 1, "rook")]
    assert rook["share"] == pytest.approx(0.5 + 0.5 * rook["uniform"], abs=1e-6)
    # attention spread evenly gives what `uniform` says: 336 knight's moves are on the board
    knight = found.loc[(0, 0, "knight")]
    assert knight["uniform"] == pytest.approx(336 / 64**2)
    assert knight["share"] == pytest.approx(336 / 64**2, abs=1e-6)


def test_the_rule_finds_planted_heads_and_no_others():
    table = piece_heads.scores(planted(), BOARDS)
    assert piece_heads.choose(table, least=0.5) == {
        "knight": ((0, 3),),
        "bishop": (),
        "rook": ((1, 1),),
    }
    assert piece_heads.choose(table, least=0.9)["rook"] == ()


def test_a_head_belongs_to_one_piece_at_most():
    table = piece_heads.scores(planted(), BOARDS)
    found = piece_heads.choose(table, least=0.0)
    every = [head for heads in found.values() for head in heads]
    assert len(every) == len(set(every)) == 8
    assert (0, 3) in found["knight"]


def test_a_real_network_has_a_score_for_each_head_and_piece(network):
    table = piece_heads.scores(network("attention"), BOARDS, batch_size=4)
    assert len(table) == 3 * 4 * 3
    assert table["share"].between(0, 1).all()
    assert table.groupby(["layer", "head"])["share"].sum().max() <= 1


def test_a_tower_has_no_scores(network):
    with pytest.raises(ValueError, match="is a residual tower and has no attention patterns"):
        piece_heads.scores(network("se-convolution"), BOARDS)


def test_no_boards_have_no_scores(network):
    with pytest.raises(ValueError, match="no boards to average over"):
        piece_heads.scores(network("attention"), [])


# -- what is zeroed -------------------------------------------------------------------------------


def heads_of(change):
    return [(int(made.site[5:].split(".")[0]), *made.head) for made in change.interventions]


def test_the_column_of_the_third_target_is_zeroed_in_the_pieces_own_heads(network):
    sweep = sweeps.piece_heads(network("attention"), LISTS)
    own, _, _ = sweep.points(ROOK)
    assert own.label == "rook: own heads"
    assert own.key == ROOK.target(3) == chess.H4
    assert heads_of(own) == LISTS["rook"]
    for made in own.interventions:
        assert made.action == Zero()
        assert set(made.key) == {chess.H4}
        # every query but the third move's source
        assert set(made.query) == set(range(64)) - {chess.D4}
        assert len(made.query) == 63
    assert not sweep.needs_partner


def test_controls_are_matched_in_number_and_avoid_the_target(network):
    lists = {"knight": [(0, 0), (1, 0)], "bishop": [(0, 1), (2, 1)], "rook": [(0, 2), (1, 2)]}
    sweep = sweeps.piece_heads(network("attention"), lists)
    columns, apart = set(), 0
    for number in range(300):
        pair = dataclasses.replace(ROOK, puzzle_id=str(number))
        own, others, random_column = sweep.points(pair)
        assert others.label == "rook: other pieces' heads"
        assert len(set(heads_of(others))) == len(heads_of(own)) == 2
        assert set(heads_of(others)) <= {*lists["knight"], *lists["bishop"]}
        assert others.key == chess.H4
        assert random_column.label == "rook: random column"
        assert heads_of(random_column) == heads_of(own)
        assert random_column.key is None
        drawn = [set(made.key) for made in random_column.interventions]
        assert all(len(column) == 1 for column in drawn)
        columns.update(*drawn)
        apart += drawn[0] != drawn[1]
        for made in random_column.interventions:
            assert set(made.query) == set(range(64)) - {chess.D4}
    assert columns == set(range(64)) - {chess.H4, chess.D4}
    assert apart > 250  # every head has a column of its own


def test_controls_depend_on_the_seed_and_the_puzzle_alone(network):
    pairs = [dataclasses.replace(ROOK, puzzle_id=str(number)) for number in range(8)]

    def drawn(seed, some):
        sweep = sweeps.piece_heads(network("attention"), LISTS, seed=seed)
        return {
            pair.puzzle_id: [
                (change.label, heads_of(change), [made.key for made in change.interventions])
                for change in found
            ]
            for pair in some
            for found in [sweep.points(pair)]
        }

    assert drawn(0, pairs) == drawn(0, pairs[::-1])
    assert drawn(0, pairs) != drawn(1, pairs)


def test_fewer_heads_of_other_pieces_than_own_are_all_taken(network):
    sweep = sweeps.piece_heads(network("attention"), {"rook": LISTS["rook"], "knight": [(0, 0)]})
    _, others, _ = sweep.points(ROOK)
    assert heads_of(others) == [(0, 0)]
    assert piece_heads.control_sizes({"rook": LISTS["rook"], "knight": [(0, 0)]}) == {
        "rook": (3, 1),
        "knight": (1, 1),
    }
    alone = sweeps.piece_heads(network("attention"), {"rook": LISTS["rook"]})
    assert [change.label for change in alone.points(ROOK)] == [
        "rook: own heads",
        "rook: random column",
    ]


def test_black_is_looked_at_from_its_own_side(network):
    white = ROOK.clean
    black = dataclasses.replace(
        ROOK,
        clean_fen=white.mirror().fen(),
        line=tuple(
            chess.Move(
                chess.square_mirror(move.from_square), chess.square_mirror(move.to_square)
            ).uci()
            for move in ROOK.moves
        ),
    )
    sweep = sweeps.piece_heads(network("attention"), LISTS)
    for one, other in zip(sweep.points(ROOK), sweep.points(black), strict=True):
        assert (one.label, one.key, heads_of(one)) == (other.label, other.key, heads_of(other))
        assert [made.query for made in one.interventions] == [
            made.query for made in other.interventions
        ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (ROOK.line[:4], "fewer than five plies"),
        (("f4g6", "h7g6", "b3e6", "h8h7", "d4h4"), "a queen"),
        (("f4g6", "h7g6", "g6f8", "c8f8", "d4h4"), "the source is empty now"),
        (("f4g6", "h7g6", "f8f7", "h8g8", "d4h4"), "an enemy rook"),
        (("f4g6", "h7g6", "b2b4", "h8g8", "d4h4"), "a pawn"),
    ],
)
def test_other_puzzles_have_nothing_to_change(line, why, network):
    sweep = sweeps.piece_heads(network("attention"), LISTS)
    assert sweep.points(dataclasses.replace(ROOK, line=line)) == [], why
    assert "third of five plies" in sweep.reason


def test_a_piece_without_heads_has_nothing_to_change(network):
    sweep = sweeps.piece_heads(network("attention"), {"knight": [(0, 0)], "rook": []})
    assert sweep.points(ROOK) == []
    assert sweep.points(BACK_RANK) == []


def test_the_papers_lists_do_for_the_papers_network():
    deep = SimpleNamespace(
        name="t82",
        body="attention",
        layers=15,
        heads=24,
        sites={f"layer{layer}.pattern" for layer in range(15)},
    )
    own, others, _ = sweeps.piece_heads(deep, JENNER2024).points(ROOK)
    assert sorted(heads_of(own)) == sorted(JENNER2024["rook"])
    assert len(heads_of(others)) == 29
