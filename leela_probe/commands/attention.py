"""The command `leela-probe attention`: which head looks from which square of a line to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from leela_probe.commands import options, terminal
from leela_probe.commands.groups import BatchOptions, NetworkOptions, PuzzleOptions
from leela_probe.commands.registration import Command

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMMAND", "LineOptions", "attention", "best_heads"]


_SUMMARY = "attention summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """What is read of the lines, and what is shown."""

    plies: Annotated[
        str,
        options.what("Take these moves of the line, 1 being the first: 3 or 1,3.", metavar="LIST"),
    ] = "1,2,3"
    relation: Annotated[
        str | None,
        options.what(
            "List the best heads for this relation, such as 3->1.",
            default="last ply to first",
            metavar="NAME",
        ),
    ] = None
    no_attribution: Annotated[
        bool, options.flag("--no-attribution", "Take no gradients.", panel="How it runs")
    ] = False
    seed: Annotated[int, options.run("Seed for the chance ranks.", min=0, metavar="N")] = 0


def attention(
    puzzles: options.FilteredPuzzles,
    out: options.Out,
    summary: Annotated[
        Path | None,
        options.what("Also write means and ranks by head: .csv or .parquet.", metavar="FILE"),
    ] = None,
    overwrite: options.Overwrite = False,
    *,
    lines: LineOptions,
    network: NetworkOptions,
    taken: PuzzleOptions,
    run: BatchOptions,
) -> None:
    """Read each head's attention between the squares of a line.

    3->1 is the first move's target looking at the third's; s is a source. The
    rank of an entry among the head's 4,096 has an exact chance level.

    Stopped and started again, it goes on where it was.
    """
    from leela_probe.commands import outputs
    from leela_probe.files import derived, manifests

    history = taken.kind_of_history()
    chosen = options.numbers(lines.plies, "--plies") or []
    relation = _relation(lines.relation, chosen)
    with terminal.overwriting():
        outputs.claim(out, outputs.TABLES, overwrite=True)  # the stage refuses what must stay
        if summary is not None:
            outputs.claim(
                summary, outputs.TABLES, overwrite=overwrite, made_by=(_SUMMARY, out.name)
            )
    loaded = network.loaded(run)
    terminal.say_origin(puzzles, loaded)
    from leela_probe.experiments import attention_tables

    with terminal.stage("attention") as progress:
        finished = attention_tables.tabulate(
            loaded,
            puzzles,
            out,
            plies=chosen,
            attribution=not lines.no_attribution,
            history=history,
            limit=taken.limit,
            batch_size=4 if run.batch_size is None else run.batch_size,
            seed=lines.seed,
            overwrite=overwrite,
            progress=progress,
        )
    found = attention_tables.summary(attention_tables.parts(finished.path))
    wrote = [terminal.outcome(finished)]
    if summary is not None:
        derived.write_with_manifest(
            found, summary, name=_SUMMARY, inputs={"attention": out}, options={}
        )
        wrote.append(f"wrote {summary} and {manifests.manifest_path(summary).name}")
    terminal.console().print(best_heads(found, relation))
    print("\n".join(wrote))


COMMAND = Command(
    name="attention",
    run=attention,
    examples=(
        "leela-probe attention filtered.parquet --network bundled:strong --out attention.parquet",
    ),
)


def _relation(given: str | None, plies: Sequence[int]) -> str:
    from leela_probe.experiments import attention_reading

    known = attention_reading.relation_names(plies)
    if given is not None:
        return options.choice(given, known, "--relation")
    first, last = min(plies), max(plies)
    return f"{last}->{first}" if first < last else f"{first}->{first}s"


def best_heads(found: pd.DataFrame, relation: str) -> Table:
    """The ten heads with the most attention at a relation, out of `attention_tables.summary`."""
    shown = Table(box=None, pad_edge=False)
    for name in ("head", relation, "elsewhere", "rank", "top 1", "chance", "p", "nats", "n"):
        shown.add_column(name, no_wrap=True)
    shown.caption = (
        "elsewhere: the same entry in other puzzles. rank: the entry's among 4,096, the median. "
        "p: of so many games with such an entry by chance. "
        "nats: pattern times gradient of the first move's log odds, the mean."
    )
    shown.caption_justify = "left"
    rows = found[found["relation"] == relation]
    if rows.empty:
        shown.caption = f"{relation}: in every puzzle a square with itself, so no head is listed."
    for row in rows.sort_values("attention", ascending=False).head(10).to_dict("records"):
        taken = row["attribution"]
        shown.add_row(
            f"{row['layer']}.{row['head']}",
            f"{row['attention']:.4f}",
            f"{row['elsewhere']:.4f}",
            f"{row['rank']:.0f}",
            f"{row['top1']:.1%}",
            f"{row['chance1']:.2%}",
            f"{row['p1']:.1g}",
            "-" if taken != taken else f"{taken:+.4f}",
            f"{row['n']:,}",
        )
    return shown
