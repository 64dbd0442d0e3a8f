"""The search for corrupted partners: the shortcut gives what looking at everything gives."""

import dataclasses
from functools import partial

import chess
import numpy as np
import pytest
from puzzle_dumps import HashNetwork, random_rows
from scipy.spatial import distance

from leela_probe.networks import evaluation
from leela_probe.positions import encoding
from leela_probe.positions.planes import History
from leela_probe.puzzles import partners, plies
from leela_probe.puzzles.candidates import edited, edits, is_playable
from leela_probe.puzzles.dumps import MalformedRow, Row
from leela_probe.puzzles.lichess import Puzzle
from leela_probe.puzzles.partners import PRESETS, Search

ROWS = [
    Row(line, row["PuzzleId"], row["FEN"], row["Moves"])
    for line, row in enumerate(random_rows(12, 8))
]
# random networks like other moves than random play
WIDE = Search(log_odds=2.0, value=0.05, probability=0.02, divergence=0.4, favourite=False)


@pytest.fixture
def both(tmp_path):
    return {
        "weak": HashNetwork(tmp_path / "weak.txt", sharpness=1.0),
        "strong": HashNetwork(tmp_path / "strong.txt", sharpness=2.0),
    }


def find(rows, search, both, batch_size=64):
    views = {
        "weak_view": plies.view(both["weak"], search.weak_history),
        "strong_view": plies.view(both["strong"], search.strong_history),
    }
    prepared = partners.prepare(rows, search=search, **views)
    outcomes = partners.find(
        prepared,
        **both,
        search=search,
        strong_view=views["strong_view"],
        batch_size=batch_size,
    )
    return prepared.trials, outcomes


def answer(network, board, history):
    """Policy by move, value: of one board."""
    found = network.evaluate(encoding.encode([board], history=history))
    policy = {move: float(p) for move, p in found.policy(0).items()}
    return policy, float(found.q[0])


def log_odds(policy, move):
    return np.log(policy[move] / (1 - policy[move]))


def divergence(first, second):
    moves = sorted(set(first) | set(second), key=chess.Move.uci)
    p, q = ([policy.get(move, 0) for move in moves] for policy in (first, second))
    return distance.jensenshannon(p, q) ** 2


def plain_search(row, search, both):
    """The definition: every candidate judged by both networks, then the nearest that passes."""
    board = chess.Board(row.fen)
    setup, first, *_ = map(chess.Move.from_uci, row.moves.split())
    board.push(setup)
    clean = board if search.clean_history else chess.Board(board.fen())
    weak, strong = (partial(answer, both[name]) for name in ("weak", "strong"))
    weak_clean, _ = weak(clean, search.weak_history)
    _, value_clean = strong(clean, search.strong_history)
    passing = []
    for place, change in enumerate(edits(board)):
        if not is_playable(board, change, first)[1]:
            continue
        corrupted = chess.Board(edited(board, change).fen())
        policy, _ = weak(corrupted, search.weak_history)
        strong_policy, value = strong(corrupted, search.strong_history)
        jsd = divergence(weak_clean, policy)
        if (
            log_odds(weak_clean, first) - log_odds(policy, first) < search.log_odds
            and value - value_clean < -search.value
            and strong_policy[first] < search.probability
            and jsd <= search.divergence
        ):
            passing.append((jsd, place, corrupted.fen(), value - value_clean, strong_policy[first]))
    return sorted(passing)


@pytest.mark.parametrize(
    "search",
    [
        dataclasses.replace(WIDE, keep=3),
        dataclasses.replace(WIDE, weak_history=History.CURRENT, strong_history=History.KNOWN),
        dataclasses.replace(PRESETS["jenner2024"], log_odds=2.0, divergence=0.4, favourite=False),
    ],
    ids=["three", "other histories", "jenner2024"],
)
def test_the_partners_are_the_nearest_of_all_that_pass(both, search):
    rows = ROWS[:3]
    _, outcomes = find(rows, search, both)
    found = 0
    for row, outcome in zip(rows, outcomes, strict=True):
        expected = plain_search(row, search, both)[: search.keep]
        assert [partner.fen for partner in outcome.partners] == [
            fen for _, _, fen, _, _ in expected
        ]
        for partner, (jsd, _, _, rise, p) in zip(outcome.partners, expected, strict=True):
            assert partner.jsd == pytest.approx(jsd, abs=1e-6)
            assert partner.d_value_strong == pytest.approx(rise, abs=1e-6)
            assert partner.strong_p == pytest.approx(p, rel=1e-5)
        found += len(expected)
    assert found > 0


class Planted:
    """A network that says the same everywhere but in a few positions, by FEN."""

    def __init__(self, template, exceptions):
        self._template = template
        self._exceptions = exceptions
        self.name, self.dtype = "planted", "float32"
        self.input_format, self.no_history = template.input_format, template.no_history
        self.seen = []

    def evaluate(self, encoded, *, batch_size=256):
        logits = np.zeros((len(encoded), 1858), dtype=np.float32)
        wdl = np.tile(np.array([0.5, 0.3, 0.2], dtype=np.float32), (len(encoded), 1))
        for index, masks in enumerate(encoded.masks):
            key = masks[:12].tobytes()
            self.seen.append(key)
            for board, logit, win in self._exceptions:
                known = encoding.encode([board])
                if known.masks[0, :12].tobytes() == key:
                    logits[index, known.slots[0]] = logit
                    wdl[index] = [win, 0.3, 0.7 - win]
        return evaluation.from_logits(encoded, logits, wdl=wdl, value=None, moves_left=None)


def planted_row():
    """A puzzle whose first move is the first legal one, with its board and candidates."""
    board = chess.Board("6k1/5ppp/8/8/8/8/5PPP/3R2K1 b - - 0 1")
    board.push_uci("h7h6")
    first = next(iter(board.legal_moves))
    row = Row(2, "x", "6k1/5ppp/8/8/8/8/5PPP/3R2K1 b - - 0 1", f"h7h6 {first.uci()}")
    playable = [change for change in edits(board) if is_playable(board, change, first)[1]]
    return row, chess.Board(board.fen()), [edited(board, change) for change in playable]


def test_one_planted_survivor_is_found_and_stops_the_search(both):
    row, clean, corrupted = planted_row()
    survivor = next(
        board
        for board in corrupted[20:]
        if next(iter(board.legal_moves)) == next(iter(clean.legal_moves))
    )
    strong = Planted(both["strong"], [(clean, 5.0, 0.5), (survivor, -5.0, 0.1)])
    strong_planted = {"weak": Planted(both["weak"], []), "strong": strong}
    search = Search(divergence=0.6)  # all policies of the weak network are flat, none is far
    (trial,), (outcome,) = find([row], search, strong_planted)
    assert outcome.verdict == "found"
    (partner,) = outcome.partners
    assert partner.fen == survivor.fen()
    assert partner.strong_p < 0.1
    assert partner.d_value_strong == pytest.approx(-0.8, abs=1e-6)
    assert outcome.asked <= len(trial.edits)
    assert len(strong.seen) == 1 + outcome.asked


@pytest.mark.parametrize("history", [False, True], ids=["bare", "with the game"])
def test_only_the_strong_network_s_favourite_on_the_clean_board_has_partners(both, history):
    search = dataclasses.replace(WIDE, favourite=True, clean_history=history)
    row = ROWS[0]
    board = chess.Board(row.fen)
    setup = row.moves.split()[0]
    board.push_uci(setup)
    policy, _ = answer(
        both["strong"], board if history else chess.Board(board.fen()), History.FILLED
    )
    order = sorted(policy, key=policy.get, reverse=True)
    rows = [Row(2, "x", row.fen, f"{setup} {move.uci()}") for move in (order[1], order[0])]
    _, (second, first) = find(rows, search, both)
    assert (second.verdict, second.partners, second.asked) == ("not_favourite", (), 0)
    assert second.favourite == first.favourite == order[0]
    assert (second.strong_p, first.strong_p) == pytest.approx([policy[order[1]], policy[order[0]]])
    _, (allowed,) = find(rows[1:], dataclasses.replace(search, favourite=False), both)
    assert first == allowed
    assert first.asked > 0


def test_a_first_move_that_shares_the_first_place_is_a_favourite(both):
    row, clean, _ = planted_row()
    flat = Planted(both["strong"], [])
    for move in clean.legal_moves:
        tied = Row(2, "x", row.fen, f"h7h6 {move.uci()}")
        _, (outcome,) = find([tied], Search(kinds=("remove",)), {"weak": flat, "strong": flat})
        assert outcome.verdict != "not_favourite"
        assert outcome.favourite == move


def test_each_reason_for_finding_nothing_is_told(both):
    row, clean, _ = planted_row()
    flat = Planted(both["strong"], [])
    _, (outcome,) = find([row], Search(), {"weak": flat, "strong": flat})
    assert outcome.verdict == "strong_unmoved"
    assert (outcome.partners, outcome.asked) == ((), outcome.near)
    notices = Planted(both["weak"], [(clean, 9.0, 0.5)])
    _, (outcome,) = find([row], Search(), {"weak": notices, "strong": flat})
    assert outcome.verdict == "weak_notices"
    assert (outcome.similar, outcome.near, outcome.asked) == (0, 0, 0)
    mate = Row(3, "y", "7k/8/8/8/8/8/8/K6R b - - 0 1", "h8g8 h1h2")
    far = dataclasses.replace(Search(), kinds=("remove",))
    (trial,), (outcome,) = find([mate], far, {"weak": flat, "strong": flat})
    assert (trial.allowed, outcome.verdict) == (0, "no_candidate")


def test_options_keep_their_word(both):
    options = {
        "kinds": ("move",),
        "kings": False,
        "line_squares": False,
        "third_mover": False,
    }
    (free, *_), _ = find(ROWS[:1], WIDE, both)
    for name, value in options.items():
        search = dataclasses.replace(WIDE, **{name: value})
        (trial, *_), _ = find(ROWS[:1], search, both)
        assert trial.generated == free.generated
        assert trial.allowed < free.allowed == free.generated
        line = trial.puzzle.principal_variation
        for change in trial.edits:
            if name == "kinds":
                assert change.kind == "move"
            if name == "kings":
                assert change.piece.piece_type != chess.KING
            if name == "line_squares":
                touched = {square for move in line for square in (move.from_square, move.to_square)}
                assert not touched & set(change.squares)
            if name == "third_mover" and len(line) > 2:
                assert line[2].from_square not in change.squares or line[2].from_square in {
                    move.to_square for move in line[:2]
                }


def test_the_square_of_a_castling_rook_is_on_the_line(both):
    row = Row(2, "x", "4k1n1/7p/8/8/8/8/7P/R3K3 b Q - 0 1", "h7h6 h2h3 e8e7 e1c1")
    (free,), _ = find([row], WIDE, both)
    (bound,), _ = find([row], dataclasses.replace(WIDE, line_squares=False), both)
    assert any(change.squares == (chess.G8, chess.D1) for change in free.edits)
    assert not any(chess.D1 in change.squares for change in bound.edits)


def test_malformed_rows_have_no_outcome(both):
    rows = [MalformedRow(line=2, reason="bad"), ROWS[0], Row(4, "x", "nonsense", "e2e4 e7e5")]
    trials, outcomes = find(rows, WIDE, both)
    assert [isinstance(trial, MalformedRow) for trial in trials] == [True, False, True]
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    assert find(rows[:1], WIDE, both)[1] == [None]


def test_both_boards_of_a_pair_have_the_same_kind_of_history(both):
    for search in (Search(), Search(weak_history=History.KNOWN)):
        view = plies.view(both["weak"], search.weak_history)
        prepared = partners.prepare(ROWS[:1], search=search, weak_view=view, strong_view=view)
        (trial,) = prepared.trials
        assert isinstance(trial.puzzle, Puzzle)
        bare = encoding.encode([chess.Board(trial.clean_fen)], history=search.weak_history)
        np.testing.assert_array_equal(prepared.weak.masks[0], bare.masks[0])
        np.testing.assert_array_equal(prepared.strong.masks[0], bare.masks[0])
        corrupted = edited(trial.puzzle.board(), trial.edits[0])
        bare = encoding.encode([chess.Board(corrupted.fen())], history=search.weak_history)
        np.testing.assert_array_equal(prepared.weak.masks[1], bare.masks[0])


def test_the_paper_s_clean_board_knows_one_earlier_position(both):
    search = PRESETS["jenner2024"]
    view = plies.view(both["strong"], search.strong_history)
    prepared = partners.prepare(ROWS[:1], search=search, weak_view=view, strong_view=view)
    assert prepared.strong.masks[0, 13:26].any()
    assert not prepared.weak.masks[1, 13:26].any()


def test_a_strong_network_without_value_head_is_refused(both):
    class PolicyOnly(HashNetwork):
        def evaluate(self, encoded, *, batch_size=256):
            found = super().evaluate(encoded, batch_size=batch_size)
            return evaluation.from_logits(
                encoded, found.logits, wdl=None, value=None, moves_left=None
            )

    strong = PolicyOnly(both["strong"].path)
    with pytest.raises(ValueError, match="'strong' has no value head"):
        find(ROWS[:1], WIDE, {"weak": both["weak"], "strong": strong})


def test_a_search_that_cannot_find_anything_is_refused():
    with pytest.raises(ValueError, match=r"among remove, add, move, at least one; got none"):
        Search(kinds=())
    with pytest.raises(ValueError, match="got swap"):
        Search(kinds=("swap",))
    with pytest.raises(ValueError, match="keep at least 1 partner, got 0"):
        Search(keep=0)


def test_the_presets_have_the_paper_s_thresholds():
    for preset in PRESETS.values():
        assert (preset.log_odds, preset.value, preset.probability) == (0.2, 0.1, 0.1)
        assert (preset.divergence, preset.keep) == (0.2, 1)
        assert preset.kings
        assert preset.line_squares
        assert preset.third_mover
        assert preset.favourite
    assert not PRESETS["default"].clean_history
    assert PRESETS["jenner2024"].clean_history
