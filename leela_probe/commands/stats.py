"""The commands `leela-probe stats ...`: numbers out of effects tables.

Each prints a table for a terminal of 80 columns and, where an output is named, writes all its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leela_probe.commands import options, tables_shown, terminal
from leela_probe.commands.groups import IntervalOptions, RowOptions
from leela_probe.commands.registration import Command, Group

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GROUP"]

_PLACES = (
    "layer", "head", "square", "query", "key", "category", "label", "target_pattern", "mate",
    "site",
)  # fmt: skip
_LOCATIONS = ("layer", "head", "square", "query", "key", "label")
_WORDS = ("category", "label", "target_pattern", "site", "by half", "heads")
_SPARE = ("p_holm", "p_bh", "t", "rank there", "games")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsOptions:
    """The table that statistics are computed from, and where they are written."""

    effects: Annotated[
        Path, typer.Argument(help="An effects table that patch wrote.", metavar="EFFECTS")
    ]
    out: Annotated[
        Path | None,
        typer.Option(help="Also write all rows as a table: .csv or .parquet.", metavar="FILE"),
    ] = None
    overwrite: options.Overwrite = False

    def claim(self) -> None:
        """Refuses an output that may not be written, before the work is done."""
        claim(self.out, overwrite=self.overwrite)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """What a row of the statistics is about."""

    by: Annotated[
        str | None,
        options.what(
            "Make a row for each combination of these columns: layer, head, square, query, key, "
            "category, label, target_pattern, mate, site.",
            default="layer,category for squares, layer,head for heads, else label or query,key",
            metavar="LIST",
        ),
    ] = None
    squares: options.Squares = "mean"

    def columns(self, rows: pd.DataFrame) -> list[str]:
        """The columns of which each combination is a row.

        Raises:
            typer.BadParameter: if one is none of those that there are.
        """
        if self.by is not None:
            return [options.choice(name.strip(), _PLACES, "--by") for name in self.by.split(",")]
        if rows["category"].notna().all():
            return ["layer", "category"] if rows["layer"].notna().any() else ["category"]
        if rows["label"].notna().any():
            return ["label"]
        return ["query", "key"] if rows["query"].notna().any() else ["layer", "head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOptions:
    """How effects are tested against none."""

    __test__ = False

    null: Annotated[
        str,
        options.what(
            "bootstrap, or sign-flip where effects are symmetric without an effect.",
            metavar="NAME",
        ),
    ] = "bootstrap"
    top: Annotated[int, options.what("Print the N largest rows.", min=1, metavar="N")] = 20
    resamples: Annotated[
        int, options.run("Draw N bootstrap samples of games.", min=99, metavar="N")
    ] = 9999
    seed: Annotated[int, options.run("Seed for the resampling.", min=0, metavar="N")] = 0

    def check(self) -> None:
        """Refuses an unknown null distribution."""
        options.choice(self.null, ("bootstrap", "sign-flip"), "--null")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateOptions:
    """What is estimated at each place."""

    statistic: Annotated[
        str,
        options.what("mean, median or trimmed mean (a fifth at each end).", metavar="NAME"),
    ] = "mean"
    normalised: Annotated[
        bool,
        options.flag(
            "--normalised",
            "Take (changed - corrupted) / (clean - corrupted): 1 is as clean, 0 as corrupted.",
        ),
    ] = False
    min_gap: Annotated[
        float | None,
        options.what(
            "With --normalised: take only puzzles whose clean run is more than this above the "
            "corrupted one.",
            default="1 nat",
            min=0,
            metavar="X",
        ),
    ] = None
    above: Annotated[
        float | None,
        options.what(
            "Estimate the share of puzzles whose effect is above this, not a mean.", metavar="X"
        ),
    ] = None

    def check(self) -> None:
        """Refuses an unknown statistic, and a mean of what is a share.

        Raises:
            typer.BadParameter: naming the option.
        """
        options.choice(self.statistic, ("mean", "median", "trimmed mean"), "--statistic")
        if self.above is not None and self.statistic != "mean":
            raise typer.BadParameter(
                "--above estimates a share: leave out --statistic", param_hint="'--statistic'"
            )


def summary(
    *,
    estimates: EstimateOptions,
    table: StatisticsOptions,
    places: PlaceOptions,
    rows: RowOptions,
    intervals: IntervalOptions,
) -> None:
    """One estimate with its interval at each place."""
    table.claim()
    estimates.check()
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import observations, stats

    effects = rows.read(table.effects)
    unit, what = effects_selection.unit(effects)
    notes, value = [], "effect"
    if estimates.normalised:
        wide = observations.normalise(effects, minimum_gap=estimates.min_gap)
        notes.append(
            f"{wide.kept:,} puzzle{'' if wide.kept == 1 else 's'} with a gap above "
            f"{wide.minimum_gap:g}; {wide.narrow:,} with a "
            f"narrower one and {wide.missing:,} without one are left out."
        )
        if wide.kept == 0:
            raise ValueError(
                f"no puzzle's clean run is more than {wide.minimum_gap:g} above its corrupted one: "
                "there is nothing to normalise by (--min-gap)"
            )
        effects, value = wide.table, "normalised"
        unit, what = "1 as clean, 0 as corrupted", "normalised measure"
    by, statistic = places.columns(effects), estimates.statistic
    of_puzzles, taken = _one_per_puzzle(effects, by, table, places, rows, value=value)
    if estimates.above is not None:
        above = (of_puzzles[value] > estimates.above).astype(float)
        above = above.where(of_puzzles[value].notna())
        of_puzzles, statistic = of_puzzles.assign(**{value: above}), "share"
    found = stats.summarise(
        of_puzzles,
        by=by,
        value=value,
        statistic=statistic,
        confidence=intervals.confidence,
        resamples=intervals.resamples,
        seed=intervals.seed,
    )
    found = effects_selection.in_words(found, effects)
    if estimates.above is not None:
        title = f"share of puzzles with an effect above {estimates.above:g}"
    elif places.squares == "mean":
        title = f"{found['statistic'].iloc[0]} {what}"
    else:
        title = f"{found['statistic'].iloc[0]} of each puzzle's largest {what}"
    notes = [
        f"estimate: {title} ({unit})",
        *taken,
        f"low, high: {found['interval'].iloc[0]}",
        *notes,
    ]
    _show(found, [*by, "n", *_games(effects), "estimate", "low", "high"], notes)
    _write(found, table, "summary", estimates, places, rows, intervals, by=by)


def family(
    alternative: Annotated[
        str, options.what("two-sided, or greater for effects that hurt the move.", metavar="NAME")
    ] = "two-sided",
    *,
    table: StatisticsOptions,
    places: PlaceOptions,
    rows: RowOptions,
    tests: TestOptions,
) -> None:
    """Test each place for a mean effect other than 0, corrected for their number."""
    table.claim()
    tests.check()
    options.choice(alternative, ("two-sided", "greater"), "--alternative")
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import comparisons

    effects = rows.read(table.effects)
    by = places.columns(effects)
    of_puzzles, taken = _one_per_puzzle(effects, by, table, places, rows)
    found = comparisons.family(
        of_puzzles,
        by=by,
        null=tests.null,
        alternative=alternative,
        resamples=tests.resamples,
        seed=tests.seed,
    )
    found = effects_selection.in_words(found, effects)
    unit, what = effects_selection.unit(effects)
    sizes = found["estimate"].abs() if alternative == "two-sided" else found["estimate"]
    shown = found.loc[sizes.sort_values(ascending=False, kind="stable").index[: tests.top]]
    notes = [
        f"estimate: mean {what} ({unit}); {alternative}",
        *taken,
        "p_max_t: family-wise by the step-down maximum of t; p_holm: family-wise by Holm; p_bh: "
        "false discovery rate",
        "p: not corrected for the number of places"
        + (
            "; the larger of the place's own and that of all places' resamples taken together"
            if tests.null == "bootstrap"
            else ""
        ),
        f"family: {int(found['t'].notna().sum()):,} places with a test",
        *_more(found, shown),
    ]
    _show(shown, [*by, "n", "estimate", "t", "p", "p_max_t", "p_holm", "p_bh"], notes)
    _write(found, table, "tests", places, rows, tests, by=by, alternative=alternative)


def halves(
    top: Annotated[int, options.what("Choose N places on each half.", min=1, metavar="N")] = 5,
    splits: Annotated[
        int,
        options.what("Draw N random halves for the stability of ranks.", min=1, metavar="N"),
    ] = 200,
    *,
    table: StatisticsOptions,
    places: PlaceOptions,
    rows: RowOptions,
    intervals: IntervalOptions,
) -> None:
    """Choose the largest effects on one half of the games, report them on the other."""
    table.claim()
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import split_halves

    effects = rows.read(table.effects)
    by = places.columns(effects)
    of_puzzles, taken = _one_per_puzzle(effects, by, table, places, rows)
    split = split_halves.choose(
        of_puzzles,
        by=by,
        top=top,
        confidence=intervals.confidence,
        resamples=intervals.resamples,
        seed=intervals.seed,
    )
    found = effects_selection.in_words(split.table, effects)
    unit, what = effects_selection.unit(effects)
    notes = [
        f"chosen: mean {what} ({unit}) on the half that chose, too large; estimate: on the other",
        *taken,
        f"low, high: {found['interval'].iloc[0]}",
        effects_selection.text_in_words(
            f"{split.clusters[0]:,} and {split.clusters[1]:,} games; Spearman's correlation of "
            f"the halves {split.spearman:.2f}",
            effects,
        ),
    ]
    if of_puzzles.groupby(by, observed=True).ngroups >= 3:
        stable = split_halves.rank_stability(of_puzzles, by=by, splits=splits, seed=intervals.seed)
        notes.append(
            f"over {stable.splits:,} random halves: median {stable.spearman:.2f} (5 and 95 % "
            f"quantiles {stable.spearman_low:.2f}, {stable.spearman_high:.2f}), reliability of all "
            f"{stable.spearman_brown:.2f}; the same best in {stable.same_best:.0%}"
        )
    shown = found.rename(columns={"chosen_on": "by half", "chosen_estimate": "chosen"})
    columns = ["by half", "rank", *by, "chosen", "estimate", "low", "high", "other_rank"]
    _show(shown, columns, notes)
    _write(found, table, "halves", places, rows, intervals, by=by, top=top, splits=splits)


def paired(
    first: options.FirstName,
    second: options.SecondName,
    squares: options.Squares = "mean",
    *,
    table: StatisticsOptions,
    rows: RowOptions,
    intervals: IntervalOptions,
) -> None:
    """First minus second effect of the same puzzles, layer by layer."""
    table.claim()
    options.choice(squares, ("mean", "max"), "--squares")
    import pandas as pd

    from leela_probe.commands import effects_selection
    from leela_probe.statistics import comparisons

    effects = rows.read(table.effects)
    unit, what = effects_selection.unit(effects)
    sides = [
        effects_selection.called(effects, name, overlapping=rows.overlapping)
        for name in (first, second)
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
            confidence=intervals.confidence,
            resamples=intervals.resamples,
            seed=intervals.seed,
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
    found = effects_selection.in_words(pd.DataFrame(lines), effects)
    columns = [
        "n", "first", "second", "estimate", "low", "high", "greater", "less", "sign_p",
        "wilcoxon_p",
    ]  # fmt: skip
    notes = [
        f"first: {first}; second: {second}; mean {what} ({unit}); diff: first - second",
        f"low, high: {found['interval'].iloc[0]}",
        effects_selection.text_in_words(
            ">0, <0: games with a greater first, a greater second effect; p sign: two-sided sign "
            "test; p rank: Wilcoxon's signed ranks",
            effects,
        ),
    ]
    if taken:
        notes.append(f"{taken[0]}, where a puzzle has several in a category")
    if several:
        notes.append("no correction for the number of layers")
    _show(found, [*(["layer"] if several else []), *columns], notes, headings=_PAIRED)
    _write(found, table, "paired", rows, intervals, first=first, second=second, squares=squares)


_PAIRED = {
    "estimate": "diff", "greater": ">0", "less": "<0", "sign_p": "p sign", "wilcoxon_p": "p rank",
}  # fmt: skip


def interactions(
    singles: Annotated[
        Path, typer.Argument(help="The effects table that patch heads wrote.", metavar="HEADS")
    ],
    pairs: Annotated[
        Path,
        typer.Argument(help="The effects table that patch head-sets wrote.", metavar="HEAD_SETS"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Also write all rows as a table: .csv or .parquet.", metavar="FILE"),
    ] = None,
    confidence: Annotated[
        float,
        options.run("Confidence level of the intervals.", min=0.5, max=0.9999, metavar="P"),
    ] = 0.95,
    overwrite: options.Overwrite = False,
    *,
    rows: RowOptions,
    tests: TestOptions,
) -> None:
    """Effect of two heads together beyond the sum of their effects alone."""
    claim(out, overwrite=overwrite)
    tests.check()
    from leela_probe.commands import effects_selection
    from leela_probe.statistics import comparisons

    alone, together = rows.read(singles), rows.read(pairs)
    if alone["head"].isna().any():
        raise ValueError(f"{singles} is not a sweep over heads: give what patch heads wrote")
    parts = together["label"].astype("string").str.extract(r"^L(\d+)H(\d+)\+L(\d+)H(\d+)$")
    if parts.isna().any(axis=None):
        raise ValueError(
            f"{pairs} is not a sweep over pairs of heads: give what patch head-sets wrote"
        )
    names = ["layer_a", "head_a", "layer_b", "head_b"]
    together = together.assign(
        **{name: parts[column].astype("int64") for column, name in enumerate(names)}
    )
    kinds = [table["measure"].iloc[0] for table in (alone, together)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"{singles} has {kinds[0]} and {pairs} has {kinds[1]}: take one measure")
    found = comparisons.interactions(
        alone.assign(layer=alone["layer"].astype("int64"), head=alone["head"].astype("int64")),
        together,
        null=tests.null,
        confidence=confidence,
        resamples=tests.resamples,
        seed=tests.seed,
    )
    found = effects_selection.in_words(found, together)
    unit, what = effects_selection.unit(together)
    order = found["estimate"].abs().sort_values(ascending=False, kind="stable").index[: tests.top]
    shown = found.loc[order]
    shown = shown.assign(
        heads=[f"{a}.{b} {c}.{d}" for a, b, c, d in shown[names].itertuples(index=False)]
    ).rename(columns={"effect_a": "first", "effect_b": "second", "effect_ab": "both"})
    notes = [
        f"mean {what} ({unit}); estimate: both - first - second; above 0 each head backs up the "
        "other, below 0 both serve one path",
        f"low, high: {found['interval'].iloc[0]}",
        "p_max_t: family-wise by the step-down maximum of t",
        *_more(found, shown),
    ]
    columns = ["heads", "n", "first", "second", "both", "estimate", "low", "high", "p_max_t"]
    _show(shown, columns, notes)
    if out is not None:
        _write_file(
            found,
            out,
            "interactions",
            {"singles": singles, "pairs": pairs},
            _recorded(rows, tests, confidence=confidence),
        )


def claim(out: Path | None, *, overwrite: bool) -> None:
    """Refuses an output that may not be written, before the work is done."""
    from leela_probe.commands import outputs

    if out is not None:
        with terminal.overwriting():
            outputs.claim(out, outputs.TABLES, overwrite=overwrite)


def _one_per_puzzle(
    effects: pd.DataFrame,
    by: Sequence[str],
    table: StatisticsOptions,
    places: PlaceOptions,
    rows: RowOptions,
    *,
    value: str = "effect",
) -> tuple[pd.DataFrame, list[str]]:
    """One row per puzzle at each place, and notes where several squares or places are one."""
    from leela_probe.statistics import observations

    options.choice(places.squares, ("mean", "max"), "--squares")
    empty = [name for name in by if effects[name].isna().all()]
    if empty:
        raise ValueError(f"the changed runs in {table.effects} have no {empty[0]}: see --by")
    notes = []
    if "category" in by:
        doubled = effects["category"].str.contains("+", regex=False).any()
        effects = rows.by_category(effects)
        if doubled:
            notes.append(
                "a square in several categories counts in each"
                if rows.overlapping
                else "a square counts once: as corrupted, else 1st, else 3rd target (--overlapping "
                "counts it in each category)"
            )
    if effects["square"].isna().any() or "square" in by:
        return effects, notes
    of_puzzles = observations.per_puzzle(effects, by=by, value=value, squares=places.squares)
    groups = effects.groupby(["puzzle_id", *by], dropna=False, observed=True)
    left_out = [name for name in _LOCATIONS if (groups[name].nunique() > 1).any()]
    if left_out:
        taken = {"mean": "mean", "max": "largest"}[places.squares]
        least, most = of_puzzles["squares"].min(), of_puzzles["squares"].max()
        many = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        notes.append(
            f"of each puzzle: the {taken} over {', '.join(left_out)}, which --by leaves out "
            f"({many} values)"
        )
    return of_puzzles, notes


def _games(effects: pd.DataFrame) -> list[str]:
    """The column of games, where puzzles have one."""
    return ["clusters"] if effects["game_id"].notna().any() else []


def _more(found: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    more = len(found) - len(shown)
    return [f"{more:,} more rows: --top N prints, --out FILE writes"] if more else []


_HEADINGS = {"clusters": "games", "other_rank": "rank there"}


def _show(
    found: pd.DataFrame,
    columns: Sequence[str],
    notes: Sequence[str],
    *,
    headings: Mapping[str, str] = _HEADINGS,
) -> None:
    """Prints some columns, and below what they mean."""
    from rich.text import Text

    console = terminal.console()
    cells = {
        headings.get(name, name): tables_shown.texts(
            found[name].tolist(), probability=name.startswith("p") or name.endswith("_p")
        )
        for name in columns
    }
    table, left_out = tables_shown.numbers(cells, width=console.width, words=_WORDS, spare=_SPARE)
    console.print(table)
    console.print()
    reasons = dict.fromkeys(found["reason"].dropna()) if "reason" in found else {}
    missing = int(found["missing"].sum()) if "missing" in found else 0
    for note in [
        *notes,
        *(f"-: {reason}" for reason in reasons),
        *([f"{missing:,} values are missing and left out"] if missing else []),
        *([f"no room for {', '.join(left_out)}: --out FILE writes all"] if left_out else []),
    ]:
        console.print(Text(note))


def _recorded(*groups: object, **others: object) -> dict[str, object]:
    from leela_probe.commands import outputs

    return outputs.recorded(*groups, **others)


def _write(
    found: pd.DataFrame,
    table: StatisticsOptions,
    command: str,
    *groups: object,
    **others: object,
) -> None:
    if table.out is not None:
        options_ = _recorded(*groups, **others)
        _write_file(found, table.out, command, {"effects": table.effects}, options_)


def _write_file(
    found: pd.DataFrame,
    out: Path,
    command: str,
    inputs: Mapping[str, Path],
    options_: Mapping[str, object],
) -> None:
    from leela_probe.files import derived, manifests

    derived.write_with_manifest(
        found, out, name=f"stats {command}", inputs=inputs, options=options_
    )
    print(f"wrote {out} and {manifests.manifest_path(out).name}")


GROUP = Group(
    name="stats",
    help="Compute means with intervals, tests and split halves from effects tables.",
    commands=(
        Command(
            name="summary",
            run=summary,
            examples=(
                "leela-probe stats summary residual.parquet",
                "leela-probe stats summary heads.parquet --statistic median --out medians.csv",
                "leela-probe stats summary entry.parquet --above 1.5",
            ),
        ),
        Command(
            name="tests",
            run=family,
            examples=(
                "leela-probe stats tests heads.parquet --out tests.csv",
                "leela-probe stats tests residual.parquet --by layer,category",
            ),
        ),
        Command(
            name="halves",
            run=halves,
            examples=("leela-probe stats halves heads.parquet --top 5",),
        ),
        Command(
            name="paired",
            run=paired,
            examples=(
                "leela-probe stats paired entry.parquet --first '3->1' "
                "--second 'all other entries'",
                "leela-probe stats paired residual.parquet --layers 4 --first ply3_target "
                "--second matched_control",
            ),
        ),
        Command(
            name="interactions",
            run=interactions,
            examples=(
                "leela-probe stats interactions heads.parquet sets.parquet --out together.csv",
            ),
        ),
    ),
)
