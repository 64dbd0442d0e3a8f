"""Planted networks do what was planted and nothing else; lc0 is the witness that they are real."""

from dataclasses import dataclass

import chess
import numpy as np
import pandas as pd
import pytest
from lc0_witness import engine_policies

from leela_probe.experiments import categories, effects, sweeps
from leela_probe.networks import lc0_answers, network
from leela_probe.networks.network import Network
from leela_probe.organisms import planted, planted_puzzles
from leela_probe.organisms.planted import Planted
from leela_probe.puzzles.pairs import Pair
from leela_probe.weights import weights_files

ROUNDING = 1e-4  # nats
SEED = 5


@dataclass(frozen=True)
class Grown:
    made: Planted
    net: Network
    pairs: list[Pair]
    placebos: list[Pair]
    heads: pd.DataFrame

    def gaps(self) -> np.ndarray:
        """Clean minus corrupted log odds, a number a puzzle."""
        one = self.heads.drop_duplicates("puzzle_id")
        return (one["clean"] - one["corrupted"]).to_numpy()


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    found = {}
    for kind in planted.KINDS:
        made = planted.write(folder / f"{kind}.pb.gz", kind, seed=SEED)
        net = network.load(made.path)
        puzzles = planted_puzzles.make(made, 12, seed=SEED)
        pairs = [puzzle.planted for puzzle in puzzles]
        found[kind] = Grown(
            made,
            net,
            pairs,
            [puzzle.placebo for puzzle in puzzles],
            effects.measure(net, pairs, sweeps.heads(net)),
        )
    return found


@pytest.mark.parametrize("kind", planted.KINDS)
def test_lc0_agrees_about_planted_networks(grown, kind):
    own = grown[kind]
    boards = [board for pair in own.pairs[:4] for board in (pair.clean, pair.corrupted)]
    answers = own.net.evaluate(boards)
    for index, answer in enumerate(
        lc0_answers.ask(own.made.path, [(board.fen(), []) for board in boards])
    ):
        policy = {move.uci(): p for move, p in answers.policy(index).items()}
        assert policy == pytest.approx(answer.policy, abs=1e-5)
        assert answers.q[index] == pytest.approx(answer.q, abs=1e-5)


def test_the_engine_plays_the_planted_move_and_a_legal_game(grown):
    own = grown["single"]
    clean = [pair.clean for pair in own.pairs[:4]]
    policies = engine_policies(clean, own.made.path)
    for pair, policy in zip(own.pairs, policies, strict=False):
        assert max(policy, key=policy.get) == pair.line[0]
    board = chess.Board()
    for _ in range(12):
        (policy,) = engine_policies([board], own.made.path)
        board.push_uci(max(policy, key=policy.get))  # raises for an illegal move
    assert board.is_valid()


@pytest.mark.parametrize("kind", planted.KINDS)
def test_the_first_move_is_liked_on_the_clean_board(grown, kind):
    own = grown[kind]
    answers = own.net.evaluate([pair.clean for pair in own.pairs])
    liked = [answers.policy(i)[pair.moves[0]] for i, pair in enumerate(own.pairs)]
    assert np.median(liked) > 0.8
    assert np.mean(liked) == pytest.approx(0.9, abs=0.1)
    corrupted = own.net.evaluate([pair.corrupted for pair in own.pairs])
    left = [corrupted.policy(i)[pair.moves[0]] for i, pair in enumerate(own.pairs)]
    assert (np.median(left) < 0.1) == (kind != "pattern")


@pytest.mark.parametrize("kind", planted.CONTINUATION)
def test_the_placebo_line_has_no_effect_at_all(grown, kind):
    own = grown[kind]
    table = effects.measure(own.net, own.placebos[:8], sweeps.heads(own.net))
    assert (table["clean"] - table["corrupted"]).abs().max() < ROUNDING
    assert table["effect"].abs().max() < ROUNDING


@pytest.mark.parametrize("kind", ["single", "redundant"])
def test_the_residual_sweep_moves_from_the_third_target_to_the_first_at_the_planted_layer(
    grown, kind
):
    own = grown[kind]
    table = effects.measure(own.net, own.pairs[:4], sweeps.residual(own.net))
    gaps = (table["clean"] - table["corrupted"]).astype(float)
    planted_layer = own.made.heads[0][0]
    before = table["layer"] < planted_layer
    third = table["category"].str.contains("ply3_target")
    first = table["category"].str.contains("ply1_target")
    assert (table["effect"] - gaps)[before & third].abs().max() < ROUNDING
    assert (table["effect"] - gaps)[~before & first].abs().max() < ROUNDING
    elsewhere = ~(before & third) & ~(~before & first)
    assert table["effect"][elsewhere].abs().max() < ROUNDING
    assert gaps.min() > 4


def test_a_sequence_passes_the_square_between(grown):
    own = grown["sequence"]
    table = effects.measure(own.net, own.pairs[:4], sweeps.residual(own.net))
    early, late = (layer for layer, _ in own.made.heads)
    assert early < late
    large = table[table["effect"] > ROUNDING]
    for pair in own.pairs[:4]:
        rows = large[large["puzzle_id"] == pair.puzzle_id]
        squares = dict(zip(rows["layer"].astype(int), rows["square"].astype(int), strict=True))
        middle = own.made.middle[pair.target(1)]
        assert squares == {
            layer: pair.target(3) if layer < early else middle if layer < late else pair.target(1)
            for layer in range(own.net.layers)
        }


def test_the_head_sweep_finds_the_planted_head_and_no_other(grown):
    for kind in ("single", "sequence"):
        own = grown[kind]
        for (layer, head), rows in own.heads.groupby(["layer", "head"]):
            if (layer, head) in own.made.heads:
                assert rows["effect"].to_numpy() == pytest.approx(own.gaps(), abs=ROUNDING)
            else:
                assert rows["effect"].abs().max() < ROUNDING


def test_ablating_the_planted_entry_is_the_whole_gap_and_its_complement_nothing(grown):
    own = grown["single"]
    table = effects.measure(own.net, own.pairs, sweeps.entry(own.net, *own.made.heads[0]))
    one = table[table["label"] == "3->1"]["effect"].to_numpy()
    rest = table[table["label"] == "all other entries"]["effect"]
    assert one == pytest.approx(own.gaps(), abs=ROUNDING)
    assert rest.abs().max() < ROUNDING


def test_of_a_redundant_pair_either_is_enough(grown):
    own = grown["redundant"]
    assert own.heads["effect"].abs().max() < ROUNDING
    both = effects.measure(own.net, own.pairs, sweeps.head_sets(own.net, [own.made.heads]))
    assert both["effect"].to_numpy() == pytest.approx(own.gaps(), abs=ROUNDING)


def test_a_pattern_network_uses_no_continuation(grown):
    own = grown["pattern"]
    assert own.made.heads == ()
    assert np.abs(own.gaps()).max() < ROUNDING
    assert own.heads["effect"].abs().max() < ROUNDING


def test_the_other_heads_look_at_something_and_nobody_reads_them(grown):
    own = grown["single"]
    (planted_head,) = own.made.heads
    tensors = weights_files.read(own.made.path).tensors
    depth = tensors["encoder.0.mha.q_w"].shape[0] // own.net.heads
    outputs = own.net.capture(
        [own.pairs[0].clean], [f"layer{layer}.head_output" for layer in range(own.net.layers)]
    )
    for layer in range(own.net.layers):
        read = tensors[f"encoder.{layer}.mha.dense_w"].reshape(own.net.width, own.net.heads, depth)
        for head in range(own.net.heads):
            assert (read[:, head] != 0).any() == ((layer, head) == planted_head)
            assert outputs[f"layer{layer}.head_output"][0, head].std() > 0.01


def test_the_same_seed_gives_the_same_bytes_and_others_other_places(tmp_path):
    one, two = (planted.write(tmp_path / f"{n}.pb", "single", seed=3) for n in "ab")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert (one.heads, one.partner) == (two.heads, two.partner)
    places = {planted.write(tmp_path / "c.pb", "single", seed=seed).heads for seed in range(12)}
    assert len(places) > 4
    assert all(layer > 0 for ((layer, _),) in places)


def test_partners_are_a_permutation_that_moves_every_square(tmp_path):
    for kind in planted.KINDS:
        made = planted.write(tmp_path / "n.pb", kind, seed=2)
        assert sorted(made.partner) == list(range(64))
        assert all(square != partner for square, partner in enumerate(made.partner))
        if made.middle is not None:
            ways = zip(range(64), made.middle, made.partner, strict=True)
            assert all(len(set(way)) == 3 for way in ways)


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing of kind 'double' can be planted: choose single"):
        planted.write(tmp_path / "n.pb", "double", seed=0)


def test_categories_name_the_corrupted_square_as_the_third_target(grown):
    pair = grown["single"].pairs[0]
    names = categories.of(pair)
    assert names[pair.target(3)][:2] == ("corrupted", "ply3_target")
