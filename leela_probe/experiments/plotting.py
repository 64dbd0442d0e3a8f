"""One call that draws any table of results as the figure that suits it."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from leela_probe.experiments import effect_figures, effect_tables
from leela_probe.figures import figures, notes, probe_figures
from leela_probe.statistics.comparisons import PairedComparison

__all__ = ["plot"]


def plot(results: pd.DataFrame | PairedComparison) -> Figure:
    """The figure that suits a table of results, recognised by its columns.

    Effects of a residual sweep become curves over layers, one per category of squares; effects of a
    sweep of heads, their tests and their summaries a map of layers and heads; percentiles curves,
    one per label; accuracies of probes curves over layers beside their controls; a comparison a
    scatter of puzzles.

    Args:
        results: what `measure`, `read_effects`, `summarise`, `significance`, `compare`,
            `percentile_curves` or `probe_accuracy` gave.

    Raises:
        ValueError: if no figure suits the table.

    Example:
        >>> import leela_probe as lp
        >>> network = lp.load("bundled:planted")
        >>> pairs = lp.read_pairs("bundled:planted-puzzles")
        >>> figure = lp.plot(lp.measure(network, pairs[:12], lp.sweeps.heads(network)))
        >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
        ('layer', 'head')
    """
    if isinstance(results, PairedComparison):
        return figures.paired_scatter(
            results.table, names=results.names, note=notes.paired(results)
        )
    columns = list(map(str, results.columns))
    if {*effect_tables.SCHEMA.names} <= {*columns}:
        figure = effect_figures.figure(results)
        if figure is None:
            raise ValueError(
                "these effects have no figure of their own: plot one sweep and one measure, over "
                "squares or over heads, or summarise them first and plot that"
            )
        return figure
    if {"accuracy", "control", "against"} <= {*columns}:
        return probe_figures.accuracy_panels(results)
    if "percentile" in columns:
        named = results[columns[: columns.index("percentile")]].astype(str)
        curve = named.agg(", ".join, axis="columns") if named.shape[1] else "all"
        return figures.percentile_curves(results.assign(curve=curve), curve="curve")
    if {"layer", "category", "squares", "estimate"} <= {*columns}:
        return figures.layer_curves(results)
    if {"layer", "head", "estimate"} <= {*columns}:
        return figures.head_map(results, p="p_max_t" if "p_max_t" in columns else None)
    raise ValueError(
        f"no figure suits a table with the columns {', '.join(columns)}: plot what measure, "
        "summarise, significance, compare, percentile_curves or probe_accuracy gave"
    )
