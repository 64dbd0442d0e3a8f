"""Positions that `eval` is asked about: what is read, and what is refused with its line."""

from pathlib import Path

import chess
import pytest

from leela_probe.commands import eval_positions

MATE_IN_ONE = "6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1"


def read(tmp_path: Path, content: bytes) -> list[eval_positions.Position]:
    path = tmp_path / "positions.txt"
    path.write_bytes(content)
    return [position for batch in eval_positions.batches(path) for position in batch]


@pytest.mark.parametrize(
    ("fen", "message"),
    [
        ("8/8 w", "--fen: '8/8 w' is not a FEN: expected 8 rows"),
        ("8/8/8/8/8/8/8/8 w - - 0 1", "is not a position: expected one king of each colour"),
        ("8/8/8/4k3/8/3QK3/8/8 w - e6 0 1", "no pawn has just gone past the en-passant square"),
        ("P3k3/8/8/8/8/8/8/4K3 w - - 0 1", "a pawn stands on the first or last rank"),
        ("4k3/8/8/8/8/8/8/R3K3 w KQ - 0 1", "a king or rook that may castle is not on its square"),
        ("1r2k1r1/8/8/8/8/8/8/1R2K1R1 w GBgb - 0 1", "those of Chess960, which is not supported"),
    ],
)
def test_a_position_that_lc0_or_a_network_cannot_take_is_refused(fen, message):
    with pytest.raises(ValueError, match=message):
        eval_positions.position(fen, "")


@pytest.mark.parametrize("castling", ["KQkq", "HAha"])
def test_castling_rights_of_ordinary_chess_may_be_written_with_letters_of_files(castling):
    fen = f"r3k2r/8/8/8/8/8/8/R3K2R w {castling} - 0 1"
    board = eval_positions.position(fen, "").board
    assert board.clean_castling_rights() == chess.BB_CORNERS


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ("a1a8 g8h8", "--moves: 'g8h8' is not a legal move in R5k1"),
        ("0000", "--moves: '0000' is not a legal move in 6k1/.*: moves are written like e2e4"),
        ("Ra8", "--moves: 'Ra8' is not a legal move"),
    ],
)
def test_moves_that_cannot_be_played_are_refused(moves, message):
    with pytest.raises(ValueError, match=message):
        eval_positions.position(MATE_IN_ONE, moves)


def test_a_move_that_takes_the_king_is_refused_by_its_line(tmp_path):
    content = f"{MATE_IN_ONE}\n4k3/8/8/8/8/8/4R3/4K3 w - - 0 1|e2e8\n".encode()
    with pytest.raises(ValueError, match=r"positions\.txt, line 2: 'e2e8' takes the king in 4k3/"):
        read(tmp_path, content)


def test_comments_empty_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    content = f"\ufeff{MATE_IN_ONE}\r\n\r\n  # indented\n#|0000\n  {MATE_IN_ONE} | a1a8 \n"
    found = read(tmp_path, content.encode())
    assert [question.moves for question in found] == [(), ("a1a8",)]
    assert [question.fen for question in found] == [MATE_IN_ONE] * 2
    assert found[1].board.is_checkmate()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"positions\.txt has no positions: expected one FEN, or FEN\|moves, per line"),
        (b"# only a comment\n", r"positions\.txt has no positions"),
        (b"# fine\ncaf\xe9", r"positions\.txt is not text in UTF-8: line 2, "),
        (f"\n{MATE_IN_ONE}|0000".encode(), r"positions\.txt, line 2: '0000' is not a legal move"),
    ],
)
def test_a_bad_file_is_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


def test_a_long_file_is_read_a_batch_at_a_time(tmp_path):
    lines = [MATE_IN_ONE] * (eval_positions.BATCH + 1) + ["nothing"]
    (tmp_path / "positions.txt").write_text("\n".join(lines))
    batches = eval_positions.batches(tmp_path / "positions.txt")
    assert len(next(batches)) == eval_positions.BATCH
    with pytest.raises(
        ValueError, match=f"line {eval_positions.BATCH + 2}: 'nothing' is not a FEN"
    ):
        next(batches)
