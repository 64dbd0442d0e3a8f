"""lc0 itself loads every network that comes along, agrees with us about it and plays with it."""

import shutil
import subprocess
import sys
from pathlib import Path

import chess
import chess.engine
import lc0_witness
import numpy as np
import pytest

from leela_probe.files import bundled
from leela_probe.networks import lc0_answers, network
from leela_probe.networks.verification import POSITIONS
from leela_probe.puzzles import lichess

NAMES = [name for name, file in bundled.FILES.items() if file.endswith(".pb.gz")]
LIMITS = {"strong": 5e6, "weak": 1.5e6}  # bytes


@pytest.mark.parametrize("name", NAMES)
def test_lc0_gives_the_same_policy_and_value(name, cache):
    path = bundled.path(f"bundled:{name}")
    rows = [row for row in lichess.read(bundled.path("bundled:mates")) if row.moves][:20]
    positions = [*POSITIONS, *((row.fen, (row.moves[0],)) for row in rows)]
    boards = []
    for fen, moves in positions:
        boards.append(chess.Board(fen))
        for move in moves:
            boards[-1].push_uci(move)
    alive = [row for row, board in enumerate(boards) if not board.is_game_over()]
    evaluation = network.load(path, cache=cache).evaluate([boards[row] for row in alive])
    answers = lc0_answers.ask(path, [positions[row] for row in alive])
    for row, answer in enumerate(answers):
        ours = {move.uci(): p for move, p in evaluation.policy(row).items()}
        assert ours == pytest.approx(answer.policy, abs=1e-5)
        assert evaluation.q[row] == pytest.approx(answer.q, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_lc0_plays_a_legal_game_with_it(name):
    program = shutil.which("lc0", path=str(Path(sys.executable).parent)) or shutil.which("lc0")
    options = [f"--weights={bundled.path(f'bundled:{name}')}", "--backend=eigen", "--threads=1"]
    board = chess.Board()
    with chess.engine.SimpleEngine.popen_uci(
        [program, *options], stderr=subprocess.DEVNULL
    ) as engine:
        while not board.is_game_over() and board.ply() < 80:
            found = engine.play(board, chess.engine.Limit(nodes=1))
            assert found.move in board.legal_moves
            board.push(found.move)
    assert board.ply() > 5


@pytest.mark.parametrize("name", LIMITS)
def test_it_is_small_and_its_numbers_are_finite(name, cache):
    path = bundled.path(f"bundled:{name}")
    assert path.stat().st_size <= LIMITS[name]
    evaluation = network.load(path, cache=cache).evaluate(
        [lc0_witness.game(seed) for seed in range(40)]
    )
    assert np.isfinite(evaluation.q).all()
