"""The commands `leela-probe plot ...`: one for each figure of an effects table.

Each writes one figure and, where a table is named, its numbers.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leela_probe.commands import options, terminal
from leela_probe.commands.groups import IntervalOptions, RowOptions
from leela_probe.commands.registration import Command, Group

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from leela_probe.puzzles.pairs import Pair

__all__ = ["GROUP"]

_Effects = Annotated[
    Path, typer.Argument(help="An effects table that patch wrote.", metavar="EFFECTS")
]
_Confidence = Annotated[
    float, options.run("Confidence level of the intervals.", min=0.5, max=0.9999, metavar="P")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureOptions:
    """Where a figure and its numbers are written."""

    out: Annotated[Path, typer.Option(help="The figure: .pdf, .png or .svg.", metavar="FILE")]
    table: Annotated[
        Path | None,
        typer.Option(help="Also write its numbers: .csv or .parquet.", metavar="FILE"),
    ] = None
    overwrite: options.Overwrite = False

    def claim(self) -> None:
        """Refuses outputs that may not be written, before the work is done."""
        from leela_probe.commands import outputs

        with terminal.overwriting():
            outputs.claim(self.out, outputs.FIGURES, overwrite=self.overwrite)
            if self.table is not None:
                outputs.claim(self.table, outputs.TABLES, overwrite=self.overwrite)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadIntervalOptions(IntervalOptions):
    """The same with more samples, of which small p values take many."""

    resamples: Annotated[
        int, options.run("Draw N bootstrap samples of games.", min=99, metavar="N")
    ] = 9999


def layers(
    effects: _Effects,
    categories: Annotated[
        str | None,
        options.what(
            "Draw these categories, separated by commas, or all.",
            default="the targets and controls that at least half of the puzzles have",
            metavar="LIST",
        ),
    ] = None,
    squares: options.Squares = "mean",
    draws: Annotated[
        str | None,
        options.what(
            "With max: show other squares by the expected maximum of as many of them as the "
            "puzzle has of this category.",
            metavar="CATEGORY",
        ),
    ] = None,
    quantiles: Annotated[
        bool, options.flag("--quantiles", "Also draw a light band: quartiles of puzzles.")
    ] = False,
    *,
    files: FigureOptions,
    rows: RowOptions,
    intervals: IntervalOptions,
) -> None:
    """Mean effect over layers, one curve per category of squares."""
    options.choice(squares, ("mean", "max"), "--squares")
    if draws is not None and squares != "max":
        raise typer.BadParameter("belongs to --squares max", param_hint="'--draws'")
    files.claim()
    from leela_probe.commands import effects_selection
    from leela_probe.experiments import effect_figures
    from leela_probe.figures import figures

    taken = rows.read(effects)
    by_category = rows.by_category(taken)
    present = list(dict.fromkeys(by_category["category"]))
    if categories is None:
        wanted = effect_figures.categories_shown(by_category)
    elif categories != "all":
        wanted = [options.choice(name, present, "--categories") for name in categories.split(",")]
    else:
        wanted = present
    by_category = by_category[by_category["category"].isin(wanted)]
    if draws is None:
        found = _curves(by_category, squares, intervals)
    else:
        found = _against_equal_draws(rows.by_category(taken), by_category, draws, intervals)
    unit, what = effects_selection.unit(taken)
    figure = figures.layer_curves(
        effects_selection.in_words(found, taken),
        unit=unit,
        what=what,
        categories=None if categories in (None, "all") else wanted,
        quantiles=("q25", "q75") if quantiles else None,
    )
    _write(
        _Drawn("layers", figure, found, taken, effects), files, rows, intervals,
        categories=categories, squares=squares, draws=draws, quantiles=quantiles,
    )  # fmt: skip


def heads(
    effects: _Effects,
    top: Annotated[int, options.what("List the N largest heads.", min=0, metavar="N")] = 5,
    *,
    files: FigureOptions,
    rows: RowOptions,
    intervals: HeadIntervalOptions,
) -> None:
    """Mean effect of each head, the largest tested against the number of heads."""
    files.claim()
    from leela_probe.commands import effects_selection
    from leela_probe.figures import figures
    from leela_probe.statistics import comparisons, stats

    taken = rows.read(effects)
    if taken["head"].isna().any() or taken["square"].notna().any():
        raise ValueError(
            f"{effects} is not a sweep over whole heads: a head map takes what leela-probe patch "
            "heads wrote"
        )
    places = ["layer", "head"]
    tests = comparisons.family(taken, by=places, resamples=intervals.resamples, seed=intervals.seed)
    means = stats.summarise(
        taken,
        by=places,
        confidence=intervals.confidence,
        resamples=min(intervals.resamples, 2000),
        seed=intervals.seed,
    )
    found = tests.merge(means[[*places, "low", "high", "interval"]], on=places)
    unit, what = effects_selection.unit(taken)
    figure = figures.head_map(
        effects_selection.in_words(found, taken), unit=unit, what=what, top=top, p="p_max_t"
    )
    _write(_Drawn("heads", figure, found, taken, effects), files, rows, intervals, top=top)


def percentiles(
    effects: _Effects,
    by: Annotated[
        str,
        options.what(
            "Draw one curve per label, control (label without its piece), category or layer.",
            metavar="NAME",
        ),
    ] = "label",
    curves: Annotated[
        str | None,
        options.what(
            "Draw only these, separated by commas, or all.",
            default="all; of categories the targets and controls that at least half of the "
            "puzzles have",
            metavar="LIST",
        ),
    ] = None,
    zoom: Annotated[
        str, options.what("Percentiles of the right panel.", metavar="LOW-HIGH")
    ] = "94-100",
    bottom: Annotated[
        float | None, options.what("The lowest effect that is drawn.", metavar="X")
    ] = None,
    confidence: _Confidence = 0.95,
    *,
    files: FigureOptions,
    rows: RowOptions,
) -> None:
    """Percentiles of effects over puzzles, whole and zoomed into the top."""
    options.choice(by, ("label", "control", "category", "layer"), "--by")
    ends = _zoom(zoom)
    files.claim()
    from leela_probe.commands import effects_selection
    from leela_probe.experiments import effect_figures
    from leela_probe.figures import figures
    from leela_probe.statistics import stats

    taken = rows.read(effects)
    if by == "category" or "category" in rows.conditions():
        taken = rows.by_category(taken)
    if by == "control":
        taken = taken.assign(
            control=taken["label"].astype("string").str.replace(r"^.*: ", "", regex=True)
        )
    if taken[by].isna().any():
        raise ValueError(
            f"the runs in {effects} have no {by}: choose another with --by, such as "
            f"{'category' if taken['category'].notna().all() else 'layer'}"
        )
    taken = taken.assign(**{by: taken[by].astype(str)})
    if curves is None and by == "category":
        taken = taken[taken[by].isin(effect_figures.categories_shown(taken) or set(taken[by]))]
    elif curves is not None and curves != "all":
        names = sorted(set(taken[by]))
        wanted = [options.choice(name.strip(), names, "--curves") for name in curves.split(",")]
        taken = taken[taken[by].isin(wanted)]
    if by != "layer" and taken["layer"].nunique() > 1:
        raise ValueError(
            f"the table has {taken['layer'].nunique()} layers, of which a curve shows one: choose "
            "it with --layers"
        )
    of_puzzles = effects_selection.at_one_place(taken, by=(by,))
    found = stats.percentile_curves(of_puzzles, by=(by,), confidence=confidence)
    unit, what = effects_selection.unit(taken)
    shown = effects_selection.in_words(found, taken)
    if by == "layer":
        shown = shown.assign(layer=found[by].map("layer {}".format))
    figure = figures.percentile_curves(
        shown, curve=by, unit=unit, what=what, zoom=ends, bottom=bottom
    )
    about = effects_selection.over_squares(of_puzzles)
    _write(
        _Drawn("percentiles", figure, found, taken, effects, about), files, rows,
        by=by, curves=curves, zoom=zoom, bottom=bottom, confidence=confidence,
    )  # fmt: skip


def boards(
    effects: _Effects,
    puzzle: Annotated[str, typer.Option(help="The puzzle, by its id.", metavar="ID")],
    arrows: Annotated[
        int, options.what("Draw the first N moves of the line.", min=0, metavar="N")
    ] = 3,
    entry: Annotated[
        list[str] | None,
        options.what(
            "Draw an entry QUERY:KEY of the mover's board, g6:h4, from key to query; may be "
            "repeated.",
            metavar="Q:K",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        options.what(
            "The pairs that were patched.", default="as the manifest says", metavar="FILE"
        ),
    ] = None,
    *,
    files: FigureOptions,
    rows: RowOptions,
) -> None:
    """Effect of each square of one puzzle, one diagram per layer, with arrows.

    Without --layers it draws four of the layers, or fewer.
    """
    entries = [options.entry(text, "--entry") for text in entry or ()]
    files.claim()
    from leela_probe.commands import effects_selection
    from leela_probe.figures import diagrams
    from leela_probe.positions.squares import NetSquare, to_board

    taken = rows.read(effects, screened=True)
    known = taken["puzzle_id"].unique()
    taken = taken[taken["puzzle_id"] == puzzle]
    if taken.empty:
        raise ValueError(
            f"no measured puzzle {puzzle!r} in {effects}: it has {', '.join(map(str, known[:5]))}"
            f"{', ...' if len(known) > 5 else ''} ({len(known)} in all)"
        )
    embedding = taken["site"].eq("embedding")
    if taken["square"].isna().any() or (taken["layer"].isna() & ~embedding).any():
        raise ValueError(
            f"{effects} is not a sweep over squares of layers: boards take what leela-probe patch "
            "residual or head-squares wrote"
        )
    pair = _pair(effects, pairs, puzzle)
    drawn_layers: Sequence[int | None] | None = options.numbers(rows.layers, "--layers")
    if drawn_layers is None:
        known_layers = sorted(int(layer) for layer in taken["layer"].dropna().unique())
        drawn_layers = [*([None] if embedding.any() else []), *_spread(known_layers)]
    unit, what = effects_selection.unit(taken)
    figure = diagrams.effect_boards(
        taken,
        pair.clean,
        layers=drawn_layers,
        arrows=[(move.from_square, move.to_square) for move in pair.moves[:arrows]],
        entries=[
            (to_board(NetSquare(key), pair.turn), to_board(NetSquare(query), pair.turn))
            for query, key in entries
        ],
        changed=[to_board(square, pair.turn) for square in pair.changed_squares()],
        unit=unit,
        what=what,
    )
    drawn = taken[taken["layer"].isin(drawn_layers)].drop(columns="puzzle_id")
    drawn.insert(0, "puzzle_id", puzzle)
    line = " ".join(pair.line[:arrows]) or "none"
    about = [f"puzzle {puzzle}", f"line {line}"]
    _write(
        _Drawn("boards", figure, drawn, taken, effects, about), files, rows,
        puzzle=puzzle, arrows=arrows, entry=entry,
    )  # fmt: skip


def target_patterns(
    effects: _Effects,
    of: Annotated[
        str | None,
        options.what(
            "Take this effect: a label (3->1), a category (ply3_target) or a head (12.12).",
            metavar="NAME",
        ),
    ] = None,
    squares: options.Squares = "mean",
    min_puzzles: Annotated[
        int,
        options.what("Draw patterns with fewer than N puzzles together.", min=1, metavar="N"),
    ] = 50,
    *,
    files: FigureOptions,
    rows: RowOptions,
    intervals: IntervalOptions,
) -> None:
    """Mean effect at one place for each pattern of target squares."""
    options.choice(squares, ("mean", "max"), "--squares")
    files.claim()
    from leela_probe.commands import effects_selection
    from leela_probe.figures import figures
    from leela_probe.statistics import stats

    taken = rows.read(effects)
    if of is not None:
        place = effects_selection.called(taken, of, overlapping=rows.overlapping)
    else:
        place = rows.by_category(taken) if "category" in rows.conditions() else taken
    of_puzzles = effects_selection.at_one_place(place, squares=squares)
    found = stats.target_pattern_effects(
        of_puzzles,
        minimum=min_puzzles,
        confidence=intervals.confidence,
        resamples=intervals.resamples,
        seed=intervals.seed,
    )
    unit, what = effects_selection.unit(taken)
    figure = figures.forest(effects_selection.in_words(found, taken), unit=unit, what=what)
    about = [] if of is None else [figures.category_words(of)]
    about += effects_selection.over_squares(of_puzzles)
    _write(
        _Drawn("target-patterns", figure, found, taken, effects, about), files, rows, intervals,
        of=of, squares=squares, min_puzzles=min_puzzles,
    )  # fmt: skip


def scatter(
    effects: _Effects,
    first: options.FirstName,
    second: options.SecondName,
    squares: options.Squares = "mean",
    *,
    files: FigureOptions,
    rows: RowOptions,
    intervals: IntervalOptions,
) -> None:
    """Two effects of the same puzzles, one point per puzzle, with a paired test."""
    options.choice(squares, ("mean", "max"), "--squares")
    files.claim()
    from leela_probe.commands import effects_selection
    from leela_probe.figures import figures, notes
    from leela_probe.statistics import comparisons

    taken = rows.read(effects)
    sides = [
        effects_selection.at_one_place(
            effects_selection.called(taken, name, overlapping=rows.overlapping),
            squares=squares,
        )
        for name in (first, second)
    ]
    found = comparisons.paired(
        *sides,
        names=(first, second),
        confidence=intervals.confidence,
        resamples=intervals.resamples,
        seed=intervals.seed,
    )
    unit, what = effects_selection.unit(taken)
    note = effects_selection.text_in_words(notes.paired(found, unit=unit), taken)
    note = re.sub(r"-(?=\d)", "−", note)  # noqa: RUF001  a minus sign, as on the axes
    alone = found.only_first + found.only_second
    if alone:
        have = "puzzle has" if alone == 1 else "puzzles have"
        note += (
            f"\n{alone:,} {have} only one of the two and {'is' if alone == 1 else 'are'} left out."
        )
    figure = figures.paired_scatter(
        found.table,
        names=(figures.category_words(first), figures.category_words(second)),
        unit=unit,
        what=what,
        note=note,
    )
    about = effects_selection.over_squares(*sides)
    _write(
        _Drawn("scatter", figure, found.table, taken, effects, about), files, rows, intervals,
        first=first, second=second, squares=squares,
    )  # fmt: skip


def exclusions(
    stages: Annotated[
        list[Path],
        typer.Argument(help="The tables of filter, corrupt and patch.", metavar="TABLE..."),
    ],
    *,
    files: FigureOptions,
) -> None:
    """How many puzzles each question took out, stage after stage."""
    files.claim()
    from leela_probe.commands import effects_selection, outputs
    from leela_probe.figures import drawing, figures
    from leela_probe.files import derived
    from leela_probe.statistics import stats

    reasons, order = effects_selection.exclusions(stages)
    found = stats.exclusion_flow(reasons, order)
    shown = found.assign(reason=found["reason"].str.replace("_", " "))
    idle = shown["excluded"].eq(0) & shown["step"].gt(0)
    figure = figures.exclusion_flow(shown[~idle])
    drawing.add_heading(figure, " · ".join(path.name for path in stages))
    if idle.any():
        text = f"Took out none: {', '.join(shown['reason'][idle])}."
        lines = textwrap.wrap(text, 60)
        drawing.add_note(figure, "\n".join(lines))
        figure.set_figheight(figure.get_figheight() + 0.14 * len(lines))
    outputs.write_figure(figure, files.out)
    if files.table is not None:
        inputs = {f"stage{number}": path for number, path in enumerate(stages, 1)}
        derived.write_with_manifest(
            found, files.table, name="plot exclusions", inputs=inputs, options={}
        )
    _say(files)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A figure, its numbers, and what they are about."""

    command: str
    figure: Figure
    numbers: pd.DataFrame
    rows: pd.DataFrame
    effects: Path
    about: Sequence[str] = ()


def _write(
    drawn: _Drawn, files: FigureOptions, rows: RowOptions, *groups: object, **others: object
) -> None:
    """Writes a figure under its heading, and the table of its numbers if it is wanted."""
    from leela_probe.commands import effects_selection, outputs
    from leela_probe.figures import drawing
    from leela_probe.files import derived

    heading = [f"{column} {' or '.join(values)}" for column, values in rows.conditions().items()]
    if rows.differing_targets:
        heading.append("1st target ≠ 3rd target")
    if rows.overlapping:
        heading.append("overlapping categories")
    drawing.add_heading(
        drawn.figure,
        effects_selection.heading(drawn.effects, drawn.rows, extra=[*heading, *drawn.about]),
    )
    outputs.write_figure(drawn.figure, files.out)
    if files.table is not None:
        derived.write_with_manifest(
            effects_selection.in_words(drawn.numbers, drawn.rows),
            files.table,
            name=f"plot {drawn.command}",
            inputs={"effects": drawn.effects},
            options=outputs.recorded(rows, *groups, **others),
        )
    _say(files)


def _say(files: FigureOptions) -> None:
    print(f"wrote {files.out}" + ("" if files.table is None else f" and {files.table}"))


def _curves(rows: pd.DataFrame, squares: str, intervals: IntervalOptions) -> pd.DataFrame:
    from leela_probe.statistics import stats

    return stats.layer_curves(
        rows,
        squares=squares,
        confidence=intervals.confidence,
        resamples=intervals.resamples,
        seed=intervals.seed,
    )


def _against_equal_draws(
    every: pd.DataFrame, chosen: pd.DataFrame, draws: str, intervals: IntervalOptions
) -> pd.DataFrame:
    """Maxima over squares, that of other squares over as many as there are of category `draws`."""
    import pandas as pd

    from leela_probe.experiments.categories import OTHER
    from leela_probe.statistics import stats

    options.choice(draws, dict.fromkeys(every["category"]), "--draws")
    counted = (
        every[every["category"] == draws].groupby(["puzzle_id", "layer"], observed=True).size()
    )
    counts = counted.groupby(level="puzzle_id", observed=True).max()
    counts.index = counts.index.astype(object)
    named = chosen[chosen["category"] != OTHER]
    rest = chosen[(chosen["category"] == OTHER) & chosen["puzzle_id"].isin(counts.index)]
    if rest.empty:
        raise ValueError(f"there are no squares of category {OTHER!r} to draw from")
    of_others = stats.layer_curves(
        rest,
        squares="expected max",
        draws=counts,
        confidence=intervals.confidence,
        resamples=intervals.resamples,
        seed=intervals.seed,
    )
    of_named = [] if named.empty else [_curves(named, "max", intervals)]
    return pd.concat([*of_named, of_others], ignore_index=True)


def _zoom(text: str) -> tuple[float, float]:
    match = re.fullmatch(r"\s*([\d.]+)\s*-\s*([\d.]+)\s*", text)
    if match is None or not 0 <= float(match[1]) < float(match[2]) <= 100:
        raise typer.BadParameter(
            f"{text!r} is not a range of percentiles such as 94-100", param_hint="'--zoom'"
        )
    return float(match[1]), float(match[2])


def _spread(layers: Sequence[int], most: int = 4) -> list[int]:
    """At most so many of the layers, the first and the last among them."""
    if len(layers) <= most:
        return [*layers]
    return [layers[round(place * (len(layers) - 1) / (most - 1))] for place in range(most)]


def _pair(effects: Path, pairs: Path | None, puzzle: str) -> Pair:
    """The puzzle's pair out of the file that was patched, which the manifest names."""

    from leela_probe.files import disk, manifests
    from leela_probe.puzzles import pairs as pair_files

    if pairs is None:
        manifest = manifests.manifest_path(effects)
        if not manifest.is_file():
            raise FileNotFoundError(
                f"{manifest} is not there to say which pairs were patched: name them with --pairs"
            )
        facts = manifests.read(manifest)["inputs"]["puzzles"]
        pairs = effects.with_name(facts["file"])
        if not pairs.is_file():
            raise FileNotFoundError(
                f"{pairs.name}, which was patched, is not beside {effects}: name it with --pairs"
            )
        if disk.sha256(pairs) != facts["sha256"]:
            raise ValueError(f"{pairs} is no longer what was patched: name the pairs with --pairs")
    found = [pair for pair in pair_files.read(pairs) if pair.puzzle_id == puzzle]
    if not found:
        raise ValueError(f"no puzzle {puzzle!r} in {pairs}: name what was patched with --pairs")
    return found[0]


GROUP = Group(
    name="plot",
    help="Draw figures of effects, for print: .pdf, .png or .svg.",
    commands=(
        Command(
            name="layers",
            run=layers,
            examples=(
                "leela-probe plot layers residual.parquet --out layers.pdf",
                "leela-probe plot layers residual.parquet --out max.pdf --squares max "
                "--draws ply3_target",
            ),
        ),
        Command(
            name="heads",
            run=heads,
            examples=("leela-probe plot heads heads.parquet --out heads.pdf",),
        ),
        Command(
            name="percentiles",
            run=percentiles,
            examples=(
                "leela-probe plot percentiles entry.parquet --out entry.pdf --bottom -1",
                "leela-probe plot percentiles residual.parquet --out squares.pdf --by category "
                "--layers 4",
            ),
        ),
        Command(
            name="boards",
            run=boards,
            examples=(
                "leela-probe plot boards residual.parquet --puzzle N3vO9 --out boards.pdf "
                "--layers 0,3,5",
            ),
        ),
        Command(
            name="target-patterns",
            run=target_patterns,
            examples=(
                "leela-probe plot target-patterns entry.parquet --of '3->1' --out patterns.pdf",
                "leela-probe plot target-patterns residual.parquet --of ply3_target --layers 4 "
                "--out third.pdf",
            ),
        ),
        Command(
            name="scatter",
            run=scatter,
            examples=(
                "leela-probe plot scatter entry.parquet --first '3->1' "
                "--second 'all other entries' --out scatter.pdf",
                "leela-probe plot scatter residual.parquet --layers 4 --first ply3_target "
                "--second matched_control --out squares.png",
            ),
        ),
        Command(
            name="exclusions",
            run=exclusions,
            examples=(
                "leela-probe plot exclusions filtered.parquet pairs.parquet residual.parquet "
                "--out flow.pdf",
            ),
        ),
    ),
)
