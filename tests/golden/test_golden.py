"""Golden values: what can be checked passes here, and the others are really compared."""

from collections import Counter
from pathlib import Path

import chess
import numpy as np
import pytest
import torch

from leela_probe.golden import golden, golden_checks, golden_networks
from leela_probe.networks.network import load


def test_what_needs_no_network_passes():
    checks = list(golden.without_networks())
    assert [check for check in checks if check.state != golden_checks.PASS] == []
    groups = [check.group for check in checks]
    assert groups.count("candidates: generated, valid, playable") == 17
    assert groups.count("candidates: the published partner") == 16


def test_without_networks_it_says_what_it_could_not_check():
    checks = list(golden.of_networks(None, None))
    assert {check.state for check in checks} == {golden_checks.NOT_CHECKED}
    assert sum(check.count for check in checks) > 100
    assert "46473529" in golden.WHERE


def test_a_random_network_fails_where_values_are_compared(network):
    checks = list(golden.of_networks(network("attention"), None))
    compared = [check for check in checks if check.worst is not None]
    assert len(compared) > 30
    assert all(check.state == golden_checks.FAIL for check in compared if "policy" in check.group)
    (unmade,) = [check for check in checks if check.group == "interventions"]
    assert "3 layers of 4 heads" in unmade.text


def test_a_network_that_sees_no_earlier_positions_is_asked_for_every_partner(
    network, network_file, cache, monkeypatch
):
    strong = load(network_file("attention"), cache=cache, no_history=True)
    weak = network("se-convolution")
    (missing,) = golden._missing("both", "")
    assert missing.count == 16
    known = golden_checks.values()
    few = [each for each in known["positions"] if each["id"] in ("00uDH", "(iloc2)", "(iloc4)")]
    monkeypatch.setattr(golden_checks, "values", lambda: {**known, "positions": few})
    found = list(golden_networks.chosen_partners(strong, weak))
    assert [check.state for check in found].count(golden_checks.NOT_CHECKED) == 0
    assert len(found) == len(few)
    sees = golden_networks.chosen_partners(network("attention"), weak)
    assert [check.state for check in sees].count(golden_checks.NOT_CHECKED) == 2


def test_a_position_is_reached_from_the_one_that_is_put_before_it():
    for position in golden_checks.values()["positions"]:
        fen, setup = golden_checks.before(position["fen"])
        board = chess.Board(fen)
        assert board.is_valid()
        board.push(board.parse_uci(setup))
        assert golden_checks.key(board.fen()) == golden_checks.key(position["fen"])
    with pytest.raises(ValueError, match="no move of a piece leads to"):
        golden_checks.before("kN6/PN6/8/8/8/8/8/7K w - - 0 1")


@pytest.mark.shared
def test_every_intervention_of_the_papers_shape_is_run(shared: Path, monkeypatch):
    net = load(shared / "nets" / "random" / "attention-15x24-heads24.pb.gz")
    known = golden_checks.values()
    few = [each for each in known["positions"] if each["id"] in ("001w5", "demo", "0NVfF")]
    monkeypatch.setattr(golden_checks, "values", lambda: {**known, "positions": few})
    missing = {check.group: check.count for check in golden._missing("strong", "")}
    checks = [*golden_networks.probabilities(net, "strong"), *golden_networks.of_strong(net)]
    assert Counter(check.group for check in checks) == missing
    checks = [check for check in checks if check.group != "residual stream: square of the largest"]
    assert all(check.worst is not None and np.isfinite(check.worst) for check in checks)
    groups = {check.group for check in checks}
    assert {"one attention entry zeroed: policy", "attribution of head 12.12",
            "output of head 12.12 patched, nats"} <= groups  # fmt: skip


@pytest.mark.shared
def test_attribution_is_the_pattern_times_the_slope_of_the_top_probability(shared: Path):
    net = load(shared / "nets" / "random" / "attention-15x24-heads24.pb.gz")
    row = golden_checks.values()["attribution"]["rows"][1]
    board = chess.Board(row["fen"])
    encoded = net.encode([board])
    planes, slots = torch.from_numpy(encoded.planes()), encoded.slots.astype(np.int64)
    key, query = chess.H3, chess.G6  # White to move: squares are as they are

    def top(step, slot=None):
        def edit(pattern):
            changed = pattern.clone()
            changed[0, 12, query, key] += step
            return changed

        logits = net.run(planes, ["policy.logits"], edits={"layer12.pattern": edit})
        policy = torch.softmax(logits["policy.logits"][0, slots].double(), dim=0)
        return policy.max() if slot is None else policy[slot]

    pattern = net.capture([board], ["layer12.pattern"])["layer12.pattern"][0, 12, query, key]
    slope = (top(1.0) - top(-1.0)) / 2
    check = golden_networks.attribution(net, {**row, "values": {"h3->g6": 0.0}})
    assert check.worst == pytest.approx(abs(float(pattern * slope)), rel=0.05, abs=1e-9)
