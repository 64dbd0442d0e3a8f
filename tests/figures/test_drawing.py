"""Files of every kind, the same bytes twice, and matplotlib left as it was."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from leela_probe.figures.drawing import COLUMN, add_heading, add_note, save, signed, style


def simple_figure() -> Figure:
    with style():
        figure = Figure(figsize=(2, 2), layout="constrained")
        figure.add_subplot().plot([0, 1], [1, 0])
        add_note(figure, "a note")
    return figure


@pytest.mark.parametrize(
    ("ending", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_files_are_of_the_kind_of_their_ending(tmp_path: Path, ending: str, start: bytes) -> None:
    path = save(simple_figure(), tmp_path / f"figure{ending}")
    content = path.read_bytes()
    assert content.startswith(start)
    assert len(content) > 1000


@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg"])
def test_the_same_figure_is_the_same_file(tmp_path: Path, ending: str) -> None:
    first = save(simple_figure(), tmp_path / f"a{ending}").read_bytes()
    assert first == save(simple_figure(), tmp_path / f"b{ending}").read_bytes()


def test_other_endings_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"figure\.jpeg ends in '\.jpeg': give \.pdf"):
        save(simple_figure(), tmp_path / "figure.jpeg")


def test_matplotlibs_settings_come_back(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save(simple_figure(), tmp_path / "figure.svg")
    assert dict(mpl.rcParams) == before


def test_numbers_have_a_minus_sign_as_on_the_axes() -> None:
    assert signed(-0.456) == "\N{MINUS SIGN}0.46"


def test_a_heading_breaks_where_its_parts_meet_and_makes_room() -> None:
    figure = Figure(figsize=(COLUMN, 3.0), layout="constrained")
    add_heading(figure, "a network of some name · residual after · noising · layer 3 or 4")
    text = figure.get_suptitle()
    assert text == "a network of some name · residual after · noising\nlayer 3 or 4"
    assert figure.get_figheight() == pytest.approx(3.3)
