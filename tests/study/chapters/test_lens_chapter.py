"""The logit lens: its last layer is the network, its words are those of its table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import example_pairs
import numpy as np
import pandas as pd
import pytest

from leela_probe.positions.planes import History
from leela_probe.study.chapter import Drawn, Undrawn
from leela_probe.study.chapters import lens
from leela_probe.study.chapters.lens import CHAPTER, COMMAND
from leela_probe.study.records import LEFT_OUT, Record
from leela_probe.study.results import Results

PAIRS = example_pairs.random_pairs(5, 9)


@pytest.mark.parametrize("preset", ["attention", "se-convolution"])
def test_the_last_layer_is_the_network_itself(network, preset):
    net = network(preset)
    table = lens.read_out(net, PAIRS, history=History.FILLED)
    assert table["layer"].tolist() == [n for n in range(net.layers) for _ in PAIRS]
    last = table[table["layer"] == net.layers - 1].set_index("puzzle_id")
    answers = net.evaluate([pair.clean for pair in PAIRS])
    for index, pair in enumerate(PAIRS):
        policy = answers.policy(index)
        first = pair.moves[0]
        assert last.loc[pair.puzzle_id, "probability"] == pytest.approx(policy[first], abs=1e-5)
        assert last.loc[pair.puzzle_id, "rank"] == [*policy].index(first) + 1


def test_an_earlier_layer_is_read_by_the_head_of_the_last(network):
    net = network("attention")
    boards = [pair.clean for pair in PAIRS]
    table = lens.read_out(net, PAIRS, history=History.FILLED)
    stream = net.capture(boards, ["layer0.residual_after"])["layer0.residual_after"]
    edits = {f"layer{net.layers - 1}.residual_after": lambda value: stream}
    logits = net.run(boards, ["policy.logits"], edits=edits)["policy.logits"].numpy()
    encoded = net.encode(boards)
    first = table[table["layer"] == 0]["probability"].to_numpy()
    for index, pair in enumerate(PAIRS):
        legal = logits[index, encoded.slots[encoded.offsets[index] : encoded.offsets[index + 1]]]
        own = legal[encoded.moves[index].index(pair.moves[0])]
        plain = np.exp(own - legal.max()) / np.exp(legal - legal.max()).sum()
        assert first[index] == pytest.approx(plain, abs=1e-5)


def simulated(means, count=40):
    draws = np.random.default_rng(0)
    rows = [
        {"puzzle_id": f"p{number}", "game_id": f"g{number // 2}", "target_pattern": "112",
         "layer": layer, "probability": mean + 0.02 * draws.standard_normal(), "rank": 1 + layer}
        for layer, mean in enumerate(means)
        for number in range(count)
    ]  # fmt: skip
    return {"lens": lens.by_layer(pd.DataFrame(rows), resamples=99, seed=0)}


def test_means_by_layer_have_intervals_around_the_truth():
    table = simulated([0.1, 0.3, 0.8])["lens"].set_index(["quantity", "layer"])
    for layer, mean in enumerate([0.1, 0.3, 0.8]):
        row = table.loc[("probability", layer)]
        assert row["low"] < mean + 0.02
        assert row["high"] > mean - 0.02
        assert row["n"] == 40
        assert table.loc[("rank", layer), "estimate"] == 1 + layer


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ([0.1, 0.5, 0.8], "half of that is first reached after layer 1: 0.5"),
        ([0.1, 0.2, 0.8], "no layer before it reaches half of that."),
    ],
)
def test_the_sentence_says_where_the_move_is_first_read(means, words):
    text = CHAPTER.summary(simulated(means))
    assert text.startswith("Read by the policy head, the first move has a probability of 0.8")
    assert "after the last layer (2; n = 40)" in text
    assert words in text


def test_it_is_drawn_and_listed_or_says_why_not(finished):
    made = simulated([0.1, 0.3, 0.8])
    note = Record(name="lens", state=LEFT_OUT, plan={}, reason="the filter kept no puzzle")
    results = Results(finished, {"lens": note})
    (figure,) = CHAPTER.figures(results, made)
    assert isinstance(figure, Drawn)
    (shown,) = CHAPTER.short_tables(made)
    assert [row[:2] for row in shown.rows] == [[f"layer {layer}", "40"] for layer in range(3)]
    (undrawn,) = CHAPTER.figures(results, {})
    assert isinstance(undrawn, Undrawn)
    assert undrawn.reason == "the filter kept no puzzle"
    assert CHAPTER.summary({}) == ""
    assert [*CHAPTER.short_tables({})] == []


def test_a_second_run_is_reused_and_shown(network, tmp_path):
    net, out = network("attention"), tmp_path / "lens.parquet"
    puzzles = Path("bundled:planted-puzzles")
    how = {"history": History.FILLED, "limit": 5}
    first = COMMAND.measure(net, puzzles, out, overwrite=False, progress=None, **how)
    content = out.read_bytes()
    again = COMMAND.measure(net, puzzles, out, overwrite=False, progress=None, **how)
    assert (first.reused, again.reused) == (False, True)
    assert out.read_bytes() == content
    assert first.rows == 5 * net.layers
    assert len(COMMAND.show(out).rows) == net.layers


def test_its_file_loads_without_torch():
    code = (
        "import sys\nfrom leela_probe.study.chapters import lens\n"
        "print({'torch', 'pandas', 'numpy', 'chess', 'pyarrow'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
