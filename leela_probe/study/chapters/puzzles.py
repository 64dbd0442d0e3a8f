"""The puzzles: which of a dump are kept, and the corrupted input of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import pandas as pd

from leela_probe.figures import figures
from leela_probe.files.progress import Progress
from leela_probe.puzzles import corruptions, criteria, filters, partners
from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics import stats
from leela_probe.study import paper_squares, published, shares
from leela_probe.study.chapter import (
    Chapter,
    Drawn,
    LeftOut,
    Measured,
    Measurement,
    Rates,
    Shown,
    Tables,
)
from leela_probe.study.results import Results
from leela_probe.study.study import Networks, Study

__all__ = ["CHAPTER", "funnel", "skip_rules", "target_pattern_counts"]

_CANDIDATES = 400  # that the weak network sees per puzzle; counted in the paper's examples
_POSITIONS = 1.5  # per row that go through each network when most rows fail early
_MOST_SHOWN = 12


# Measuring


def _filter(
    study: Study, networks: Networks, progress: Progress, overwrite: bool
) -> Measured | LeftOut:
    finished = filters.filter_puzzles(
        study.dump,
        study.table("filtered.parquet"),
        strong=networks.strong,
        weak=networks.weak,
        criteria=study.criteria,
        limit=study.limit,
        workers=study.workers,
        overwrite=overwrite,
        progress=progress,
    )
    return Measured(finished=finished)


def _corrupt(
    study: Study, networks: Networks, progress: Progress, overwrite: bool
) -> Measured | LeftOut:
    finished = corruptions.corrupt(
        study.table("filtered.parquet"),
        study.table("pairs.parquet"),
        strong=networks.strong,
        weak=networks.weak,
        search=study.search,
        workers=study.workers,
        overwrite=overwrite,
        progress=progress,
    )
    return Measured(finished=finished)


def _computing(study: Study) -> dict[str, object]:
    return {
        "device": study.device,
        "dtype": study.dtype,
        "strong_format": study.strong_format,
        "weak_format": study.weak_format,
    }


def _filter_settings(study: Study) -> dict[str, object]:
    asked = dataclasses.asdict(study.criteria)
    return {"criteria": asked, "limit": study.limit, **_computing(study)}


def _corrupt_settings(study: Study) -> dict[str, object]:
    return {"search": dataclasses.asdict(study.search), **_computing(study)}


def _filter_seconds(study: Study, networks: Networks, rates: Rates) -> float:
    return (rates.strong + rates.weak) * _POSITIONS


def _corrupt_seconds(study: Study, networks: Networks, rates: Rates) -> float:
    return _CANDIDATES * (rates.weak + 0.0001) + 16 * rates.strong


# Tables


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "funnel", funnel(results)
    pairs = results.pairs() if results.records["corrupt"].counts["found"] else []
    if pairs:
        patterns = pd.Series([pair.target_pattern for pair in pairs])
        yield "target_patterns", target_pattern_counts(patterns)
        yield "rules", skip_rules(pairs)


def funnel(results: Results) -> pd.DataFrame:
    """What became of the puzzles, question by question, from the dump to the corrupted inputs.

    Returns:
        As `stats.exclusion_flow`, with `meaning`, the question in words.
    """
    counts: dict[str, int] = {}
    for stage, verdicts in (("filter", criteria.VERDICTS), ("corrupt", partners.VERDICTS)):
        for verdict in verdicts:
            if verdict not in ("kept", "further", "found"):
                before = counts.get(verdict, 0)
                counts[verdict] = before + results.records[stage].counts[verdict]
    found = results.records["corrupt"].counts["found"]
    reasons = [name for name, count in counts.items() for _ in range(count)]
    flow = stats.exclusion_flow(pd.Series([*reasons, *[None] * found], dtype=object), list(counts))
    meanings = _meanings(results.study)
    words = ["rows of the dump", *(meanings.get(name, name.replace("_", " ")) for name in counts)]
    return flow.assign(meaning=words)


def _meanings(study: Study) -> dict[str, str]:
    asked = study.criteria
    return {
        "malformed": "cannot be read",
        "duplicate_id": "an earlier row has the same id",
        "mate_in_1": "mate in one, by its theme",
        "too_short": f"solution shorter than {asked.plies} plies",
        "not_hard": f"weak network: first move at {asked.hard:g} or more",
        "not_correct": f"strong network: one of the solver's moves at {asked.correct:g} or less",
        "not_forcing": f"weak network: the answer at {asked.forcing:g} or less",
        "not_favourite": "strong network likes another move better without the game before it",
        "no_candidate": "no change leaves the first move legal",
        "weak_notices": "weak network notices every change (log odds fall "
        f"{study.search.log_odds:g})",
        "strong_unmoved": "strong network notices none of the others",
    }


def target_pattern_counts(patterns: pd.Series) -> pd.DataFrame:
    """How many puzzles each target pattern has, and its share with Wilson's 95 % interval."""
    counts = patterns.astype(str).value_counts()
    total = int(counts.sum())
    rows = [
        {"target_pattern": name, **shares.of(int(count), total)} for name, count in counts.items()
    ]
    return pd.DataFrame(rows).sort_values(
        ["n", "target_pattern"], ascending=[False, True], ignore_index=True
    )


def skip_rules(pairs: Sequence[Pair]) -> pd.DataFrame:
    """How many puzzles E1 keeps by the paper's rule, and if the third target alone counts as later.

    Returns:
        Columns rule, n (kept), total, share, low, high (Wilson's 95 % interval).
    """
    kept = {
        "any later move": sum(paper_squares.of(pair) is not None for pair in pairs),
        "third target alone": sum(map(_third_is_apart, pairs)),
    }
    return pd.DataFrame(
        [{"rule": rule, **shares.of(count, len(pairs))} for rule, count in kept.items()]
    )


def _third_is_apart(pair: Pair) -> bool:
    """Whether first and third target differ, and neither is a square on which the boards do."""
    first, third = pair.target(1), pair.target(3)
    if first is None or third is None or first == third:
        return False
    return not {first, third} & {*pair.changed_squares()}


# Figures and words


def _figures(results: Results, tables: Tables) -> Iterator[Drawn]:
    flow = tables["funnel"]
    yield Drawn(
        name="funnel",
        title="From the dump to the puzzles of the study",
        caption="Puzzles left after each question; hatched: what the question took out.",
        figure=figures.exclusion_flow(flow.assign(reason=flow["reason"].str.replace("_", " "))),
    )


def _question(study: Study, networks: Networks) -> str:
    return (
        "A right first move is evidence of look-ahead only if the move cannot be guessed; a weak "
        f"network ({networks.weak.name}) shows what can be. {_asked(study)} Each then gets a "
        "corrupted partner: a small change after which the first move is bad, which the weak "
        "network hardly notices."
    )


def _asked(study: Study) -> str:
    """What the puzzles are asked to be, and what a threshold that all pass does not ask of them."""
    criteria = study.criteria
    asked = {
        "that the weak network does not see them": criteria.hard < 1,
        "that the strong network solves them": criteria.correct > 0,
        "that their answer is forced": criteria.forcing > 0,
    }
    provided, ignored = (
        " and ".join([words for words, wanted in asked.items() if wanted is answer])
        for answer in (True, False)
    )
    return (
        f"Puzzles of {criteria.plies} plies or more are kept"
        + (f", provided {provided}." if provided else ".")
        + (f" Not asked here: {ignored}." if ignored else "")
    )


def _short_tables(tables: Tables) -> Iterator[Shown]:
    flow = tables["funnel"].to_dict("records")
    yield Shown(
        head=["taken out because", "puzzles", "left"],
        rows=[
            [row["meaning"], f"{row['excluded']:,}" if index else "", f"{row['remaining']:,}"]
            for index, row in enumerate(flow)
        ],
    )
    table = tables.get("target_patterns")
    if table is not None:
        yield Shown(
            title="Patterns of target squares",
            text="The targets of the solution's moves, numbered by first appearance: in 112 the "
            "answer takes back on the first target and the third move goes elsewhere. What holds "
            "for one pattern need not hold for another.",
            head=["target pattern", "puzzles", "share", "95 %"],
            rows=[*_pattern_rows(table)],
        )


def _pattern_rows(table: pd.DataFrame) -> Iterator[list[str]]:
    for row in table.head(_MOST_SHOWN).to_dict("records"):
        yield [
            str(row["target_pattern"]),
            f"{row['n']:,}",
            f"{100 * row['share']:.1f} %",
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
        ]
    rest = table.iloc[_MOST_SHOWN:]
    if len(rest):
        yield [
            f"{len(rest)} more",
            f"{int(rest['n'].sum()):,}",
            f"{100 * rest['share'].sum():.1f} %",
            "",
        ]


CHAPTER = Chapter(
    id="puzzles",
    title="Puzzles",
    numbered=False,
    question=_question,
    measurements=(
        Measurement(
            name="filter",
            title="verdict for every puzzle",
            table="filtered.parquet",
            inputs=("dump", "strong", "weak"),
            needs=(),
            settings=_filter_settings,
            measure=_filter,
            seconds_each=_filter_seconds,
            rows=True,
        ),
        Measurement(
            name="corrupt",
            title="corrupted partners",
            table="pairs.parquet",
            inputs=("strong", "weak"),
            needs=("filter",),
            settings=_corrupt_settings,
            measure=_corrupt,
            seconds_each=_corrupt_seconds,
        ),
    ),
    tabulate=_tabulate,
    figures=_figures,
    short_tables=_short_tables,
    published=published.read("puzzles"),
)
