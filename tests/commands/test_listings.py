"""What the command shows: all of it, in 80 columns."""

import io

import chess
import numpy as np
import pytest
from network_families import SMALL
from rich.console import Console

from leela_probe.commands import listings
from leela_probe.networks.verification import Comparison
from leela_probe.weights.architectures import PRESETS


def shown(thing: object) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=80, highlight=False).print(thing, soft_wrap=True)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("preset", SMALL)
def test_the_sites_of_every_architecture_fit_with_nothing_broken(preset, network):
    named = network(preset).sites
    lines = shown(listings.sites(named))
    assert max(map(len, lines)) <= 80
    entries = dict(zip((line.split()[0] for line in lines[2:-2:2]), lines[2:-2:2], strict=True))
    for name, site in named.items():
        kind = name if site.layer is None else "layerL." + name.split(".")[1]
        assert " ".join(site.axes) in entries[kind]
        if not site.layer:
            assert entries[kind].split()[-1] == site.tensor
            assert f"  {site.meaning}" in lines
    assert lines[-1] == f"L runs from 0 to {network(preset).layers - 1}."


def test_the_plain_listing_has_every_site_on_a_line_of_its_own(network):
    named = network("attention").sites
    header, *lines = listings.sites_as_text(named).splitlines()
    assert header.split("\t") == ["site", "axes", "tensor", "meaning"]
    assert [line.split("\t")[0] for line in lines] == [*named]


def test_facts_about_a_network_fit_with_nothing_broken(network):
    net = network("attention", input_format=4)
    lines = shown(listings.network(net))
    assert max(map(len, lines)) <= 80
    assert any(line.split()[-1] == net.sha256 for line in lines)
    assert any("4 (canonical_hectoplies)" in line for line in lines)
    assert any(f"{net.parameters:,}" in line for line in lines)


@pytest.mark.parametrize(
    ("preset", "facts"),
    [
        (
            "attention",
            {
                "embedding": "64 fixed numbers appended to a square's planes, gated",
                "MLP": "48 wide, relu squared",
                "smolgen": "4 numbers a square, 32 hidden, 16 a head, swish",
                "policy": "attention, 32 wide",
                "value": "WDL, 8 numbers a square, 128 hidden",
                "moves left": "8 numbers a square, 128 hidden",
            },
        ),
        (
            "multihead",
            {
                "MLP": "48 wide, mish",
                "policy": "attention, 32 wide; heads vanilla, optimistic_st, soft, opponent",
                "value": "WDL, 8 numbers a square, 128 hidden; heads winner, q, st",
            },
        ),
        ("attention-no-smolgen", {"smolgen": "none"}),
        (
            "classical",
            {
                "blocks": "no squeeze-excitation, relu",
                "policy": "classical, 4 planes",
                "value": "one number, 32 numbers a square, 128 hidden",
                "moves left": "none",
            },
        ),
        (
            "se-batch-norm",
            {
                "blocks": "squeeze-excitation 8 wide, relu, batch normalisation",
                "policy": "convolution, 80 planes of moves",
            },
        ),
        ("se-attention-encoder", {"policy": "attention, 32 wide, 1 layer of its own"}),
    ],
)
def test_the_parts_of_a_network_are_those_its_file_describes(preset, facts, network):
    lines = shown(listings.network(network(preset), PRESETS[preset]))
    assert max(map(len, lines)) <= 80
    for name, fact in facts.items():
        assert any(line.rstrip() == f"{name:<12}  {fact}" for line in lines), (name, lines)


@pytest.mark.parametrize(
    ("preset", "facts"),
    [
        (
            "attention",
            {
                "MLP": "48 wide",
                "smolgen": "present",
                "policy": "attention",
                "value": "WDL",
                "moves left": "present",
            },
        ),
        ("attention-no-smolgen", {"smolgen": "none"}),
        ("se-mish", {"blocks": "squeeze-excitation", "policy": "convolution"}),
        (
            "classical",
            {
                "blocks": "no squeeze-excitation",
                "policy": "classical",
                "value": "one number",
                "moves left": "none",
            },
        ),
    ],
)
def test_without_its_file_the_parts_of_a_network_are_those_its_graph_shows(preset, facts, network):
    lines = [line.rstrip() for line in shown(listings.network(network(preset)))]
    for name, fact in facts.items():
        assert f"{name:<12}  {fact}" in lines


@pytest.mark.parametrize("preset", SMALL)
def test_the_parts_of_every_architecture_fit_in_80_columns(preset, network):
    lines = shown(listings.network(network(preset), PRESETS[preset]))
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("preset", ["attention", "classical", "convolution"])
def test_an_evaluation_shows_the_likeliest_moves_and_the_rest(preset, network):
    board = chess.Board()
    answers = network(preset).evaluate([board])
    lines = shown(listings.evaluation("a-network", board, answers, 0, top=4))
    assert max(map(len, lines)) <= 80
    policy = answers.policy(0)
    assert [line.split()[1] for line in lines[3:7]] == [move.uci() for move in [*policy][:4]]
    assert lines[7].split() == ["16", "more", f"{sum([*policy.values()][4:]):.2%}"]
    assert ("plies left" in lines[1]) == (answers.moves_left is not None)
    assert ("draw" in lines[1]) == (answers.wdl is not None)
    assert f"Q {answers.q[0]:+.3f}" in lines[1]


def test_stalemate_is_said(network):
    board = chess.Board("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1")
    answers = network("attention").evaluate([board])
    lines = shown(listings.evaluation("a-network", board, answers, 0, top=4))
    assert "Black to move" in lines[1]
    assert lines[2] == "no legal moves: stalemate"


def test_an_answer_has_plain_json_numbers(network):
    answers = network("attention").evaluate([chess.Board()])
    answer = listings.answer(chess.STARTING_FEN, ["e2e4"], answers, 0)
    assert answer["moves"] == ["e2e4"]
    assert {type(value) for value in answer["policy"].values()} == {float}
    assert [*map(type, answer["wdl"])] == [float, float, float]


def test_comparisons_say_what_differs():
    def compared(**changed):
        return Comparison(
            **{
                "what": "leela-probe and lc0", "positions": 13, "planes": 0, "probability": 2e-7,
                "value": 1e-6, "tolerance": 1e-5, **changed,
            }
        )  # fmt: skip

    rows = [compared(), compared(planes=3), compared(planes=None, value=np.nan)]
    lines = [line.split() for line in shown(listings.comparisons(rows))[1:]]
    assert lines[0][-5:] == ["equal", "2.0e-07", "1.0e-06", "1e-05", "ok"]
    assert lines[1][-6:] == ["3", "differ", "2.0e-07", "1.0e-06", "1e-05", "DIFFERS"]
    assert lines[2][-5:] == ["-", "2.0e-07", "nan", "1e-05", "DIFFERS"]


def test_positions_that_the_input_format_turns_are_spoken_of():
    found = Comparison(
        what="leela-probe and lc0", positions=13, planes=0, probability=0.0, value=0.0,
        tolerance=1e-5, turned=9,
    )  # fmt: skip
    lines = shown(listings.comparisons([found]))
    assert max(map(len, lines)) <= 80
    assert "The input format turns 9 of the positions compared with lc0." in lines[3]


def test_a_funnel_adds_up():
    counts = {"malformed": 0, "not_hard": 1500, "kept": 500}
    lines = shown(listings.funnel(counts, {name: f"about {name}" for name in counts}))
    assert [line.split()[:3] for line in lines] == [
        ["0", "0.0%", "malformed"],
        ["1,500", "75.0%", "not_hard"],
        ["500", "25.0%", "kept"],
        ["2,000", "in", "all"],
    ]
    assert lines[0].strip().endswith("about malformed")


def test_a_funnel_of_nothing_divides_by_nothing():
    lines = shown(listings.funnel({"kept": 0}, {"kept": "hard"}))
    assert lines[0].split()[:3] == ["0", "-", "kept"]
