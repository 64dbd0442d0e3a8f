"""What `info` shows of a network: all of it, in 80 columns."""

import io

import pytest
from network_families import SMALL
from rich.console import Console

from leela_probe.commands import info
from leela_probe.weights.architectures import PRESETS


def shown(thing: object) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=80, highlight=False).print(thing, soft_wrap=True)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("preset", SMALL)
def test_the_sites_of_every_architecture_fit_with_nothing_broken(preset, network):
    named = network(preset).sites
    lines = shown(info.sites(named))
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
    header, *lines = info.sites_as_text(named).splitlines()
    assert header.split("\t") == ["site", "axes", "tensor", "meaning"]
    assert [line.split("\t")[0] for line in lines] == [*named]


def test_facts_about_a_network_fit_with_nothing_broken(network):
    net = network("attention", input_format=4)
    lines = shown(info.network(net))
    assert max(map(len, lines)) <= 80
    assert any(line.split()[-1] == net.sha256 for line in lines)
    assert any("4 (canonical_hectoplies)" in line for line in lines)
    assert any(f"{net.parameter_count:,}" in line for line in lines)


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
    lines = shown(info.network(network(preset), PRESETS[preset]))
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
    lines = [line.rstrip() for line in shown(info.network(network(preset)))]
    for name, fact in facts.items():
        assert f"{name:<12}  {fact}" in lines


@pytest.mark.parametrize("preset", SMALL)
def test_the_parts_of_every_architecture_fit_in_80_columns(preset, network):
    lines = shown(info.network(network(preset), PRESETS[preset]))
    assert max(map(len, lines)) <= 80
