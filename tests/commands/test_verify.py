"""What `verify` shows of comparisons."""

import io

import numpy as np
from rich.console import Console

from leela_probe.commands import verify
from leela_probe.networks.verification import Comparison


def text_of(thing: object) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=80, highlight=False).print(thing, soft_wrap=True)
    return text.getvalue().splitlines()


def test_comparisons_say_what_differs():
    def compared(**changed):
        return Comparison(
            **{
                "what": "leela-probe and lc0", "positions": 13, "planes": 0, "probability": 2e-7,
                "value": 1e-6, "tolerance": 1e-5, **changed,
            }
        )  # fmt: skip

    rows = [compared(), compared(planes=3), compared(planes=None, value=np.nan)]
    lines = [line.split() for line in text_of(verify.shown(rows))[1:]]
    assert lines[0][-5:] == ["equal", "2.0e-07", "1.0e-06", "1e-05", "ok"]
    assert lines[1][-6:] == ["3", "differ", "2.0e-07", "1.0e-06", "1e-05", "DIFFERS"]
    assert lines[2][-5:] == ["-", "2.0e-07", "nan", "1e-05", "DIFFERS"]


def test_positions_that_the_input_format_turns_are_spoken_of():
    found = Comparison(
        what="leela-probe and lc0", positions=13, planes=0, probability=0.0, value=0.0,
        tolerance=1e-5, turned=9,
    )  # fmt: skip
    lines = text_of(verify.shown([found]))
    assert max(map(len, lines)) <= 80
    assert "The input format turns 9 of the positions compared with lc0." in lines[3]
