"""Numbers that the look-ahead papers, their code and their pages have published.

Own wording; numbers and names from Jenner et al. 2024 (arXiv 2406.00877) and Cruz 2025 (arXiv
2505.21552), the code and pages that belong to them. "Secondary" numbers are quoted from surveys,
"digitised" ones read off an image to within 0.03. Each chapter has its own in a JSON file beside
it; `elsewhere.json` has those that no chapter has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Published", "elsewhere", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published number, and where the study's tables have the same quantity.

    Attributes:
        experiment: such as "E1".
        what: in words.
        value: the number; the paper's sign and unit.
        half_width: of the published interval, or what rounding leaves open.
        relation: "equal", or "above": the number is a bound.
        source: where it was published.
        table: the table of the study that has it; None if no study does, see `missing`.
        stage: the measurement that the table is made from.
        where: values of columns that choose the row.
        column: the column with the estimate.
        kind: how it is read: "cell", "peak" (largest over layers, without what comes before
            layer 0), "rank" (place of the row's head), "sum" (of several rows), "kept" and
            "skipped" (shares of puzzles).
        missing: why no study has it, for those that are not part of one.
        shape: the number is of a layer or head of the paper's network.
        detail: one of a long list: a target pattern, a point of a curve, a head of a table.
    """

    experiment: str
    what: str
    value: float
    half_width: float = 0.0
    relation: str = "equal"
    source: str
    table: str | None = None
    stage: str = ""
    where: dict[str, object] = field(default_factory=dict)
    column: str = "estimate"
    kind: str = "cell"
    missing: str = ""
    shape: bool = False
    detail: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is a share of puzzles; else it is an effect in nats, a place or a count."""
        return (
            self.column in ("share", "accuracy", "top1")
            or self.kind in ("kept", "skipped", "sum")
            or "threshold" in self.where
        )


def read(chapter: str) -> tuple[Published, ...]:
    """The numbers that stand beside a chapter, by its file's name."""
    return _read(Path(__file__).parent / "chapters" / f"{chapter}.json")


def elsewhere() -> tuple[Published, ...]:
    """The numbers that no chapter of a study has, each with the reason in `missing`."""
    return _read(Path(__file__).parent / "elsewhere.json")


def _read(path: Path) -> tuple[Published, ...]:
    return tuple(Published(**facts) for facts in json.loads(path.read_text(encoding="utf-8")))
