"""E4: whether heads that follow a piece's moves bring consequences of the third move back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import pandas as pd

from leela_probe.experiments import held_out, piece_heads, sweeps
from leela_probe.experiments.sweeps import Sweep
from leela_probe.figures import figures
from leela_probe.study import ablations, measurements, published
from leela_probe.study.ablations import Ablation
from leela_probe.study.chapter import Chapter, Drawn, LeftOut, Rates, Shown, Tables, Undrawn
from leela_probe.study.results import Results
from leela_probe.study.study import Networks, Study

__all__ = ["CHAPTER", "COLUMN", "heads_of_pieces"]

COLUMN = Ablation(
    name="piece-heads",
    of="own heads",
    against=("other pieces' heads", "random column"),
    by_control=True,
)
"""The ablation of the third target's column."""


# Measuring


def heads_of_pieces(study: Study, networks: Networks) -> dict[str, Sequence[tuple[int, int]]]:
    """The (layer, head) lists of heads that follow a piece, by the paper or by a rule."""
    if study.preset == "jenner2024" and networks.has_papers_shape():
        return dict(piece_heads.JENNER2024)
    boards = held_out.boards(64, seed=study.seed)
    scores = piece_heads.scores(networks.strong, boards, history=study.criteria.strong_history)
    return dict(piece_heads.choose(scores, least=study.share))


def _sweep(study: Study, networks: Networks) -> Sweep | LeftOut:
    lists = heads_of_pieces(study, networks)
    if not any(lists.values()):
        return LeftOut(
            reason=f"no head of {networks.strong.name} gives at least {study.share:g} of its "
            "attention to a piece's moves on 64 positions of random play"
        )
    named = {piece: [list(head) for head in heads] for piece, heads in lists.items()}
    sweep = sweeps.piece_heads(networks.strong, lists, seed=study.seed)
    return dataclasses.replace(sweep, options={"heads": named})


def _settings(study: Study) -> dict[str, object]:
    return {"share": study.share, "preset": study.preset}


def _seconds_each(study: Study, networks: Networks, rates: Rates) -> float:
    return 2 * rates.strong if networks.strong.heads else 0.0


# Tables, figures, words


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    return ablations.tables(COLUMN, results)


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    table = tables.get("piece-heads")
    if table is None or table.empty:
        reason = results.why_not("piece-heads") or "no column was hidden"
        yield Undrawn(title="Figure 7", reason=reason)
        return
    yield Drawn(
        name="figure7_piece_heads",
        wide=True,
        title="Figure 7: the third target hidden from heads that follow its piece",
        caption="Own heads: the third target's column is zeroed in the heads that follow the "
        "third move's piece. Controls: as many heads of the other pieces; another column.",
        figure=figures.percentile_curves(table, curve="curve", bottom=ablations.bottom(table)),
    )


def _summary(tables: Tables) -> str:
    deed = "Hiding the third target from the heads that follow its piece"
    return ablations.summary(COLUMN, "random column", deed, tables)


def _short_tables(tables: Tables) -> Iterator[Shown]:
    return ablations.short_tables(COLUMN, tables)


CHAPTER = Chapter(
    id="E4",
    title="Heads that follow a piece",
    question="Do heads that follow a piece's moves bring consequences of the third move back? The "
    "column of the third target is set to zero in the heads that follow the piece that moves "
    "there.",
    measurements=(
        measurements.of_sweep(
            "piece-heads",
            "E4, piece heads",
            _sweep,
            settings=_settings,
            seconds_each=_seconds_each,
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    summary=_summary,
    short_tables=_short_tables,
    published=published.read("piece_heads"),
)
