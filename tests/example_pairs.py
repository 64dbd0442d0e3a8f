"""Pairs of positions for tests that change runs: some made by hand, any number at random."""

from __future__ import annotations

import chess
import numpy as np

from leela_probe.puzzles.pairs import Pair

BACK_RANK = Pair(
    puzzle_id="backrank",
    game_id="game1",
    target_pattern="112",
    clean_fen="6k1/pp3ppp/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1",
    corrupted_fen="6k1/pp3p1p/4b3/1B1r4/P2b1q2/8/1PQ2PPP/4R1K1 w - - 0 1",
    line=("c2c8", "e6c8", "e1e8"),
)
# The same with the colours exchanged.
BACK_RANK_BLACK = Pair(
    puzzle_id="backrankblack",
    game_id="game2",
    target_pattern="112",
    clean_fen="4r1k1/1pq2ppp/8/p2B1Q2/1b1R4/4B3/PP3PPP/6K1 b - - 0 1",
    corrupted_fen="4r1k1/1pq2ppp/8/p2B1Q2/1b1R4/4B3/PP3P1P/6K1 b - - 0 1",
    line=("c7c1", "e3c1", "e8e1"),
)
KNIGHT_SACRIFICE = Pair(
    puzzle_id="knight",
    game_id=None,
    target_pattern="112",
    clean_fen="2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32",
    corrupted_fen="2r2r1k/6pp/p1q2p1p/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32",
    line=("f4g6", "h7g6", "d4h4"),
)
BY_HAND = (BACK_RANK, BACK_RANK_BLACK, KNIGHT_SACRIFICE)


def random_pairs(seed: int, count: int, *, plies: int = 5) -> list[Pair]:
    """Positions of random play, each with a random line and without one random pawn as partner."""
    rng = np.random.default_rng(seed)
    found: list[Pair] = []
    while len(found) < count:
        board = _played(chess.Board(), int(rng.integers(8, 40)), rng)
        end = _played(board, plies, rng)
        line = end.move_stack[len(board.move_stack) :]
        pawns = list(board.pieces(chess.PAWN, True) | board.pieces(chess.PAWN, False))
        if len(line) < plies or not pawns or board.legal_moves.count() < 2:
            continue
        partner = board.copy(stack=False)
        partner.remove_piece_at(pawns[int(rng.integers(len(pawns)))])
        if partner.is_valid() and partner.is_legal(line[0]):
            found.append(
                Pair(
                    puzzle_id=f"random{seed}.{len(found)}",
                    game_id=f"game{len(found) // 2}",
                    target_pattern="12345",
                    clean_fen=board.fen(),
                    corrupted_fen=partner.fen(),
                    line=tuple(move.uci() for move in line),
                )
            )
    return found


def _played(board: chess.Board, plies: int, rng: np.random.Generator) -> chess.Board:
    board = board.copy()
    for _ in range(plies):
        moves = sorted(board.legal_moves, key=chess.Move.uci)
        if not moves:
            break
        board.push(moves[int(rng.integers(len(moves)))])
    return board
