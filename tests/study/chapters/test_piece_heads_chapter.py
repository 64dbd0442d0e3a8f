"""E4: heads that follow a piece are those of the rule or the paper; what is measured is told."""

import dataclasses

import pandas as pd
import pytest

from leela_probe.experiments import held_out
from leela_probe.experiments import piece_heads as experiment
from leela_probe.study.chapter import Drawn, LeftOut, Undrawn
from leela_probe.study.chapters import piece_heads
from leela_probe.study.chapters.piece_heads import CHAPTER
from leela_probe.study.records import DONE, Record
from leela_probe.study.results import Results


def test_a_head_follows_a_piece_by_its_share_of_attention(finished, networks):
    scores = experiment.scores(
        networks.strong, held_out.boards(64, seed=0), history=finished.criteria.strong_history
    )
    lists = piece_heads.heads_of_pieces(finished, networks)
    assert lists == experiment.choose(scores, least=finished.share)
    assert any(lists.values())


def test_the_papers_preset_takes_the_papers_heads(finished, networks, papers_shape):
    study = dataclasses.replace(finished, preset="jenner2024")
    assert piece_heads.heads_of_pieces(study, networks) == experiment.JENNER2024


def test_without_such_a_head_it_is_left_out_with_the_share(finished, networks):
    left_out = piece_heads._sweep(dataclasses.replace(finished, share=1.0), networks)
    assert isinstance(left_out, LeftOut)
    assert "gives at least 1 of its attention to a piece's moves" in left_out.reason


def test_its_sweep_lists_the_heads(finished, networks):
    sweep = piece_heads._sweep(finished, networks)
    lists = piece_heads.heads_of_pieces(finished, networks)
    assert sweep.options["heads"] == {
        piece: [list(head) for head in heads] for piece, heads in lists.items()
    }


def test_a_figure_that_is_not_drawn_says_why(finished):
    counts = {"measured": 0, "nothing_to_change": 61}
    note = Record(name="piece-heads", state=DONE, plan={}, counts=counts,
                  note="no rook stands ready")  # fmt: skip
    (figure,) = CHAPTER.figures(Results(finished, {"piece-heads": note}), {})
    assert figure == Undrawn(
        title="Figure 7", reason="none of 61 puzzles could be measured: no rook stands ready"
    )


def test_its_percentiles_are_drawn(results):
    made = {"piece-heads": pd.read_csv(results.study.table("tables/piece-heads.csv"))}
    (figure,) = CHAPTER.figures(results, made)
    assert isinstance(figure, Drawn)
    assert figure.name == "figure7_piece_heads"


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.1, 0.3, "no clear difference"), (-0.3, -0.1, "clearly less")]
)
def test_the_sentence_judges_by_the_difference_from_a_random_column(low, high, verdict):
    of = {"sweep": "piece-heads", "targets": "differing", "n": 40}
    columns = ["curve", "threshold", "estimate", "low", "high"]
    shares = pd.DataFrame(
        [("own heads", float("nan"), 0.5, 0.4, 0.6), ("own heads", 1.5, 0.2, 0.1, 0.3),
         ("random column", float("nan"), 0.1, 0.0, 0.2)],
        columns=columns,
    ).assign(**of)  # fmt: skip
    margins = pd.DataFrame(
        [((low + high) / 2, low, high, 0.3, "random column")],
        columns=["estimate", "low", "high", "wilcoxon_p", "against"],
    ).assign(**of)
    text = CHAPTER.summary({"shares": shares, "ablation_margins": margins})
    assert text.startswith(
        "Hiding the third target from the heads that follow its piece costs 0.50 [0.40, 0.60] nats"
    )
    assert "more than 1.5 in 20 % [10, 30] of 40 puzzles" in text
    assert f"({verdict})" in text
