"""The subcommands `leela-probe stats ...`: numbers out of effects tables.

Each prints a table for a terminal of 80 columns and, if asked, writes all its rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["app"]

app = typer.Typer(
    name="stats",
    help="Means with intervals, tests and split halves out of effects tables.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

_WANTED = "What is wanted"
_PLACES = (
    "layer", "head", "square", "query", "key", "category", "label", "target_pattern", "mate",
    "site",
)  # fmt: skip
_LOCATIONS = ("layer", "head", "square", "query", "key", "label")
_By = Annotated[
    str,
    typer.Option(
        help=f"Columns of which each combination is a row: {', '.join(_PLACES)}.",
        metavar="LIST",
        rich_help_panel=_WANTED,
    ),
]
_Null = Annotated[
    str,
    typer.Option(
        help="bootstrap, or sign-flip where effects are symmetric without an effect.",
        metavar="NAME",
        rich_help_panel=_WANTED,
    ),
]


@app.command(
    epilog="Examples:\n\nleela-probe stats summary residual.parquet --by layer,category\n\n"
    "leela-probe stats summary heads.parquet --by layer,head --statistic median --out m.csv"
)
def summary(
    effects: options.Effects,
    by: _By,
    out: options.StatisticsFile = None,
    statistic: Annotated[
        str,
        typer.Option(
            help="mean, median or trimmed mean (a fifth at each end).",
            metavar="NAME",
            rich_help_panel=_WANTED,
        ),
    ] = "mean",
    normalised: Annotated[
        bool,
        typer.Option(
            "--normalised",
            help="(changed - corrupted) / (clean - corrupted): 1 is as clean, 0 as corrupted.",
            rich_help_panel=_WANTED,
        ),
    ] = False,
    minimum_gap: Annotated[
        float | None,
        typer.Option(
            help="With --normalised: only puzzles whose clean run is more than this above the "
            "corrupted one \\[default: 1 nat].",
            show_default=False,
            min=0,
            metavar="X",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    squares: options.Squares = "mean",
    prioritise: options.Prioritise = False,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 2000,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """One estimate with its interval at each place."""
    given = _given("summary", locals())
    options.choice(statistic, ("mean", "median", "trimmed mean"), "--statistic")
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import stats

    rows = _read(given)
    unit, what = effects_selection.unit(rows)
    notes, value = [], "effect"
    if normalised:
        from leela_probe.statistics import observations

        wide = observations.normalise(rows, minimum_gap=minimum_gap)
        notes.append(
            f"{wide.kept:,} puzzle{'' if wide.kept == 1 else 's'} with a gap above "
            f"{wide.minimum_gap:g}; {wide.narrow:,} with a "
            f"narrower one and {wide.missing:,} without one are left out."
        )
        if wide.kept == 0:
            raise ValueError(
                f"no puzzle's clean run is more than {wide.minimum_gap:g} above its corrupted one: "
                "there is nothing to normalise by (--minimum-gap)"
            )
        rows, value = wide.table, "normalised"
        unit, what = "1 as clean, 0 as corrupted", "normalised measure"
    each, together = _one_a_puzzle(rows, given, value=value)
    found = stats.summarise(
        each,
        by=given["by"],
        value=value,
        statistic=statistic,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    found = effects_selection.in_words(found, rows)
    taken = "" if squares == "mean" else f" of each puzzle's largest {what}"
    notes.insert(0, f"estimate: {found['statistic'].iloc[0]}{taken or f' {what}'} ({unit})")
    notes[1:1] = [*together, f"low, high: {found['interval'].iloc[0]}"]
    _show(found, [*given["by"], "n", *_games(rows), "estimate", "low", "high"], notes)
    _write(found, given)


@app.command(
    name="tests",
    epilog="Examples:\n\nleela-probe stats tests heads.parquet --out tests.csv\n\n"
    "leela-probe stats tests residual.parquet --by layer,category",
)
def family(
    effects: options.Effects,
    by: _By = "layer,head",
    out: options.StatisticsFile = None,
    null: _Null = "bootstrap",
    alternative: Annotated[
        str,
        typer.Option(
            help="two-sided, or greater: effects that hurt the move.",
            metavar="NAME",
            rich_help_panel=_WANTED,
        ),
    ] = "two-sided",
    top: Annotated[
        int,
        typer.Option(
            help="Print so many, the largest first.", min=1, metavar="N", rich_help_panel=_WANTED
        ),
    ] = 20,
    squares: options.Squares = "mean",
    prioritise: options.Prioritise = False,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    resamples: options.Resamples = 9999,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Test each place for a mean effect other than 0, corrected for their number."""
    given = _given("tests", locals())
    options.choice(null, ("bootstrap", "sign-flip"), "--null")
    options.choice(alternative, ("two-sided", "greater"), "--alternative")
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import comparisons

    rows = _read(given)
    each, together = _one_a_puzzle(rows, given)
    found = comparisons.family(
        each,
        by=given["by"],
        null=null,
        alternative=alternative,
        resamples=resamples,
        seed=seed,
    )
    found = effects_selection.in_words(found, rows)
    unit, what = effects_selection.unit(rows)
    sizes = found["estimate"].abs() if alternative == "two-sided" else found["estimate"]
    shown = found.loc[sizes.sort_values(ascending=False, kind="stable").index[:top]]
    notes = [
        f"estimate: mean {what} ({unit}); {alternative}",
        *together,
        "p_max_t: family-wise by the step-down maximum of t; p_holm: family-wise by Holm; p_bh: "
        "false discovery rate",
        "p: not corrected for the number of places"
        + (
            "; the larger of the place's own and that of all places' resamples taken together"
            if null == "bootstrap"
            else ""
        ),
        f"family: {int(found['t'].notna().sum()):,} places with a test",
    ]
    if len(shown) < len(found):
        notes.append(f"{len(found) - len(shown):,} more rows: --top N prints, --out FILE writes")
    _show(shown, [*given["by"], "n", "estimate", "t", "p", "p_max_t", "p_holm", "p_bh"], notes)
    _write(found, given)


@app.command(epilog="Example:\n\nleela-probe stats halves heads.parquet --top 5")
def halves(
    effects: options.Effects,
    by: _By = "layer,head",
    out: options.StatisticsFile = None,
    top: Annotated[
        int,
        typer.Option(
            help="How many to choose on each half.", min=1, metavar="N", rich_help_panel=_WANTED
        ),
    ] = 5,
    splits: Annotated[
        int,
        typer.Option(
            help="Random halves for the stability of ranks.",
            min=1,
            metavar="N",
            rich_help_panel=_WANTED,
        ),
    ] = 200,
    squares: options.Squares = "mean",
    prioritise: options.Prioritise = False,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 2000,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Choose the largest effects on one half of the games, report them on the other."""
    given = _given("halves", locals())
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import split_halves

    rows = _read(given)
    each, together = _one_a_puzzle(rows, given)
    split = split_halves.choose(
        each, by=given["by"], top=top, confidence=confidence, resamples=resamples, seed=seed
    )
    found = effects_selection.in_words(split.table, rows)
    unit, what = effects_selection.unit(rows)
    notes = [
        f"chosen: mean {what} ({unit}) on the half that chose, too large; estimate: on the other",
        *together,
        f"low, high: {found['interval'].iloc[0]}",
        effects_selection.text_in_words(
            f"{split.clusters[0]:,} and {split.clusters[1]:,} games; Spearman's correlation of "
            f"the halves {split.spearman:.2f}",
            rows,
        ),
    ]
    if each.groupby(given["by"], observed=True).ngroups >= 3:
        stable = split_halves.rank_stability(each, by=given["by"], splits=splits, seed=seed)
        notes.append(
            f"over {stable.splits:,} random halves: median {stable.spearman:.2f} (5 and 95 % "
            f"quantiles {stable.spearman_low:.2f}, {stable.spearman_high:.2f}), reliability of all "
            f"{stable.spearman_brown:.2f}; the same best in {stable.same_best:.0%}"
        )
    shown = found.rename(columns={"chosen_on": "by half", "chosen_estimate": "chosen"})
    columns = ["by half", "rank", *given["by"], "chosen", "estimate", "low", "high", "other_rank"]
    _show(shown, columns, notes)
    _write(found, given)


@app.command(
    epilog="Examples:\n\nleela-probe stats paired entry.parquet --first '3->1' "
    "--second 'all other entries'\n\n"
    "leela-probe stats paired residual.parquet --where layer=10 --first ply3_target "
    "--second matched_control"
)
def paired(
    effects: options.Effects,
    first: options.FirstCalled,
    second: options.SecondCalled,
    out: options.StatisticsFile = None,
    squares: options.Squares = "mean",
    prioritise: options.Prioritise = False,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 2000,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """First minus second effect of the same puzzles, layer by layer."""
    given = _given("paired", locals())
    import pandas as pd

    from leela_probe.commands import effects_selection
    from leela_probe.statistics import comparisons

    rows = _read(given)
    unit, what = effects_selection.unit(rows)
    sides = [
        effects_selection.called(rows, name, prioritised=prioritise) for name in (first, second)
    ]
    layers = sorted(set(sides[0]["layer"].dropna()) & set(sides[1]["layer"].dropna()))
    several = len(layers) > 1 and sides[0]["head"].isna().all()
    lines, taken = [], []
    for layer in layers if several else [None]:
        here = [side if layer is None else side[side["layer"] == layer] for side in sides]
        places = [effects_selection.at_one_place(side, squares=squares) for side in here]
        taken += effects_selection.over_squares(*places)
        one = comparisons.paired(
            *places,
            names=(first, second),
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )
        mean = one.mean
        lines.append(
            {
                **({} if layer is None else {"layer": int(layer)}),
                "n": mean.n, "clusters": mean.clusters, "first": one.table["first"].mean(),
                "second": one.table["second"].mean(), "estimate": mean.value, "low": mean.low,
                "high": mean.high, "median": one.median.value, "greater": one.greater,
                "less": one.less, "equal": one.equal, "sign_p": one.sign_p,
                "wilcoxon_p": one.wilcoxon_p, "only_first": one.only_first,
                "only_second": one.only_second, "missing": one.missing,
                "interval": mean.interval, "reason": mean.reason,
            }
        )  # fmt: skip
    found = effects_selection.in_words(pd.DataFrame(lines), rows)
    columns = ["n", "first", "second", "estimate", "low", "high", "greater", "less", "sign_p"]
    notes = [
        f"first: {first}; second: {second}; mean {what} ({unit}); estimate: first - second",
        f"low, high: {found['interval'].iloc[0]}",
        effects_selection.text_in_words("greater, less: games; sign_p: two-sided sign test", rows),
    ]
    if taken:
        notes.append(f"{taken[0]}, where a puzzle has several in a category")
    if several:
        notes.append("no correction for the number of layers")
    _show(found, [*(["layer"] if several else []), *columns], notes)
    _write(found, given)


@app.command(
    epilog="Example:\n\nleela-probe stats interactions heads.parquet head-sets.parquet --out i.csv"
)
def interactions(
    singles: Annotated[Path, typer.Argument(help="What patch heads has written.")],
    pairs: Annotated[Path, typer.Argument(help="What patch head-sets has written.")],
    out: options.StatisticsFile = None,
    null: _Null = "bootstrap",
    top: Annotated[
        int,
        typer.Option(
            help="Print so many, the largest first.", min=1, metavar="N", rich_help_panel=_WANTED
        ),
    ] = 20,
    where: options.Where = None,
    differing_targets: options.DifferingTargets = False,
    confidence: options.Confidence = 0.95,
    resamples: options.Resamples = 9999,
    seed: options.ResampleSeed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Effect of two heads together beyond the sum of their effects alone."""
    given = _given("interactions", locals())
    options.choice(null, ("bootstrap", "sign-flip"), "--null")
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import comparisons

    alone = _read({**given, "effects": singles})
    together = _read({**given, "effects": pairs})
    if alone["head"].isna().any():
        raise ValueError(f"{singles} is no sweep over heads: give what patch heads has written")
    parts = together["label"].astype("string").str.extract(r"^L(\d+)H(\d+)\+L(\d+)H(\d+)$")
    if parts.isna().any(axis=None):
        raise ValueError(
            f"{pairs} is no sweep over pairs of heads: give what patch head-sets wrote"
        )
    names = ["layer_a", "head_a", "layer_b", "head_b"]
    together = together.assign(
        **{name: parts[column].astype("int64") for column, name in enumerate(names)}
    )
    kinds = [rows["measure"].iloc[0] for rows in (alone, together)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"{singles} has {kinds[0]} and {pairs} has {kinds[1]}: take one measure")
    found = comparisons.interactions(
        alone.assign(layer=alone["layer"].astype("int64"), head=alone["head"].astype("int64")),
        together,
        null=null,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    found = effects_selection.in_words(found, together)
    unit, what = effects_selection.unit(together)
    order = found["estimate"].abs().sort_values(ascending=False, kind="stable").index[:top]
    shown = found.loc[order]
    shown = shown.assign(
        heads=[f"{a}.{b} {c}.{d}" for a, b, c, d in shown[names].itertuples(index=False)]
    ).rename(columns={"effect_a": "first", "effect_b": "second", "effect_ab": "both"})
    notes = [
        f"mean {what} ({unit}); estimate: both - first - second; above 0 each makes up for the "
        "loss of the other, below 0 both serve one path",
        f"low, high: {found['interval'].iloc[0]}",
        "p_max_t: family-wise by the step-down maximum of t",
    ]
    if len(shown) < len(found):
        notes.append(f"{len(found) - len(shown):,} more rows: --top N prints, --out FILE writes")
    columns = ["heads", "n", "first", "second", "both", "estimate", "low", "high", "p_max_t"]
    _show(shown, columns, notes)
    _write(found, given, inputs={"singles": singles, "pairs": pairs})


_FILES = ("effects", "singles", "pairs", "out", "overwrite", "command")


def _given(command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A subcommand's name and arguments, taken apart and checked."""
    from leela_probe.commands import outputs

    options.choice(arguments.get("squares", "mean"), ("mean", "max"), "--squares")
    given = {**arguments, "where": options.conditions(arguments["where"]), "command": command}
    if "by" in given:
        names = [name.strip() for name in given["by"].split(",")]
        given["by"] = [options.choice(name, _PLACES, "--by") for name in names]
    if given["out"] is not None:
        with terminal.overwriting():
            outputs.claim(given["out"], outputs.TABLES, overwrite=given["overwrite"])
    return given


def _read(given: Mapping[str, Any]) -> pd.DataFrame:
    from leela_probe.commands import effects_selection

    return effects_selection.read(
        given["effects"], where=given["where"], differing_targets=given["differing_targets"]
    )


def _one_a_puzzle(
    rows: pd.DataFrame, given: Mapping[str, Any], *, value: str = "effect"
) -> tuple[pd.DataFrame, list[str]]:
    """One row a puzzle at each place, and what is said where several are taken together."""
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import observations

    by = given["by"]
    empty = [name for name in by if rows[name].isna().all()]
    if empty:
        raise ValueError(f"the changed runs in {given['effects']} have no {empty[0]}: see --by")
    if "category" in by:
        rows = effects_selection.by_category(
            rows, prioritised=given["prioritise"], only=given["where"].get("category")
        )
    if rows["square"].isna().any() or "square" in by:
        return rows, []
    each = observations.per_puzzle(rows, by=by, value=value, squares=given["squares"])
    of_puzzle = rows.groupby(["puzzle_id", *by], dropna=False, observed=True)
    left_out = [name for name in _LOCATIONS if (of_puzzle[name].nunique() > 1).any()]
    if not left_out:
        return each, []
    taken = {"mean": "mean", "max": "largest"}[given["squares"]]
    least, most = each["squares"].min(), each["squares"].max()
    many = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    return each, [
        f"of each puzzle: the {taken} over {', '.join(left_out)}, which --by leaves out ({many} "
        "values)"
    ]


def _games(rows: pd.DataFrame) -> list[str]:
    """The column of games, where puzzles have one."""
    return ["clusters"] if rows["game_id"].notna().any() else []


_HEADS = {"clusters": "games", "other_rank": "rank there"}


def _show(found: pd.DataFrame, columns: Sequence[str], notes: Sequence[str]) -> None:
    """Prints some columns, and below what they mean."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    cells = []
    for name in columns:
        words = name in ("category", "label", "target_pattern", "site", "by half", "heads")
        table.add_column(
            _HEADS.get(name, name), justify="left" if words else "right", overflow="fold"
        )
        cells.append(_texts(found[name].tolist(), probability=name.startswith(("p", "sign_p"))))
    for row in zip(*cells, strict=True):
        table.add_row(*(Text(cell) for cell in row))
    console = terminal.console()
    console.print(table)
    console.print()
    reasons = dict.fromkeys(found["reason"].dropna()) if "reason" in found else {}
    left_out = int(found["missing"].sum()) if "missing" in found else 0
    for note in [
        *notes,
        *(f"-: {reason}" for reason in reasons),
        *([f"{left_out:,} values are missing and left out"] if left_out else []),
    ]:
        console.print(Text(note))


def _texts(values: Sequence[Any], *, probability: bool) -> list[str]:
    """Numbers of a column with as many decimals as its largest needs; other values as they are."""
    if not any(isinstance(value, float) for value in values):
        return [f"{value:,}" if type(value) is int else str(value) for value in values]
    if probability:
        return ["-" if math.isnan(p) else f"{p:.4f}" if p >= 1e-4 else f"{p:.0e}" for p in values]
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = 2
    while decimals < 6 and 0 < largest < 10.0 ** (1 - decimals):
        decimals += 1
    rounded = [round(value, decimals) + 0.0 for value in values]  # + 0.0: no minus before zero
    return ["-" if math.isnan(value) else f"{value:.{decimals}f}" for value in rounded]


def _write(
    found: pd.DataFrame, given: Mapping[str, Any], *, inputs: Mapping[str, Path] | None = None
) -> None:
    from leela_probe.commands import outputs
    from leela_probe.files import manifests

    out: Path | None = given["out"]
    if out is None:
        return
    outputs.write_table(
        found,
        out,
        name=f"stats {given['command']}",
        inputs={"effects": given["effects"]} if inputs is None else inputs,
        options={name: value for name, value in given.items() if name not in _FILES},
    )
    print(f"wrote {out} and {manifests.manifest_path(out).name}")
