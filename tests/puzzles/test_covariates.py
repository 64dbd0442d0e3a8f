"""What squares are like, against slow counts by the rules of chess."""

import chess
import numpy as np
import pytest

from leela_probe.positions.squares import NetSquare, from_board, to_board
from leela_probe.puzzles import covariates
from leela_probe.puzzles.pairs import Pair

CLEAN = "r1bq1rk1/ppp2ppp/2np1n2/2b1p3/2B1P3/2PP1N2/PP3PPP/RNBQ1RK1 w - - 0 7"
CORRUPTED = "r1bq1rk1/ppp2ppp/2np1n2/2b1p3/2B1P3/2PP4/PP3PPP/RNBQ1RK1 w - - 0 7"


def pair(clean=CLEAN, corrupted=CORRUPTED, line=("b2b4", "c5b6", "b4b5")):
    return Pair(
        puzzle_id="a",
        game_id=None,
        target_pattern="123",
        clean_fen=clean,
        corrupted_fen=corrupted,
        line=line,
    )


def mirrored(one: Pair) -> Pair:
    def flip(move: str) -> str:
        return "".join(c if c.isalpha() else str(9 - int(c)) for c in move)

    return pair(
        chess.Board(one.clean_fen).mirror().fen(),
        chess.Board(one.corrupted_fen).mirror().fen(),
        tuple(map(flip, one.line)),
    )


def test_a_row_per_square_and_every_column_is_described():
    table = covariates.of(pair())
    assert table["square"].tolist() == list(range(64))
    assert list(table)[3:] == list(covariates.COVARIATES)


def test_attackers_are_those_that_could_take_there():
    board, table = pair().clean, covariates.of(pair())
    for square in chess.SQUARES:
        for color, column in ((chess.WHITE, "own_attackers"), (chess.BLACK, "enemy_attackers")):
            slow = sum(
                square in board.attacks(start)
                for start in chess.SQUARES
                if board.color_at(start) == color
            )
            assert table.loc[square, column] == slow


def test_the_corruption_changes_attackers_where_the_knight_attacked_and_where_it_was_in_the_way():
    table = covariates.of(pair())
    changed = {chess.square_name(s) for s in table.loc[table["attackers_changed"] > 0, "square"]}
    knight = {"d2", "d4", "e1", "e5", "g1", "g5", "h2", "h4"}
    queen_sees_further = {"f3", "g4", "h5"} - {"f3"}
    assert knight <= changed
    assert changed <= knight | queen_sees_further


def test_distances_are_those_of_a_king():
    table = covariates.of(pair()).set_index("square")
    assert table.loc[chess.F3, "corruption_distance"] == 0
    assert table.loc[chess.G8, "enemy_king_distance"] == 0
    assert table.loc[chess.A1, "enemy_king_distance"] == 7
    assert table.loc[chess.B4, "first_target_distance"] == 0
    assert not table.loc[chess.B4, "first_target_line"]
    assert table.loc[chess.F8, "first_target_line"]


def test_without_a_corrupted_position_nothing_is_changed_and_its_distance_is_missing():
    table = covariates.of(pair(corrupted=None))
    assert (table["attackers_changed"] == 0).all()
    assert table["corruption_distance"].isna().all()


@pytest.mark.parametrize("seed", range(3))
def test_colours_swapped_are_the_same_on_the_movers_board(seed):
    rng = np.random.default_rng(seed)
    board = chess.Board()
    while board.fullmove_number < 12 or board.turn == chess.BLACK:
        board.push(rng.choice(list(board.legal_moves)))
    other = board.copy()
    other.remove_piece_at(rng.choice([s for s, p in board.piece_map().items() if p.piece_type < 6]))
    first = next(iter(board.legal_moves))
    one = pair(board.fen(), other.fen(), (first.uci(),))
    assert covariates.of(one).equals(covariates.of(mirrored(one)))
    assert from_board(to_board(NetSquare(9), chess.BLACK), chess.BLACK) == 9
