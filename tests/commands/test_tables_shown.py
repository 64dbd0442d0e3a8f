"""Tables that several commands show."""

import io

from rich.console import Console

from leela_probe.commands import tables_shown


def shown(thing: object) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=80, highlight=False).print(thing, soft_wrap=True)
    return text.getvalue().splitlines()


def test_a_funnel_adds_up():
    counts = {"malformed": 0, "not_hard": 1500, "kept": 500}
    lines = shown(tables_shown.funnel(counts, {name: f"about {name}" for name in counts}))
    assert [line.split()[:3] for line in lines[:-1]] == [
        ["1,500", "75.0%", "not_hard"],
        ["500", "25.0%", "kept"],
        ["2,000", "in", "all"],
    ]
    assert lines[0].strip().endswith("about not_hard")


def test_verdicts_that_nobody_got_share_one_line():
    counts = {"malformed": 0, "mate_in_1": 0, "kept": 3}
    lines = shown(tables_shown.funnel(counts, dict.fromkeys(counts, "")))
    assert lines[-1] == "no row: malformed, mate_in_1"
    assert shown(tables_shown.funnel({"kept": 3}, {"kept": ""}))[-1].split() == ["3", "in", "all"]


def test_what_is_kept_is_shown_even_where_it_is_nothing():
    counts = {"malformed": 0, "not_hard": 2, "kept": 0}
    lines = shown(tables_shown.funnel(counts, dict.fromkeys(counts, ""), wanted=["kept"]))
    assert lines[1].split() == ["0", "0.0%", "kept"]


def test_a_funnel_of_nothing_divides_by_nothing():
    lines = shown(tables_shown.funnel({"kept": 0}, {"kept": "hard"}, wanted=["kept"]))
    assert lines[0].split()[:3] == ["0", "-", "kept"]
