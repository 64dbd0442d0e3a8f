"""Fair controls, on effects whose truth is known: of the king's neighbourhood, or of the line."""

from __future__ import annotations

from itertools import islice

import chess
import numpy as np
import pandas as pd
import pytest

from leela_probe.files import bundled
from leela_probe.puzzles import alternatives, covariates, lichess
from leela_probe.puzzles.pairs import Pair
from leela_probe.study.chapters import controls
from leela_probe.study.chapters.controls import CHAPTER

LINE_LAYER = 2


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Mates that come along, each with a piece removed that no move of the line has to do with."""
    rng = np.random.default_rng(0)
    found = []
    for row in islice(lichess.read(bundled.resolve("bundled:mates")), 100):
        assert isinstance(row, lichess.Puzzle)
        board, line = row.board(), row.principal_variation
        spare = [
            square
            for square, piece in board.piece_map().items()
            if piece.piece_type != chess.KING
            and square not in {s for move in line for s in (move.from_square, move.to_square)}
        ]
        if not spare:
            continue
        corrupted = board.copy()
        corrupted.remove_piece_at(rng.choice(spare))
        found.append(
            Pair(
                puzzle_id=row.puzzle_id,
                game_id=None,
                target_pattern="123",
                clean_fen=board.fen(),
                corrupted_fen=corrupted.fen(),
                line=tuple(move.uci() for move in line),
            )
        )
    return found


def effects(pairs: list[Pair], *, line: float, seed: int = 0) -> pd.DataFrame:
    """Effects that depend on what squares are like; `line` more at third targets in one layer."""
    rng = np.random.default_rng(seed)
    squares = covariates.table(pairs)
    zone = 2.0 / (1 + squares["enemy_king_distance"]) + 0.5 * squares["own_attackers"]
    third = {(pair.puzzle_id, pair.target(3)) for pair in pairs}
    keys = zip(squares["puzzle_id"], squares["square"], strict=True)
    is_third = np.array([key in third for key in keys])
    layers = []
    for layer in range(4):
        effect = zone * (layer > 0) + rng.normal(0, 0.2, len(squares))
        effect = effect + line * is_third * (layer == LINE_LAYER)
        layers.append(squares[["puzzle_id", "square"]].assign(layer=layer, effect=effect))
    return pd.concat(layers, ignore_index=True)


def compared(pairs: list[Pair], *, line: float, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    return controls.compare(effects(pairs, line=line, seed=seed), pairs, resamples=500, seed=0)


def test_what_the_kings_neighbourhood_does_is_not_taken_for_look_ahead(pairs: list[Pair]) -> None:
    tables = [compared(pairs, line=0.0, seed=seed)[0] for seed in (1, 2, 3)]
    every = pd.concat(tables)
    given = every[every["low"].notna()]
    missed = (given["low"] > 0) | (given["high"] < 0)
    assert given["control"].nunique() == 4
    assert missed.sum() <= 3  # of 48 intervals, of which 16 hold together at 95 %
    raw = effects(pairs, line=0.0)
    third = {(pair.puzzle_id, pair.target(3)) for pair in pairs}
    keys = zip(raw["puzzle_id"], raw["square"], strict=True)
    is_third = np.array([key in third for key in keys])
    zone = raw["layer"] > 0
    assert raw[is_third & zone]["effect"].mean() > raw[zone]["effect"].mean() + 0.3
    assert CHAPTER.summary({"controls": tables[0]}).startswith("At no layer does the third target")


def test_an_effect_of_the_line_is_found_at_its_layer_by_every_control(pairs: list[Pair]) -> None:
    table, _ = compared(pairs, line=1.0)
    there = table[table["layer"] == LINE_LAYER]
    assert (there["low"] > 0.3).all()
    close = there[there["control"].isin(["matched_square", "regression"])]
    assert close["estimate"].tolist() == pytest.approx([1.0, 1.0], abs=0.15)
    assert (table[table["layer"] != LINE_LAYER]["low"] <= 0).all()
    assert CHAPTER.summary({"controls": table}).startswith(
        "At layer 2 the third target does more than each of 4 controls, by "
    )


def test_the_matched_square_is_balanced_in_what_it_is_matched_on(pairs: list[Pair]) -> None:
    _, balance = compared(pairs, line=0.0)
    assert list(balance) == list(controls.BALANCE)
    matched = balance[balance["control"] == "matched_square"].set_index("covariate")
    for name in ("enemy_king_distance", "own_attackers", "enemy_attackers"):
        assert abs(matched.loc[name, "smd_after"]) < 1e-9
    assert (matched["smd_before"].abs() > 0.3).any()


def test_every_rule_is_named_in_the_column_dictionary() -> None:
    for name in controls.rules():
        assert f"{name}:" in controls.BALANCE["control"]


def test_the_figures_and_the_short_table_say_every_control(pairs: list[Pair]) -> None:
    table, balance = compared(pairs, line=1.0)
    tables = {"controls": table, "balance": balance}
    (short,) = CHAPTER.short_tables(tables)
    assert [row[0] for row in short.rows] == [
        name.replace("_", " ") for name in dict.fromkeys(table["control"])
    ]
    assert len(short.head) == 3 + table["layer"].nunique()
    figures = [each.name for each in controls.drawings(tables)]
    assert figures == ["controls", "balance"]


def test_puzzles_whose_third_target_is_used_twice_are_left_out(pairs: list[Pair]) -> None:
    table, balance = controls.compare(effects(pairs, line=0.0)[:0], pairs, resamples=10, seed=0)
    assert table.empty
    assert balance.empty
    assert CHAPTER.summary({}) == ""


def test_a_control_that_no_third_target_has_is_said_and_not_drawn(pairs: list[Pair]) -> None:
    few = [pair for pair in pairs if not alternatives.third_targets(pair, "other_check")][:3]
    table, balance = controls.compare(effects(few, line=0.0), pairs, resamples=10, seed=0)
    missing = table[table["n"] == 0]
    assert set(missing["reason"]) == {"no third target has a control"}
    assert "other_check" in set(missing["control"])
    assert table["low"].isna().all()
    tables = {"controls": table, "balance": balance}
    assert len(list(controls.drawings(tables))) == 2
    (short,) = CHAPTER.short_tables(tables)
    assert any(row[1] == "0" and row[-1] == "" for row in short.rows)
    assert CHAPTER.summary(tables).startswith("There are too few puzzles")
