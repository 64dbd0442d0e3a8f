"""Certificates against a plain solver on python-chess, which shares nothing with `mates.c`."""

from __future__ import annotations

import hashlib
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import chess
import numpy as np
import pytest

from training import certificates, generate, records
from training.certificates import CertificateError, Mix

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)

COUNT = 600
GOLDEN = "c969bac0a463a53dd57a42e74f8fe27801ec80bf437996df78328f7b15d3898e"
GOLDEN_HELD_OUT = "d028ba82b0b34073b2b8ab0019039dd80e9be83fbcbb21ed442fa03dad2fb76e"


def plain_mates(board: chess.Board) -> set[chess.Move]:
    """The moves that mate at once."""
    found = set()
    for move in list(board.legal_moves):
        board.push(move)
        if board.is_checkmate():
            found.add(move)
        board.pop()
    return found


def plain_lost(board: chess.Board) -> bool:
    """Whether there is a reply and every reply is answered by mate."""
    replies = list(board.legal_moves)
    for reply in replies:
        board.push(reply)
        mated = bool(plain_mates(board))
        board.pop()
        if not mated:
            return False
    return bool(replies)


def plain_keys(board: chess.Board) -> set[chess.Move]:
    """The moves that mate in two, not at once."""
    found = set()
    for move in list(board.legal_moves):
        board.push(move)
        if plain_lost(board):
            found.add(move)
        board.pop()
    return found


@pytest.fixture(scope="module")
def block() -> np.ndarray:
    return certificates.generate(seed=7, block=3, count=COUNT)


def of_kind(block: np.ndarray, kind: int) -> list[tuple[chess.Board, np.void]]:
    return [(records.board(claim), claim) for claim in block if claim["kind"] == kind]


def test_a_block_has_the_mix_that_was_asked_for(block):
    assert np.bincount(block["kind"]).tolist() == [300, 120, 60, 120]
    assert [set(block["outcome"][block["kind"] == kind]) for kind in range(4)] == [
        {0},
        {0},
        {2},
        {1},
    ]


def test_every_position_is_legal_and_lists_the_legal_moves(block):
    for claim in block:
        board = records.board(claim)
        assert board.is_valid(), board.fen()
        assert set(records.moves(claim)) == set(board.legal_moves), board.fen()
        assert len(records.moves(claim)) == claim["count"] >= 1


def test_a_mate_in_two_has_one_first_move_by_the_plain_solver(block):
    for board, claim in of_kind(block, 0)[:150]:
        assert not plain_mates(board), board.fen()
        assert plain_keys(board) == set(records.moves(claim, bits=records.STRONG)), board.fen()
        assert len(records.moves(claim, bits=records.STRONG)) == 1


def test_a_mate_in_one_names_all_mates(block):
    for board, claim in of_kind(block, 1):
        mates = plain_mates(board)
        assert mates == set(records.moves(claim, bits=records.STRONG)), board.fen()
        assert mates == set(records.moves(claim, bits=records.GREEDY))
        assert mates


def test_a_defence_is_lost_and_names_the_replies_that_leave_the_fewest_mates(block):
    for board, claim in of_kind(block, 2):
        assert plain_lost(board), board.fen()
        left = {}
        for reply in board.legal_moves:
            after = board.copy()
            after.push(reply)
            left[reply] = len(plain_mates(after))
        hardest = {reply for reply in left if left[reply] == min(left.values())}
        assert hardest == set(records.moves(claim, bits=records.STRONG)), board.fen()


def test_a_near_miss_has_no_mate_and_no_strong_move(block):
    for board, claim in of_kind(block, 3):
        assert not plain_mates(board), board.fen()
        assert not plain_keys(board), board.fen()
        assert records.moves(claim, bits=records.STRONG) == ()


def test_families_hang_together(block):
    roots = {int(claim["game"]): board for board, claim in of_kind(block, 0)}
    for board, claim in of_kind(block, 2):
        root = roots[int(claim["game"])]
        (key,) = plain_keys(root)
        root.push(key)
        assert root.mirror().board_fen() == board.board_fen()
        root.pop()
    near = [(board, roots.get(int(claim["game"]))) for board, claim in of_kind(block, 3)]
    near = [(board, root) for board, root in near if root is not None]
    assert len(near) >= 80
    for board, root in near:
        differ = [s for s in chess.SQUARES if board.piece_at(s) != root.piece_at(s)]
        assert 1 <= len(differ) <= 2, (board.fen(), root.fen())


def test_what_moves_do_is_told_right(block):
    for claim in block[:300]:
        board = records.board(claim)
        replies = {}
        for move, target in zip(
            records.moves(claim), claim["target"][: claim["count"]].tolist(), strict=True
        ):
            assert bool(target & records.CHECK) == board.gives_check(move)
            board.push(move)
            assert bool(target & records.MATE) == board.is_checkmate()
            replies[move] = 1000 if board.is_stalemate() else board.legal_moves.count()
            board.pop()
        fewest = {move for move in replies if replies[move] == min(replies.values())}
        assert fewest == set(records.moves(claim, bits=records.FEWEST_REPLIES))


VALUES = {chess.PAWN: 1, chess.KNIGHT: 3, chess.BISHOP: 3, chess.ROOK: 5, chess.QUEEN: 9}


def plain_greedy(board: chess.Board) -> set[chess.Move]:
    """The moves of one ply's tactics, by the words of `records` and the brief, not by `mates.c`."""
    mates = plain_mates(board)
    if mates:
        return mates

    def hangs(board: chess.Board, square: int) -> bool:
        piece = board.piece_at(square)
        if piece.piece_type == chess.KING:
            return False
        attacking = board.attackers(not piece.color, square)
        if not attacking:
            return False
        cheapest = min(VALUES.get(board.piece_type_at(s), 100) for s in attacking)
        undefended = not board.attackers(piece.color, square)
        return undefended or cheapest < VALUES[piece.piece_type]

    scores = {}
    for move in board.legal_moves:
        piece = board.piece_type_at(move.from_square)
        taken = board.piece_type_at(move.to_square)
        result = move.promotion or piece
        after = board.copy()
        after.push(move)
        score = VALUES.get(taken, 0) + VALUES.get(result, 0) - VALUES.get(piece, 0)
        score -= VALUES.get(result, 0) * hangs(after, move.to_square)
        score += VALUES.get(piece, 0) * hangs(board, move.from_square)
        scores[move] = score + after.is_check() / 2
    return {move for move in scores if scores[move] == max(scores.values())}


def test_the_greedy_teacher_plays_one_ply_tactics(block):
    for claim in block[:300]:
        board = records.board(claim)
        assert set(records.moves(claim, bits=records.GREEDY)) == plain_greedy(board), board.fen()


def is_double_step(board: chess.Board, move: chess.Move) -> bool:
    return board.piece_type_at(move.from_square) == chess.PAWN and (
        abs(move.to_square - move.from_square) == 16
    )


def walks(count: int, seed: int) -> list[chess.Board]:
    """Positions of random games, with more castling and double pawn steps than chance gives."""
    chance = random.Random(seed)
    starts = (
        chess.STARTING_FEN,
        "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1",
        "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1",
        "r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1",
        "n1n5/PPPk4/8/8/8/8/4Kppp/5N1N b - - 0 1",
        "4k3/p1p1p1p1/8/1P1P1P1P/p1p1p1p1/8/1P1P1P1P/4K3 w - - 0 1",
    )
    found: list[chess.Board] = []
    while len(found) < count:
        board = chess.Board(chance.choice(starts))
        for _ in range(chance.randrange(60)):
            moves = list(board.legal_moves)
            special = [m for m in moves if board.is_castling(m) or is_double_step(board, m)]
            if not moves:
                break
            board.push(chance.choice(special if special and chance.random() < 0.3 else moves))
            found.append(board.copy(stack=False))
    return found[:count]


def test_legal_moves_are_those_of_python_chess():
    boards = walks(1500, seed=5)
    kinds = dict.fromkeys(("castling", "en passant", "promotion", "check", "black"), 0)
    for board in boards:
        moves = set(board.legal_moves)
        assert sorted(map(str, certificates.legal_moves(board))) == sorted(map(str, moves)), (
            board.fen()
        )
        kinds["castling"] += any(map(board.is_castling, moves))
        kinds["en passant"] += any(map(board.is_en_passant, moves))
        kinds["promotion"] += any(move.promotion for move in moves)
        kinds["check"] += board.is_check()
        kinds["black"] += not board.turn
    assert min(kinds.values()) >= 20, kinds


def test_mates_in_one_are_those_of_the_plain_solver_in_random_games():
    boards = walks(500, seed=6)
    for board in boards:
        assert set(certificates.mates_in_one(board)) == plain_mates(board), board.fen()


def test_full_boards_are_solved_as_by_the_plain_solver():
    for board in walks(400, seed=8)[::40]:
        assert set(certificates.mates(board).in_two) == plain_keys(board), board.fen()


# The board, its mates in one, its first moves that mate in two.
BY_HAND = [
    ("8/8/8/8/8/8/6Q1/1k2K2R w K - 0 1", "e1g1", None),  # castling mates
    ("8/3R4/8/8/8/8/1R6/R3K2k w Q - 0 1", "e1c1", None),
    ("8/3R4/8/8/8/8/1R6/R3K2k w - - 0 1", "", None),  # the same without the right to castle
    ("5B2/R7/8/8/2k5/8/5Q2/R3K3 w Q - 0 1", "", "e1c1"),
    ("b7/k1PR4/1R1n4/8/8/K7/8/8 w - - 0 1", "c7c8n", None),  # a queen would not mate
    ("8/1NP5/k7/8/4p3/6K1/1R6/8 w - - 0 1", "", "c7c8n"),
    ("8/8/R7/7k/7p/7N/6PN/2K5 w - - 0 1", "", None),  # g2g4 would mate but for en passant
    ("8/7Q/5k2/8/1R2p3/8/3RKP2/8 w - - 0 1", "", ""),  # f2f4 would mate in two but for that
    ("7k/8/5KQ1/8/8/8/8/8 w - - 0 1", "g6g7", None),  # f6f7 is stalemate
    ("8/8/8/8/8/8/8/K1k5 w - - 0 1", "", ""),
]


@pytest.mark.parametrize(("fen", "in_one", "in_two"), BY_HAND)
@pytest.mark.parametrize("black", [False, True])
def test_positions_by_hand(fen, in_one, in_two, black):
    board = chess.Board(fen)
    expected = [set(map(chess.Move.from_uci, (words or "").split())) for words in (in_one, in_two)]
    assert plain_mates(board) == expected[0]
    if in_two is None:
        expected[1] = plain_keys(board)
    assert plain_keys(board) == expected[1]
    if black:
        board = board.mirror()
        expected = [
            {records.move_of(records.move_code(m), chess.BLACK) for m in e} for e in expected
        ]
    found = certificates.mates(board)
    assert [set(found.in_one), set(found.in_two)] == expected


@pytest.mark.parametrize(
    ("fen", "move", "is_beaten"),
    [
        ("8/8/R7/7k/7p/7N/6PN/2K5 w - - 0 1", "g2g4", chess.Board.is_checkmate),
        ("8/7Q/5k2/8/1R2p3/8/3RKP2/8 w - - 0 1", "f2f4", plain_lost),
    ],
)
def test_only_en_passant_defends_in_those_positions(fen, move, is_beaten):
    board = chess.Board(fen)
    board.push_uci(move)
    assert board.has_legal_en_passant()
    assert not is_beaten(board)
    board.ep_square = None
    assert is_beaten(board)


def test_stalemate_is_no_mate_in_two():
    board = chess.Board("7k/8/5KQ1/8/8/8/8/8 w - - 0 1")
    stalemating = chess.Move.from_uci("f6f7")
    board.push(stalemating)
    assert board.is_stalemate()
    board.pop()
    found = certificates.mates(board)
    assert stalemating not in found.in_one + found.in_two


def test_a_mate_that_is_none_is_found_out_with_its_fen():
    board = chess.Board("8/8/8/8/8/8/6R1/K1k5 w - - 0 1")
    claim = np.array([records.of(board, kind=0)], records.RECORD)
    with pytest.raises(CertificateError, match=r"record 0: '8/8/8/8/8/8/6R1/K1k5 w .*no mate in 2"):
        certificates.verify(claim)


@pytest.mark.parametrize(
    ("kind", "other", "reason"),
    [(0, 3, "has a mate in 2"), (3, 0, "has no mate in 2"), (1, 2, "not every legal reply"),
     (2, 1, "has no mate in 1"), (0, 9, "no such kind")],
)  # fmt: skip
def test_a_record_of_the_wrong_kind_is_found_out(block, kind, other, reason):
    claim = block[block["kind"] == kind][:1].copy()
    certificates.verify(claim)
    claim["kind"] = other
    with pytest.raises(CertificateError, match=reason):
        certificates.verify(claim)


@pytest.mark.parametrize("column", ["moves", "target", "count", "outcome"])
def test_a_changed_record_is_found_out(block, column):
    claim = block[:1].copy()
    claim[column][..., 0] += 1
    with pytest.raises(CertificateError, match=f"has a wrong {column}"):
        certificates.verify(claim)


def test_a_generated_block_proves_itself_again(block):
    certificates.verify(block)


def test_a_record_of_a_board_is_the_generated_one(block):
    for claim in block[:100]:
        board = records.board(claim)
        kind, game = int(claim["kind"]), int(claim["game"])
        for seen in (board, board.mirror()):
            assert certificates.record(seen, kind=kind, game=game) == claim
        plain = records.of(board, kind=kind, game=game)
        assert records.board(plain) == board
        assert set(records.moves(plain)) == set(records.moves(claim))


def test_castling_rights_go_into_a_record_and_out_again():
    for board in walks(300, seed=9):
        if board.has_legal_en_passant() or not any(board.legal_moves):
            continue
        white = board if board.turn else board.mirror()
        back = records.board(records.of(board))
        assert back.board_fen() == white.board_fen()
        assert back.clean_castling_rights() == white.clean_castling_rights()
    with pytest.raises(ValueError, match="no room for an en passant capture: 'rnbqkb"):
        records.of(chess.Board("rnbqkbnr/ppp1pppp/8/8/3pP3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 3"))


def test_two_keys_are_no_record_of_a_mate_in_two():
    board = chess.Board("7k/8/8/8/8/8/1R6/R5K1 w - - 0 1")
    assert len(plain_keys(board)) > 1
    with pytest.raises(CertificateError, match="several first moves"):
        certificates.record(board)


def test_the_same_seed_and_block_give_the_same_bytes_in_any_thread():
    def bytes_of(block: int) -> bytes:
        return certificates.generate(seed=11, block=block, count=300).tobytes()

    alone = [bytes_of(0), bytes_of(1)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(bytes_of, [0, 1])) == alone
    assert alone[0] != alone[1]
    assert certificates.generate(seed=12, block=0, count=300).tobytes() != alone[0]


def test_the_bytes_of_a_block_are_what_they_were_on_another_machine():
    made = certificates.generate(seed=1, block=0, count=1000)
    assert hashlib.sha256(made.tobytes()).hexdigest() == GOLDEN
    held_out = certificates.generate(seed=1, block=0, count=100, split="held-out")
    assert hashlib.sha256(held_out.tobytes()).hexdigest() == GOLDEN_HELD_OUT


def mirror_image(claim: np.void) -> np.void:
    return records.of(records.board(claim).transform(chess.flip_horizontal))


def who(claim: np.void) -> str:
    """A name that a position shares with its mirror image."""
    board = records.board(claim)
    return min(board.board_fen(), board.transform(chess.flip_horizontal).board_fen())


def test_no_position_stands_twice_in_a_block(block):
    assert len({who(claim) for claim in block}) == len(block)


def test_training_and_held_out_positions_are_disjoint():
    train = certificates.generate(seed=1, block=0, count=2000)
    held_out = certificates.generate(seed=1, block=0, count=500, split="held-out")
    assert not {who(claim) for claim in train} & {who(claim) for claim in held_out}
    for claim in train:
        assert not certificates.is_held_out(claim)
    roots = held_out[held_out["kind"] == 0]
    assert len(roots) == 250
    for claim in roots:
        assert certificates.is_held_out(claim)
        assert certificates.is_held_out(mirror_image(claim))
    for claim in train[:200]:
        assert not certificates.is_held_out(mirror_image(claim))


def test_about_one_random_position_in_64_is_held_out():
    held_out = [certificates.is_held_out(records.of(b)) for b in walks(6000, seed=10)
                if not b.has_legal_en_passant()]  # fmt: skip
    assert 1 / 100 < np.mean(held_out) < 1 / 45


def test_any_mix_is_filled():
    near = Mix(
        mates_in_two=1, mates_in_one=0, continuations=0, defences=0, near_misses=3, unrelated=0
    )
    made = certificates.generate(seed=1, block=0, count=80, mix=near)
    assert np.bincount(made["kind"]).tolist() == [20, 0, 0, 60]
    only = Mix(
        mates_in_two=0, mates_in_one=0, continuations=0, defences=1, near_misses=0, unrelated=0
    )
    made = certificates.generate(seed=1, block=0, count=30, mix=only)
    assert set(made["kind"]) == {2}
    assert len(certificates.generate(seed=1, block=0, count=0)) == 0
    with pytest.raises(ValueError, match="expected the split 'train' or 'held-out', got 'test'"):
        certificates.generate(seed=1, block=0, count=1, split="test")


def test_blocks_on_disk_go_on_where_they_were_cut_off(tmp_path):
    how = {"count": 250, "seed": 4, "block_size": 100}
    *_, last = generate.blocks(tmp_path, **how)
    assert (last.done, last.made, last.mates) == (250, 250, 125)
    paths = sorted(tmp_path.glob("block-*.npy"))
    assert [len(np.load(path, allow_pickle=False)) for path in paths] == [100, 100, 50]
    first = paths[1].read_bytes()
    paths[1].unlink()
    untouched = paths[0].stat().st_mtime_ns
    *_, last = generate.blocks(tmp_path, **how, threads=2)
    assert (last.done, last.made) == (250, 100)
    assert paths[1].read_bytes() == first
    assert paths[0].stat().st_mtime_ns == untouched
    assert list(generate.blocks(tmp_path, **how)) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [*[p.name for p in paths], "manifest.json"]
    with pytest.raises(FileExistsError, match="seed 4 not 5: use another folder"):
        list(generate.blocks(tmp_path, count=250, seed=5, block_size=100))


def test_a_dump_is_certified_row_by_row(tmp_path):
    dump = tmp_path / "dump.csv"
    dump.write_text(
        "PuzzleId,FEN,Moves\n"
        "aaaaa,7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1,a2e2 d1d8 e2e8 d8e8\n"
        "bbbbb,7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1,a2a3 d1d8\n"
        "ccccc,not a position,a2a3 d1d8\n"
        "ddddd,7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1,a2a3 g2a3\n"
        "eeeee,7k/6pp/8/8/8/8/r5PP/3R3K b - - 0 1,h7h6 d1d8 h8h7 h2h3\n"
    )
    found = list(generate.certified(dump))
    assert [getattr(row, "verdict", None) for row in found] == [
        "mate in 2",
        "mate in 1",
        None,
        None,
        "no mate in 2",
    ]
    assert found[0].moves == found[1].moves == ("d1d8",)
    assert [found[0].agrees, found[1].agrees, found[4].agrees] == [True, True, None]
    assert found[2].line == 4


def test_without_a_compiler_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(certificates, "_BUILD", tmp_path / "build")
    monkeypatch.setattr(certificates.shutil, "which", lambda name: None)
    with pytest.raises(certificates.NoCompilerError, match=r"no C compiler found.*install one"):
        certificates._compiled()
