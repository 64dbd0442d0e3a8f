"""Packed boards: the same boards, without python-chess objects."""

import chess
import numpy as np
import pytest
from puzzle_dumps import random_rows

from leela_probe.positions import encoding, packing

BOARDS = [chess.Board(row["FEN"]) for row in random_rows(7, 30)]


def assert_same(first, second):
    for name in ("masks", "clocks", "slots", "offsets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name).dtype == getattr(second, name).dtype
    assert first.moves == second.moves


def test_unpacking_gives_back_what_was_packed():
    encoded = encoding.encode(BOARDS)
    assert_same(packing.pack(encoded).unpack(), encoded)


@pytest.mark.parametrize("chosen", [[], [3], [29, 0, 5, 5], list(range(30))])
def test_taking_boards_is_encoding_those_boards(chosen):
    packed = packing.pack(encoding.encode(BOARDS)).take(chosen)
    assert len(packed) == len(chosen)
    assert_same(packed.unpack(), encoding.encode([BOARDS[index] for index in chosen]))


def test_every_move_has_its_own_number():
    moves = {move for board in BOARDS for move in board.legal_moves}
    moves |= {chess.Move.from_uci(f"a7b8{piece}") for piece in "qrbn"}
    numbers = {packing.number_of(move) for move in moves}
    assert len(numbers) == len(moves)
    assert {packing.move_of(number) for number in numbers} == moves
    assert max(numbers) < 1 << 15
