"""Positions, puzzles and evaluations show themselves as boards in Jupyter."""

import re
from pathlib import Path

import chess

from leela_probe.networks import network
from leela_probe.networks.evaluation import BOARDS_SHOWN
from leela_probe.positions import board_html
from leela_probe.puzzles import lichess
from leela_probe.puzzles.pairs import Pair

SAMPLE = Path(__file__).parents[2] / "puzzles" / "sample.csv"


def test_captions_cannot_break_the_page():
    html = board_html.row([board_html.board(chess.Board(), caption="a<b & c")], note="<d>")
    assert "a&lt;b &amp; c" in html
    assert "&lt;d&gt;" in html
    assert "<d>" not in html


def test_the_mover_sits_below():
    def height(position: chess.Board, square: str) -> float:
        (tag,) = re.findall(rf'<rect [^>]*class="square [^"]*{square}"[^>]*>', svg(position))
        return float(re.search(r' y="([\d.]+)"', tag)[1])

    def svg(position: chess.Board) -> str:
        return board_html.board(position)

    black = chess.Board()
    black.push(chess.Move.null())
    assert height(chess.Board(), "a1") > height(chess.Board(), "a8")
    assert height(black, "a1") < height(black, "a8")


def test_a_puzzle_is_a_board_with_its_line():
    puzzle = next(iter(lichess.read(SAMPLE)))
    html = puzzle._repr_html_()
    assert puzzle.puzzle_id in html
    assert puzzle.board().variation_san(puzzle.principal_variation) in html.replace("&#39;", "'")
    assert html.count('class="arrow"') == 2 * len(puzzle.principal_variation)


def test_a_pair_shows_both_positions_and_marks_the_change():
    pair = Pair(
        puzzle_id="a",
        game_id=None,
        target_pattern="123",
        clean_fen="7k/8/8/8/8/8/R7/6K1 w - - 0 1",
        line=("a2a8", "h8h7"),
        corrupted_fen="7k/8/8/8/8/8/1R6/6K1 w - - 0 1",
    )
    html = pair._repr_html_()
    assert html.count("<svg") == 2
    assert html.count("#DDCC77") == 2  # the square left and the square entered
    assert "corrupted partner" in html


def test_an_evaluation_shows_boards_moves_and_values(attention_file):
    net = network.load(attention_file)
    mated = chess.Board("R5k1/5ppp/8/8/8/8/8/6K1 b - - 0 1")
    evaluation = net.evaluate([chess.Board(), mated])
    html = evaluation._repr_html_()
    assert html.count("<svg") == 2
    assert html.count("no legal move") == 1
    move, probability = next(iter(evaluation.policy(0).items()))
    assert f"<td>{chess.Board().san(move)}</td><td>{probability:.1%}</td>" in html
    assert f"Q {evaluation.q[0]:+.2f}" in html


def test_a_long_batch_says_how_many_boards_it_does_not_show(attention_file):
    evaluation = network.load(attention_file).evaluate([chess.Board()] * (BOARDS_SHOWN + 3))
    html = evaluation._repr_html_()
    assert html.count("<svg") == BOARDS_SHOWN
    assert "3 more boards, not shown" in html


def test_a_board_changed_later_is_shown_as_it_was_evaluated(attention_file):
    board = chess.Board()
    evaluation = network.load(attention_file).evaluate([board])
    before = evaluation._repr_html_()
    board.push_san("e4")
    assert evaluation._repr_html_() == before
