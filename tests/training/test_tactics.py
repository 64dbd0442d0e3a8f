"""Longer mates against a plain solver on python-chess, which shares nothing with the C code."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter

import chess
import numpy as np
import pytest

from training import certificates, generate, one_ply, records, tactics
from training.certificates import CertificateError
from training.tactics import SHARES, TacticsMix

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)
COUNT = 200
ROOTS = TacticsMix(**{name: int(index < tactics.ROOTS) for index, name in enumerate(SHARES)})
GOLDEN = "00c3da16f2bfcc14252e62ed6938cd07e8c3116509570990dc86ec19f62ff4e6"
GOLDEN_HELD_OUT = "3221474ea0f50e2b410ccf79c8a1ffa28edcf40119d889a2d09284b0a4ef2d85"


def wins_within(board: chess.Board, moves: int) -> bool:
    """Whether the side to move mates in at most so many moves."""
    for move in list(board.legal_moves):
        board.push(move)
        won = board.is_checkmate() or (moves > 1 and is_lost_within(board, moves - 1))
        board.pop()
        if won:
            return True
    return False


def is_lost_within(board: chess.Board, moves: int) -> bool:
    """Whether there is a reply and each is answered by a mate in at most so many moves."""
    replies = list(board.legal_moves)
    for reply in replies:
        board.push(reply)
        won = wins_within(board, moves)
        board.pop()
        if not won:
            return False
    return bool(replies)


def plain_keys(board: chess.Board, moves: int) -> set[chess.Move]:
    """The first moves that mate in at most so many moves."""
    found = set()
    for move in list(board.legal_moves):
        board.push(move)
        if board.is_checkmate() or (moves > 1 and is_lost_within(board, moves - 1)):
            found.add(move)
        board.pop()
    return found


@pytest.fixture(scope="module")
def block() -> np.ndarray:
    return tactics.generate(seed=7, block=3, count=COUNT)


def of_kind(block: np.ndarray, kind: int, most: int) -> list[tuple[chess.Board, np.void]]:
    """The least crowded boards of a kind, on which the plain solver is quick."""
    claims = [claim for claim in block if claim["kind"] == kind]
    men = [sum(int(men).bit_count() for men in claim["pieces"]) for claim in claims]
    few = sorted(range(len(claims)), key=lambda i: (men[i], i))[:most]
    return [(records.board(claims[i]), claims[i]) for i in few]


def strong(claim: np.void) -> set[chess.Move]:
    return set(records.moves(claim, bits=records.STRONG))


def test_a_block_has_the_mix_that_was_asked_for(block):
    assert np.bincount(block["share"]).tolist() == TacticsMix().counts(COUNT)
    expected = {0: 0, 1: 4, 2: 0, 3: 4, 4: 1, 5: 1, 6: 0, 7: 2, 8: 5, 9: 6}
    assert {int(c["share"]): int(c["kind"]) for c in block} == expected
    assert all(c["outcome"] == records.OUTCOMES[c["kind"]] for c in block)


def test_every_position_is_legal_and_lists_the_legal_moves(block):
    for claim in block:
        board = records.board(claim)
        assert board.is_valid(), board.fen()
        assert set(records.moves(claim)) == set(board.legal_moves), board.fen()


def test_a_mate_in_two_has_one_first_move_by_the_plain_solver(block):
    for board, claim in of_kind(block, records.MATE_IN_2, 40):
        assert not plain_keys(board, 1)
        assert plain_keys(board, 2) == strong(claim), board.fen()


def test_a_mate_in_three_has_one_first_move_by_the_plain_solver(block):
    checked = of_kind(block, records.MATE_IN_3, 4)
    for board, claim in checked:
        assert not plain_keys(board, 2)
        assert plain_keys(board, 3) == strong(claim), board.fen()
    assert len(checked) == 4


def test_a_long_defence_names_the_replies_that_are_not_mated_at_once(block):
    for board, claim in of_kind(block, records.LONG_DEFENCE, 4):
        assert is_lost_within(board, 2)
        assert not is_lost_within(board, 1)
        holds = set()
        for reply in list(board.legal_moves):
            board.push(reply)
            if not wins_within(board, 1):
                holds.add(reply)
            board.pop()
        assert holds == strong(claim)


def test_a_near_miss_has_no_mate_in_three(block):
    for board, claim in of_kind(block, records.NO_MATE_IN_3, 3):
        assert not plain_keys(board, 3), board.fen()
        assert strong(claim) == set()


def test_a_line_has_only_moves_of_the_winning_side(block):
    tactics.verify(block)
    lines = [claim for claim in block if claim["plies"]]
    assert len(lines) > 80
    for claim in lines:
        board = records.board(claim)
        assert strong(claim) == {tactics.line(claim)[0]}
        for move in tactics.line(claim):
            assert board.is_legal(move)
            board.push(move)
        assert board.is_checkmate()
    for claim in block[block["plies"] == 3][:30]:
        board, moves = records.board(claim), tactics.line(claim)
        board.push(moves[0])
        board.push(moves[1])
        assert plain_keys(board, 1) == {moves[2]}


@pytest.mark.parametrize("share", ["sacrifices_in_two", "sacrifices_in_three"])
def test_a_sacrifice_is_taken_by_the_only_legal_move_and_the_third_goes_elsewhere(block, share):
    made = block[block["share"] == SHARES.index(share)]
    assert len(made) >= 24
    for claim in made:
        board = records.board(claim)
        (key,) = strong(claim)
        board.push(key)
        (reply,) = board.legal_moves
        assert reply.to_square == key.to_square
        if claim["plies"]:
            assert str(claim["pattern"]).startswith("112")
            assert claim["forced"] & 1


def test_the_best_score_by_one_ply_finds_few_of_the_first_moves():
    made = tactics.generate(seed=4, block=0, count=400, mix=ROOTS)
    key = made["target"] & records.STRONG > 0
    scores = [*one_ply.weights("selection"), one_ply.weights("tactics")]
    for weight in scores:
        chosen = one_ply.greatest(made, one_ply.scores(made, np.ascontiguousarray(weight)))
        found_by = (chosen & key).sum(axis=1) / chosen.sum(axis=1)
        for share in range(tactics.ROOTS):
            assert found_by[made["share"] == share].mean() < 0.65, SHARES[share]


def test_boards_run_from_sparse_to_crowded(block):
    men = [sum(int(men).bit_count() for men in claim["pieces"]) for claim in block]
    assert min(men) <= 6
    assert max(men) >= 15


def test_the_columns_of_lines_are_filled(block):
    patterns = Counter(block["pattern"].tolist())
    assert patterns[112] >= 25
    assert sum(number for name, number in patterns.items() if 11200 <= name < 11300) >= 10
    assert patterns[123] >= 10
    five = block[block["plies"] == 5]
    assert (five["ready"] > 0).sum() >= 10


def changed(block: np.ndarray, column: str, value: object) -> np.ndarray:
    claim = block[block["plies"] == 3][:1].copy()
    claim[column] = value
    return claim


@pytest.mark.parametrize(("column", "value"), [("pattern", 111), ("forced", 6), ("ready", 9)])
def test_a_changed_column_is_found_out(block, column, value):
    with pytest.raises(CertificateError, match=f"has {column} {value} and its line "):
        tactics.verify(changed(block, column, value))


def test_a_line_of_other_moves_is_found_out(block):
    claim = block[block["plies"] == 5][:1].copy()
    claim["plies"] = 3
    moves = tactics.line(claim[0])
    squares: dict[int, str] = {}
    claim["pattern"] = int(
        "".join(squares.setdefault(m.to_square, str(len(squares) + 1)) for m in moves)
    )
    claim["forced"] &= 1
    with pytest.raises(CertificateError, match="is not the only fastest mate"):
        tactics.verify(claim)


@pytest.mark.parametrize(
    ("kind", "other", "reason"),
    [(4, 0, "has no mate in 2"), (0, 4, "has a mate in 2"), (6, 4, "has no mate in 3"),
     (4, 6, "has a mate in 3"), (2, 5, "every legal reply is answered by a mate at once"),
     (5, 2, "not every legal reply")],
)  # fmt: skip
def test_a_record_of_the_wrong_kind_is_found_out(block, kind, other, reason):
    claim = block[block["kind"] == kind][:1].copy()
    claim["kind"] = other
    with pytest.raises(CertificateError, match=reason):
        certificates.verify(claim)


def who(claim: np.void) -> str:
    """A name that a position shares with its mirror image."""
    board = records.board(claim)
    return min(board.board_fen(), board.transform(chess.flip_horizontal).board_fen())


def test_training_and_held_out_positions_are_disjoint_whatever_their_kind(block):
    held_out = tactics.generate(seed=7, block=3, count=12, split="held-out", mix=ROOTS)
    assert all(map(tactics.is_held_out, held_out))
    assert not any(map(tactics.is_held_out, block))
    assert not any(map(certificates.is_held_out, block))
    names = [who(claim) for part in (block, held_out) for claim in part]
    assert len(set(names)) == len(names)


def test_the_same_seed_and_block_give_the_same_bytes():
    made = tactics.generate(seed=1, block=0, count=100)
    assert hashlib.sha256(made.tobytes()).hexdigest() == GOLDEN
    held_out = tactics.generate(seed=1, block=0, count=8, split="held-out", mix=ROOTS)
    assert hashlib.sha256(held_out.tobytes()).hexdigest() == GOLDEN_HELD_OUT


@pytest.mark.parametrize("share", SHARES)
def test_any_share_can_be_made_alone(share):
    parts = {name: int(name == share) for name in SHARES}
    made = tactics.generate(seed=3, block=0, count=3, mix=TacticsMix(**parts))
    assert set(made["share"]) == {SHARES.index(share)}
    tactics.verify(made)


def test_blocks_of_tactics_go_on_where_they_were_cut_off(tmp_path):
    how = {"count": 50, "seed": 4, "block_size": 20, "mix": generate.DOMAINS["tactics"]}
    *_, last = generate.blocks(tmp_path, **how)
    assert last.done == 50
    paths = sorted(tmp_path.glob("block-*.npy"))
    assert np.load(paths[0], allow_pickle=False).dtype == tactics.TACTIC
    second = paths[1].read_bytes()
    paths[1].unlink()
    *_, last = generate.blocks(tmp_path, **how)
    assert (last.done, last.made) == (50, 20)
    assert paths[1].read_bytes() == second
    with pytest.raises(FileExistsError, match=r"holds blocks with mix .*: use another folder"):
        list(generate.blocks(tmp_path, **{**how, "mix": generate.DOMAINS["mates"]}))
