"""Is it the third move, or what its target square is like? The third target against fair controls.

The target of the third move is mostly next to the enemy king, attacked, and near the corruption:
squares like that have effects whether or not the line goes there. Three kinds of control and
a regression as a fourth look; `controls.json` has their rules, and says on which puzzles they were
chosen: those can explore, not confirm.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from leela_probe.figures import control_figures
from leela_probe.positions.squares import NetSquare
from leela_probe.puzzles import alternatives, covariates
from leela_probe.puzzles.pairs import Pair
from leela_probe.statistics import intervals, matching, regression, resampling
from leela_probe.statistics.matching import Matched, Rule
from leela_probe.study import wording
from leela_probe.study.chapter import Chapter, Drawn, Shown, Tables, Undrawn
from leela_probe.study.results import Results, effects

__all__ = ["BALANCE", "CHAPTER", "COMPARISONS", "compare", "drawings", "rules"]

COMPARISONS = {
    "control": "which control; see `balance`",
    "layer": "after which layer the square's activation is taken from the corrupted run",
    "n": "puzzles whose third target has such a control",
    "clusters": "games that they are from",
    "unmatched": "puzzles whose third target has none",
    "mean_target": "mean effect of the third target in these puzzles, in nats",
    "mean_control": "mean effect of its controls, in nats",
    "estimate": "the difference, in nats",
    "low": "lower end of an interval that holds at all layers at once",
    "high": "upper end",
    "interval": "which interval it is",
    "reason": "why there is no interval",
}
"""The columns of the table `controls`."""

BALANCE = {
    "control": "matched_square: another square as like it as the rule asks; unchanged_attacks: the "
    "same, both with the same attackers before and after the corruption; other_check: the target "
    "of another checking third move",
    "covariate": "what squares are compared in; classes have a row each",
    "mean_target": "mean over third targets that have such a control",
    "mean_control": "mean over their controls",
    "smd_before": "standardised mean difference between third targets and all candidates",
    "smd_after": "between third targets and their controls; below 0.1 is well matched",
    "n": "puzzles",
}
"""The columns of the table `balance`."""

_BY = "puzzle_id"
_FEWEST_GAMES = intervals.MIN_CLUSTERS
_TOO_FEW = f"fewer than {_FEWEST_GAMES} games"


def rules() -> Mapping[str, Rule]:
    """The rule of every matched control, as `controls.json` fixes it."""
    return {
        name: Rule(exact=tuple(rule["exact"]), calipers=rule["calipers"], count=rule["count"])
        for name, rule in _fixed()["rules"].items()
    }


def _fixed() -> Mapping[str, Any]:
    text = resources.files(__package__).joinpath("controls.json").read_text(encoding="utf-8")
    fixed: dict[str, Any] = json.loads(text)
    return fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Squares:
    """Third targets and the squares that may be controls, with covariates and effects by layer."""

    targets: pd.DataFrame
    candidates: pd.DataFrame


def compare(
    table: pd.DataFrame, pairs: Sequence[Pair], **draws: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The third target against every control at every layer, and how well they are matched.

    Args:
        table: measured effects of squares by layer (E1), one row per puzzle, layer and square.
        pairs: the puzzles.
        draws: `resamples` and `seed` of the intervals.

    Returns:
        Tables with the columns `COMPARISONS` and `BALANCE`.
    """
    layers = sorted(int(layer) for layer in table["layer"].dropna().unique())
    squares = _squares(table, pairs)
    compared, balanced = [], []
    for control, rule in rules().items():
        targets, candidates = _eligible(control, squares, pairs)
        if targets.empty:
            continue
        found = matching.match(targets, candidates, rule, by=_BY)
        names = [name for name in covariates.COVARIATES if targets[name].notna().all()]
        balance = matching.balance(targets, candidates, found, names, by=_BY)
        balanced.append(balance.assign(control=control)[list(BALANCE)])
        compared.append(
            _differences(targets, candidates, found, layers, draws).assign(control=control)
        )
    if not squares.targets.empty:
        compared.append(_regressed(squares, layers).assign(control="regression"))
    if not compared:
        return pd.DataFrame(columns=list(COMPARISONS)), pd.DataFrame(columns=list(BALANCE))
    return (
        pd.concat(compared, ignore_index=True)[list(COMPARISONS)],
        pd.concat(balanced, ignore_index=True),
    )


def _squares(table: pd.DataFrame, pairs: Sequence[Pair]) -> _Squares:
    wide = table.pivot_table(index=[_BY, "square"], columns="layer", values="effect", observed=True)
    wide.columns = pd.Index([int(layer) for layer in wide.columns])
    measured = {str(name) for name in wide.index.get_level_values(0).unique()}
    usable = [pair for pair in pairs if pair.puzzle_id in measured and _third(pair) is not None]
    if not usable:
        nothing = pd.DataFrame(columns=[_BY, "square", "cluster", *covariates.COVARIATES])
        return _Squares(targets=nothing, candidates=nothing)
    rows = covariates.table(usable)
    clusters = resampling.cluster_codes(
        pd.Series([pair.puzzle_id for pair in usable]),
        pd.Series([pair.game_id for pair in usable], dtype=object),
    )
    by_puzzle = dict(zip((pair.puzzle_id for pair in usable), clusters, strict=True))
    rows["cluster"] = rows[_BY].map(by_puzzle)
    rows = rows.merge(wide.reset_index().astype({_BY: object}), on=[_BY, "square"])
    keys = pd.MultiIndex.from_frame(rows[[_BY, "square"]])
    third = pd.MultiIndex.from_tuples([(pair.puzzle_id, int(_third(pair) or 0)) for pair in usable])
    named = pd.MultiIndex.from_tuples(
        [(pair.puzzle_id, int(square)) for pair in usable for square in _named(pair)]
    )
    return _Squares(targets=rows[keys.isin(third)], candidates=rows[~keys.isin(named)])


def _third(pair: Pair) -> NetSquare | None:
    """The third target, where it is no square of the first two moves and the corruption left it."""
    third = pair.target(3)
    taken = {pair.target(1), pair.source(1), pair.target(2), pair.source(2)}
    return None if third in taken or third in pair.changed_squares() else third


def _named(pair: Pair) -> set[NetSquare]:
    """The squares of the line and those that the corruption changed: they are no controls."""
    plies = range(1, len(pair.line) + 1)
    line = {square for ply in plies for square in (pair.target(ply), pair.source(ply))}
    return {square for square in line if square is not None} | set(pair.changed_squares())


def _eligible(
    control: str, squares: _Squares, pairs: Sequence[Pair]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The targets and candidates that a control is about."""
    targets, candidates = squares.targets, squares.candidates
    if control == "unchanged_attacks":
        return (
            targets[targets["attackers_changed"] == 0],
            candidates[candidates["attackers_changed"] == 0],
        )
    if control == "other_check":
        checks = [
            (pair.puzzle_id, int(square))
            for pair in pairs
            for square in alternatives.third_targets(pair, "other_check")
        ]
        keys = pd.MultiIndex.from_frame(candidates[[_BY, "square"]])
        return targets, candidates[keys.isin(checks)]
    return targets, candidates


def _differences(
    targets: pd.DataFrame,
    candidates: pd.DataFrame,
    found: Matched,
    layers: Sequence[int],
    draws: Mapping[str, int],
) -> pd.DataFrame:
    """Third target minus the mean of its controls, over puzzles, at every layer."""
    labels = found.pairs["target"].drop_duplicates()
    effect = targets.loc[labels, list(layers)].to_numpy(np.float64)
    weighted = candidates.loc[found.pairs["control"], list(layers)].to_numpy(np.float64)
    weighted = weighted * found.pairs["weight"].to_numpy(np.float64)[:, None]
    control = np.zeros_like(effect)
    np.add.at(control, pd.factorize(found.pairs["target"])[0], weighted)
    count, places = len(labels), len(layers)
    if not count:
        nothing = dict.fromkeys(("mean_target", "mean_control", "estimate", "low", "high"), np.nan)
        common = {"unmatched": len(found.unmatched), "n": 0, "clusters": 0, "interval": ""}
        return pd.DataFrame(
            {"layer": list(layers), **common, **nothing, "reason": "no third target has a control"}
        )
    clusters = pd.factorize(targets.loc[labels, "cluster"])[0].astype(np.int64)
    sums = resampling.add_up(
        (effect - control).ravel(),
        np.repeat(clusters, places),
        np.tile(np.arange(places), count),
        n_locations=places,
    )
    estimates = intervals.simultaneous_intervals(sums, **draws)
    means = {"mean_target": effect.mean(axis=0), "mean_control": control.mean(axis=0)}
    return pd.DataFrame(
        {"layer": list(layers), "unmatched": len(found.unmatched), **means, **estimates.columns()}
    )


def _regressed(squares: _Squares, layers: Sequence[int]) -> pd.DataFrame:
    """What being the third target adds, given all covariates and the puzzle."""
    rows = pd.concat(
        [squares.targets.assign(third=1.0), squares.candidates.assign(third=0.0)], ignore_index=True
    )
    rows.columns = rows.columns.map(str)
    names = [name for name in covariates.COVARIATES if rows[name].notna().all()]
    # as classes: a straight line in the distance would take the king's neighbourhood for the line
    for name, most in _fixed()["regression"]["classes"].items():
        if name in names:
            rows[name] = rows[name].clip(upper=most).astype(int).astype(str)
    common = {
        "n": len(squares.targets),
        "clusters": rows["cluster"].nunique(),
        "unmatched": 0,
        "interval": "95 % simultaneous (Bonferroni) t interval by game",
    }
    found = []
    for layer in layers:
        fitted: dict[str, object] = {"low": np.nan, "high": np.nan, "reason": _TOO_FEW}
        if rows["cluster"].nunique() >= _FEWEST_GAMES:
            third, *_ = regression.within(
                rows, str(layer), ["third", *names], by=_BY, clusters="cluster",
                confidence=1 - 0.05 / len(layers),
            )  # fmt: skip
            fitted = {"estimate": third.value, "low": third.low, "high": third.high, "reason": None}
        mean = squares.targets[layer].mean()
        found.append(
            {"layer": layer, "mean_target": mean, "mean_control": np.nan, "estimate": np.nan}
            | common
            | fitted
        )
    return pd.DataFrame(found)


# The study


def _tabulate(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    path = results.measured("residual")
    if path is not None:
        table = effects(path, [_BY, "layer", "square", "effect", "verdict"])
        compared, balanced = compare(table, results.pairs(), **results.draws)
        if not compared.empty:
            yield "controls", compared
            yield "balance", balanced


def _figures(results: Results, tables: Tables) -> Iterator[Drawn | Undrawn]:
    compared = tables.get("controls")
    if compared is None:
        reason = results.why_not("residual") or "no third target has a square of its own"
        yield Undrawn(title="The third target against fair controls", reason=reason)
        return
    yield from drawings(tables)


def drawings(tables: Tables) -> Iterator[Drawn]:
    """The figures of the tables `controls` and `balance`."""
    yield Drawn(
        name="controls",
        title="The third target against fair controls",
        caption="Effect of the third target's square minus that of its controls in the same "
        "puzzles. Matched square: a square of the same kind, as far from the enemy king, attacked "
        "by as many pieces of either side, with about the same distances and change of attackers. "
        "Unchanged attacks: the same, only where the corruption changes no attack on either "
        "square. Other check: the target of another third move that gives check, as far from the "
        "king. Regression: what the third target adds to all these covariates and a constant per "
        "puzzle. Evidence for look-ahead is what stands above all of them.",
        figure=control_figures.above_controls(tables["controls"]),
    )
    yield Drawn(
        name="balance",
        title="How well the controls are matched",
        caption="A fair control differs from the third target in nothing but the line: its "
        f"differences lie within {matching.BALANCED:g} standard deviations.",
        figure=control_figures.love_plot(tables["balance"], bound=matching.BALANCED),
    )


def _summary(tables: Tables) -> str:
    compared = tables.get("controls")
    if compared is None:
        return ""
    answered = compared[compared["low"].notna()]
    if answered.empty:
        return "There are too few puzzles to compare the third target with fair controls."
    above = answered.assign(above=answered["low"] > 0).groupby("layer")
    all_kinds = [
        int(layer)
        for layer, rows in above
        if rows["above"].all() and len(rows) == compared["control"].nunique()
    ]
    some = [int(layer) for layer, rows in above if rows["above"].any() and layer not in all_kinds]
    kinds = compared["control"].nunique()
    if not all_kinds:
        text = f"At no layer does the third target do more than all {kinds} controls"
        return text + (f" (more than some at {_layers(some)})." if some else ".")
    rows = answered[answered["layer"].isin(all_kinds)]
    least = rows.loc[rows["estimate"].idxmin()]
    return (
        f"At {_layers(all_kinds)} the third target does more than each of {kinds} controls, by "
        f"{wording.number(least)} nats at least ({str(least['control']).replace('_', ' ')}, "
        f"layer {int(least['layer'])}; the intervals hold at all layers at once)"
        + (f"; at {_layers(some)} the controls disagree." if some else ".")
    )


def _layers(numbers: Sequence[int]) -> str:
    names = [str(number) for number in numbers]
    if len(names) == 1:
        return f"layer {names[0]}"
    return f"layers {', '.join(names[:-1])} and {names[-1]}"


def _short_tables(tables: Tables) -> Iterator[Shown]:
    compared = tables.get("controls")
    if compared is None:
        return
    layers = sorted(compared["layer"].unique())
    rows = []
    for control, part in compared.groupby("control", sort=False):
        by_layer = {
            row["layer"]: "" if pd.isna(row["estimate"]) else wording.number(row)
            for row in part.to_dict("records")
        }
        counts = part.iloc[0]
        rows.append(
            [
                str(control).replace("_", " "),
                f"{int(counts['n']):,}",
                f"{int(counts['unmatched']):,}",
                *(by_layer[layer] for layer in layers),
            ]
        )
    yield Shown(
        head=["third target minus", "n", "unmatched", *(f"layer {layer}" for layer in layers)],
        rows=rows,
        title="Third target against fair controls, in nats",
        text="Intervals hold at all layers at once.",
    )


CHAPTER = Chapter(
    id="E1b",
    title="The third target against fair controls",
    question="Do squares like the third move's target have such effects whether or not the line "
    "goes there? Controls are matched on what the rules of chess say of squares, by rules that "
    "were chosen on bundled:mates: on those puzzles the comparison explores, on others it can "
    "confirm.",
    reads=("residual",),
    tabulate=_tabulate,
    figures=_figures,
    summary=_summary,
    short_tables=_short_tables,
)
