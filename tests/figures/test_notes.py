"""Notes below figures say what a comparison is of, and why it has no interval."""

import numpy as np
import pandas as pd

from leela_probe.figures import notes
from leela_probe.statistics.comparisons import paired


def one_row_per_puzzle(effect: np.ndarray) -> pd.DataFrame:
    names = [f"p{number}" for number in range(len(effect))]
    return pd.DataFrame({"puzzle_id": names, "game_id": names, "effect": effect})


def test_a_note_counts_games_and_gives_the_interval() -> None:
    draw = np.random.default_rng(1)
    second = draw.normal(size=80)
    found = paired(
        one_row_per_puzzle(second + draw.normal(1.0, 0.5, size=80)),
        one_row_per_puzzle(second),
        resamples=99,
    )
    first, middle, last = notes.paired(found).splitlines()
    assert first.startswith("Mean difference ")
    assert first.endswith("] nats,")
    assert middle == f"[ ]: {found.mean.interval}."
    assert f"of 80 games: sign test p = {found.sign_p:.2g}." in last


def test_a_note_gives_the_reason_where_there_is_no_interval() -> None:
    same = one_row_per_puzzle(np.zeros(20))
    assert "(all values are equal)" in notes.paired(paired(same, same, resamples=99))
