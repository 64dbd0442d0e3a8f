"""A table means the same as CSV and as Parquet, to every command and function that reads one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import example_effects
import numpy as np
import pandas as pd
import pyarrow
import pytest
from example_pairs import BY_HAND
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from leela_probe.commands import plot as plot_commands
from leela_probe.commands import registration
from leela_probe.commands import stats as stats_commands
from leela_probe.experiments import attention_tables, effect_tables
from leela_probe.files import tables
from leela_probe.puzzles import corruptions, dumps, filters, pairs

APPS = {
    "stats": registration.application(stats_commands.GROUP.commands, help=""),
    "plot": registration.application(plot_commands.GROUP.commands, help=""),
}
QUICK = ("--resamples", "99")
IDS = st.sampled_from(["00001", "1", "01", "1.0", "1e3", "NA", "nan", "null", "true", "x,y", 'a"b'])
COMMANDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("stats", "summary"): ("residual", "--by", "layer,category", *QUICK),
    ("stats", "tests"): ("heads", *QUICK),
    ("stats", "halves"): ("heads", "--splits", "5", *QUICK),
    ("stats", "paired"): (
        "residual", "--first", "ply1_target", "--second", "matched_control", *QUICK
    ),
    ("stats", "interactions"): ("head_pairs", "heads", *QUICK),
    ("plot", "layers"): ("residual", *QUICK),
    ("plot", "heads"): ("heads", *QUICK),
    ("plot", "percentiles"): ("entry",),
    ("plot", "target-patterns"): ("entry", "--of", "3->1", "--min-puzzles", "4", *QUICK),
    ("plot", "scatter"): ("entry", "--first", "3->1", "--second", "all other entries", *QUICK),
    ("plot", "exclusions"): ("heads",),
}  # fmt: skip


def write(table: pyarrow.Table, stem: Path) -> None:
    for ending, write_as in tables.FORMATS.items():
        with stem.with_suffix(ending).open("wb") as file:
            write_as(file, table.schema, [table])


def disturbed(table: pyarrow.Table, names: Sequence[str], games: Sequence[str | None]) -> Any:
    """The table with other ids, and games that are missing or look like numbers."""
    frame = table.to_pandas()
    codes = frame["puzzle_id"].cat.codes.to_numpy()
    columns = {name: table[name] for name in table.column_names}
    own = [f"{names[code % len(names)]}{code}" for code in range(codes.max() + 1)]
    columns["puzzle_id"] = pyarrow.array([own[code] for code in codes])
    columns["game_id"] = pyarrow.array([games[code // 2 % len(games)] for code in codes])
    columns["mate"] = pyarrow.array([[True, False, None][code % 3] for code in codes])
    return pyarrow.table(columns).cast(table.schema)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@settings(max_examples=2, deadline=None, phases=[Phase.generate])
@given(names=st.lists(IDS, min_size=1), games=st.lists(IDS | st.none(), min_size=1))
def test_every_command_says_the_same_of_both(
    tmp_path_factory: pytest.TempPathFactory,
    command: tuple[str, str],
    names: list[str],
    games: list[str | None],
) -> None:
    folder = tmp_path_factory.mktemp("both")
    wanted = [each for each in COMMANDS[command] if hasattr(example_effects, each)]
    options = COMMANDS[command][len(wanted) :]
    for stem in wanted:
        write(disturbed(getattr(example_effects, stem)(), names, games), folder / stem)
    outcomes = []
    for ending in tables.FORMATS:
        out = folder / ("out.csv" if command[0] == "stats" else "out.svg")
        if command[0] == "plot":
            options = (*options, "--table", str(folder / "numbers.csv"))
        arguments = [
            command[1],
            *(str(folder / f"{stem}{ending}") for stem in wanted),
            *options,
            "--out",
            str(out),
            "--overwrite",
        ]
        result = CliRunner().invoke(APPS[command[0]], arguments)
        assert not isinstance(result.exception, SystemExit) or result.exit_code == 0, result.output
        files = [folder / "numbers.csv"]
        if command[1] != "exclusions":  # its figure names the files
            files.append(out)
        written = [path.read_text() for path in files if path.exists()]
        texts = [result.output, str(result.exception), *written]
        for stem in wanted:
            texts = [text.replace(f"{stem}{ending}", stem) for text in texts]
        outcomes.append(texts)
    assert outcomes[0] == outcomes[1]


@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(
    names=st.lists(IDS, min_size=1),
    games=st.lists(IDS | st.none(), min_size=1),
    themes=st.lists(st.none() | st.sampled_from(["mate mateIn2", "fork", "null"]), min_size=1),
)
def test_pairs_are_the_same_from_both(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    games: list[str | None],
    themes: list[str | None],
) -> None:
    folder = tmp_path_factory.mktemp("both")
    rows = [
        {
            "puzzle_id": f"{names[place % len(names)]}{place}",
            "fen": pair.clean_fen,
            "moves": " ".join(["0000", *pair.line]),
            "target_pattern": pair.target_pattern,
            "game_id": games[place % len(games)],
            "themes": themes[place % len(themes)],
            "clean_fen": pair.clean_fen,
            "corrupted_fen": pair.corrupted_fen,
            "rank": 1,
        }
        for place, pair in enumerate(BY_HAND)
    ]
    for module, verdict in ((corruptions, "found"), (filters, "kept")):
        schema = module.SCHEMA
        whole = [{name: row.get(name) for name in schema.names} | {"verdict": verdict}
                 for row in rows]  # fmt: skip
        stem = folder / verdict
        write(pyarrow.Table.from_pylist(whole, schema=schema), stem)
        both = [stem.with_suffix(ending) for ending in tables.FORMATS]
        if verdict == "found":
            one, two = (pairs.read(path) for path in both)
            assert one == two
            assert [pair.game_id for pair in one] == [row["game_id"] for row in rows]
        one, two = ([row[1:] for row in dumps.rows(path)] for path in both)
        assert one == two
        assert [row[0] for row in one] == [row["puzzle_id"] for row in rows]


@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(games=st.lists(IDS | st.none(), min_size=1), seed=st.integers(0, 99))
def test_attention_is_the_same_from_both(
    tmp_path_factory: pytest.TempPathFactory, games: list[str | None], seed: int
) -> None:
    draw = np.random.default_rng(seed)
    rows = [
        {
            "puzzle_id": f"{puzzle:05}", "game_id": games[puzzle % len(games)], "layer": 0,
            "head": head, "relation": "3->1", "attention": draw.random(),
            "elsewhere": draw.random(),
            "rank": int(draw.integers(1, 4096)), "query": 3, "key": 4, "same_square": False,
            "attribution": None, "verdict": "read",
        }
        for puzzle in range(12) for head in range(2)
    ]  # fmt: skip
    stem = tmp_path_factory.mktemp("both") / "attention"
    write(pyarrow.Table.from_pylist(rows, schema=attention_tables.SCHEMA), stem)
    one, two = (
        attention_tables.summary(attention_tables.parts(stem.with_suffix(ending)))
        for ending in tables.FORMATS
    )
    pd.testing.assert_frame_equal(one, two)
    known = {game for place, game in enumerate(games * 12) if place < 12 and game is not None}
    alone = sum(games[puzzle % len(games)] is None for puzzle in range(12))
    assert set(one["clusters"]) == {len(known) + alone}


def test_puzzles_without_a_game_are_clusters_of_their_own_in_both(tmp_path: Path) -> None:
    made = disturbed(example_effects.heads(), ["p"], [None, "g"])
    write(made, tmp_path / "e")
    for ending in tables.FORMATS:
        table = effect_tables.read(tmp_path / f"e{ending}")
        assert table["game_id"].isna().sum() == len(table) / 2
        result = CliRunner().invoke(
            APPS["stats"], ["summary", str(tmp_path / f"e{ending}"), "--by", "layer,head", *QUICK]
        )
        assert result.exit_code == 0
        assert " 13 " in result.output  # 12 puzzles of one game, 12 without


def test_a_flipped_bit_of_a_finished_table_is_refused_by_name(tmp_path: Path) -> None:
    from leela_probe.files import store

    with store.Stage(
        tmp_path / "e.parquet", name="patch", inputs={}, options={}, schema=effect_tables.SCHEMA,
        verdicts=effect_tables.VERDICTS,
    ) as stage:  # fmt: skip
        for chunk in stage.unfinished([1], size=1):
            stage.add(chunk, example_effects.heads())
        stage.finish()
    content = bytearray((tmp_path / "e.parquet").read_bytes())
    for place in range(50, len(content), len(content) // 20):
        content[place] ^= 1
        (tmp_path / "e.parquet").write_bytes(content)
        result = CliRunner().invoke(APPS["stats"], ["summary", str(tmp_path / "e.parquet")])
        assert "e.parquet' is damaged: its SHA-256 is" in str(result.exception)
        content[place] ^= 1


@pytest.mark.shared
def test_pairs_of_which_half_have_no_game_have_the_same_statistics(shared: Path, tmp_path: Path):
    from leela_probe.commands import patch

    source = shared / "cases" / "01-csv-effects-missing-game" / "pairs.parquet"
    app = registration.application([patch.GROUP], help="")
    for ending in tables.FORMATS:
        arguments = ["patch", "residual", str(source), "--network", "bundled:strong",
                     "--layers", "3", "--out", str(tmp_path / f"e{ending}")]  # fmt: skip
        assert CliRunner().invoke(app, arguments).exit_code == 0
        result = CliRunner().invoke(
            APPS["stats"], ["tests", str(tmp_path / f"e{ending}"), "--by", "layer", *QUICK]
        )
        assert " 6.67 " in result.output, result.output


@pytest.mark.shared
def test_ids_that_look_like_numbers_stay_apart_in_a_summary_of_attention(
    shared: Path, tmp_path: Path
) -> None:
    from leela_probe.commands import attention

    source = shared / "cases" / "09-attention-csv-ids" / "id_num.parquet"
    app = registration.application([attention.COMMAND, attention.COMMAND], help="")
    for ending in tables.FORMATS:
        arguments = ["attention", str(source), "--network", "bundled:strong", 
                     "--summary", str(tmp_path / f"s{ending}"),
                     "--out", str(tmp_path / f"t{ending}")]  # fmt: skip
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    one, two = pd.read_csv(tmp_path / "s.csv"), pd.read_parquet(tmp_path / "s.parquet")
    assert one["clusters"].tolist() == two["clusters"].tolist()
    assert max(one["clusters"]) == 35
