"""Progress: the rate over the last half minute, plain lines, a bar in a terminal or notebook."""

import io
import re
import sys
from types import ModuleType

import pytest
from rich.console import Console

from leela_probe.files.progress_display import Rate, on_console, shown


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def screen(*, terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=80, highlight=False), text


def test_the_rate_forgets_what_is_older_than_half_a_minute():
    clock = Clock()
    rate = Rate(clock=clock)
    rate.at(0)
    clock.now += 1
    rate.at(1_000_000)  # parts that an earlier run had finished
    for _ in range(60):
        clock.now += 1
        rate.at(round(1_000_000 + (clock.now - 101) * 50))
    assert rate.per_second == pytest.approx(50)
    assert rate.left(done=1_003_000, total=1_003_000 + 50 * 3725) == "1:02:05"


def test_nobody_can_say_the_rate_at_first():
    clock = Clock()
    rate = Rate(clock=clock)
    assert rate.per_second is None
    rate.at(0)
    clock.now += 5
    rate.at(0)
    assert rate.per_second is None
    assert rate.left(done=0, total=100) == "?"
    rate.at(10)
    assert rate.left(done=10, total=None) == "?"


def test_a_file_gets_a_plain_line_every_ten_seconds():
    clock = Clock()
    console, text = screen(terminal=False)
    with on_console(console, "filter", clock=clock) as report:
        for step in range(1, 31):
            clock.now += 1
            report(step * 100, 6_000, {})
    lines = text.getvalue().splitlines()
    assert lines == [
        "filter: 1,000 of 6,000 rows, 100 a second, 0:50 left",
        "filter: 2,000 of 6,000 rows, 100 a second, 0:40 left",
        "filter: 3,000 of 6,000 rows, 100 a second, 0:30 left",
    ]


def test_parts_of_an_earlier_run_are_no_speed():
    clock = Clock()
    console, text = screen(terminal=False)
    with on_console(console, "filter", clock=clock) as report:
        for step in range(1, 101):
            clock.now += 0.11
            report.kept(step * 1000, 101_000, {})
        for step in range(1, 11):
            clock.now += 1
            report(100_000 + step * 50, 101_000, {})
    first, second = text.getvalue().splitlines()
    assert re.fullmatch(r"filter: [0-9,]+ of 101,000 rows, \? a second, \? left", first)
    assert second.endswith(" rows, 50 a second, 0:10 left")


def test_a_stage_of_unknown_length_says_what_it_knows():
    clock = Clock()
    console, text = screen(terminal=False)
    with on_console(console, "filter", clock=clock) as report:
        clock.now += 20
        report(1000, None, {})
    assert text.getvalue() == "filter: 1,000 rows, 50 a second, ? left\n"


def test_a_terminal_gets_a_bar_with_rate_and_time_left():
    clock = Clock()
    console, text = screen(terminal=True)
    with on_console(console, "corrupt", clock=clock) as report:
        clock.now += 2
        report(100, 1000, {})
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\r", text.getvalue())
    drawn = [line for line in plain.split("\r") if "a second" in line]
    assert any("100 of 1,000 rows, 50 a second, 0:18 left" in line for line in drawn)
    assert "━" in plain


def test_a_bar_goes_away_when_the_stage_fails():
    console, text = screen(terminal=True)
    with pytest.raises(ValueError, match="no"), on_console(console, "filter") as report:  # noqa: PT012
        report(1, 2, {})
        raise ValueError("no")
    assert text.getvalue().rstrip().endswith("\x1b[2K")


class Screen(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


class Shell:
    """What IPython says of itself in a notebook."""

    kernel = object()


@pytest.fixture
def cell(monkeypatch):
    """The states of what a notebook shows below its cell, as HTML; displays come and go there."""
    states: list[str] = []

    class Handle:
        def update(self, bar: str) -> None:
            states.append(bar)

    def display(bar: str, *, display_id: bool) -> Handle:
        assert display_id
        states.append(bar)
        return Handle()

    ipython, displays = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = Shell
    displays.HTML, displays.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    return states


def test_a_terminal_shows_progress_unless_told_otherwise(monkeypatch):
    seen = {}
    for asked in (None, True, False):
        clock, screen = Clock(), Screen()
        monkeypatch.setattr(sys, "stderr", screen)
        with shown(asked, "filter", unit="puzzles", clock=clock) as report:
            clock.now += 2
            report(3, 10, {})
        seen[asked] = screen.getvalue()
    assert "3 of 10 puzzles" in seen[None]
    assert "3 of 10 puzzles" in seen[True]
    assert seen[False] == ""


def test_what_takes_a_moment_only_shows_no_bar_in_a_terminal(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown(None, "filter", clock=Clock()) as report:
        report(3, 10, {})
    assert screen.getvalue() == ""


@pytest.mark.parametrize("outer", [print, False, True])
def test_what_is_done_inside_of_reported_work_does_not_show_itself(outer, monkeypatch):
    screen, clock = Screen(), Clock()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown(outer, "study"), shown(None, "a part of it", clock=clock) as report:
        clock.now += 5
        report(3, 10, {})
    assert "a part of it" not in screen.getvalue()


def test_after_reported_work_the_next_shows_itself_again(monkeypatch):
    screen, clock = Screen(), Clock()
    with shown(False, "study"):
        pass
    monkeypatch.setattr(sys, "stderr", screen)
    with shown(None, "the next", clock=clock) as report:
        clock.now += 5
        report(3, 10, {})
    assert "the next" in screen.getvalue()


def test_a_file_shows_progress_only_when_asked(monkeypatch, capsys):
    for asked in (None, True):
        clock = Clock()
        with shown(asked, "filter", clock=clock) as report:
            clock.now += 11
            report(3, 10, {})
        assert capsys.readouterr().err.startswith("filter: 3 of 10 rows") == bool(asked)


def test_a_function_of_ones_own_is_given_back():
    with shown(print, "filter") as report:
        assert report is print


def test_a_notebook_shows_a_bar_that_goes_away(cell, capsys):
    clock = Clock()
    with shown(None, "mine & yours", unit="pairs", clock=clock) as report:
        report(1, 10, {})
        assert cell == []  # what takes a moment only needs no bar
        clock.now += 2
        report(2, 10, {})
        clock.now += 0.01
        report(3, 10, {})  # too soon to draw again
        clock.now += 1
        report(5, 10, {})
    first, second, last = cell
    assert "mine &amp; yours" in first
    assert 'value="2" max="10"' in first
    assert "5 of 10 pairs" in second
    assert last == ""
    assert capsys.readouterr() == ("", "")


def test_a_notebook_stays_empty_when_silenced(cell):
    clock = Clock()
    with shown(False, "measure", clock=clock) as report:
        clock.now += 20
        report(2, 10, {})
    assert cell == []


def test_a_bar_of_unknown_length_has_no_end(cell):
    clock = Clock()
    with shown(True, "filter", clock=clock) as report:
        clock.now += 20
        report(1000, None, {})
    assert "<progress></progress> 1,000 rows" in cell[0]
