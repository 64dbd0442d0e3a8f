"""Effects: onnxruntime's numbers, the laws of patching, rows that say why, tables on disk."""

import dataclasses
import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import chess
import numpy as np
import onnx
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from example_pairs import (
    BACK_RANK,
    BACK_RANK_BLACK,
    BY_HAND,
    KNIGHT_SACRIFICE,
    random_pairs,
)
from network_families import FAMILIES
from onnx_witness import OnnxWitness, log_odds

from leela_probe.experiments import effects, sweeps
from leela_probe.experiments.effect_tables import SCHEMA, VERDICTS, recovered
from leela_probe.experiments.effects import PreparedPairs, Settings
from leela_probe.experiments.sweeps import Sweep, SweepPoint
from leela_probe.files.store import PlanChangedError
from leela_probe.networks import conversion
from leela_probe.networks.interventions import Intervention, Mask, Patch, Zero
from leela_probe.networks.measures import MEASURES
from leela_probe.networks.network import load
from leela_probe.positions import moves
from leela_probe.puzzles import corruptions
from leela_probe.puzzles.pairs import Pair

PAIRS = (*BY_HAND, *random_pairs(5, 2))
DENOISING = Settings(direction="denoising")
PLACES = ["site", "label", "layer", "head", "square", "query", "key"]


def sweep_of(*interventions):
    """A sweep with a change for each intervention, labelled by its number."""
    changes = [
        SweepPoint(
            interventions=made if isinstance(made, tuple) else (made,),
            site="several",
            label=str(number),
        )
        for number, made in enumerate(interventions)
    ]
    return Sweep(name="mine", points=lambda pair: changes, needs_partner=True)


def columns(table, *names):
    return [table[name].astype(object).where(table[name].notna(), None).tolist() for name in names]


# -- the witness ----------------------------------------------------------------------------------


def changes_by_hand(net):
    """Interventions, each with the same change of the file's own tensor in numpy.

    A change is given the tensor of one board in the clean and in the corrupted run, and changes
    the first.
    """
    layer = f"layer{min(1, net.layers - 1)}"

    def flat(square):  # (board square) width
        def change(value, other):
            value[square] = other[square]

        return change

    def maps(square):  # board width rank file
        def change(value, other):
            value[0, :, square // 8, square % 8] = other[0, :, square // 8, square % 8]

        return change

    def patch(kind, square, change):
        site = kind if kind == "embedding" else f"{layer}.{kind}"
        return Intervention(site=site, action=Patch(), square=square), change(np.array(square))

    # squares of which each pair has one that differs, so that patching has an effect at any depth
    changed = tuple(sorted({square for pair in PAIRS for square in pair.changed_squares()}))
    if not net.heads:
        kinds = ["embedding", "residual_after", "conv1"]
        kinds += ["block_output"] if f"{layer}.block_output" in net.sites else []
        return [patch(kind, changed, maps) for kind in kinds] + [
            patch("residual_after", square, maps) for square in changed
        ]

    def head_output(value, other):
        value[0, 1] = other[0, 1]

    def one_square_of_a_head(value, other):
        value[0, 3, 28] = other[0, 3, 28]

    def key_vector(value, other):  # board head width square
        value[0, 0, :, 11] = other[0, 0, :, 11]

    def zero(value, other):
        value[0, 2, 46, 31] = 0

    def renormalise(value, other):
        value[0, 2, 46, 31] = 0
        value[0, 2, 46] /= value[0, 2, 46].sum()

    def zero_others(value, other):
        kept = value[0, 2, 46, 31]
        value[0, 2] = 0
        value[0, 2, 46, 31] = kept

    def mask(value, other):
        value[0, 2, 46, 31] = -np.inf

    entry = {"head": 2, "query": 46, "key": 31}
    again = Zero(renormalise=True)
    return [
        patch("embedding", changed, flat),
        patch("residual_before", changed[0], flat),
        patch("residual_middle", 12, flat),
        patch("residual_after", 13, flat),
        patch("attention_output", 14, flat),
        patch("mlp_output", 15, flat),
        (Intervention(site=f"{layer}.head_output", action=Patch(), head=1), head_output),
        (
            Intervention(site=f"{layer}.head_output", action=Patch(), head=3, square=28),
            one_square_of_a_head,
        ),
        (Intervention(site=f"{layer}.query", action=Patch(), head=1), head_output),
        (Intervention(site=f"{layer}.key", action=Patch(), head=0, square=11), key_vector),
        (Intervention(site=f"{layer}.value", action=Patch(), head=1), head_output),
        (Intervention(site=f"{layer}.pattern", action=Zero(), **entry), zero),
        (
            Intervention(site=f"{layer}.pattern", action=again, **entry),
            renormalise,
        ),
        (
            Intervention(site=f"{layer}.pattern", action=Zero(), complement=True, **entry),
            zero_others,
        ),
        (Intervention(site=f"{layer}.pattern", action=Patch(), head=1), head_output),
        (Intervention(site=f"{layer}.scores", action=Mask(), **entry), mask),
    ]


@pytest.mark.parametrize("preset", FAMILIES)
def test_effects_are_those_of_onnxruntime_on_the_file_cut_at_the_change(preset, network, onnx_file):
    net = network(preset)
    witness = OnnxWitness(onnx_file(preset))
    made = changes_by_hand(net)
    table = effects.measure(net, PAIRS, sweep_of(*(change for change, _ in made)))
    assert len(table) == len(PAIRS) * len(made)
    assert (table["verdict"] == "measured").all()
    encoded = net.encode([pair.clean for pair in PAIRS])
    planes = encoded.planes()
    partners = net.encode([pair.corrupted for pair in PAIRS]).planes()

    def log_odds_of(logits):
        return [
            log_odds(
                row,
                encoded.slots[encoded.offsets[i] : encoded.offsets[i + 1]],
                moves.slot(PAIRS[i].moves[0], PAIRS[i].clean),
            )
            for i, row in enumerate(logits)
        ]

    clean = log_odds_of(witness.tensors(planes, [witness.policy])[witness.policy])
    corrupted = log_odds_of(witness.tensors(partners, [witness.policy])[witness.policy])
    felt = 0
    for number, (change, by_hand) in enumerate(made):
        tensor = net.site(change.site).tensor
        other = np.split(witness.tensors(partners, [tensor])[tensor], len(PAIRS))
        changed = log_odds_of(
            witness.changed_logits(
                planes,
                tensor,
                [lambda value, other=other, f=by_hand: f(value, other) for other in other],
            )
        )
        rows = table[table["label"] == str(number)]
        assert rows["puzzle_id"].tolist() == [pair.puzzle_id for pair in PAIRS]
        where = f"{change.site} {type(change.action).__name__}"
        expected = np.subtract(clean, changed)
        felt += bool(np.abs(expected).max() > 1e-4)
        np.testing.assert_allclose(rows["effect"], expected, atol=1e-5, rtol=0, err_msg=where)
        np.testing.assert_allclose(rows["changed"], changed, atol=1e-5, rtol=0, err_msg=where)
        np.testing.assert_allclose(rows["clean"], clean, atol=1e-5, rtol=0)
        np.testing.assert_allclose(rows["corrupted"], corrupted, atol=1e-5, rtol=0)
    assert felt > len(made) / 2


# -- laws -----------------------------------------------------------------------------------------

EVERYTHING = (
    Intervention(site="input", action=Patch()),
    Intervention(site="embedding", action=Patch(), square=tuple(range(64))),
    Intervention(site="layer1.residual_after", action=Patch()),
)


@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_patching_everything_gives_the_other_run(preset, network):
    net = network(preset)
    noising = effects.measure(net, PAIRS, sweep_of(*EVERYTHING))
    np.testing.assert_allclose(noising["changed"], noising["corrupted"], atol=1e-5)
    np.testing.assert_allclose(
        noising["effect"], noising["clean"] - noising["corrupted"], atol=1e-5
    )
    denoising = effects.measure(net, PAIRS, sweep_of(*EVERYTHING), DENOISING)
    np.testing.assert_allclose(denoising["changed"], denoising["clean"], atol=1e-5)
    np.testing.assert_allclose(denoising["effect"], -noising["effect"], atol=1e-5)
    assert noising["effect"].abs().max() > 0.1


@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
@pytest.mark.parametrize("direction", effects.DIRECTIONS)
def test_a_pair_of_equal_boards_has_no_effects(preset, direction, network):
    net = network(preset)
    same = [dataclasses.replace(pair, corrupted_fen=pair.clean_fen) for pair in PAIRS]
    made = [change for change, _ in changes_by_hand(net) if change.action == Patch()]
    table = effects.measure(net, same, sweep_of(*made), Settings(direction=direction))
    assert table["effect"].abs().max() < 1e-5


@pytest.mark.parametrize(
    "kinds",
    [{"batch_size": 1}, {"batch_size": 7}, {"batch_size": 64}, {"share": False}, {"fused": False}],
)
@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_effects_do_not_depend_on_how_they_are_computed(preset, kinds, network):
    net = network(preset)
    sweep = sweep_of(*(change for change, _ in changes_by_hand(net)))
    expected = effects.measure(net, PAIRS, sweep)
    assert len(expected) % 7
    assert len(expected) % 64
    found = effects.measure(net, PAIRS, sweep, Settings(**kinds))
    pd.testing.assert_frame_equal(found, expected, check_exact=False, atol=1e-5, rtol=0)


@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_effects_do_not_depend_on_the_order_of_puzzles_or_changes(preset, network):
    net = network(preset)
    sweep = sweeps.residual(net, squares=range(0, 64, 9))
    expected = effects.measure(net, PAIRS, sweep)
    backwards = dataclasses.replace(sweep, points=lambda pair: sweep.points(pair)[::-1])
    found = effects.measure(net, PAIRS[::-1], backwards)
    pd.testing.assert_frame_equal(
        found[::-1].reset_index(drop=True),
        expected,
        check_exact=False,
        check_categorical=False,
        atol=1e-5,
        rtol=0,
        check_frame_type=False,  # what is made from an effects table is a plain one
    )


def test_zeroing_an_entry_and_all_others_together_zeroes_the_head(network):
    net = network("attention")
    (one, rest) = sweeps.entry(net, 1, 2).points(BACK_RANK)
    whole = Intervention(site="layer1.pattern", action=Zero(), head=2)
    both = (*one.interventions, *rest.interventions)
    table = effects.measure(net, [BACK_RANK], sweep_of(both, both[::-1], whole))
    assert np.ptp(table["effect"]) < 1e-5
    assert table["effect"].abs().min() > 1e-4


def test_a_puzzle_mirrored_for_the_other_colour_has_the_mirrored_effects(onnx_file, tmp_path):
    # the side-to-move plane is the one input that differs, so its weights are taken out
    import onnx
    from onnx import numpy_helper

    from leela_probe.networks.network import load

    model = onnx.load(onnx_file("se-convolution"))
    first = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    entry = next(entry for entry in model.graph.initializer if entry.name == first)
    weights = numpy_helper.to_array(entry).copy()
    assert weights.shape[1] == 112
    weights[:, 108] = 0
    entry.CopyFrom(numpy_helper.from_array(weights, first))
    onnx.save(model, tmp_path / "blind.onnx")
    net = load(tmp_path / "blind.onnx")
    sweep = sweeps.residual(net, layers=[0])
    white, black = (effects.measure(net, [pair], sweep) for pair in (BACK_RANK, BACK_RANK_BLACK))
    np.testing.assert_allclose(white["effect"], black["effect"], atol=1e-5)
    # the control square is drawn by the puzzle's name, so it may be another
    fixed = ~(white["category"].str.contains("control") | black["category"].str.contains("control"))
    assert white["category"][fixed].tolist() == black["category"][fixed].tolist()


# -- measures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_that_of_the_networks_own_answers(measure, network):
    net = network("attention")
    table = effects.measure(net, PAIRS, sweep_of(*EVERYTHING), Settings(measure=measure))
    assert set(table["measure"]) == {measure}
    clean = net.evaluate([pair.clean for pair in PAIRS])
    corrupted = net.evaluate([pair.corrupted for pair in PAIRS])
    if measure in ("win_log_odds", "q"):
        w, _, loss = clean.wdl.T
        expected = np.log(w / (1 - w)) if measure == "win_log_odds" else w - loss
        other = corrupted.wdl.T
        changed = np.log(other[0] / (1 - other[0])) if measure != "q" else other[0] - other[2]
    elif measure == "kl":
        expected = np.zeros(len(PAIRS))
        changed = []
        for i in range(len(PAIRS)):
            own = clean.encoded.slots[clean.encoded.offsets[i] : clean.encoded.offsets[i + 1]]
            p, q = (
                np.exp(e.logits[i, own].astype(float))
                / np.exp(e.logits[i, own].astype(float)).sum()
                for e in (clean, corrupted)
            )
            changed.append(-(p * np.log(p / q)).sum())
    else:
        p = clean.probability([pair.moves[0] for pair in PAIRS])
        expected = np.log(p / (1 - p)) if measure == "log_odds" else p
        changed = table["corrupted"][::3]  # held to onnxruntime's in the test of the witness
    np.testing.assert_allclose(table["clean"][::3], expected, atol=1e-5)
    np.testing.assert_allclose(table["corrupted"][::3], changed, atol=1e-5)
    np.testing.assert_allclose(table["effect"], table["clean"] - table["corrupted"], atol=1e-5)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"measure": "logit"}, "unknown measure 'logit': choose log_odds, probability"),
        ({"direction": "up"}, "unknown direction 'up': choose noising or denoising"),
    ],
)
def test_an_unknown_measure_or_direction_is_refused(kinds, message, network):
    with pytest.raises(ValueError, match=message):
        effects.measure(network("attention"), PAIRS, sweep_of(*EVERYTHING), Settings(**kinds))


def test_a_network_without_wdl_has_no_win_log_odds(network):
    net = network("attention-scalar")
    sweep = sweeps.heads(net, layers=[0])
    with pytest.raises(ValueError, match="needs a network with a win-draw-loss head"):
        effects.measure(net, PAIRS, sweep, Settings(measure="win_log_odds"))
    assert np.isfinite(effects.measure(net, PAIRS, sweep)["effect"]).all()


def test_an_ablation_has_no_direction(network):
    sweep = sweeps.entry(network("attention"), 0, 0)
    table = effects.measure(network("attention"), PAIRS, sweep)
    assert set(table["direction"]) == {"ablation"}
    with pytest.raises(ValueError, match=r"'entry' takes nothing from a partner: .* denoising"):
        effects.measure(network("attention"), PAIRS, sweep, DENOISING)


# -- rows -----------------------------------------------------------------------------------------


def test_a_row_names_its_puzzle_and_its_place(network):
    net = network("attention")
    table = effects.measure(net, PAIRS, sweeps.residual(net))
    assert len(table) == len(PAIRS) * 3 * 64
    assert list(table.columns) == SCHEMA.names
    of_puzzle = table[table["puzzle_id"] == "backrank"]
    assert set(of_puzzle["game_id"]) == {"game1"}
    assert set(of_puzzle["target_pattern"]) == {"112"}
    assert set(of_puzzle["rank"]) == {1}
    assert table["game_id"][table["puzzle_id"] == "knight"].isna().all()
    assert set(table["direction"]) == {"noising"}
    assert set(table["sweep"]) == {"residual"}
    row = table[
        (table["puzzle_id"] == "backrank") & (table["layer"] == 2) & (table["square"] == 58)
    ]
    assert row["category"].tolist() == ["ply1_target+ply2_target"]
    assert table[["head", "query", "key", "label"]].isna().all().all()
    assert table["clean"].dtype == np.float32
    np.testing.assert_allclose(table["effect"], table["clean"] - table["changed"], atol=1e-5)


def test_mates_are_told_apart_in_the_table(network):
    net = network("attention")
    some = [dataclasses.replace(BACK_RANK, puzzle_id=str(m), mate=m) for m in (True, False, None)]
    table = effects.measure(net, some, sweeps.heads(net, layers=[0]))
    assert table["mate"][::4].tolist() == [True, False, None]


def test_the_favourite_of_the_corrupted_board_is_a_category(network):
    net = network("attention")
    table = effects.measure(net, PAIRS, sweeps.residual(net, layers=[0]))
    tops = net.evaluate([pair.corrupted for pair in PAIRS]).top_moves()
    for pair, top in zip(PAIRS, tops, strict=True):
        rows = table[table["puzzle_id"] == pair.puzzle_id]
        found = rows["square"][rows["category"].str.contains("favourite")].tolist()
        square = top.to_square if pair.turn else chess.square_mirror(top.to_square)
        assert found == [square]


def test_an_entry_needs_no_partner(network):
    net = network("attention")
    alone = [dataclasses.replace(pair, corrupted_fen=None) for pair in BY_HAND]
    sweep = sweeps.entry(net, 1, 2)
    found = effects.measure(net, alone, sweep)
    expected = effects.measure(net, BY_HAND, sweep)
    assert found["corrupted"].isna().all()
    assert found["category"].isna().all()
    np.testing.assert_allclose(found["effect"], expected["effect"], atol=1e-5)
    assert columns(found, *PLACES) == columns(expected, *PLACES)


def test_one_layer_is_enough(network):
    net = network("attention-one-layer")
    table = effects.measure(net, PAIRS, sweeps.residual(net))
    assert len(table) == len(PAIRS) * 64
    # the last layer's stream is all that the heads see
    whole = Intervention(site="layer0.residual_after", action=Patch())
    all_of_it = effects.measure(net, PAIRS, sweep_of(whole))
    np.testing.assert_allclose(all_of_it["changed"], all_of_it["corrupted"], atol=1e-5)
    assert np.isfinite(table["effect"]).all()


def test_the_move_of_slot_zero_is_asked_about_like_any_other(network):
    pair = Pair(
        puzzle_id="a1b1",
        game_id=None,
        target_pattern="123",
        clean_fen="6k1/5ppp/8/8/8/8/5PPP/R5K1 w - - 0 1",
        corrupted_fen="6k1/5pp1/8/8/8/8/5PPP/R5K1 w - - 0 1",
        line=("a1b1", "g8f8", "b1b8"),
    )
    net = network("attention")
    assert moves.slot(pair.moves[0], pair.clean) == 0
    table = effects.measure(net, [pair], sweep_of(*EVERYTHING))
    for board, column in ((pair.clean, "clean"), (pair.corrupted, "corrupted")):
        p = net.evaluate([board]).policy(0)[pair.moves[0]]
        # the rivals are the legal moves of the clean board, here those of the corrupted one too
        assert table[column].tolist() == pytest.approx([np.log(p / (1 - p))] * 3, abs=1e-5)


def test_what_is_recovered_lies_between_the_corrupted_and_the_clean_run(network):
    net = network("attention")
    sweep = sweep_of(*EVERYTHING)
    for settings in (Settings(), DENOISING):
        table = effects.measure(net, BY_HAND, sweep, settings)
        gap = table["clean"] - table["corrupted"]
        share = (1 if settings.direction == "noising" else 0) - table["effect"] / gap
        found = recovered(table)
        np.testing.assert_allclose(found, share, rtol=1e-3, atol=1e-3)


def test_castling_is_asked_about_in_either_notation(network):
    fen = "r3k2r/pppq1ppp/8/8/8/8/PPPQ1PPP/R3K2R w KQkq - 0 1"
    partner = "r3k2r/ppp2ppp/8/8/8/8/PPPQ1PPP/R3K2R w KQkq - 0 1"
    found = [
        effects.measure(
            network("attention"),
            [
                Pair(
                    puzzle_id="castles",
                    game_id=None,
                    target_pattern="1",
                    clean_fen=fen,
                    corrupted_fen=partner,
                    line=(move,),
                )
            ],
            sweep_of(*EVERYTHING),
        )
        for move in ("e1g1", "e1h1")
    ]
    pd.testing.assert_frame_equal(*found)
    assert set(found[0]["verdict"]) == {"measured"}


ONE_LEGAL_MOVE = Pair(
    puzzle_id="forced",
    game_id=None,
    target_pattern="1",
    clean_fen="7k/8/8/8/8/8/6q1/7K w - - 0 1",
    corrupted_fen="7k/8/8/8/8/8/p5q1/7K w - - 0 1",
    line=("h1g2",),
)
EXCLUDED = {
    "no_partner": dataclasses.replace(BACK_RANK, corrupted_fen=None),
    "other_side_to_move": dataclasses.replace(
        BACK_RANK, corrupted_fen=BACK_RANK.corrupted_fen.replace(" w ", " b ")
    ),
    "illegal_first_move": dataclasses.replace(BACK_RANK, line=("c2a8", "e6c8", "e1e8")),
    "illegal_in_partner": dataclasses.replace(
        BACK_RANK, corrupted_fen="6k1/pp3ppp/4b3/1B1r4/P1pb1q2/8/1PQ2PPP/4R1K1 w - - 0 1"
    ),
    "only_legal_move": ONE_LEGAL_MOVE,
}


@pytest.mark.parametrize("verdict", EXCLUDED)
@pytest.mark.parametrize("direction", effects.DIRECTIONS)
def test_a_puzzle_that_cannot_be_measured_has_one_row_that_says_why(verdict, direction, network):
    net = network("attention")
    mixed = [KNIGHT_SACRIFICE, EXCLUDED[verdict], BACK_RANK_BLACK]
    sweep = sweeps.heads(net, layers=[0])
    table = effects.measure(net, mixed, sweep, Settings(direction=direction))
    assert table["verdict"].tolist() == ["measured"] * 4 + [verdict] + ["measured"] * 4
    left_out = table.iloc[4]
    assert left_out["puzzle_id"] == EXCLUDED[verdict].puzzle_id
    assert left_out[["clean", "corrupted", "changed", "effect", "layer"]].isna().all()
    # and the others are as if it had not been there
    others = effects.measure(net, [mixed[0], mixed[2]], sweep, Settings(direction=direction))
    measured = table[table["verdict"] == "measured"]
    assert np.isfinite(measured["effect"]).all()
    np.testing.assert_allclose(measured["effect"], others["effect"], atol=1e-5)
    alone = effects.measure(net, [EXCLUDED[verdict]], sweep, Settings(direction=direction))
    assert alone["verdict"].tolist() == [verdict]


def test_a_single_pair_is_refused_with_the_right_call(network):
    net = network("attention")
    with pytest.raises(TypeError, match=r"got the pair '.*': write measure\(network, \[pair\]"):
        inspect.unwrap(effects.measure)(net, BACK_RANK, sweeps.heads(net))  # without type checks


def test_progress_counts_pairs_and_verdicts(network, monkeypatch):
    monkeypatch.setattr(effects, "_PAIRS_AT_ONCE", 2)
    net, seen = network("attention"), []
    pairs = [*BY_HAND, dataclasses.replace(BACK_RANK, corrupted_fen=None)]
    effects.measure(
        net, pairs, sweeps.heads(net, layers=[0]), progress=lambda *facts: seen.append(facts)
    )
    assert [facts[:2] for facts in seen] == [(2, 4), (4, 4)]
    assert seen[-1][2]["no_partner"] == 1


def test_what_is_done_is_kept_where_an_output_is_given(network, monkeypatch, tmp_path):
    monkeypatch.setattr(effects, "_PAIRS_AT_ONCE", 2)
    net, out = network("attention"), tmp_path / "effects.parquet"
    sweep = sweeps.heads(net, layers=[0])

    def interrupt(done, *_):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        effects.measure(net, PAIRS, sweep, out=out, progress=interrupt)
    with pytest.raises(PlanChangedError, match=r"options\.pairs was"):
        effects.measure(net, PAIRS[:3], sweep, out=out)
    computed = []

    def watched(network, pairs, *arguments):
        computed.append(len(pairs))
        return PreparedPairs(network, pairs, *arguments)

    monkeypatch.setattr(effects, "PreparedPairs", watched)
    table = effects.measure(net, PAIRS, sweep, out=out)
    assert computed == [len(PAIRS) - 4]
    monkeypatch.undo()
    pd.testing.assert_frame_equal(
        table, effects.measure(net, PAIRS, sweep), check_categorical=False, atol=1e-5
    )


def test_a_line_without_moves_is_left_out(network):
    net = network("attention")
    table = effects.measure(
        net, [dataclasses.replace(BACK_RANK, line=())], sweeps.heads(net, layers=[0])
    )
    assert table["verdict"].tolist() == ["illegal_first_move"]


def test_a_line_too_short_for_the_third_ply_has_nothing_to_change(network):
    net = network("attention")
    short = dataclasses.replace(BACK_RANK, line=BACK_RANK.line[:2])
    table = effects.measure(net, [short, BACK_RANK], sweeps.entry(net, 0, 0))
    assert table["verdict"].tolist() == ["nothing_to_change", "measured", "measured"]
    assert np.isfinite(effects.measure(net, [short], sweeps.heads(net))["effect"]).all()


def test_no_puzzles_give_an_empty_table(network):
    net = network("attention")
    table = effects.measure(net, [], sweeps.heads(net))
    assert (len(table), list(table.columns)) == (0, SCHEMA.names)


def test_a_wrong_place_in_a_sweep_of_ones_own_is_refused(network):
    net = network("attention")
    for made, error, message in (
        (Intervention(site="layer7.pattern", action=Zero()), KeyError, "layers run from 0 to 2"),
        (Intervention(site="layer1.head_output", action=Patch(), head=24), IndexError, "head 24"),
        (Intervention(site="embedding", action=Patch(), square=64), IndexError, "square 64"),
        (Intervention(site="moves_left.hidden", action=Zero()), ValueError, "has no influence"),
    ):
        with pytest.raises(error, match=message):
            effects.measure(net, PAIRS, sweep_of(made))


def test_more_runs_than_fit_at_once_are_measured_in_portions(network, monkeypatch):
    net = network("attention")
    sweep = sweeps.heads(net)
    expected = effects.measure(net, PAIRS, sweep)
    monkeypatch.setattr(effects, "_RUNS_AT_ONCE", 30)  # two puzzles at once, and the last alone
    monkeypatch.setattr(effects, "_RUNS_JUDGED_AT_ONCE", 5)
    assert [len(some) for some in effects._batches(PAIRS, sweep)] == [2, 2, 1]
    found = effects.measure(net, PAIRS, sweep)
    pd.testing.assert_frame_equal(found, expected, check_exact=False, atol=1e-5, rtol=0)


# -- on disk --------------------------------------------------------------------------------------

MANY = (*PAIRS, EXCLUDED["illegal_in_partner"], ONE_LEGAL_MOVE)


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory):
    """What `corrupt` would have written of these pairs."""
    rows = [
        {
            "puzzle_id": pair.puzzle_id,
            "game_id": pair.game_id,
            "target_pattern": pair.target_pattern,
            "verdict": "found",
            "rank": 1,
            "fen": "before",
            "moves": " ".join(("a1a1", *pair.line)),
            "clean_fen": pair.clean_fen,
            "corrupted_fen": pair.corrupted_fen,
        }
        for pair in MANY
    ]
    data = {name: [row.get(name) for row in rows] for name in corruptions.SCHEMA.names}
    path = tmp_path_factory.mktemp("pairs") / "pairs.parquet"
    pyarrow.parquet.write_table(pyarrow.table(data, schema=corruptions.SCHEMA), path)
    return path


def run(net, pairs_file, out, **kinds):
    sweep = kinds.pop("sweep", None) or sweeps.heads(net, layers=[0, 1])
    running = {name: kinds.pop(name) for name in ("overwrite", "progress") if name in kinds}
    return effects.sweep(net, pairs_file, sweep, out, Settings(**kinds), **running)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_on_disk_is_the_table_in_memory(ending, network, pairs_file, tmp_path):
    net = network("attention")
    told = []
    out = tmp_path / f"effects.{ending}"
    finished = run(net, pairs_file, out, progress=lambda *facts: told.append(facts))
    expected = effects.measure(net, MANY, sweeps.heads(net, layers=[0, 1]))
    assert finished.path == out
    assert finished.rows == len(expected) == 5 * 8 + 2
    assert dict(finished.counts) == {
        verdict: {"measured": 40, "illegal_in_partner": 1, "only_legal_move": 1}.get(verdict, 0)
        for verdict in VERDICTS
    }
    assert told == [(7, 7, dict(finished.counts))]
    if ending == "parquet":
        stored = pyarrow.parquet.read_table(out)
        assert stored.schema.remove_metadata() == SCHEMA
        found = stored.to_pandas()
    else:
        found = pd.read_csv(out, dtype={"target_pattern": str})
    assert list(found.columns) == SCHEMA.names
    names = [
        name for name in SCHEMA.names if name not in ("clean", "corrupted", "changed", "effect")
    ]
    assert columns(found, *names) == columns(expected, *names)
    for name in ("clean", "corrupted", "changed", "effect"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_the_manifest_tells_what_the_table_was_made_from(network, pairs_file, tmp_path):
    net = network("attention")
    finished = run(net, pairs_file, tmp_path / "effects.parquet", measure="q", seed=3, limit=2)
    manifest = json.loads(finished.manifest_path.read_text("utf-8"))
    assert manifest["stage"] == "patch"
    assert manifest["inputs"]["network"]["sha256"] == net.sha256
    assert manifest["inputs"]["puzzles"]["file"] == "pairs.parquet"
    assert manifest["rows"] == 16
    assert manifest["counts"]["measured"] == 16
    expected = {
        "sweep": "heads",
        "layers": [0, 1],
        "measure": "q",
        "direction": "noising",
        "history": "filled",
        "limit": 2,
        "ranks": [1],
        "seed": 3,
    }
    assert expected.items() <= manifest["options"].items()
    assert manifest["options"]["batch_size"] >= 16


def test_a_finished_table_is_not_overwritten_unasked(network, pairs_file, tmp_path):
    net = network("attention")
    out = tmp_path / "effects.parquet"
    run(net, pairs_file, out, limit=1)
    assert run(net, pairs_file, out, limit=1).reused
    with pytest.raises(
        PlanChangedError, match=r"effects\.parquet' is finished, with .*limit was 1"
    ):
        run(net, pairs_file, out, limit=2)
    assert run(net, pairs_file, out, limit=2, overwrite=True).rows == 16


def test_a_wrong_measure_is_refused_before_anything_is_written(network, pairs_file, tmp_path):
    with pytest.raises(ValueError, match="unknown measure 'logit'"):
        run(network("attention"), pairs_file, tmp_path / "effects.parquet", measure="logit")
    assert list(tmp_path.iterdir()) == []


class InterruptedHereError(Exception):
    pass


def test_another_sweep_does_not_go_on_with_an_unfinished_table(
    network, pairs_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(effects, "_PAIRS_AT_ONCE", 2)
    net = network("attention")
    out = tmp_path / "effects.parquet"

    def interrupt(done, total, counts):
        raise InterruptedHereError("after the first part")

    with pytest.raises(InterruptedHereError, match="after the first part"):
        run(net, pairs_file, out, progress=interrupt)
    for kinds in (
        {"sweep": sweeps.heads(net, layers=[2])},
        {"sweep": sweeps.residual(net)},
        {"measure": "q"},
        {"direction": "denoising"},
        {"seed": 1},
    ):
        with pytest.raises(PlanChangedError, match=r"was begun with other settings: options\."):
            run(net, pairs_file, out, **kinds)
    assert not out.exists()
    assert run(net, pairs_file, out).rows == 42


def other_identities(network_file, cache, folder):
    """Pairs of networks that a path and its SHA-256 do not tell apart, by what differs."""
    plain, several = network_file("attention"), network_file("multihead")
    outside = folder / "outside.onnx"
    conversion.convert(plain, folder / "inside.onnx")
    model = onnx.load(folder / "inside.onnx")
    onnx.save_model(model, str(outside), save_as_external_data=True, location="outside.data")

    def damaged():
        data = bytearray((folder / "outside.data").read_bytes())
        data[1000] ^= 1
        (folder / "outside.data").write_bytes(data)
        return load(outside)

    yield "no_history", load(plain, cache=cache), lambda: load(plain, cache=cache, no_history=True)
    yield "input_format", load(plain, cache=cache), lambda: load(plain, cache=cache, input_format=2)
    yield "dtype", load(plain, cache=cache), lambda: load(plain, cache=cache, dtype="bfloat16")
    yield (
        "policy_head",
        load(several, cache=cache),
        lambda: load(several, cache=cache, policy_head="soft"),
    )
    yield (
        "value_head",
        load(several, cache=cache),
        lambda: load(several, cache=cache, value_head="q"),
    )
    yield r"external_sha256\.outside\.data", load(outside), damaged


def test_a_sweep_goes_on_only_with_the_network_it_was_begun_with(
    network_file, cache, pairs_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(effects, "_PAIRS_AT_ONCE", 2)

    def interrupt(done, total, counts):
        raise InterruptedHereError("after the first part")

    for number, (fact, net, other) in enumerate(other_identities(network_file, cache, tmp_path)):
        out = tmp_path / f"effects{number}.parquet"
        with pytest.raises(InterruptedHereError, match="after the first part"):
            run(net, pairs_file, out, progress=interrupt)
        other = other()
        assert other.path == net.path
        assert other.sha256 == net.sha256
        with pytest.raises(PlanChangedError, match=fact):
            run(other, pairs_file, out)


KILLED = """
import os, signal, sys
import torch
from leela_probe.experiments import effects, sweeps
from leela_probe.networks.network import load

torch.set_num_threads(1)
effects._PAIRS_AT_ONCE = 2
path, cache, pairs, out, last = sys.argv[1:]
net = load(path, cache=cache)
effects.sweep(
    net, pairs, sweeps.heads(net, layers=[0, 1]), out,
    progress=lambda done, *_: done >= int(last) and os.kill(os.getpid(), signal.SIGKILL),
)
"""


def test_a_table_cut_off_twice_comes_out_byte_for_byte_the_same(
    network, network_file, cache, pairs_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(effects, "_PAIRS_AT_ONCE", 2)
    net = network("attention")
    whole, resumed = tmp_path / "whole.parquet", tmp_path / "resumed" / "whole.parquet"
    resumed.parent.mkdir()
    told = []
    run(net, pairs_file, whole, progress=lambda *facts: told.append(facts[:2]))
    assert told == [(2, 7), (4, 7), (6, 7), (7, 7)]
    for last in ("2", "6"):
        arguments = (network_file("attention"), cache, pairs_file, resumed, last)
        process = subprocess.run(
            [sys.executable, "-c", KILLED, *map(str, arguments)],
            cwd=Path(__file__).parents[2],
            env=dict(os.environ),
            capture_output=True,
            timeout=120,
        )
        assert process.returncode == -signal.SIGKILL, process.stderr.decode()
        assert not resumed.exists()
    computed = []
    prepare = effects.PreparedPairs

    def watched(net, some, *arguments, **kinds):
        computed.append(len(some))
        return prepare(net, some, *arguments, **kinds)

    monkeypatch.setattr(effects, "PreparedPairs", watched)
    run(net, pairs_file, resumed)
    assert computed == [1]  # only what was not finished
    assert resumed.read_bytes() == whole.read_bytes()
    manifests = [path.with_name("whole.parquet.manifest.json") for path in (whole, resumed)]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()


def test_measuring_reports_how_many_pairs_are_done(network):
    net, reported = network("attention"), []
    effects.measure(
        net, BY_HAND, sweeps.heads(net), progress=lambda *progress: reported.append(progress)
    )
    ((done, total, counts),) = reported
    assert (done, total, counts["measured"]) == (3, 3, 3 * 12)  # rows
