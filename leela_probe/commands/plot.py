"""The subcommands `leela-probe plot ...`: one for each figure of an effects table.

Each writes one figure and, if asked, the table of its numbers.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from leela_probe.puzzles.pairs import Pair

__all__ = ["app"]

app = typer.Typer(
    name="plot",
    help="Draw figures of effects, for print: .pdf, .png or .svg.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

_WANTED = "What is wanted"


@app.command(
    epilog="Examples:\n\nleela-probe plot layers residual.parquet --out layers.pdf\n\n"
    "leela-probe plot layers residual.parquet --out max.pdf --squares max --draws ply3_target"
)
def layers(
    effects: options.Effects,
    out: options.FigureFile,
    table: options.FigureTable = None,
    categories: Annotated[
        str | None,
        typer.Option(
            help="By commas, or all \\[default: the targets and controls that at least half of "
            "the puzzles have].",
            metavar="LIST",
            show_default=False,
            rich_help_panel=_WANTED,
        ),
    ] = None,
    squares: options.Squares = "mean",
    draws: Annotated[
        str | None,
        typer.Option(
            help="With max: other squares by the expected maximum of as many of them as the "
            "puzzle has of this category.",
            metavar="CATEGORY",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    prioritise: options.Prioritise = False,
    quantiles: Annotated[
        bool,
        typer.Option(
            "--quantiles",
            help="Also a light band: quartiles of puzzles.",
            rich_help_panel=_WANTED,
        ),
    ] = False,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 2000,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Mean effect over layers, a curve a category of squares."""
    given = _given("layers", locals())
    options.choice(squares, ("mean", "max"), "--squares")
    if draws is not None and squares != "max":
        raise typer.BadParameter("belongs to --squares max", param_hint="'--draws'")
    _claim(out, table, overwrite)
    from leela_probe.commands import effects_selection
    from leela_probe.experiments import effect_figures
    from leela_probe.figures import figures
    from leela_probe.statistics import stats

    rows = _read(given)
    only = given["where"].get("category")
    exploded = effects_selection.by_category(rows, prioritised=prioritise, only=only)
    present = list(dict.fromkeys(exploded["category"]))
    if categories is None:
        wanted = effect_figures.categories_shown(exploded)
    elif categories != "all":
        wanted = [options.choice(name, present, "--categories") for name in categories.split(",")]
    else:
        wanted = present
    exploded = exploded[exploded["category"].isin(wanted)]
    settings: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    if draws is None:
        found = stats.layer_curves(exploded, squares=squares, **settings)
    else:
        found = _against_equal_draws(rows, exploded, draws, prioritise, settings)
    unit, what = effects_selection.unit(rows)
    figure = figures.layer_curves(
        effects_selection.in_words(found, rows),
        unit=unit,
        what=what,
        categories=None if categories in (None, "all") else wanted,
        quantiles=("q25", "q75") if quantiles else None,
    )
    _write(figure, found, rows, given)


@app.command(epilog="Example:\n\nleela-probe plot heads heads.parquet --out heads.pdf")
def heads(
    effects: options.Effects,
    out: options.FigureFile,
    table: options.FigureTable = None,
    top: Annotated[
        int,
        typer.Option(help="How many heads to list.", min=0, metavar="N", rich_help_panel=_WANTED),
    ] = 5,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 9999,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Mean effect of each head, the largest tested against the number of heads."""
    given = _given("heads", locals())
    _claim(out, table, overwrite)
    from leela_probe.commands import effects_selection
    from leela_probe.figures import figures
    from leela_probe.statistics import comparisons, stats

    rows = _read(given)
    if rows["head"].isna().any() or rows["square"].notna().any():
        raise ValueError(
            f"{effects} is no sweep over whole heads: a head map takes what leela-probe patch "
            "heads has written"
        )
    places = ["layer", "head"]
    tests = comparisons.family(rows, by=places, resamples=resamples, seed=seed)
    intervals = stats.summarise(
        rows, by=places, confidence=confidence, resamples=min(resamples, 2000), seed=seed
    )
    found = tests.merge(intervals[[*places, "low", "high", "interval"]], on=places)
    unit, what = effects_selection.unit(rows)
    figure = figures.head_map(
        effects_selection.in_words(found, rows), unit=unit, what=what, top=top, p="p_max_t"
    )
    _write(figure, found, rows, given)


@app.command(
    epilog="Examples:\n\nleela-probe plot percentiles entry.parquet --out e.pdf --bottom -1\n\n"
    "leela-probe plot percentiles residual.parquet --out r.pdf --by category --layer 10"
)
def percentiles(
    effects: options.Effects,
    out: options.FigureFile,
    table: options.FigureTable = None,
    by: Annotated[
        str,
        typer.Option(
            help="A curve for each label, control (label without its piece), category or layer.",
            metavar="NAME",
            rich_help_panel=_WANTED,
        ),
    ] = "label",
    curves: Annotated[
        str | None,
        typer.Option(
            help="Only these, by commas, or all \\[default: all; of categories the targets and "
            "controls that at least half of the puzzles have].",
            metavar="LIST",
            show_default=False,
            rich_help_panel=_WANTED,
        ),
    ] = None,
    layer: options.OneLayer = None,
    zoom: Annotated[
        str,
        typer.Option(
            help="Percentiles of the right panel.", metavar="LOW-HIGH", rich_help_panel=_WANTED
        ),
    ] = "94-100",
    bottom: Annotated[
        float | None,
        typer.Option(help="Lowest effect shown.", metavar="X", rich_help_panel=_WANTED),
    ] = None,
    prioritise: options.Prioritise = False,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    overwrite: options.Overwrite = False,
) -> None:
    """Percentiles of effects over puzzles, whole and zoomed into the top."""
    given = _given("percentiles", locals())
    options.choice(by, ("label", "control", "category", "layer"), "--by")
    ends = _zoom(zoom)
    _claim(out, table, overwrite)
    from leela_probe.commands import effects_selection
    from leela_probe.experiments import effect_figures
    from leela_probe.figures import figures
    from leela_probe.statistics import stats

    rows = _read(given)
    rows = _categories_asked_for(rows, given, always=by == "category")
    if by == "control":
        rows = rows.assign(
            control=rows["label"].astype("string").str.replace(r"^.*: ", "", regex=True)
        )
    if rows[by].isna().any():
        raise ValueError(
            f"the runs in {effects} have no {by}: choose another with --by, such as "
            f"{'category' if rows['category'].notna().all() else 'layer'}"
        )
    rows = rows.assign(**{by: rows[by].astype(str)})
    if curves is None and by == "category":
        rows = rows[rows[by].isin(effect_figures.categories_shown(rows) or set(rows[by]))]
    elif curves not in (None, "all"):
        names = sorted(set(rows[by]))
        wanted = [options.choice(name.strip(), names, "--curves") for name in curves.split(",")]
        rows = rows[rows[by].isin(wanted)]
    if by != "layer" and rows["layer"].nunique() > 1:
        raise ValueError(
            f"the table has {rows['layer'].nunique()} layers, of which a curve shows one: choose "
            "it with --layer"
        )
    each = effects_selection.at_one_place(rows, by=(by,))
    found = stats.percentile_curves(each, by=(by,), confidence=confidence)
    unit, what = effects_selection.unit(rows)
    shown = effects_selection.in_words(found, rows)
    if by == "layer":
        shown = shown.assign(layer=found[by].map("layer {}".format))
    figure = figures.percentile_curves(
        shown, curve=by, unit=unit, what=what, zoom=ends, bottom=bottom
    )
    _write(figure, found, rows, given, extra=effects_selection.over_squares(each))


@app.command(
    epilog="Example:\n\nleela-probe plot boards residual.parquet --puzzle 00sHx --out b.pdf "
    "--layers 0,10,14"
)
def boards(
    effects: options.Effects,
    out: options.FigureFile,
    puzzle: Annotated[str, typer.Option(help="Its id.", metavar="ID", rich_help_panel=_WANTED)],
    table: options.FigureTable = None,
    chosen: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="A diagram each: 0,10,14 \\[default: four or fewer].",
            show_default=False,
            metavar="LIST",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    plies: Annotated[
        int,
        typer.Option(
            help="Draw so many moves of the line.", min=0, metavar="N", rich_help_panel=_WANTED
        ),
    ] = 3,
    entry: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw an entry QUERY:KEY of the mover's board, g6:h4, from key to query; may be "
            "repeated.",
            metavar="Q:K",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="The pairs that were patched \\[default: as the manifest says].",
            show_default=False,
            metavar="FILE",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    where: options.Where = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Effect of each square of one puzzle, a diagram a layer, with arrows."""
    given = _given("boards", locals())
    layers = options.numbers(chosen, "--layers")
    entries = [options.entry(text, "--entry") for text in entry or ()]
    _claim(out, table, overwrite)
    from leela_probe.commands import effects_selection
    from leela_probe.figures import diagrams
    from leela_probe.positions.squares import NetSquare, to_board

    rows = _read(given, screened=True)
    known = rows["puzzle_id"].unique()
    rows = rows[rows["puzzle_id"] == puzzle]
    if rows.empty:
        raise ValueError(
            f"no measured puzzle {puzzle!r} in {effects}: it has {', '.join(map(str, known[:5]))}"
            f"{', ...' if len(known) > 5 else ''} ({len(known)} in all)"
        )
    embedding = rows["site"].eq("embedding")
    if rows["square"].isna().any() or (rows["layer"].isna() & ~embedding).any():
        raise ValueError(
            f"{effects} is no sweep over squares of layers: boards take what leela-probe patch "
            "residual or head-squares has written"
        )
    pair = _pair(effects, pairs, puzzle)
    drawn_layers: Sequence[int | None] | None = layers
    if drawn_layers is None:
        known_layers = sorted(int(layer) for layer in rows["layer"].dropna().unique())
        drawn_layers = [*([None] if embedding.any() else []), *_spread(known_layers)]
    unit, what = effects_selection.unit(rows)
    figure = diagrams.effect_boards(
        rows,
        pair.clean,
        layers=drawn_layers,
        arrows=[(move.from_square, move.to_square) for move in pair.moves[:plies]],
        entries=[
            (to_board(NetSquare(key), pair.turn), to_board(NetSquare(query), pair.turn))
            for query, key in entries
        ],
        changed=[to_board(square, pair.turn) for square in pair.changed_squares()],
        unit=unit,
        what=what,
    )
    drawn = rows[rows["layer"].isin(drawn_layers)].drop(columns="puzzle_id")
    drawn.insert(0, "puzzle_id", puzzle)
    line = " ".join(pair.line[:plies]) or "none"
    _write(figure, drawn, rows, given, extra=[f"puzzle {puzzle}", f"line {line}"])


@app.command(
    epilog="Examples:\n\nleela-probe plot target-patterns entry.parquet --of '3->1' --out p.pdf\n\n"
    "leela-probe plot target-patterns residual.parquet --of ply3_target --layer 10 --out p.pdf"
)
def target_patterns(
    effects: options.Effects,
    out: options.FigureFile,
    table: options.FigureTable = None,
    of: options.Called = None,
    layer: options.OneLayer = None,
    squares: options.Squares = "mean",
    minimum: Annotated[
        int,
        typer.Option(
            help="Patterns with fewer puzzles go together.",
            min=1,
            metavar="N",
            rich_help_panel=_WANTED,
        ),
    ] = 50,
    prioritise: options.Prioritise = False,
    where: options.Where = None,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 2000,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Mean effect at one place for each pattern of target squares."""
    given = _given("target_patterns", locals())
    options.choice(squares, ("mean", "max"), "--squares")
    _claim(out, table, overwrite)
    from leela_probe.commands import effects_selection
    from leela_probe.figures import figures
    from leela_probe.statistics import stats

    rows = _read(given)
    if of is None:
        place = _categories_asked_for(rows, given)
    else:
        place = effects_selection.called(rows, of, prioritised=prioritise)
    each = effects_selection.at_one_place(place, squares=squares)
    found = stats.target_pattern_effects(
        each, minimum=minimum, confidence=confidence, resamples=resamples, seed=seed
    )
    unit, what = effects_selection.unit(rows)
    figure = figures.forest(effects_selection.in_words(found, rows), unit=unit, what=what)
    extra = [] if of is None else [figures.category_words(of)]
    _write(figure, found, rows, given, extra=[*extra, *effects_selection.over_squares(each)])


@app.command(
    epilog="Examples:\n\nleela-probe plot scatter entry.parquet --first '3->1' "
    "--second 'all other entries' --out s.pdf\n\n"
    "leela-probe plot scatter residual.parquet --layer 10 --first ply3_target "
    "--second matched_control --out s.pdf"
)
def scatter(
    effects: options.Effects,
    out: options.FigureFile,
    first: options.FirstCalled,
    second: options.SecondCalled,
    table: options.FigureTable = None,
    layer: options.OneLayer = None,
    squares: options.Squares = "mean",
    prioritise: options.Prioritise = False,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 2000,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Two effects of the same puzzles, a point each, with a paired test."""
    given = _given("scatter", locals())
    options.choice(squares, ("mean", "max"), "--squares")
    _claim(out, table, overwrite)
    from leela_probe.commands import effects_selection
    from leela_probe.figures import figures
    from leela_probe.statistics import comparisons

    rows = _read(given)
    sides = [
        effects_selection.at_one_place(
            effects_selection.called(rows, name, prioritised=prioritise), squares=squares
        )
        for name in (first, second)
    ]
    found = comparisons.paired(
        *sides, names=(first, second), confidence=confidence, resamples=resamples, seed=seed
    )
    unit, what = effects_selection.unit(rows)
    note = effects_selection.text_in_words(comparisons.paired_text(found, unit=unit), rows)
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
    extra = effects_selection.over_squares(*sides)
    _write(figure, found.table, rows, given, extra=extra)


@app.command(
    epilog="Example:\n\nleela-probe plot exclusions kept.parquet pairs.parquet residual.parquet "
    "--out flow.pdf"
)
def exclusions(
    stages: options.Stages,
    out: options.FigureFile,
    table: options.FigureTable = None,
    overwrite: options.Overwrite = False,
) -> None:
    """How many puzzles each question took out, stage after stage."""
    given = _given("exclusions", locals())
    _claim(out, table, overwrite)
    from leela_probe.commands import effects_selection, outputs
    from leela_probe.figures import drawing, figures
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
    outputs.write_figure(figure, out)
    if table is not None:
        inputs = {f"stage{number}": path for number, path in enumerate(stages, 1)}
        outputs.write_table(found, table, name="plot exclusions", inputs=inputs, options={})
    _say(given)


_FILES = ("effects", "stages", "out", "table", "pairs", "overwrite", "command")


def _given(command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A subcommand's name and arguments, the conditions on rows taken apart."""
    where = options.conditions(arguments.get("where"))
    if arguments.get("layer") is not None:
        where["layer"] = [str(arguments["layer"])]
    return {**arguments, "where": where, "command": command}


def _claim(out: Path, table: Path | None, overwrite: bool) -> None:
    from leela_probe.commands import outputs

    with terminal.overwriting():
        outputs.claim(out, outputs.FIGURES, overwrite=overwrite)
        if table is not None:
            outputs.claim(table, outputs.TABLES, overwrite=overwrite)


def _read(given: Mapping[str, Any], *, screened: bool = False) -> pd.DataFrame:
    from leela_probe.commands import effects_selection

    return effects_selection.read(
        given["effects"],
        where=given["where"],
        differing_targets=given.get("differing_targets", False),
        screened=screened,
    )


def _categories_asked_for(
    rows: pd.DataFrame, given: Mapping[str, Any], *, always: bool = False
) -> pd.DataFrame:
    """The rows with one category each, if --where names some."""
    from leela_probe.commands import effects_selection

    only = given["where"].get("category")
    if only is None and not always:
        return rows
    return effects_selection.by_category(rows, prioritised=given["prioritise"], only=only)


def _write(
    figure: Figure,
    found: pd.DataFrame,
    rows: pd.DataFrame,
    given: Mapping[str, Any],
    *,
    extra: Sequence[str] = (),
) -> None:
    """Writes a figure under its heading, and the table of its numbers if it is wanted."""
    from leela_probe.commands import effects_selection, outputs
    from leela_probe.figures import drawing

    said = [f"{column} {' or '.join(values)}" for column, values in given["where"].items()]
    if given.get("differing_targets"):
        said.append("1st target ≠ 3rd target")
    if given.get("prioritise"):
        said.append("one category a square")
    drawing.add_heading(
        figure, effects_selection.heading(given["effects"], rows, extra=[*said, *extra])
    )
    outputs.write_figure(figure, given["out"])
    if given["table"] is not None:
        outputs.write_table(
            effects_selection.in_words(found, rows),
            given["table"],
            name=f"plot {given['command']}",
            inputs={"effects": given["effects"]},
            options={name: value for name, value in given.items() if name not in _FILES},
        )
    _say(given)


def _say(given: Mapping[str, Any]) -> None:
    table = given["table"]
    print(f"wrote {given['out']}" + ("" if table is None else f" and {table}"))


def _against_equal_draws(
    rows: pd.DataFrame,
    exploded: pd.DataFrame,
    draws: str,
    prioritised: bool,
    settings: Mapping[str, Any],
) -> pd.DataFrame:
    """Maxima over squares, that of other squares over as many as there are of category `draws`."""
    import pandas as pd

    from leela_probe.commands import effects_selection
    from leela_probe.experiments.categories import OTHER
    from leela_probe.statistics import stats

    every = effects_selection.by_category(rows, prioritised=prioritised)
    options.choice(draws, dict.fromkeys(every["category"]), "--draws")
    counted = (
        every[every["category"] == draws].groupby(["puzzle_id", "layer"], observed=True).size()
    )
    counts = counted.groupby(level="puzzle_id", observed=True).max()
    counts.index = counts.index.astype(object)
    named = exploded[exploded["category"] != OTHER]
    rest = exploded[(exploded["category"] == OTHER) & exploded["puzzle_id"].isin(counts.index)]
    if rest.empty:
        raise ValueError(f"there are no squares of category {OTHER!r} to draw from")
    parts = [stats.layer_curves(rest, squares="expected max", draws=counts, **settings)]
    if not named.empty:
        parts.insert(0, stats.layer_curves(named, squares="max", **settings))
    return pd.concat(parts, ignore_index=True)


def _zoom(text: str) -> tuple[float, float]:
    match = re.fullmatch(r"\s*([\d.]+)\s*-\s*([\d.]+)\s*", text)
    if match is None or not 0 <= float(match[1]) < float(match[2]) <= 100:
        raise typer.BadParameter(
            f"{text!r} is no range of percentiles such as 94-100", param_hint="'--zoom'"
        )
    return float(match[1]), float(match[2])


def _spread(layers: Sequence[int], most: int = 4) -> list[int]:
    """At most so many of the layers, the first and the last among them."""
    if len(layers) <= most:
        return [*layers]
    return [layers[round(place * (len(layers) - 1) / (most - 1))] for place in range(most)]


def _pair(effects: Path, pairs: Path | None, puzzle: str) -> Pair:
    """The puzzle's pair out of the file that was patched, which the manifest names."""
    import json

    from leela_probe.files import disk, manifests
    from leela_probe.puzzles import pairs as pair_files

    if pairs is None:
        manifest = manifests.manifest_path(effects)
        if not manifest.is_file():
            raise FileNotFoundError(
                f"{manifest} is not there to say which pairs were patched: name them with --pairs"
            )
        facts = json.loads(manifest.read_text(encoding="utf-8"))["inputs"]["puzzles"]
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
