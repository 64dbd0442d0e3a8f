"""The shipped pair is as its card says: on positions that it was not trained on."""

import pytest

from leela_probe.networks import network
from leela_probe.puzzles import criteria, filters
from training import accuracy, certificates


@pytest.fixture(scope="module")
def pair():
    return {name: network.load(f"bundled:{name}") for name in ("strong", "weak")}


@pytest.fixture(scope="module")
def shares(pair):
    held_out = certificates.generate(seed=77, block=0, count=2000, split="held-out")
    found = accuracy.shares(held_out, players=pair, weak="weak", source="new")
    return {(share.group, share.player): share for share in found}


@pytest.mark.parametrize(
    ("group", "least"),
    [
        ("mates in 2", 0.80),
        ("mates in 2, first move under 5% for weak", 0.75),
        ("mates in 1", 0.95),
    ],
)
def test_strong_finds_mates_that_it_has_not_seen(shares, group, least):
    share = shares[f"new: {group}", "strong"]
    assert share.positions > 300
    assert share.share > least
    assert share.low > shares[f"new: {group}", "weak"].high


def test_strong_beats_the_rule_that_it_might_have_learned_instead(shares):
    for group in ("mates in 2", "mates in 2, quiet first move"):
        assert (
            shares[f"new: {group}", "strong"].low > shares[f"new: {group}", "fewest replies"].high
        )


def test_weak_does_not_expect_half_of_the_first_moves(shares):
    unlikely = shares["new: mates in 2, first move under 5% for weak", "weak"].positions
    assert unlikely >= 0.5 * shares["new: mates in 2", "weak"].positions


def test_the_pair_keeps_an_eighth_of_the_bundled_puzzles(pair, tmp_path):
    finished = filters.filter_puzzles(
        "bundled:mates",
        tmp_path / "out.parquet",
        **pair,
        criteria=criteria.Criteria(forcing=0.0),
        sample=200,
    )
    assert finished.counts["kept"] > 200 * 500 / 4000
