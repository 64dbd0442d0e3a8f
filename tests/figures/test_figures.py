"""The numbers drawn are those of the table, and nothing is drawn over anything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from leela_probe.figures import figures

KIND = "95 % studentised bootstrap interval by game"


def curves() -> pd.DataFrame:
    categories = [
        "corrupted", "ply1_target", "ply2_target", "ply3_target", "ply5_target",
        "corrupted_favourite", "matched_control", "other", "my_own",
    ]  # fmt: skip
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        [(layer, c) for layer in range(15) for c in categories], columns=["layer", "category"]
    )
    table["estimate"] = generator.normal(1, 1, len(table))
    return table.assign(
        squares="mean", n=22517, interval=KIND, low=table["estimate"] - 0.2,
        high=table["estimate"] + 0.3, q25=table["estimate"] - 0.5, q75=table["estimate"] + 0.5,
    )  # fmt: skip


def heads() -> pd.DataFrame:
    table = pd.DataFrame(
        [(layer, h) for layer in range(15) for h in range(24)], columns=["layer", "head"]
    )
    table["estimate"] = np.random.default_rng(1).normal(0, 0.1, len(table))
    table.loc[12 * 24 + 12, "estimate"] = -0.9
    table.loc[3, "estimate"] = np.nan
    low, high = table["estimate"] - 0.05, table["estimate"] + 0.05
    return table.assign(n=400, low=low, high=high, interval=KIND, p_max_t=0.02)


def percentiles() -> pd.DataFrame:
    at = np.r_[np.arange(1.0, 94), np.arange(94, 99.95, 0.1)]
    tables = []
    for name, scale in (("3rd → 1st entry", 1.0), ("all other entries", 0.3)):
        value = -scale * np.log1p(-at / 100)
        high = np.where(at > 99.5, np.inf, value + 0.1)
        tables.append(
            pd.DataFrame(
                {"set": name, "percentile": at, "estimate": value, "low": value - 0.1, "high": high}
            )
        )
    return pd.concat(tables).assign(n=400, interval="95 % order-statistic interval")


def from_the_embedding() -> pd.DataFrame:
    table = curves()
    return table.assign(layer=table["layer"].where(table["layer"] > 0).astype("Int16"))


def untested() -> pd.DataFrame:
    why = "8 games: a test needs at least 10"
    few = heads().assign(low=np.nan, high=np.nan, p_max_t=np.nan, reason=why, n=8)
    few.loc[few["estimate"].abs() < 0.2, "estimate"] = 0.0
    return few


def of_categories() -> pd.DataFrame:
    names = ["ply1_target", "ply1_source", "ply2_source", "ply3_target", "ply3_source",
             "corrupted", "corrupted_favourite", "matched_control", "other", "ply2_target",
             "ply4_source", "ply5_source"]  # fmt: skip
    one = percentiles().query("set == 'all other entries'").drop(columns="set")
    tables = [one.assign(category=name, estimate=one["estimate"] + place)
              for place, name in enumerate(names)]  # fmt: skip
    return pd.concat(tables)


def pairs() -> pd.DataFrame:
    generator = np.random.default_rng(2)
    return pd.DataFrame({"first": generator.normal(1, 1, 50), "second": generator.normal(0, 1, 50)})


def patterns() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "target_pattern": ["all puzzles", "1st target ≠ 3rd target", "112", "2 rarer patterns"],
            "kind": ["all", "headline", "target_pattern", "pooled"],
            "estimate": [0.5, 0.6, 0.7, 0.2],
            "low": [0.4, 0.5, 0.6, np.nan],
            "high": [0.6, 0.8, 0.9, np.nan],
            "n": [22517, 17950, 7394, 3],
            "interval": KIND,
        }
    )


def flow() -> pd.DataFrame:
    reasons = ["puzzles", "mate in 1", "principal variation too short", "not forcing"]
    return pd.DataFrame(
        {"reason": reasons, "excluded": [0, 100, 900, 0], "remaining": [2000, 1900, 1000, 1000]}
    )


FIGURES: dict[str, Callable[[], Figure]] = {
    "layer curves": lambda: figures.layer_curves(curves()),
    "layer curves, quantiles": lambda: figures.layer_curves(
        curves(), categories=["ply1_target", "other"], quantiles=("q25", "q75"), title="a network"
    ),
    "layer curves, one layer": lambda: figures.layer_curves(curves().query("layer == 0")),
    "head map, one layer": lambda: figures.head_map(heads().query("layer == 12 and head < 2")),
    "layer curves from the embedding on": lambda: figures.layer_curves(from_the_embedding()),
    "layer curves, embedding alone": lambda: figures.layer_curves(
        from_the_embedding().query("layer.isna()")
    ),
    "head map without tests": lambda: figures.head_map(untested(), p="p_max_t"),
    "percentiles of categories": lambda: figures.percentile_curves(
        of_categories(), curve="category"
    ),
    "head map": lambda: figures.head_map(heads(), p="p_max_t"),
    "percentiles": lambda: figures.percentile_curves(percentiles(), curve="set", bottom=-1.0),
    "scatter": lambda: figures.paired_scatter(
        pairs(), names=("entry", "control"), note="line one\nline two"
    ),
    "forest": lambda: figures.forest(patterns(), title="a network"),
    "flow": lambda: figures.exclusion_flow(flow(), title="a set"),
}


@pytest.fixture(params=FIGURES)
def drawn(request: pytest.FixtureRequest) -> Figure:
    figure = FIGURES[request.param]()
    FigureCanvasAgg(figure).draw()
    return figure


def shown_texts(figure: Figure) -> list[Text]:
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    ticks = {
        id(label)
        for axes in figure.axes
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not min(low, high) <= tick.get_loc() <= max(low, high)
    }
    return [text for text in texts if id(text) not in ticks]


def test_no_text_runs_over_another_or_off_the_page(drawn: Figure) -> None:
    page = drawn.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(drawn)]
    for index, (name, box) in enumerate(boxes):
        assert box.x0 >= page.x0 - 1, name
        assert box.x1 <= page.x1 + 1, name
        assert box.y0 >= page.y0 - 1, name
        assert box.y1 <= page.y1 + 1, name
        for other_name, other in boxes[index + 1 :]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            upwards = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(across, upwards) <= 1.5, (name, other_name)


def test_no_letter_is_below_seven_points_at_column_or_page_width(drawn: Figure) -> None:
    assert drawn.get_figwidth() in (3.5, 7.0)
    assert min(text.get_fontsize() for text in shown_texts(drawn)) >= 7


def test_axes_name_their_units_and_the_figure_its_bands(drawn: Figure) -> None:
    words = " ".join(text.get_text() for text in shown_texts(drawn))
    assert "nats" in words or "puzzles (hatched" in words
    assert "n = " in words or "22,517" in words or "2,000" in words
    if not any(each in words for each in ("hatched", "line one", "no p:")):
        assert "interval" in words


def test_layer_curves_draw_the_tables_means_and_intervals() -> None:
    table = curves()
    axes = figures.layer_curves(table).axes[0]
    lines = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    assert list(lines) == list(table["category"].unique())
    for name, line in lines.items():
        rows = table[table["category"] == name]
        assert line.get_xdata() == pytest.approx(rows["layer"])
        assert line.get_ydata() == pytest.approx(rows["estimate"])
    rows = table[table["category"] == "corrupted"]
    outline = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert set(np.round(outline, 9)) == set(np.round([*rows["low"], *rows["high"]], 9))


def test_a_network_with_one_layer_shows_its_interval_too() -> None:
    table = curves().query("layer == 0")
    axes = figures.layer_curves(table).axes[0]
    bars = [c.get_segments()[0][:, 1] for c in axes.collections if hasattr(c, "get_segments")]
    assert np.asarray(bars) == pytest.approx(table[["low", "high"]].to_numpy())
    assert [tick for tick in axes.get_xticks() if -0.5 < tick < 0.5] == [0.0]


def test_few_layers_have_bars_beside_one_another() -> None:
    table = curves().query("layer < 6 and category in ['corrupted', 'ply1_target', 'other']")
    figure = figures.layer_curves(table)
    lines = [line for line in figure.axes[0].lines if line.get_gid()]
    bars = [each for each in figure.axes[0].collections if each.get_gid() == "interval"]
    for line, bar in zip(lines, bars, strict=True):
        rows = table[table["category"] == line.get_gid()]
        ends = np.asarray(bar.get_segments())
        assert ends[:, :, 1] == pytest.approx(rows[["low", "high"]].to_numpy())
        assert ends[:, 0, 0] == pytest.approx(line.get_xdata())
        assert np.round(line.get_xdata()).tolist() == rows["layer"].tolist()
    assert len({tuple(line.get_xdata()) for line in lines}) == 3
    assert figure.legends[0].get_title().get_text().startswith(f"Bar: {KIND}.")


def test_layers_without_an_interval_are_said_to_have_none() -> None:
    table = curves()
    assert "No band" not in figures.layer_curves(table).legends[0].get_title().get_text()
    table.loc[3, ["low", "high"]] = np.nan
    assert "No band" in figures.layer_curves(table).legends[0].get_title().get_text()


def test_every_curve_has_a_look_of_its_own() -> None:
    axes = figures.layer_curves(curves()).axes[0]
    lines = [line for line in axes.lines if line.get_gid()]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == len(lines)


def test_quantiles_are_drawn_only_under_their_name() -> None:
    figure = figures.layer_curves(curves(), categories=["other"], quantiles=("q25", "q75"))
    title = figure.legends[0].get_title().get_text()
    assert "Light band: 25 and 75 % quantiles of puzzles" in title
    assert len(figure.axes[0].collections) == 2


def test_a_maximum_and_differing_numbers_stand_in_the_legend() -> None:
    table = curves().assign(squares="max")
    table.loc[table["category"] == "ply5_target", "n"] = 301
    legend = figures.layer_curves(table).legends[0]
    labels = [text.get_text() for text in legend.get_texts()]
    assert "3rd move target (max), n = 22,517" in labels
    assert "5th move target (max), n = 301" in labels
    with pytest.raises(ValueError, match="no category 'ply9_target'"):
        figures.layer_curves(table, categories=["ply9_target"])


def test_head_maps_show_each_head_at_its_place_with_zero_white() -> None:
    table = heads()
    figure = figures.head_map(table, top=1)
    mesh = figure.axes[0].collections[0]
    grid = np.ma.filled(mesh.get_array(), np.nan).reshape(24, 15)
    assert grid[12, 12] == -0.9
    expected = table.pivot(index="head", columns="layer", values="estimate").to_numpy()
    assert np.array_equal(grid, expected, equal_nan=True)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-0.9, 0.9)
    assert mesh.cmap(mesh.norm(0.0))[:3] == pytest.approx((0.97, 0.97, 0.97), abs=0.01)
    note = figure.get_supxlabel()
    minus = "\N{MINUS SIGN}"
    assert f"1  layer 12, head 12: {minus}0.90 [{minus}0.95, {minus}0.85]" in note
    assert "grey: no value" in note


def test_head_maps_of_one_head_or_of_nothing_but_zeros_can_be_drawn() -> None:
    one = pd.DataFrame({"layer": [0], "head": [0], "estimate": [0.0], "n": [12]})
    FigureCanvasAgg(figures.head_map(one)).draw()


def test_the_embedding_has_a_place_of_its_own_before_the_layers() -> None:
    figure = figures.layer_curves(from_the_embedding())
    axes = figure.axes[0]
    line = next(line for line in axes.lines if line.get_gid() == "corrupted")
    assert line.get_xdata() == pytest.approx(np.arange(15))  # the embedding before layer 1
    assert [text.get_text() for text in axes.get_xticklabels()][:3] == ["embedding", "4", "6"]
    assert axes.get_xlabel() == "layer"
    alone = figures.layer_curves(from_the_embedding().query("layer.isna()")).axes[0]
    assert [text.get_text() for text in alone.get_xticklabels()] == ["embedding"]


def test_heads_without_a_test_say_why_and_legends_stand_only_for_what_is_shown() -> None:
    note = figures.head_map(untested(), p="p_max_t", top=400).get_supxlabel()
    assert "no p: 8 games: a test needs at least 10" in note
    assert "[ ]" not in note
    assert "\np:" not in note
    listed = untested()["estimate"].abs().gt(0).sum()
    assert sum("layer" in line for line in note.splitlines()) == listed < 360
    tested = figures.head_map(heads(), p="p_max_t").get_supxlabel()
    assert "\n[ ]: " in tested
    assert "\np: step-down maximum of t" in tested
    assert "no p:" not in tested


def test_one_puzzle_is_not_several() -> None:
    one = pd.DataFrame({"layer": [0], "head": [0], "estimate": [0.0], "n": [1]})
    assert figures.head_map(one).axes[0].get_title() == "n = 1 puzzle"
    title = figures.paired_scatter(pairs()[:1], names=("a", "b")).axes[0].get_title()
    assert title == "n = 1 puzzle; dashed: equal"
    curve = curves().assign(n=1)
    assert "n = 1 puzzle." in figures.layer_curves(curve).legends[0].get_title().get_text()


def test_every_percentile_curve_has_a_look_of_its_own_and_the_legend_covers_none() -> None:
    figure = figures.percentile_curves(of_categories(), curve="category")
    lines = [line for line in figure.axes[0].lines if line.get_gid()]
    looks = {(line.get_color(), line.get_linestyle()) for line in lines}
    assert len(looks) == len(lines) == 12
    curve = figures.layer_curves(curves()).axes[0]
    same = {line.get_gid(): line for line in curve.lines if line.get_gid()}
    for line in lines:
        if line.get_gid() in same:
            assert line.get_color() == same[line.get_gid()].get_color()
    FigureCanvasAgg(figure).draw()
    legend = figure.legends[0].get_window_extent()
    assert all(legend.y1 <= axes.get_window_extent().y0 for axes in figure.axes)
    assert "3rd move target, n = 400" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_percentile_bands_stop_where_the_sample_bounds_nothing() -> None:
    table = percentiles()
    whole, zoom = figures.percentile_curves(table, curve="set").axes
    first = table[table["set"] == "3rd → 1st entry"]
    assert whole.lines[0].get_ydata() == pytest.approx(first["estimate"])
    assert zoom.lines[0].get_xdata().min() == pytest.approx(94)
    assert whole.collections[0].get_paths()[0].vertices[:, 0].max() <= 99.51
    assert zoom.get_xlim() == (94, 100)


def test_scatter_points_are_the_pairs_on_equal_axes() -> None:
    table = pairs()
    axes = figures.paired_scatter(table, names=("entry", "control")).axes[0]
    assert np.asarray(axes.collections[0].get_offsets()) == pytest.approx(
        table[["second", "first"]].to_numpy()
    )
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_ylabel() == "entry: log-odds reduction (nats)"


def test_forest_lines_are_the_intervals_and_missing_ones_are_open_circles() -> None:
    figure = figures.forest(patterns())
    axes = figure.axes[0]
    ends = [list(line.get_xdata()) for line in axes.lines if line.get_gid() == "interval"]
    assert ends == [[0.4, 0.6], [0.5, 0.8], [0.6, 0.9]]
    points = [line for line in axes.lines if line.get_gid() == "estimate"]
    assert [line.get_xdata()[0] for line in points] == [0.5, 0.6, 0.7, 0.2]
    assert points[3].get_markerfacecolor() == "white"
    assert "Open circle: no interval" in figure.get_supxlabel()


def test_flow_bars_are_the_counts() -> None:
    axes = figures.exclusion_flow(flow()).axes[0]
    left = [bar.get_width() for bar in axes.patches if bar.get_gid() == "remaining"]
    out = [bar.get_width() for bar in axes.patches if bar.get_gid() == "excluded"]
    assert left == [2000, 1900, 1000, 1000]
    assert out == [0, 100, 900, 0]
    assert "1,000 left" in [text.get_text() for text in axes.texts]


def test_a_lacking_column_or_an_empty_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no column 'low'"):
        figures.forest(patterns().drop(columns="low"))
    with pytest.raises(ValueError, match="no rows"):
        figures.exclusion_flow(flow()[:0])
