"""What lc0 itself says about planes and policy slots, and random games to ask it about."""

import random
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import chess
import numpy as np
from lczero import backends

from leela_probe.positions.planes import InputFormat
from leela_probe.weights import random_networks
from leela_probe.weights.architectures import Architecture

REPEATS_ONLY = (InputFormat.CANONICAL_V2, InputFormat.CANONICAL_V2_ARMAGEDDON)
SHUFFLE = 0.9


def network(folder: Path, input_format: InputFormat) -> Path:
    """A small random network of that input format."""
    path = folder / f"input{input_format.value}.pb.gz"
    architecture = Architecture(input_format=input_format, blocks=1, filters=8)
    random_networks.write(path, architecture, seed=7)
    return path


@cache
def _backend(weights: Path) -> backends.Backend:
    return backends.Backend(backends.Weights(str(weights)), "eigen")


def _state(board: chess.Board) -> backends.GameState:
    root = board.root()
    fen = root.shredder_fen(en_passant="fen") if root.chess960 else root.fen(en_passant="fen")
    return backends.GameState(fen=fen, moves=[move.uci() for move in board.move_stack])


def safe(board: chess.Board, input_format: InputFormat) -> bool:
    """Whether lc0 survives: in format v2 it runs past the start of a history that is cut off."""
    return input_format not in REPEATS_ONLY or board.root().halfmove_clock == 0


def planes(board: chess.Board, weights: Path) -> tuple[list[int], list[float]]:
    """lc0's masks and values of the 112 planes."""
    answer = _state(board).as_input(_backend(weights))
    return [answer.mask(plane) for plane in range(112)], [answer.val(plane) for plane in range(112)]


def slots(board: chess.Board) -> dict[str, int]:
    """lc0's policy slot of every legal move; its bindings give those of the unturned board."""
    state = _state(board)
    return dict(zip(state.moves(), state.policy_indices(), strict=True))


def logits(board: chess.Board, weights: Path, slots: list[int]) -> np.ndarray:
    """The logits that lc0 reads in these slots of the position's policy."""
    backend = _backend(weights)
    (output,) = backend.evaluate(_state(board).as_input(backend))
    return np.array(output.p_raw(*slots))


def engine_policies(boards: list[chess.Board], weights: Path) -> list[dict[str, float]]:
    """Each move's probability as lc0 prints it in a search of one node, to 0.0001."""
    beside = shutil.which("lc0", path=str(Path(sys.executable).parent))
    program = beside if beside is not None else shutil.which("lc0")
    assert program is not None
    options = ("--verbose-move-stats", "--policy-softmax-temp=1.0", "--smart-pruning-factor=0")
    with subprocess.Popen(
        [program, f"--weights={weights}", "--backend=eigen", "--threads=1", *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as engine:  # fmt: skip
        assert engine.stdin is not None
        assert engine.stdout is not None
        policies: list[dict[str, float]] = []
        for board in boards:
            engine.stdin.write(f"position fen {board.fen()}\ngo nodes 2\n")
            engine.stdin.flush()
            policies.append({})
            for line in engine.stdout:
                if found := re.match(r"info string (\w{4,5}) .*\(P: *([\d.]+)%\)", line):
                    policies[-1][found[1]] = float(found[2]) / 100
                if line.startswith("bestmove"):
                    break
        engine.stdin.write("quit\n")
        engine.stdin.flush()
    for policy in policies:
        policy.pop("node", None)
    return policies


def endgame(rng: random.Random, *, pawnless: bool) -> chess.Board:
    """A random legal position of few pieces."""
    kinds = [chess.KNIGHT, chess.BISHOP, chess.ROOK, chess.QUEEN]
    while True:
        board = chess.Board(None)
        squares = rng.sample(chess.SQUARES, 2 + rng.choice([0, 1, 2, 3, 5]))
        board.set_piece_at(squares[0], chess.Piece(chess.KING, chess.WHITE))
        board.set_piece_at(squares[1], chess.Piece(chess.KING, chess.BLACK))
        for square in squares[2:]:
            kind = rng.choice(kinds) if pawnless else chess.PAWN
            board.set_piece_at(square, chess.Piece(kind, rng.random() < 0.5))
        board.turn = rng.random() < 0.5
        board.halfmove_clock = rng.choice([0, 0, 1, 3, 7, 40])
        if board.is_valid():
            return board


def play(board: chess.Board, plies: int, rng: random.Random, shuffle: float) -> chess.Board:
    """The board after random moves; castling, double steps and moves taken back are frequent."""
    for _ in range(plies):
        moves = list(board.legal_moves)
        if not moves:
            break
        back = None
        if len(board.move_stack) >= 2 and rng.random() < shuffle:
            own = board.move_stack[-2]
            back = chess.Move(own.to_square, own.from_square)
        special = [move for move in moves if _special(board, move)]
        if back in moves:
            board.push(back)
        elif special and rng.random() < 0.4:
            board.push(rng.choice(special))
        else:
            board.push(rng.choice(moves))
    return board


def _special(board: chess.Board, move: chess.Move) -> bool:
    double = board.piece_type_at(move.from_square) == chess.PAWN and (
        abs(move.from_square - move.to_square) == 16
    )
    return double or board.is_castling(move) or board.is_en_passant(move)


def game(seed: int, *, chess960: bool = True) -> chess.Board:
    """A random position with history: from the start, a FEN, an endgame or a chess960 start."""
    rng = random.Random(seed)
    kind = rng.choice(["start", "start", "chess960", "pawnless", "pawnless", "pawns"])
    if kind == "chess960" and chess960:
        board = chess.Board.from_chess960_pos(rng.randrange(960))
    elif kind in ("pawnless", "pawns"):
        board = endgame(rng, pawnless=kind == "pawnless")
    else:
        board = chess.Board()
    shuffle = rng.choice([0, 0.5, SHUFFLE])
    play(board, rng.choice([0, 1, 2, 3, 5, 8, 12, 20, 40, 80]), rng, shuffle)
    if rng.random() < 0.5:
        known = rng.choice(["fen", "legal", "xfen"])
        board = chess.Board(board.fen(en_passant=known), chess960=board.chess960)
        play(board, rng.choice([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 30]), rng, shuffle)
    return board
