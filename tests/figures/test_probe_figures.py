"""Figures of probing accuracies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from leela_probe.figures import drawing, probe_figures

KINDS = ("target", "source", "source given predicted target", "joint")


@pytest.fixture
def table():
    rows = []
    draw = np.random.default_rng(0)

    def add(control, instance, site, layer, level, against=""):
        for kind in KINDS:
            value = level + 0.02 * draw.random()
            rows.append(
                {
                    "control": control, "instance": instance, "against": against, "site": site,
                    "layer": layer, "kind": kind, "ply": 3, "top": 1, "subset": "all",
                    "accuracy": value, "low": value - 0.02, "high": value + 0.02, "n": 1234,
                    "interval": "95 % studentised bootstrap interval by game",
                    "chance": 0.0 if against else 1 / 64,
                }
            )  # fmt: skip

    for layer in range(-1, 6):
        site = "embedding" if layer < 0 else f"layer{layer}.residual_after"
        add("none", 0, site, layer, 0.4 + 0.05 * layer)
        for instance in range(4):
            add("random weights", instance, site, layer, 0.1)
        add("control task", 0, site, layer, 0.05)
        add("none", 0, site, layer, 0.3, against="input planes")
        add("none", 0, site, layer, 0.25, against="random weights")
    add("input planes", 0, "input", -1, 0.2)
    add("most frequent relation", 0, "", -1, 0.07)
    add("legal moves", 0, "", -1, 0.15)
    return pd.DataFrame(rows)


def line(axes, name):
    (found,) = [each for each in axes.get_lines() if each.get_gid() == name]
    return found


def test_the_curve_holds_the_accuracies_of_the_table_from_the_embedding_on(table):
    figure = probe_figures.accuracy_by_layer(table)
    axes = figure.axes[0]
    own = table[
        (table["control"] == "none") & (table["kind"] == "joint") & (table["against"] == "")
    ]
    np.testing.assert_array_equal(line(axes, "network").get_xdata(), own["layer"])
    np.testing.assert_array_equal(line(axes, "network").get_ydata(), own["accuracy"])
    assert axes.get_xticklabels()[0].get_text() == "E"
    assert "3rd move" in axes.get_ylabel()


def test_no_control_is_drawn_dotted_like_guessing(table):
    axes = probe_figures.accuracy_by_layer(table).axes[0]
    assert line(axes, "guessing").get_ydata()[0] == 1 / 64
    assert all(each.get_linestyle() != ":" for each in axes.get_lines())


def test_every_control_is_named_in_the_legend(table):
    figure = probe_figures.accuracy_panels(table)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [
        "network", "random weights (3)", "control task", "input planes",
        "most frequent relation", "legal moves",
    ]  # fmt: skip
    assert "1,234 puzzles" in legend.get_title().get_text()
    assert "95 % studentised bootstrap interval by game" in " ".join(
        legend.get_title().get_text().split()
    )
    assert len(figure.axes) == 4


def test_a_figure_of_a_subset_says_on_what_its_probes_were_trained(table):
    table = pd.concat([table, table.assign(subset="differing")])
    note = probe_figures.accuracy_by_layer(table, subset="differing").legends[0].get_title()
    assert "probes trained on all" in " ".join(note.get_text().split())
    note = probe_figures.accuracy_by_layer(table).legends[0].get_title()
    assert "trained" not in note.get_text()


def test_controls_can_be_chosen(table):
    figure = probe_figures.accuracy_by_layer(table, controls=["input planes"])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["network", "input planes"]


def test_margins_are_drawn_over_each_control(table):
    figure = probe_figures.margin_by_layer(table, kind="target")
    axes = figure.axes[0]
    rows = table[(table["against"] == "input planes") & (table["kind"] == "target")]
    np.testing.assert_array_equal(line(axes, "over input planes").get_ydata(), rows["accuracy"])
    assert axes.collections  # few layers: bars beside one another
    assert "Bar: 95 %" in figure.legends[0].get_title().get_text()
    with pytest.raises(ValueError, match="no margin over 'legal moves': the table has"):
        probe_figures.margin_by_layer(table, against=["legal moves"])


def test_figures_can_be_saved_and_hide_nothing(table, tmp_path):
    for number, make in enumerate(
        (
            probe_figures.accuracy_by_layer,
            probe_figures.accuracy_panels,
            probe_figures.margin_by_layer,
        )
    ):
        figure = make(table)
        path = drawing.save(figure, tmp_path / f"{number}.png")
        assert path.stat().st_size > 10_000
        renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
        box = figure.get_tightbbox(renderer)
        width, height = figure.get_size_inches()
        assert box.x0 > -0.02
        assert box.x1 < width + 0.02
        assert box.y0 > -0.02
        assert box.y1 < height + 0.02


def test_tables_without_such_rows_are_refused(table):
    with pytest.raises(ValueError, match="no rows of joint, ply 5"):
        probe_figures.accuracy_by_layer(table, ply=5)
    with pytest.raises(ValueError, match="unknown kind 'origin'"):
        probe_figures.accuracy_by_layer(table, kind="origin")
    with pytest.raises(ValueError, match="no column 'interval'"):
        probe_figures.accuracy_by_layer(table.drop(columns="interval"))
