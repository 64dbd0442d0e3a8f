"""The logit lens: what the policy head would say if the network ended after an earlier layer.

The residual stream after each layer is put in the place of the last one's, and the policy head runs
from there. A first move that the head reads in early layers needs no later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leela_probe.study.chapter import (
    Chapter,
    Command,
    Drawn,
    LeftOut,
    Measured,
    Measurement,
    Shown,
    Tables,
    Undrawn,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow
    from matplotlib.figure import Figure

    from leela_probe.files.progress import Progress
    from leela_probe.files.store import Finished
    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History
    from leela_probe.puzzles.pairs import Pair
    from leela_probe.study.results import Results
    from leela_probe.study.study import Networks, Study

__all__ = ["CHAPTER", "COMMAND", "by_layer", "lens", "read_out"]

_AT_ONCE = 64
_QUANTITIES = ("probability", "rank")


# Measuring


def lens(
    network: Network,
    puzzles: Path,
    out: Path,
    *,
    history: History,
    limit: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Finished:
    """What the policy head reads in every layer for each puzzle, written to `out`.

    Args:
        network: whose layers are read.
        puzzles: a table that `filter` or `corrupt` has written.
        out: the table, `.parquet` or `.csv`.
        history: what stands for positions before the known ones.
        limit: only the first so many puzzles.
        overwrite: see `store.Stage`.
        progress: see `store.Stage`.
    """
    import pyarrow

    from leela_probe.files import store
    from leela_probe.puzzles import pairs as pair_files

    pairs, schema = pair_files.read(puzzles)[:limit], _schema()
    with store.Stage(
        out,
        name="lens",
        inputs={"puzzles": puzzles, "network": network.path},
        loaded={"network": network.sha256},
        networks={"network": network.identity()},
        options={"history": history.value, "limit": limit},
        schema=schema,
        verdicts=("read",),
        overwrite=overwrite,
        progress=progress,
    ) as stage:
        if not stage.assembled:
            for chunk in stage.unfinished(pairs, size=_AT_ONCE, total=len(pairs)):
                table = read_out(network, chunk.rows, history=history).assign(verdict="read")
                stage.add(chunk, pyarrow.Table.from_pandas(table, schema, preserve_index=False))
        return stage.finish()


def read_out(network: Network, pairs: Sequence[Pair], *, history: History) -> pd.DataFrame:
    """The first move's probability and rank among the legal moves, read in every layer.

    Returns:
        Columns puzzle_id, game_id, target_pattern, layer, probability, rank (1 is the likeliest).
    """
    import pandas as pd
    import torch

    from leela_probe.networks import evaluation

    encoded = network.encode([pair.clean for pair in pairs], history=history)
    sites = [f"layer{layer}.residual_after" for layer in range(network.layers)]
    streams = network.run(torch.from_numpy(encoded.planes()), sites)
    rows = []
    for layer, site in enumerate(sites):
        logits = network.run_from(sites[-1], streams[site], ["policy.logits"])["policy.logits"]
        answers = evaluation.from_logits(
            encoded, logits.float().cpu().numpy(), wdl=None, value=None, moves_left=None
        )
        for index, pair in enumerate(pairs):
            policy = answers.policy(index)
            probability = policy[pair.moves[0]]
            rank = 1 + sum(other > probability for other in policy.values())
            rows.append((pair.puzzle_id, pair.game_id, pair.target_pattern, layer,
                         probability, rank))  # fmt: skip
    names = [name for name in _schema().names if name != "verdict"]
    return pd.DataFrame(rows, columns=names)


def _schema() -> pyarrow.Schema:
    import pyarrow

    return pyarrow.schema(
        {
            "puzzle_id": pyarrow.string(),
            "game_id": pyarrow.string(),
            "target_pattern": pyarrow.string(),
            "layer": pyarrow.int16(),
            "probability": pyarrow.float32(),
            "rank": pyarrow.int16(),
            "verdict": pyarrow.string(),
        }
    )


def _read(path: Path) -> pd.DataFrame:
    from leela_probe.files import tables

    return tables.read(path, _schema(), what="a table of leela-probe lens")


def _measure(
    study: Study, networks: Networks, progress: Progress, overwrite: bool
) -> Measured | LeftOut:
    from leela_probe.files import manifests

    filtered = study.table("filtered.parquet")
    if not manifests.read(manifests.manifest_path(filtered))["counts"]["kept"]:
        return LeftOut(reason="the filter kept no puzzle")
    finished = lens(
        networks.strong,
        filtered,
        study.table("lens.parquet"),
        history=study.criteria.strong_history,
        overwrite=overwrite,
        progress=progress,
    )
    return Measured(finished=finished)


def _settings(study: Study) -> dict[str, object]:
    from leela_probe.study.measurements import computing

    return computing(study)


# Tables


def by_layer(table: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Mean probability and rank of the first move for each layer, with intervals by game.

    Returns:
        Columns quantity ("probability" or "rank"), then as in `stats.summarise` by layer.
    """
    import pandas as pd

    from leela_probe.statistics import stats

    parts = [
        stats.summarise(table, by=("layer",), value=name, resamples=resamples, seed=seed)
        for name in _QUANTITIES
    ]
    return pd.concat(
        [part.assign(quantity=name) for part, name in zip(parts, _QUANTITIES, strict=True)],
        ignore_index=True,
    )


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    path = results.path("lens")
    if path is not None:
        yield "lens", by_layer(_read(path), **results.draws)


def _probability(tables: Tables) -> pd.DataFrame | None:
    """The rows of the probability, in the order of layers; None where nothing was measured."""
    table = tables.get("lens")
    if table is None or table.empty:
        return None
    return table[table["quantity"] == "probability"].sort_values("layer", ignore_index=True)


# Figures and words


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    rows = _probability(tables)
    if rows is None:
        reason = results.why_not("lens") or "nothing was read"
        yield Undrawn(title="The figure of the logit lens", reason=reason)
        return
    yield Drawn(
        name="lens",
        title="Beyond the paper: the first move read layer by layer",
        caption="Mean probability that the policy head gives the first move if it runs from the "
        "residual stream after each layer, with 95 % intervals by game. The last layer is the "
        "network itself. The head was trained on the last layer alone: what it cannot read in an "
        "earlier one may be there in another form.",
        figure=_curve(rows),
    )


def _curve(rows: pd.DataFrame) -> Figure:
    from leela_probe.figures import figures

    curve = rows.assign(category="first move", squares="")
    return figures.layer_curves(curve, unit="0 to 1", what="probability of the first move")


def _summary(tables: Tables) -> str:
    from leela_probe.study import wording

    rows = _probability(tables)
    if rows is None:
        return ""
    last = rows.iloc[-1]
    half = rows[rows["estimate"] >= last["estimate"] / 2].iloc[0]
    begins = (
        f"half of that is first reached after layer {int(half['layer'])}: {wording.number(half)}"
        if half["layer"] < last["layer"]
        else "no layer before it reaches half of that"
    )
    return (
        f"Read by the policy head, the first move has a probability of {wording.number(last)} "
        f"after the last layer ({int(last['layer'])}; n = {int(last['n']):,}); {begins}."
    )


def _short_tables(tables: Tables) -> Iterator[Shown]:
    table = tables.get("lens")
    if table is not None and not table.empty:
        yield _shown(table)


def _shown(table: pd.DataFrame) -> Shown:
    from leela_probe.study import wording

    columns = [table[table["quantity"] == name].set_index("layer") for name in _QUANTITIES]
    return Shown(
        head=["policy head run after", "n", "probability of the first move", "its rank"],
        rows=[
            [
                wording.layer_name(int(layer)),
                f"{int(columns[0].loc[layer, 'n']):,}",
                *(wording.number(column.loc[layer]) for column in columns),
            ]
            for layer in sorted(columns[0].index)
        ],
    )


def _show(path: Path) -> Shown:
    return _shown(by_layer(_read(path), resamples=2000, seed=0))


COMMAND = Command(
    name="lens",
    help="Run the policy head from every layer's residual stream (logit lens).",
    measure=lens,
    show=_show,
)

CHAPTER = Chapter(
    id="lens",
    title="Logit lens",
    numbered=False,
    question="Where in the network is the first move decided? The policy head runs from the "
    "residual stream after each layer, as if the network ended there.",
    measurements=(
        Measurement(
            name="lens",
            title="logit lens",
            table="lens.parquet",
            needs=("filter",),
            settings=_settings,
            measure=_measure,
            seconds_each=lambda study, networks, rates: 2 * rates.strong,
            counts_puzzles=False,
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    summary=_summary,
    short_tables=_short_tables,
)
