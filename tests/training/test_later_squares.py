"""What a told network is told is what python-chess finds after the key move."""

import shutil
from collections import Counter
from fractions import Fraction

import chess
import numpy as np
import pytest

from training import batches, certificates, later_squares, records

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def found():
    return certificates.generate(seed=5, block=0, count=24)


def expected(record):
    board = records.board(record)
    (key,) = records.moves(record, bits=records.STRONG)
    board.push(key)
    squares = (Counter(), Counter())
    replies = list(board.legal_moves)
    for reply in replies:
        board.push(reply)
        mates = []
        for move in list(board.legal_moves):
            board.push(move)
            mates += [move] * board.is_checkmate()
            board.pop()
        for mate in mates:
            for counter, square in zip(squares, (mate.from_square, mate.to_square), strict=True):
                counter[square] += Fraction(1, len(replies) * len(mates))
        board.pop()
    return squares


def test_every_reply_and_every_mate_after_it_counts_alike(found):
    told = later_squares.of(found)
    for record, row in zip(found, told, strict=True):
        if record["kind"] != 0:
            assert (row == 0).all()
            continue
        for squares, shares in zip(expected(record), row, strict=True):
            assert {s: pytest.approx(float(share)) for s, share in squares.items()} == {
                int(square): shares[square] for square in np.flatnonzero(shares)
            }


def test_mirrored_positions_are_told_mirrored_squares(found):
    straight = batches.of(found, teacher="told").later
    mirrored = batches.of(found, teacher="told", mirrored=np.ones(len(found), bool)).later
    for square in chess.SQUARES:
        other = chess.square(7 - chess.square_file(square), chess.square_rank(square))
        assert (mirrored[:, :, square] == straight[:, :, other]).all()


@pytest.mark.parametrize("teacher", ["strong", "greedy", "shuffled"])
def test_other_teachers_tell_nothing_of_later_squares(found, teacher):
    assert (batches.of(found, teacher=teacher).later == 0).all()
