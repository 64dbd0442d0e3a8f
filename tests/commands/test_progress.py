"""How far a stage is: the rate over the last half minute, plain lines, a bar."""

import io
import re

import pytest
from rich.console import Console

from leela_probe.commands import progress
from leela_probe.commands.progress import Rate


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
    with progress.shown(console, "filter", clock=clock) as told:
        for step in range(1, 31):
            clock.now += 1
            told(step * 100, 6_000, {})
    lines = text.getvalue().splitlines()
    assert lines == [
        "filter: 1,000 of 6,000 rows, 100 a second, 0:50 left",
        "filter: 2,000 of 6,000 rows, 100 a second, 0:40 left",
        "filter: 3,000 of 6,000 rows, 100 a second, 0:30 left",
    ]


def test_parts_of_an_earlier_run_are_no_speed():
    clock = Clock()
    console, text = screen(terminal=False)
    with progress.shown(console, "filter", clock=clock) as told:
        for step in range(1, 101):
            clock.now += 0.11
            told.kept(step * 1000, 101_000, {})
        for step in range(1, 11):
            clock.now += 1
            told(100_000 + step * 50, 101_000, {})
    first, second = text.getvalue().splitlines()
    assert re.fullmatch(r"filter: [0-9,]+ of 101,000 rows, \? a second, \? left", first)
    assert second.endswith(" rows, 50 a second, 0:10 left")


def test_a_stage_of_unknown_length_says_what_it_knows():
    clock = Clock()
    console, text = screen(terminal=False)
    with progress.shown(console, "filter", clock=clock) as told:
        clock.now += 20
        told(1000, None, {})
    assert text.getvalue() == "filter: 1,000 rows, 50 a second, ? left\n"


def test_a_terminal_gets_a_bar_with_rate_and_time_left():
    clock = Clock()
    console, text = screen(terminal=True)
    with progress.shown(console, "corrupt", clock=clock) as told:
        clock.now += 2
        told(100, 1000, {})
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\r", text.getvalue())
    drawn = [line for line in plain.split("\r") if "a second" in line]
    assert any("100 of 1,000 rows, 50 a second, 0:18 left" in line for line in drawn)
    assert "━" in plain


def test_a_bar_goes_away_when_the_stage_fails():
    console, text = screen(terminal=True)
    with pytest.raises(ValueError, match="no"), progress.shown(console, "filter") as told:  # noqa: PT012
        told(1, 2, {})
        raise ValueError("no")
    assert text.getvalue().rstrip().endswith("\x1b[2K")
