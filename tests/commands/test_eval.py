"""What `eval` shows of positions: a table for people, plain numbers for programs."""

import io

import chess
import pytest
from rich.console import Console

from leela_probe.commands import eval as eval_


def shown(thing: object) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=80, highlight=False).print(thing, soft_wrap=True)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("preset", ["attention", "classical", "convolution"])
def test_an_evaluation_shows_the_likeliest_moves_and_the_rest(preset, network):
    board = chess.Board()
    answers = network(preset).evaluate([board])
    lines = shown(eval_.evaluation("a-network", board, answers, 0, top=4))
    assert max(map(len, lines)) <= 80
    policy = answers.policy(0)
    assert [line.split()[1] for line in lines[3:7]] == [move.uci() for move in [*policy][:4]]
    assert lines[7].split() == ["16", "more", f"{sum([*policy.values()][4:]):.2%}"]
    assert ("plies left" in lines[1]) == (answers.moves_left is not None)
    assert ("draw" in lines[1]) == (answers.wdl is not None)
    assert f"Q {answers.q[0]:+.3f}" in lines[1]


def test_stalemate_is_said(network):
    board = chess.Board("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1")
    answers = network("attention").evaluate([board])
    lines = shown(eval_.evaluation("a-network", board, answers, 0, top=4))
    assert "Black to move" in lines[1]
    assert lines[2] == "no legal moves: stalemate"


def test_an_answer_has_plain_json_numbers(network):
    answers = network("attention").evaluate([chess.Board()])
    answer = eval_.answer(chess.STARTING_FEN, ["e2e4"], answers, 0)
    assert answer["moves"] == ["e2e4"]
    assert {type(value) for value in answer["policy"].values()} == {float}
    assert [*map(type, answer["wdl"])] == [float, float, float]
