"""The step that tells a whole study on one page: a single HTML file, no script, nothing to load.

Figures are inside it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape

import leela_probe
from leela_probe.files import disk, manifests
from leela_probe.study import number_tables, sentences, tabulation
from leela_probe.study.ledger import LEFT_OUT, Ledger, Outcome, Record
from leela_probe.study.number_tables import Shown
from leela_probe.study.published import ANSWERS
from leela_probe.study.published_numbers import NUMBERS
from leela_probe.study.study import PAPER_HEADS, PAPER_LAYERS, Networks, Study

__all__ = ["NAME", "make", "render", "time_words"]

NAME = "index.html"
"""The page's file."""

_STEPS = {
    "filter": "verdict for every puzzle",
    "corrupt": "corrupted partners",
    "residual": "E1, residual stream",
    "heads": "E2, heads",
    "entry": "E3, one entry",
    "entry-win": "E3 on the value",
    "piece-heads": "E4, piece heads",
    "attention": "rows of patterns",
    "relations": "entries between the targets",
    "probes": "E5, probes",
    "tables": "statistics",
    "comparison": "published numbers",
    "figures": "figures",
}
_EXPERIMENTS = (
    ("E1", "residual", "The residual stream, square by square",
     "Where, and in which layer, is what decides the first move? At one square of one layer the "
     "residual stream is taken from the corrupted run. If the network looks ahead, the square "
     "that the third move goes to matters in middle layers."),
    ("E2", "heads", "Attention heads",
     "Which heads carry the difference between the clean and the corrupted position? The output of "
     "one head is taken from the corrupted run, on all squares."),
    ("E3", "entry", "One attention entry",
     "Does a head move information from the third move's target to the first's? That single entry "
     "of its pattern is set to zero, and, in another run, all its other entries."),
    ("E4", "piece-heads", "Heads that follow a piece",
     "Do heads that follow a piece's moves bring consequences of the third move back? The column "
     "of the third target is set to zero in the heads that follow the piece that moves there."),
    ("E5", "probes", "Reading the third move",
     "Can the third move be read out of the activations of the position before the first? "
     "Bilinear probes are trained on some games and tested on others, beside networks with random "
     "weights and other readers that cannot know the future."),
)  # fmt: skip
_WIDE = ("figure2_puzzle", "figure3_boards", "figure6_attention", "figure5_entry",
         "figure7_piece_heads", "figure11_entry_win", "probes_kinds")  # fmt: skip


def make(study: Study, networks: Networks) -> Outcome:
    """Writes the page of a study into its folder."""
    ledger = Ledger(study.out)
    records = {name: record for name in _STEPS if (record := ledger.record(name)) is not None}
    text = render(study, networks, records)
    path = study.table(NAME)
    disk.write(path, lambda file: file.write(text.encode()), temporary=study.table(f".{NAME}.tmp"))
    return Outcome(outputs=[path], facts={"bytes": path.stat().st_size})


def render(study: Study, networks: Networks, records: Mapping[str, Record]) -> str:
    """The page's text."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
    )

    def table(name: str) -> pd.DataFrame | None:
        return tabulation.read(study, name)

    findings = sentences.found(table)
    flow = table("funnel")
    assert flow is not None
    comparison = table("comparison")
    strong = networks.strong
    rows, left = int(flow["remaining"].iloc[0]), int(flow["remaining"].iloc[-1])
    return environment.get_template("page.html.jinja").render(
        version=leela_probe.__version__,
        strong=strong,
        weak=networks.weak.name,
        summary=f"{strong.name} ({strong.body}, {strong.layers} layers"
        + (f" of {strong.heads} heads" if strong.heads else "")
        + f", width {strong.width}) was given {rows:,} puzzles of {study.dump.name}; {left:,} were "
        f"fit for the question. In them activations were changed and read to see whether the "
        "network's first move depends on moves that come later.",
        contents=[
            ("puzzles", "Puzzles"), ("methods", "Methods"),
            *((name, f"{name} {title}") for name, _, title, _ in _EXPERIMENTS),
            ("comparison", "Paper and here"), ("exclusions", "Exclusions"), ("costs", "Costs"),
            ("versions", "Versions"),
        ],
        kept=_kept(study),
        findings=findings,
        caveats=_caveats(study, networks, records, left),
        funnel=[
            {"meaning": row["meaning"], "excluded": f"{row['excluded']:,}",
             "remaining": f"{row['remaining']:,}"}
            for row in flow.to_dict("records")
        ],
        target_patterns=_target_patterns(table("target_patterns")),
        resamples=f"{study.resamples:,}",
        settings=_settings(study),
        experiments=[
            {
                "id": name,
                "title": title,
                "question": question,
                "found": findings.get(name, ""),
                "left_out": _left_out(records.get(step)),
                "tables": _numbers(name, table),
                "undrawn": _undrawn(name, records, _left_out(records.get(step))),
            }
            for name, step, title, question in _EXPERIMENTS
        ],
        figures=_figures(study, records.get("figures")),
        comparison_note=_comparison_note(networks),
        answers=_answers(comparison),
        compared=_compared(comparison),
        details=_compared(comparison, detail=True),
        not_compared=_not_compared(comparison),
        apart=_apart(comparison),
        undrawn=_undrawn("puzzles", records, ""),
        exclusions=[
            {"name": name, "state": record.state, "counts": _counts(record)}
            for name, record in records.items()
            if record.reason is not None or "counts" in record.facts
        ],
        costs=[
            {"name": name, "title": _STEPS[name], "time": time_words(record.seconds)}
            for name, record in records.items()
        ]
        + [{"name": "all", "title": "",
            "time": time_words(sum(record.seconds for record in records.values()))}],
        files=[
            {"role": role, "name": path.name, "sha256": disk.sha256(path)}
            for role, path in (
                ("puzzles", study.dump), ("strong network", study.strong),
                ("weak network", study.weak),
            )
        ],
        versions=[(name, number) for name, number in manifests.versions().items() if number],
    )  # fmt: skip


def _caveats(
    study: Study, networks: Networks, records: Mapping[str, Record], left: int
) -> list[str]:
    said = []
    if networks.has_papers_shape():
        said.append(
            "Whether this is the very network of the paper is not known here: its shape is, and "
            "`leela-probe golden` compares its numbers."
        )
    else:
        shape = f"{networks.strong.layers} layers"
        shape += f" of {networks.strong.heads} heads" if networks.strong.heads else ""
        said.append(
            f"This is not the paper's network ({PAPER_LAYERS} layers of {PAPER_HEADS} heads), but "
            f"one of {shape}: agreement means that the same thing was found elsewhere, "
            "disagreement refutes nothing."
        )
    if left < 100:
        said.append(f"{left:,} puzzles are few: most intervals are wide or cannot be given.")
    apart: dict[str, list[str]] = {}
    for name, record in records.items():
        if record.state == LEFT_OUT:
            apart.setdefault(record.reason or "", []).append(_STEPS[name])
    said += [f"Left out: {'; '.join(names)} ({reason})." for reason, names in apart.items()]
    for name in records:
        reason = tabulation.why_not(study, name)
        if records[name].state != LEFT_OUT and reason is not None:
            said.append(f"Nothing measured: {_STEPS[name]} ({reason}).")
    said.append(
        "Patching shows on what the first move depends in this network, puzzle set and measure; "
        "it does not show that the network searches. A probe shows what can be read, not what "
        "is used."
    )
    if study.preset == "jenner2024":
        said.append("Probes follow the paper's own recipe, with its ordered split.")
    return said


def _kept(study: Study) -> str:
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


def _target_patterns(table: pd.DataFrame | None) -> list[dict[str, str]]:
    if table is None:
        return []
    shown = table.head(12)
    rows = [
        {
            "target_pattern": str(row["target_pattern"]),
            "n": f"{row['n']:,}",
            "share": f"{100 * row['share']:.1f} %",
            "interval": f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
        }
        for row in shown.to_dict("records")
    ]
    if len(table) > len(shown):
        rest = table.iloc[len(shown) :]
        rows.append(
            {
                "target_pattern": f"{len(rest)} more",
                "n": f"{int(rest['n'].sum()):,}",
                "share": f"{100 * rest['share'].sum():.1f} %",
                "interval": "",
            }
        )
    return rows


def _left_out(record: Record | None) -> str:
    if record is None or record.state != LEFT_OUT:
        return ""
    return (record.reason or "").rstrip(".")


def _undrawn(place: str, records: Mapping[str, Record], left_out: str) -> list[str]:
    """The figures of a place that could not be drawn, unless the whole place says so already."""
    record = records.get("figures")
    listed = [] if record is None else record.facts.get("undrawn", [])
    return [
        f"{each['title']} is not drawn: {each['reason']}."
        for each in listed
        if each["place"] == place and each["reason"] != left_out
    ]


def _numbers(name: str, table: Callable[[str], pd.DataFrame | None]) -> list[Shown]:
    """The short tables of an experiment."""
    made = {
        "E2": [number_tables.heads(table("heads_by_target_pattern"))],
        "E3": [
            number_tables.shares(table("shares"), "entry"),
            number_tables.margins(table("ablation_margins"), "entry"),
            number_tables.relations(table("relations")),
        ],
        "E4": [
            number_tables.shares(table("shares"), "piece-heads"),
            number_tables.margins(table("ablation_margins"), "piece-heads"),
        ],
        "E5": [number_tables.probes(table("probes"))],
    }
    return [each for each in made.get(name, []) if each is not None]


def _figures(study: Study, record: Record | None) -> Callable[[str], Markup]:
    drawn = [] if record is None else record.facts.get("figures", [])

    def show(place: str) -> Markup:
        parts = []
        for one in drawn:
            if one["place"] != place:
                continue
            image = study.table(f"figures/{one['name']}.svg")
            kind = "svg+xml"
            if one["name"].startswith(("figure6", "figure3_boards")):  # many shapes
                image, kind = image.with_suffix(".png"), "png"
            data = base64.b64encode(image.read_bytes()).decode()
            width = ' class="wide"' if one["name"] in _WIDE else ""
            parts.append(
                f'<figure{width}><div class="scroll"><img alt="{escape(one["title"])}" '
                f'src="data:image/{kind};base64,{data}"></div><figcaption><b>{escape(one["title"])}</b>'
                f" {escape(one['caption'])}</figcaption></figure>"
            )
        return Markup(f'<div class="figures">{"".join(parts)}</div>') if parts else Markup("")

    return show


def _comparison_note(networks: Networks) -> str:
    if networks.has_papers_shape():
        return "The network has the paper's shape."
    return (
        "The network is another one; numbers of single layers and heads are left out, as they name "
        "places that only the paper's network has."
    )


def _answers(table: pd.DataFrame | None) -> list[dict[str, str]]:
    if table is None:
        return []
    counts = table["agrees"].value_counts()
    return [
        {"name": name, "count": f"{int(counts.get(name, 0)):,}", "meaning": meaning}
        for name, meaning in ANSWERS.items()
        if counts.get(name, 0)
    ]


def _compared(table: pd.DataFrame | None, *, detail: bool = False) -> list[dict[str, str]]:
    """The rows that a study can have; of the long lists only those that it has."""
    if table is None:
        return []
    reason = table["reason"].fillna("")
    if detail:
        rows = table[table["detail"] & table["here"].notna()]
    else:
        rows = table[~table["detail"] & ~((table["agrees"] == "not run") & _is_apart(table))]
    told = []
    for index, row in rows.iterrows():
        here, paper = row["here"], row["paper"]
        whole = (pd.isna(here) or here == round(here)) and paper == round(paper) and paper >= 1
        digits = 0 if whole else 3
        half = row["paper_half_width"]
        bound = "above " if row["relation"] == "above" else ""
        told.append(
            {
                "experiment": row["experiment"],
                "what": row["what"],
                "note": row["note"] if isinstance(row["note"], str) else "",
                "paper": bound
                + _plain(paper, digits)
                + (f" ± {half:.2g}" if half >= 0.001 else ""),
                "here": "" if pd.isna(here) else f"{here:.{digits}f}",
                "interval": ""
                if pd.isna(row["low"])
                else f"{row['low']:.{digits}f} to {row['high']:.{digits}f}",
                "n": "" if pd.isna(row["n"]) else f"{int(row['n']):,}",
                "agrees": row["agrees"],
                "reason": reason[index],
                "source": row["source"],
            }
        )
    return told


def _is_apart(table: pd.DataFrame) -> pd.Series:
    """Which rows are of experiments that no study has."""
    return table["reason"].isin({number.missing for number in NUMBERS if number.missing})


def _plain(value: float, digits: int) -> str:
    if value == round(value) and value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}" if digits else f"{value:g}"


def _not_compared(table: pd.DataFrame | None) -> str:
    """In words, the rows of the long lists that have no number of ours."""
    if table is None:
        return ""
    some = table[table["detail"] & table["here"].isna()].fillna({"reason": ""})
    said = [
        f"{name}: {count} ({answer}{': ' if why else ''}{why})"
        for (name, answer, why), count in some.groupby(
            ["experiment", "agrees", "reason"], sort=False
        ).size().items()
    ]  # fmt: skip
    return (
        "; ".join(said) + ". They are listed one by one in tables/comparison.csv." if said else ""
    )


def _apart(table: pd.DataFrame | None) -> list[dict[str, str]]:
    """What is published of experiments that no study has."""
    if table is None:
        return []
    return [
        {
            "experiment": row["experiment"],
            "what": row["what"],
            "paper": _plain(row["paper"], 3),
            "reason": row["reason"],
        }
        for row in table[(table["agrees"] == "not run") & _is_apart(table)].to_dict("records")
    ]


def _counts(record: Record) -> str:
    if record.reason is not None:
        return record.reason
    counts: Mapping[str, int] = record.facts["counts"]
    said = [f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count]
    rows = record.facts.get("rows")
    return ", ".join(said) + ("" if rows is None else f" ({rows:,} rows)")


def time_words(seconds: float) -> str:
    """A time in words.

    Example:
        >>> time_words(0.2), time_words(62.0), time_words(7300.0)
        ('under 1 s', '62 s', '2 h 02 min')
    """
    if seconds < 1:
        return "under 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
