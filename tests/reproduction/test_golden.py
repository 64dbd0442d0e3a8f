"""Golden values: what can be checked passes here, and the others are really compared."""

from pathlib import Path

import chess
import numpy as np
import pytest
import torch

from leela_probe.networks.network import load
from leela_probe.reproduction import golden


def test_what_needs_no_network_passes():
    checks = list(golden.without_networks())
    assert [check for check in checks if check.state != golden.PASS] == []
    groups = [check.group for check in checks]
    assert groups.count("candidates: generated, valid, playable") == 17
    assert groups.count("candidates: the published partner") == 16


def test_without_networks_it_says_what_it_could_not_check():
    checks = list(golden.of_networks(None, None))
    assert {check.state for check in checks} == {golden.NOT_CHECKED}
    assert "46473529" in golden.WHERE


def test_a_random_network_fails_where_values_are_compared(network):
    checks = list(golden.of_networks(network("attention"), None))
    compared = [check for check in checks if check.worst is not None]
    assert len(compared) > 30
    assert all(check.state == golden.FAIL for check in compared if "policy" in check.group)
    (unmade,) = [check for check in checks if check.group == "interventions"]
    assert "3 layers of 4 heads" in unmade.text


@pytest.mark.shared
def test_every_intervention_of_the_papers_shape_is_run(shared: Path, monkeypatch):
    net = load(shared / "nets" / "random" / "attention-15x24-heads24.pb.gz")
    known = golden._golden()
    few = [each for each in known["positions"] if each["id"] in ("001w5", "demo")]
    monkeypatch.setattr(golden, "_golden", lambda: {**known, "positions": few})
    checks = list(golden._strong(net))
    assert all(check.worst is not None and np.isfinite(check.worst) for check in checks)
    groups = {check.group for check in checks}
    assert {"one attention entry zeroed: policy", "attribution of head 12.12",
            "output of head 12.12 patched, nats"} <= groups  # fmt: skip


@pytest.mark.shared
def test_attribution_is_the_pattern_times_the_slope_of_the_top_probability(shared: Path):
    net = load(shared / "nets" / "random" / "attention-15x24-heads24.pb.gz")
    row = golden._golden()["attribution"]["rows"][1]
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
    check = golden._attribution(net, {**row, "values": {"h3->g6": 0.0}})
    assert check.worst == pytest.approx(abs(float(pattern * slope)), rel=0.05, abs=1e-9)
