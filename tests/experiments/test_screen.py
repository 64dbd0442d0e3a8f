"""Screens by gradient: exact where the network is linear, and ranking well where it is not."""

import dataclasses

import numpy as np
import onnx
import pytest
from example_pairs import random_pairs

from leela_probe.experiments import effects, screen, sweeps
from leela_probe.experiments.sweeps import Sweep, SweepPoint
from leela_probe.networks import network as networks
from leela_probe.networks.interventions import Intervention, Scale
from leela_probe.puzzles.pairs import Pair

# White has two legal moves, so that the log odds are a difference of two logits: linear in them.
TWO_MOVES = Pair(
    puzzle_id="two",
    game_id=None,
    target_pattern="",
    clean_fen="8/8/8/7p/8/7P/2k5/K7 w - - 0 1",
    line=("a1a2",),
    corrupted_fen="8/8/8/4p2p/8/7P/2k5/K7 w - - 0 1",
)
DEMO = Pair(
    puzzle_id="demo",
    game_id=None,
    target_pattern="112",
    clean_fen="2r2r1k/6pp/p1q2p2/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32",
    line=("f4g6", "h7g6", "d4h4"),
    corrupted_fen="2r2r1k/6pp/p1q2p1p/1p6/3R1N2/PQ2P2P/1P3PP1/6K1 w - - 5 32",
)
ALONE = Pair(
    puzzle_id="alone", game_id=None, target_pattern="112", clean_fen=DEMO.clean_fen, line=DEMO.line
)


@pytest.fixture(scope="module")
def linear(onnx_file, tmp_path_factory):
    """A residual tower whose every activation function is the identity."""
    model = onnx.load(onnx_file("convolution"))
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Identity"
    path = tmp_path_factory.mktemp("linear") / "linear.onnx"
    onnx.save(model, path)
    return networks.load(path)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("direction", ["noising", "denoising"])
def test_a_screen_of_a_linear_network_is_exact(linear, steps, direction):
    assert TWO_MOVES.clean.legal_moves.count() == 2
    sweep = sweeps.residual(linear)
    exact = effects.measure(linear, [TWO_MOVES], sweep, effects.Settings(direction=direction))
    guessed = screen.estimate(
        linear, [TWO_MOVES], sweep, screen.Settings(direction=direction, steps=steps)
    )
    assert np.abs(exact["effect"]).max() > 0.01
    np.testing.assert_allclose(guessed["estimate"], exact["effect"], atol=2e-5)


@pytest.mark.parametrize("kind", ["residual", "heads", "head_squares", "entries"])
def test_a_screen_ranks_places_as_the_exact_sweep_does(kind, network):
    net = network("attention")
    sweep = {
        "residual": lambda: sweeps.residual(net),
        "heads": lambda: sweeps.heads(net),
        "head_squares": lambda: sweeps.head_squares(net, 1, 2),
        "entries": lambda: sweeps.entries(
            net, 1, 2, chosen=[(q, k) for q in range(8) for k in range(64)]
        ),
    }[kind]()
    exact = effects.measure(net, [DEMO], sweep)
    agreement = screen.agreement(screen.estimate(net, [DEMO], sweep), exact, best=5)
    assert agreement.puzzles == 1
    assert agreement.spearman > 0.7
    assert agreement.overlap >= 0.6


def test_shuffled_estimates_do_not_agree(network):
    net = network("attention")
    sweep = sweeps.residual(net)
    exact = effects.measure(net, [DEMO], sweep)
    guessed = screen.estimate(net, [DEMO], sweep)
    shuffled = guessed["estimate"].sample(frac=1, random_state=0).to_numpy()
    agreement = screen.agreement(guessed.assign(estimate=shuffled), exact, best=5)
    assert abs(agreement.spearman) < 0.3


def test_the_verified_places_are_the_best_and_their_effects_exact(network):
    net = network("attention")
    sweep = sweeps.residual(net)
    exact = effects.measure(net, [DEMO], sweep)
    guessed = screen.estimate(net, [DEMO], sweep)
    verified = screen.verify(net, [DEMO], sweep, screen.Settings(best=7))
    best = np.sort(np.argsort(-np.abs(guessed["estimate"].to_numpy()), kind="stable")[:7])
    assert verified["layer"].tolist() == exact["layer"].iloc[best].tolist()
    assert verified["square"].tolist() == exact["square"].iloc[best].tolist()
    np.testing.assert_allclose(verified["effect"], exact["effect"].iloc[best], atol=1e-5)
    np.testing.assert_allclose(verified["estimate"], guessed["estimate"].iloc[best], atol=1e-6)


def test_a_puzzle_that_is_left_out_keeps_its_row(network):
    net = network("attention")
    table = screen.verify(net, [DEMO, ALONE], sweeps.residual(net), screen.Settings(best=2))
    assert table["verdict"].tolist() == ["measured", "measured", "no_partner"]
    assert table["estimate"].isna().tolist() == [False, False, True]


def test_a_screen_written_to_a_file_is_the_one_in_memory(network, tmp_path):
    import pyarrow
    import pyarrow.parquet

    from leela_probe.experiments import effect_tables
    from leela_probe.puzzles import corruptions

    net = network("attention")
    row = {
        "puzzle_id": "demo",
        "fen": "2r2r1k/6pp/p1q2p2/1p6/3R4/PQ2P2P/1P3PPN/6K1 b - - 4 31",
        "moves": "h8h8 f4g6 h7g6 d4h4",
        "verdict": "found",
        "rank": 1,
        "clean_fen": DEMO.clean_fen,
        "corrupted_fen": DEMO.corrupted_fen,
        "target_pattern": "112",
    }
    columns = {name: [row.get(name)] for name in corruptions.SCHEMA.names}
    pairs = pyarrow.table(columns, schema=corruptions.SCHEMA)
    pyarrow.parquet.write_table(pairs, tmp_path / "pairs.parquet")
    sweep = sweeps.residual(net)
    out = tmp_path / "best.parquet"
    settings = screen.Settings(best=3)
    finished = effects.sweep(net, tmp_path / "pairs.parquet", sweep, out, settings)
    assert finished.counts["measured"] == 3
    stored = effect_tables.read(out)
    expected = screen.verify(net, [DEMO], sweep, settings)
    np.testing.assert_allclose(stored["effect"], expected["effect"], atol=1e-6)
    assert stored["square"].tolist() == expected["square"].tolist()


DIVERGENCE = screen.Settings(measure="kl")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, s: screen.Settings(steps=0), "0 steps asked for"),
        (lambda net, s: screen.Settings(best=0), "best 0 places"),
        (lambda net, s: screen.estimate(net, [DEMO], s, DIVERGENCE),
         r"gradient of kl is 0 at the clean run, .* take 2 steps or more"),
        (lambda net, s: screen.verify(net, [DEMO], s, DIVERGENCE), "gradient of kl is 0"),
        (lambda net, s: effects.measure(net, [DEMO], s, DIVERGENCE), "gradient of kl is 0"),
        (lambda net, s: screen.estimate(net, [DEMO], sweeps.entries(net, 0, 0), DIVERGENCE),
         "every estimate would be 0: take another measure"),
        (lambda net, s: screen.estimate(
            net, [DEMO], sweeps.entries(net, 0, 0), screen.Settings(steps=2)),
         "take 1 where entries"),
    ],
)  # fmt: skip
def test_a_screen_that_makes_no_sense_is_refused(call, message, network):
    net = network("attention")
    with pytest.raises(ValueError, match=message):
        call(net, sweeps.residual(net))


@pytest.mark.parametrize("kinds", [{"steps": 4}, {"direction": "denoising"}])
def test_divergence_is_screened_where_its_gradient_says_something(kinds, network):
    net = network("attention")
    sweep = sweeps.residual(net)
    settings = screen.Settings(measure="kl", **kinds)
    guessed = screen.estimate(net, [DEMO], sweep, settings)
    exact = effects.measure(
        net, [DEMO], sweep, effects.Settings(measure="kl", direction=settings.direction)
    )
    assert screen.agreement(guessed, exact, best=8).overlap > 0.5  # of 192 places


@pytest.mark.parametrize(("kind", "shared"), [("heads", True), ("entry", False)])
def test_a_screen_reads_shared_changes_once_and_forgets_those_of_a_puzzle(
    kind, shared, network, monkeypatch
):
    net = network("attention")
    monkeypatch.setattr(screen, "_PAIRS_AT_ONCE", 1)
    sweep = sweeps.heads(net) if kind == "heads" else sweeps.entry(net, 1, 2)
    attribution = screen._Attribution(net, sweep, screen.Settings())
    pairs = [dataclasses.replace(DEMO, puzzle_id=str(number)) for number in range(4)]
    known = []
    for prepared in attribution.batches(pairs, None):
        attribution.estimates(prepared)
        known.append(attribution._readings)
    assert [len(readings) for readings in known] == [1] * 4
    readings = {id(reading) for found in known for _, reading in found.values()}
    assert (len(readings) == 1) == shared


def test_a_change_that_gradients_cannot_estimate_is_refused(network):
    net = network("attention")
    change = SweepPoint(
        interventions=(Intervention(site="layer0.pattern", action=Scale(factor=2.0), head=0),),
        site="pattern",
    )
    sweep = Sweep(name="scaled", points=lambda pair: [change], needs_partner=False)
    with pytest.raises(ValueError, match=r"Scale at layer0\.pattern cannot be screened"):
        screen.estimate(net, [DEMO], sweep)


def test_tables_of_different_runs_are_not_compared(network):
    net = network("attention")
    guessed = screen.estimate(net, [DEMO], sweeps.residual(net))
    exact = effects.measure(net, [DEMO], sweeps.heads(net))
    with pytest.raises(ValueError, match="are of different runs"):
        screen.agreement(guessed, exact)


def test_estimating_reports_how_many_pairs_are_done(network):
    net, reported = network("attention"), []
    pairs = random_pairs(3, 10)
    screen.estimate(
        net,
        pairs,
        sweeps.heads(net),
        progress=lambda done, total, _: reported.append((done, total)),
    )
    assert reported == [(8, 10), (10, 10)]
