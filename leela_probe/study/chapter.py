"""What an experiment of the study is: a chapter, with its measurements, tables, figures and words.

A chapter is one file in `chapters`. It says what is asked, measures it, and turns what was measured
into tables, figures and a sentence. `contents` lists the chapters; nothing else knows their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from leela_probe.files.progress import Progress
    from leela_probe.files.store import Finished
    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History
    from leela_probe.study.published import Published
    from leela_probe.study.results import Results
    from leela_probe.study.study import Networks, Study

__all__ = [
    "Chapter", "Command", "Drawn", "LeftOut", "MeasureTable", "Measured", "Measurement", "Rates",
    "Shown", "Tables", "Undrawn",
]  # fmt: skip

Tables = Mapping[str, "pd.DataFrame"]
"""The tables that the study was turned into, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Why a measurement does not apply to this network or these puzzles."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A finished measurement.

    Attributes:
        finished: its table.
        note: why puzzles could not be measured, where the table cannot say so.
    """

    finished: Finished
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the two networks of a study take for one position, in seconds."""

    strong: float
    weak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One stage of the study: it makes one table and goes on where it was cut off.

    Attributes:
        name: the choice of `reproduce --stage`.
        title: what is measured, in a few words.
        table: the file it makes, within the study's folder.
        inputs: the files from outside that it depends on: "dump", "strong", "weak".
        needs: earlier measurements whose tables it reads; if one was left out, so is this one.
        settings: which settings of the study it depends on, as JSON values.
        measure: does it, or goes on with it; `overwrite` replaces a table of other settings.
        check: refuses settings that cannot be met, before anything is measured.
        seconds_each: how long a puzzle takes; None where that need not be known.
        rows: `seconds_each` is for a row of the dump, not for a puzzle with a corrupted input.
        counts_puzzles: the table has a verdict for every puzzle, which the page lists.
    """

    name: str
    title: str
    table: str
    inputs: Sequence[str] = ("strong",)
    needs: Sequence[str] = ("corrupt",)
    settings: Callable[[Study], Mapping[str, object]]
    measure: Callable[[Study, Networks, Progress, bool], Measured | LeftOut]
    check: Callable[[Study, Networks], object] = lambda study, networks: None
    seconds_each: Callable[[Study, Networks, Rates], float] | None = None
    rows: bool = False
    counts_puzzles: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure with its words.

    Attributes:
        name: of its files.
        title: which figure of the paper it corresponds to.
        caption: what it shows and how to read it.
        figure: the figure.
        place: the chapter on whose part of the page it stands; "" for its own.
        wide: it takes the whole width of the page.
        many_shapes: the page has it as PNG, since the SVG would be large.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    place: str = ""
    wide: bool = False
    many_shapes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Undrawn:
    """A figure that cannot be drawn, and why."""

    title: str
    reason: str
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A short table as texts.

    Attributes:
        head: of the columns.
        rows: the texts of each.
        title: above the table, with `text` below it.
        text: how to read it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    text: str = ""


@runtime_checkable
class MeasureTable(Protocol):
    """Makes one table about a network and a file of puzzles; what was cut off goes on."""

    def __call__(
        self,
        network: Network,
        puzzles: Path,
        out: Path,
        *,
        history: History,
        limit: int | None,
        overwrite: bool,
        progress: Progress | None,
    ) -> Finished:
        """Makes the table, or goes on with it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of its own, `leela-probe NAME PUZZLES --network NET --out FILE`.

    The file of a chapter that has one imports what takes time inside its functions: the command
    line lists all commands without waiting for it.

    Attributes:
        name: of the command.
        help: its help text.
        measure: makes the table.
        show: the short table that is printed of it.
    """

    name: str
    help: str
    measure: MeasureTable
    show: Callable[[Path], Shown]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One experiment.

    Attributes:
        id: where it stands on the page, such as "E1".
        title: the heading.
        numbered: the heading begins with the id.
        question: what is asked, for the reader of the page; a text, or made from the study.
        measurements: its stages, in their order.
        reads: stages of chapters before it whose tables it reads.
        tabulate: turns what was measured into tables by name; chapters that give a table of one
            name share it, one below the other.
        figures: draws them.
        summary: what was found, in a sentence with its interval; "" where nothing was.
        short_tables: for the page.
        published: numbers of others that the tables are compared with.
    """

    id: str
    title: str
    numbered: bool = True
    question: str | Callable[[Study, Networks], str]
    measurements: Sequence[Measurement] = field(default=())
    reads: Sequence[str] = ()
    tabulate: Callable[[Results], Iterable[tuple[str, pd.DataFrame]]] = lambda results: ()
    figures: Callable[[Results, Tables], Iterator[Drawn | Undrawn]] = lambda results, tables: iter(
        ()
    )
    summary: Callable[[Tables], str] = lambda tables: ""
    short_tables: Callable[[Tables], Iterable[Shown]] = lambda tables: ()
    published: Sequence[Published] = ()

    @property
    def stages(self) -> Sequence[str]:
        """The stages it stands on; the first one says whether the chapter applies."""
        return [*(each.name for each in self.measurements), *self.reads]

    @property
    def label(self) -> str:
        """Its short name: the id where it is numbered, else the title."""
        return self.id if self.numbered else self.title

    @property
    def heading(self) -> str:
        """The heading on the page."""
        return f"{self.id}: {self.title}" if self.numbered else self.title
