"""A whole study on one page: a single HTML file, no script, nothing to load.

Figures are inside it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape

import leela_probe
from leela_probe.files import disk, manifests
from leela_probe.study import comparison_rows, contents, wording
from leela_probe.study.chapter import Chapter, Drawn, Tables, Undrawn
from leela_probe.study.records import LEFT_OUT, Record
from leela_probe.study.results import Results, counts_text
from leela_probe.study.study import PAPER_HEADS, PAPER_LAYERS, Networks, Study

__all__ = ["NAME", "render"]

NAME = "index.html"
"""The page's file."""

_FEW = 100

Figures = Mapping[str, Sequence[Drawn | Undrawn]]
"""The figures of each chapter, by its id."""


def render(
    results: Results, networks: Networks, tables: Tables, figures: Figures, *, seconds: float
) -> str:
    """The page's text.

    Args:
        results: what was measured.
        networks: of the study.
        tables: made from it.
        figures: of each chapter, by its id; drawn ones lie in the study's folder.
        seconds: what tables and figures have taken.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
    )
    study = results.study
    sections = [
        _section(chapter, results, networks, tables, figures) for chapter in contents.chapters()
    ]
    return environment.get_template("page.html.jinja").render(
        version=leela_probe.__version__,
        name=networks.strong.name,
        summary=_summary(study, networks, tables["funnel"]),
        contents=_contents(),
        findings=[(each["label"], each["found"]) for each in sections if each["found"]],
        caveats=_caveats(results, networks, int(tables["funnel"]["remaining"].iloc[-1])),
        sections=sections,
        resamples=f"{study.resamples:,}",
        settings=_settings(study),
        comparison=comparison_rows.of(tables["comparison"], networks.has_papers_shape()),
        exclusions=_exclusions(results),
        costs=_costs(results, seconds),
        files=[
            {"role": role, "name": path.name, "sha256": disk.sha256(path)}
            for role, path in (
                ("puzzles", study.dump), ("strong network", study.strong),
                ("weak network", study.weak),
            )
        ],
        versions=[(name, number) for name, number in manifests.versions().items() if number],
    )  # fmt: skip


# Chapters


def _contents() -> list[tuple[str, str]]:
    first, *others = contents.chapters()
    return [
        (first.id, first.title), ("methods", "Methods"),
        *((each.id, f"{each.id} {each.title}" if each.numbered else each.title) for each in others),
        ("comparison", "Paper and here"), ("exclusions", "Exclusions"), ("costs", "Costs"),
        ("versions", "Versions"),
    ]  # fmt: skip


def _section(
    chapter: Chapter, results: Results, networks: Networks, tables: Tables, figures: Figures
) -> dict[str, object]:
    """A chapter's part of the page."""
    left_out = _left_out(results.records.get(chapter.stages[0]))
    own = [
        figure
        for place, some in figures.items()
        for figure in some
        if (figure.place or place) == chapter.id
    ]
    return {
        "id": chapter.id,
        "label": chapter.label,
        "heading": chapter.heading,
        "question": chapter.question
        if isinstance(chapter.question, str)
        else chapter.question(results.study, networks),
        "found": chapter.summary(tables),
        "left_out": left_out,
        "figures": _figures(results.study, [each for each in own if isinstance(each, Drawn)]),
        "undrawn": [
            f"{each.title} is not drawn: {each.reason}."
            for each in own
            if isinstance(each, Undrawn) and each.reason != left_out
        ],
        "tables": [*chapter.short_tables(tables)],
    }


def _left_out(record: Record | None) -> str:
    return "" if record is None or record.state != LEFT_OUT else record.reason.rstrip(".")


def _figures(study: Study, drawn: Sequence[Drawn]) -> Markup:
    parts = []
    for each in drawn:
        ending, kind = ("png", "png") if each.many_shapes else ("svg", "svg+xml")
        image = study.table(f"figures/{each.name}.{ending}")
        data = base64.b64encode(image.read_bytes()).decode()
        width = ' class="wide"' if each.wide else ""
        parts.append(
            f'<figure{width}><div class="scroll"><img alt="{escape(each.title)}" '
            f'src="data:image/{kind};base64,{data}"></div><figcaption><b>{escape(each.title)}</b>'
            f" {escape(each.caption)}</figcaption></figure>"
        )
    return Markup(f'<div class="figures">{"".join(parts)}</div>') if parts else Markup("")


# What stands around the chapters


def _summary(study: Study, networks: Networks, flow: pd.DataFrame) -> str:
    strong = networks.strong
    rows, left = int(flow["remaining"].iloc[0]), int(flow["remaining"].iloc[-1])
    heads = f" of {strong.heads} heads" if strong.heads else ""
    return (
        f"{strong.name} ({strong.body}, {strong.layers} layers{heads}, width {strong.width}) was "
        f"given {rows:,} puzzles of {study.dump.name}; {left:,} were fit for the question. In them "
        "activations were changed and read to see whether the network's first move depends on "
        "moves that come later."
    )


def _caveats(results: Results, networks: Networks, left: int) -> list[str]:
    texts = [_network_caveat(networks)]
    if 0 < left < _FEW:
        few = "1 puzzle is" if left == 1 else f"{left:,} puzzles are"
        texts.append(f"{few} few: most intervals are wide or cannot be given.")
    titles = {each.name: each.title for each in contents.measurements()}
    apart: dict[str, list[str]] = {}
    for name, record in results.records.items():
        if record.state == LEFT_OUT:
            apart.setdefault(record.reason, []).append(titles[name])
    texts += [f"Left out: {'; '.join(names)} ({reason})." for reason, names in apart.items()]
    for name, record in results.records.items():
        reason = results.why_not(name)
        if record.state != LEFT_OUT and reason is not None:
            texts.append(f"Nothing measured: {titles[name]} ({reason}).")
    texts.append(
        "Patching shows on what the first move depends in this network, puzzle set and measure; "
        "it does not show that the network searches. A probe shows what can be read, not what "
        "is used."
    )
    if results.study.preset == "jenner2024":
        texts.append("Probes follow the paper's own recipe, with its ordered split.")
    return texts


def _network_caveat(networks: Networks) -> str:
    if networks.has_papers_shape():
        return (
            "Whether this is the very network of the paper is not known here: its shape is, and "
            "`leela-probe golden` compares its numbers."
        )
    shape = f"{networks.strong.layers} layers"
    shape += f" of {networks.strong.heads} heads" if networks.strong.heads else ""
    return (
        f"This is not the paper's network ({PAPER_LAYERS} layers of {PAPER_HEADS} heads), but "
        f"one of {shape}: agreement means that the same thing was found elsewhere, "
        "disagreement refutes nothing."
    )


def _settings(study: Study) -> list[tuple[str, str]]:
    asked, search = study.criteria, study.search
    return [
        ("preset", study.preset),
        ("rows of the dump", "all" if study.limit is None else f"the first {study.limit:,}"),
        ("weak network's first move", f"below {asked.hard:g}"),
        ("strong network's solver moves", f"above {asked.correct:g}"),
        ("weak network's answer", f"above {asked.forcing:g}"),
        ("length of the solution", f"{asked.plies} plies or more"),
        ("partner: weak network's log odds fall by less than", f"{search.log_odds:g} nats"),
        ("partner: strong network's W - L falls by more than", f"{search.value:g}"),
        ("partner: strong network's first move", f"below {search.probability:g}"),
        ("partner: divergence of the weak policies", f"{search.divergence:g} nats at most"),
        ("history", f"strong {asked.strong_history.value}, weak {asked.weak_history.value}"),
        ("input formats", f"strong {_format(study.strong_format)}, weak "
         f"{_format(study.weak_format)}"),
        ("patterns shown on their own", f"{study.minimum} puzzles or more"),
        ("seed", str(study.seed)),
        ("computed", f"in {study.dtype} on {study.device}"),
    ]  # fmt: skip


def _format(given: int | None) -> str:
    return "as its file says" if given is None else f"{given}"


def _exclusions(results: Results) -> list[dict[str, str]]:
    counting = {each.name for each in contents.measurements() if each.counts_puzzles}
    return [
        {
            "name": name,
            "state": record.state,
            "counts": record.reason or f"{counts_text(record.counts)} ({record.rows:,} rows)",
        }
        for name, record in results.records.items()
        if record.reason or name in counting
    ]


def _costs(results: Results, seconds: float) -> list[dict[str, str]]:
    titles = {each.name: each.title for each in contents.measurements()}
    rows = [
        {"name": name, "title": titles[name], "time": wording.time(record.seconds)}
        for name, record in results.records.items()
    ]
    whole = seconds + sum(record.seconds for record in results.records.values())
    return [
        *rows,
        {"name": contents.DERIVED, "title": "tables and figures", "time": wording.time(seconds)},
        {"name": "all", "title": "", "time": wording.time(whole)},
    ]
