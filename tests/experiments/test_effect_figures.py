"""Effects tables show themselves as the figure of their sweep, and as rows where there is none."""

import example_effects
import pandas as pd
import pytest

from leela_probe.experiments import effect_figures
from leela_probe.experiments.effect_tables import EffectTable, to_pandas


@pytest.mark.parametrize(
    ("found", "axis"),
    [(example_effects.residual(), "3rd move target"), (example_effects.heads(), "head")],
    ids=["residual", "heads"],
)
def test_a_sweep_with_a_figure_shows_it_in_jupyter(found, axis):
    table = to_pandas(found)
    figure = effect_figures.figure(table)
    words = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any(axis in word for word in words)
    html = table._repr_html_()
    assert html.count("<svg") == 1
    count = table["puzzle_id"].nunique()
    assert f"{len(table)} rows; puzzles: {count} measured" in html


@pytest.mark.parametrize("found", [example_effects.residual(), example_effects.heads()])
def test_a_denoising_figure_says_what_it_shows(found):
    table = to_pandas(found)
    for direction, said in (("noising", False), ("denoising", True)):
        figure = effect_figures.figure(table.assign(direction=direction))
        words = [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]
        assert any("what the clean activations restore" in word for word in words) == said


def test_squares_of_several_categories_count_once_unless_asked_otherwise():
    table = to_pandas(example_effects.residual())
    counts = []
    for overlapping in (False, True):
        figure = effect_figures.figure(table, overlapping=overlapping)
        words = [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]
        counts.append(any(word == "3rd move target" for word in words))
    assert counts == [False, True]  # in 8 of 24 puzzles it is the first move's too


def test_a_table_of_two_sweeps_shows_its_rows():
    table = EffectTable(
        pd.concat(map(to_pandas, [example_effects.residual(), example_effects.heads()]))
    )
    assert "<svg" not in table._repr_html_()
    assert "puzzle_id" in table._repr_html_()


def test_what_is_made_from_an_effects_table_is_a_plain_one():
    table = to_pandas(example_effects.residual())
    assert type(table.head()) is pd.DataFrame
    assert "<svg" not in table.head()._repr_html_()
    assert type(table["effect"]) is pd.Series


def test_puzzles_left_out_are_counted_below_the_figure():
    table = to_pandas(example_effects.heads())
    left_out = table.head(1).assign(
        puzzle_id="gone", verdict="no_partner", layer=None, head=None, effect=float("nan")
    )
    html = EffectTable(pd.concat([table, left_out], ignore_index=True))._repr_html_()
    assert html.count("<svg") == 1
    assert "1 no_partner" in html


def test_entries_have_no_figure_yet_show_their_rows():
    table = to_pandas(example_effects.entry())
    assert effect_figures.figure(table) is None
    assert "puzzle_id" in table._repr_html_()
