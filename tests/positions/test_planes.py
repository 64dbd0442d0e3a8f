import json
import random

import chess
import lc0_witness
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leela_probe.positions import planes
from leela_probe.positions.planes import History, InputFormat

SEEDS = st.integers(0, 2**32)
ONES = 2**64 - 1
START = chess.STARTING_FEN


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return {each: lc0_witness.network(folder, each) for each in InputFormat}


def assert_equals_lc0(board, networks, formats=tuple(InputFormat)):
    for input_format in formats:
        if not lc0_witness.safe(board, input_format):
            continue
        masks, clocks, _ = planes.masks([board], input_format)
        expected, values = lc0_witness.planes(board, networks[input_format])
        differ = [plane for plane in range(112) if int(masks[0, plane]) != expected[plane]]
        assert not differ, (input_format, board.root().fen(en_passant="fen"), board.move_stack)
        assert values[109] == clocks[0]
        assert set(values[:109] + values[110:]) == {1.0}


@settings(max_examples=250, deadline=None)
@given(SEEDS)
def test_planes_equal_those_of_lc0_in_every_format(networks, seed):
    assert_equals_lc0(lc0_witness.game(seed), networks)


def test_random_games_reach_every_case(networks):
    boards = [lc0_witness.game(seed) for seed in range(400)]
    masks, clocks, transforms = planes.masks(boards, InputFormat.CANONICAL)
    assert set(transforms.tolist()) == set(range(8))
    assert (masks[:, 108] != 0).any()
    assert (masks[:, 12] != 0).any()
    assert (masks[:, 104] != 0).any()
    assert (clocks > 50).any()
    assert any(board.is_repetition(3) for board in boards)
    repeats, _, _ = planes.masks(boards, InputFormat.CANONICAL_V2)
    assert (repeats[:, 26:39] != 0).any()


POSITIONS = [
    START,
    START.replace(" w ", " b "),
    START.replace("KQkq", "KQk"),
    START.replace("0 1", "3 5"),
    "rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 1",
    "rnbqkbnr/ppp1p1pp/8/3pPp2/8/8/PPPP1PPP/RNBQKBNR w KQkq f6 0 3",
    "rnbqkbnr/pppp1ppp/8/8/3PpP2/8/PPP1P1PP/RNBQKBNR b KQkq f3 0 3",
    "6k1/8/8/r2pP2K/8/8/8/8 w - d6 0 1",
    "4k3/8/8/8/8/8/8/4K3 w - - 97 120",
    "r3k2r/8/8/8/8/8/8/R3K2R b Kq - 6 8",
]


@pytest.mark.parametrize("fen", POSITIONS)
def test_positions_from_a_fen_equal_those_of_lc0_before_and_after_a_move(networks, fen):
    assert_equals_lc0(chess.Board(fen), networks)
    for move in chess.Board(fen).legal_moves:
        board = chess.Board(fen)
        board.push(move)
        assert_equals_lc0(board, networks, (InputFormat.CLASSICAL, InputFormat.CANONICAL))


LINES = {
    "a double step beside no pawn": (START, "e2e4"),
    "a double step beside a pawn": (START, "e2e4 a7a6 e4e5 d7d5"),
    "a double step beside a pinned pawn": ("4r1k1/3p4/8/4P3/8/8/8/4K3 b - - 0 1", "d7d5"),
    "en passant": (START, "e2e4 a7a6 e4e5 d7d5 e5d6"),
    "castling": ("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 5 10", "e1g1 e8c8"),
    "a rook that leaves": ("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 5 10", "h1g1 a8a7 g1h1"),
    "a rook that takes a rook": ("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 5 10", "h1h8"),
    "a twofold repetition": (START, "g1f3 g8f6 f3g1 f6g8"),
    "a threefold repetition": (START, " ".join(["g1f3 g8f6 f3g1 f6g8"] * 2)),
    "a repetition before a capture": (
        "4k3/8/8/3p4/4P3/8/8/4K3 w - - 0 1",
        "e1e2 e8e7 e2e1 e7e8 e4d5",
    ),
    "a repetition but for castling": (
        "4k2r/8/8/8/8/8/8/4K2R w Kk - 0 1",
        "h1h2 h8h7 h2h1 h7h8 h1h2 h8h7 h2h1 h7h8",
    ),
    "a repetition but for en passant": (
        "4k3/3p4/8/4P3/8/8/8/4K3 b - - 0 1",
        "d7d5 e1e2 e8e7 e2e1 e7e8 e1e2 e8e7 e2e1 e7e8",
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_lines_with_a_rule_of_their_own_equal_those_of_lc0(networks, line):
    fen, text = LINES[line]
    board = chess.Board(fen)
    for uci in text.split():
        board.push_uci(uci)
        assert_equals_lc0(board, networks)


@pytest.mark.parametrize("position", [0, 1, 517, 518, 692, 959])
def test_chess960_castling_rights_equal_those_of_lc0(networks, position):
    rng = random.Random(position)
    for plies in (0, 3, 30):
        board = lc0_witness.play(chess.Board.from_chess960_pos(position), plies, rng, 0.3)
        assert_equals_lc0(board, networks)


@pytest.mark.shared
def test_planes_equal_the_stored_answers_of_lc0(shared):
    formats = {"input2": InputFormat.CASTLING_PLANE, "input3": InputFormat.CANONICAL}
    for path in sorted((shared / "oracle").glob("*.jsonl")):
        input_format = formats.get(path.stem.split("-")[-1], InputFormat.CLASSICAL)
        answers = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        boards = [chess.Board(answer["fen"]) for answer in answers]
        for board, answer in zip(boards, answers, strict=True):
            for uci in answer["moves"]:
                board.push_uci(uci)
        masks, clocks, _ = planes.masks(boards, input_format)
        expected = np.array([answer["planes"] for answer in answers], dtype=object)
        assert (masks == expected[:, :, 0].astype(np.uint64)).all(), path.name
        assert (clocks == expected[:, 109, 1].astype(np.float32)).all(), path.name


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from(InputFormat), st.sampled_from(History))
def test_a_colour_mirrored_game_has_the_same_planes_but_for_the_side_to_move(
    seed, input_format, history
):
    board = lc0_witness.game(seed)
    if board.root().board_fen() == chess.STARTING_BOARD_FEN and history is History.FILLED:
        history = History.KNOWN  # lc0 repeats Black's starting position backwards, White's not
    mirrored = board.root().mirror()
    for move in board.move_stack:
        mirrored.push(
            chess.Move(
                chess.square_mirror(move.from_square),
                chess.square_mirror(move.to_square),
                move.promotion,
            )
        )
    masks, clocks, transforms = planes.masks([board, mirrored], input_format, history)
    black = 108 if input_format < InputFormat.CANONICAL else 110
    same = [plane for plane in range(112) if plane != black]
    assert (masks[0, same] == masks[1, same]).all()
    assert clocks[0] == clocks[1]
    assert transforms[0] == transforms[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(SEEDS, max_size=6), st.sampled_from(InputFormat), st.sampled_from(History))
def test_a_board_has_the_same_planes_in_every_company(seeds, input_format, history):
    boards = [lc0_witness.game(seed) for seed in seeds]
    together, clocks, transforms = planes.masks(boards, input_format, history)
    assert together.shape == (len(boards), 112)
    for index, board in enumerate(boards):
        alone = planes.masks([board], input_format, history)
        assert (alone[0][0] == together[index]).all()
        assert alone[1][0] == clocks[index]
        assert alone[2][0] == transforms[index]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from(InputFormat), st.sampled_from(History))
def test_boards_are_left_as_they_were(seed, input_format, history):
    board = lc0_witness.game(seed)
    before = board.copy()
    planes.masks([board], input_format, history)
    assert board == before
    assert board.move_stack == before.move_stack
    while board.move_stack:
        assert board.pop() == before.pop()
        assert board == before


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_known_history_is_what_taking_moves_back_shows(seed):
    board = lc0_witness.game(seed)
    root = board.root()  # as lc0 does, an en-passant square in a FEN counts as it is written
    assume(root.ep_square is None or root.has_legal_en_passant())
    masks, _, _ = planes.masks([board], InputFormat.CLASSICAL, History.KNOWN)
    earlier = board.copy()
    for age in range(8):
        shown = masks[0, 13 * age : 13 * age + 12]
        if not shown.any():
            assert age == len(board.move_stack) + 1
            break
        for colour in chess.COLORS:
            for piece in chess.PIECE_TYPES:
                mask = earlier.pieces_mask(piece, colour)
                plane = piece - 1 + (0 if colour == board.turn else 6)
                assert int(shown[plane]) == (mask if board.turn else chess.flip_vertical(mask))
        assert bool(masks[0, 13 * age + 12]) == earlier.is_repetition(2)
        if not earlier.move_stack:
            assert age == 7 or not masks[0, 13 * age + 13 :][:13].any()
            break
        earlier.pop()


def test_history_modes_differ_only_in_the_planes_of_earlier_positions():
    board = chess.Board("4k3/8/8/3p4/4P3/8/8/4K3 w - - 4 30")
    board.push_uci("e1e2")
    masks = {mode: planes.masks([board], history=mode)[0][0].tolist() for mode in History}
    filled, known = masks[History.FILLED], masks[History.KNOWN]
    assert filled[:26] == known[:26]
    assert [filled[13 * age : 13 * age + 13] for age in range(2, 8)] == [filled[13:26]] * 6
    assert not any(known[26:104])
    assert masks[History.CURRENT][:13] == filled[:13]
    assert not any(masks[History.CURRENT][13:104])
    weak = masks[History.JENNER2024_WEAK]
    assert [weak[13 * age : 13 * age + 12] for age in range(8)] == [filled[:12]] * 8
    assert [weak[13 * age + 12] for age in range(8)] == [ONES] * 7 + [0]
    assert all(mode[104:] == filled[104:] for mode in masks.values())


@pytest.mark.parametrize("moves", ["", "d7d5"], ids=["from a FEN", "from a move"])
def test_the_paper_s_weak_network_sees_a_pawn_that_can_be_taken_in_passing_eight_times(moves):
    board = chess.Board(
        "4k3/3p4/8/4P3/8/8/8/4K3 b - - 0 1" if moves else "4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 2"
    )
    for uci in moves.split():
        board.push_uci(uci)
    weak = planes.masks([board], history=History.JENNER2024_WEAK)[0][0].tolist()
    assert weak[6] == chess.BB_D5
    assert [weak[13 * age : 13 * age + 12] for age in range(8)] == [weak[:12]] * 8


def test_the_planes_of_an_array_are_the_bits_of_the_masks():
    boards = [lc0_witness.game(seed) for seed in range(40)]
    masks, clocks, _ = planes.masks(boards, InputFormat.CANONICAL_HECTOPLIES)
    array = planes.expand(masks, clocks)
    assert array.shape == (40, 112, 8, 8)
    assert array.dtype == np.float32
    for board in range(40):
        for plane in range(112):
            bits = [int(masks[board, plane]) >> square & 1 for square in range(64)]
            value = float(clocks[board]) if plane == 109 else 1.0
            assert array[board, plane].ravel().tolist() == [bit * value for bit in bits]


@pytest.mark.parametrize("input_format", [InputFormat.CLASSICAL, InputFormat.CANONICAL_V2])
def test_a_half_move_clock_beyond_every_game_is_refused(input_format):
    board = chess.Board("4k3/8/8/8/8/8/8/4K3 w - - 99999999999999999999999 1")
    with pytest.raises(ValueError, match="a half-move clock of 99999999999999999999999 is none"):
        planes.masks([board], input_format)


def test_no_boards_have_no_planes():
    masks, clocks, transforms = planes.masks([])
    assert masks.shape == (0, 112)
    assert planes.expand(masks, clocks).shape == (0, 112, 8, 8)
    assert len(transforms) == 0


def test_castling_rights_that_the_position_denies_are_not_shown():
    masks, _, _ = planes.masks([chess.Board("4k3/8/8/8/8/8/8/4K2R w KQkq - 0 1")])
    assert masks[0, 104:108].tolist() == [0, ONES, 0, 0]


def test_an_unknown_input_format_is_refused():
    with pytest.raises(
        ValueError, match=r"input format 7 is unknown; there are 1 \(classical\), 2"
    ):
        planes.masks([chess.Board()], 7)


def test_an_unknown_history_is_refused():
    with pytest.raises(ValueError, match="history 'all' is unknown; there are 'filled', 'known'"):
        planes.masks([chess.Board()], history="all")


@pytest.mark.parametrize(
    ("fen", "message"),
    [
        ("8/8/8/8/8/8/8/4K3 w - - 0 1", "Black has 0 kings in board 1, '8/8.*one king a side"),
        ("4k3/8/8/8/8/8/8/3KK3 w - - 0 1", "White has 2 kings in board 1, '4k3"),
    ],
)
def test_a_board_without_one_king_a_side_is_refused(fen, message):
    with pytest.raises(ValueError, match=message):
        planes.masks([chess.Board(), chess.Board(fen)])


@pytest.mark.parametrize("square", ["d6", "d8", "d3"])
def test_an_en_passant_square_without_a_pawn_is_refused(square):
    board = chess.Board("6k1/8/8/r3P2K/8/8/8/8 w - - 0 1")
    board.ep_square = chess.parse_square(square)
    with pytest.raises(
        ValueError, match=f"no pawn can be captured on the en-passant square {square}"
    ):
        planes.masks([board])
