"""Figures by the command line: the numbers are the table's, and nothing is overwritten unasked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import example_effects
import numpy as np
import pandas as pd
import pyarrow
import pytest
from example_pairs import BY_HAND
from typer.testing import CliRunner, Result

from leela_probe.commands import plot as plot_commands
from leela_probe.commands import registration
from leela_probe.statistics import comparisons, stats

app = registration.application(plot_commands.GROUP.commands, help="")
QUICK = ("--resamples", "99")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("effects")
    example_effects.write(example_effects.residual(), folder / "residual.parquet", where="after")
    example_effects.write(example_effects.heads(), folder / "heads.parquet")
    example_effects.write(example_effects.entry(), folder / "entry.parquet", head="2.3")
    return folder


def plot(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def drawn(*arguments: object) -> None:
    result = plot(*arguments)
    assert result.exit_code == 0, result.output


COMMANDS: dict[str, tuple[str, ...]] = {
    "layers": ("residual", *QUICK),
    "heads": ("heads", *QUICK),
    "percentiles": ("entry", "--bottom", "-1"),
    "target-patterns": ("entry", "--of", "3->1", "--min-puzzles", "8", *QUICK),
    "scatter": ("entry", "--first", "3->1", "--second", "all other entries", *QUICK),
    "exclusions": ("heads",),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_figure_comes_as_pdf_png_and_svg(name: str, tables: Path, tmp_path: Path) -> None:
    stem, *options = COMMANDS[name]
    starts = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}
    for ending, start in starts.items():
        if ending != ".svg" and name != "scatter":
            continue  # the rest of the way is the same
        out = tmp_path / f"figure{ending}"
        drawn(name, tables / f"{stem}.parquet", "--out", out, *options)
        assert out.read_bytes().startswith(start)
    assert [path for path in tmp_path.iterdir() if path.stem != "figure"] == []


def test_the_same_command_makes_the_same_bytes(tables: Path, tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        drawn("layers", tables / "residual.parquet", "--out", tmp_path / name, *QUICK)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def svg_text(path: Path) -> str:
    """The words of an SVG, which matplotlib leaves in comments beside their outlines."""
    return path.read_text(encoding="utf-8")


def test_layer_curves_are_means_over_puzzles(tables: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("layers", tables / "residual.parquet", "--out", out, "--table", numbers, *QUICK)
    found = pd.read_csv(numbers).set_index(["layer", "category"])
    effects = example_effects.frame(example_effects.residual())
    target = effects["category"] == "ply3_target"  # not where it is the first target too
    expected = effects[target].groupby("layer")["effect"].mean()
    assert found["estimate"].xs("ply3_target", level="category").tolist() == pytest.approx(
        expected.tolist(), rel=1e-5
    )
    each = effects[effects["category"] == "other"].groupby(["layer", "puzzle_id"])["effect"].mean()
    assert found["estimate"].xs("other", level="category").tolist() == pytest.approx(
        each.groupby("layer").mean().tolist(), rel=1e-5
    )
    assert "tiny-net · residual after · noising" in svg_text(out)
    manifest = json.loads((tmp_path / "f.csv.manifest.json").read_text())
    assert manifest["stage"] == "plot layers"
    assert manifest["options"]["resamples"] == 99
    source = (tables / "residual.parquet").read_bytes()
    assert manifest["inputs"]["effects"]["sha256"] == hashlib.sha256(source).hexdigest()
    written = numbers.read_bytes()
    assert manifest["output"]["sha256"] == hashlib.sha256(written).hexdigest()


def test_puzzles_of_differing_targets_leave_111_out(tables: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("layers", tables / "residual.parquet", "--out", out, "--table", numbers,
          "--differing-targets", *QUICK)  # fmt: skip
    found = pd.read_csv(numbers)
    assert set(found["n"]) == {16}
    assert "1st target ≠ 3rd target" in svg_text(out)


def test_a_square_counts_once_unless_categories_may_overlap(tables: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("layers", tables / "residual.parquet", "--out", out, "--table", numbers, "--categories",
           "ply1_target,ply3_target", *QUICK)  # fmt: skip
    found = pd.read_csv(numbers).groupby("category")["n"].unique()
    assert found["ply1_target"].tolist() == [24]
    assert found["ply3_target"].tolist() == [16]  # in pattern 111 it is the first target
    assert "overlapping" not in svg_text(out)
    drawn("layers", tables / "residual.parquet", "--out", out, "--table", numbers, "--overwrite",
          "--overlapping", "--categories", "ply1_target,ply3_target", *QUICK)  # fmt: skip
    found = pd.read_csv(numbers).groupby("category")["n"].unique()
    assert found["ply3_target"].tolist() == [24]
    assert "overlapping categories" in svg_text(out)


def test_other_squares_can_be_held_against_as_many_draws(tables: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("layers", tables / "residual.parquet", "--out", out, "--table", numbers, "--squares",
          "max", "--draws", "ply3_target", "--overlapping", *QUICK)  # fmt: skip
    found = pd.read_csv(numbers).set_index(["category", "layer"])
    assert set(found.loc["other", "squares"]) == {"expected max"}
    assert set(found.loc["corrupted", "squares"]) == {"max"}
    effects = example_effects.frame(example_effects.residual())
    rest = effects[(effects["category"] == "other") & (effects["layer"] == 0)]
    one_draw = rest.groupby("puzzle_id")["effect"].mean().mean()  # the maximum of one is the mean
    assert found.loc[("other", 0), "estimate"] == pytest.approx(one_draw, rel=1e-5)
    result = plot("layers", tables / "residual.parquet", "--out", tmp_path / "g.svg", "--draws",
                  "other")  # fmt: skip
    assert result.exit_code == 2
    assert "belongs to --squares max" in result.output


def test_the_head_map_lists_the_head_that_has_an_effect(tables: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("heads", tables / "heads.parquet", "--out", out, "--table", numbers, "--top", "1",
          "--resamples", "999")  # fmt: skip
    found = pd.read_csv(numbers)
    best = found.loc[found["estimate"].abs().idxmax()]
    assert (best["layer"], best["head"]) == (1, 2)
    assert best["p_max_t"] < 0.05
    assert best["low"] < best["estimate"] < best["high"]
    tests = comparisons.family(
        example_effects.frame(example_effects.heads()), resamples=999, seed=0
    )
    assert found["p_max_t"].tolist() == pytest.approx(tests["p_max_t"].tolist(), rel=1e-6)
    assert "1  layer 1, head 2:" in svg_text(out)


def test_percentiles_are_those_of_each_label(tables: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("percentiles", tables / "entry.parquet", "--out", out, "--table", numbers, "--curves",
          "3->1")  # fmt: skip
    found = pd.read_csv(numbers)
    assert set(found["label"]) == {"3->1"}
    effects = example_effects.frame(example_effects.entry())
    direct = stats.percentile_curves(effects[effects["label"] == "3->1"], by=["label"])
    assert found["estimate"].tolist() == pytest.approx(direct["estimate"].tolist(), rel=1e-6)


def test_percentiles_of_categories_need_one_layer(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.svg"
    with pytest.raises(ValueError, match="3 layers, of which a curve shows one"):
        plot("percentiles", tables / "residual.parquet", "--out", out, "--by", "category")
    with pytest.raises(ValueError, match=r"have no label: choose another with --by, such as cat"):
        plot("percentiles", tables / "residual.parquet", "--out", out)
    drawn("percentiles", tables / "residual.parquet", "--out", out, "--by", "category", "--layers",
          "1", "--curves", "ply1_target,other")  # fmt: skip
    assert "1st move target, n = 24" in svg_text(out)
    assert "mean over squares" in svg_text(out)  # of the two others
    drawn("percentiles", tables / "residual.parquet", "--out", out, "--overwrite", "--by",
          "category", "--layers", "1", "--curves", "ply1_target")  # fmt: skip
    assert "over squares" not in svg_text(out)
    assert plot("percentiles", tables / "entry.parquet", "--out", out, "--zoom", "9").exit_code == 2


def test_patterns_and_scatter_take_one_place(tables: Path, tmp_path: Path) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("target-patterns", tables / "heads.parquet", "--of", "1.2", "--min-puzzles", "8", "--out",
          out, "--table", numbers, *QUICK)  # fmt: skip
    found = pd.read_csv(numbers)
    assert found["kind"].tolist() == [
        "all",
        "headline",
        "target_pattern",
        "target_pattern",
        "target_pattern",
    ]
    assert found["n"].tolist() == [24, 16, 8, 8, 8]
    with pytest.raises(
        ValueError,
        match=r"3 values of layer \(0, 1, 2\): choose one with --layers",
    ):
        plot(
            "target-patterns",
            tables / "residual.parquet",
            "--of",
            "other",
            "--out",
            tmp_path / "g.svg",
        )
    with pytest.raises(ValueError, match=r"called '9.9': it has 0.0, 0.1, .* \(12 in all\)"):
        plot(
            "target-patterns", tables / "heads.parquet", "--of", "9.9", "--out", tmp_path / "g.svg"
        )
    drawn("scatter", tables / "residual.parquet", "--layers", "2", "--first", "ply1_target",
          "--second", "matched_control", "--out", tmp_path / "s.svg", "--table",
          tmp_path / "s.csv", *QUICK)  # fmt: skip
    pairs = pd.read_csv(tmp_path / "s.csv")
    assert len(pairs) == 24
    assert np.allclose(pairs["first"] - pairs["second"], pairs["difference"], atol=1e-5)
    assert "Greater in 12, less in 0 of 12 games" in svg_text(tmp_path / "s.svg")


def all_entries() -> pyarrow.Table:
    rows = [
        {"puzzle_id": f"p{number}", "game_id": f"g{number}", "target_pattern": "112", "layer": 2,
         "head": 3, "query": query, "key": key, "effect": np.float32(number + query + key)}
        for number in range(12) for query in range(2) for key in range(3)
    ]  # fmt: skip
    return example_effects.table(rows, sweep="entries", site="pattern", direction="ablation")


def test_several_places_are_not_averaged_unseen(tables: Path, tmp_path: Path) -> None:
    out, entries = tmp_path / "f.svg", tmp_path / "all.parquet"
    example_effects.write(all_entries(), entries)
    with pytest.raises(ValueError, match=r"4 values of head \(0, 1, 2, 3\): .* --where head=0"):
        plot("percentiles", tables / "heads.parquet", "--by", "layer", "--out", out)
    with pytest.raises(ValueError, match=r"6 values of category .* --where category=corrupted"):
        plot("percentiles", tables / "residual.parquet", "--by", "layer", "--out", out)
    for command in ("target-patterns", "percentiles"):
        by = ("--by", "layer") if command == "percentiles" else QUICK
        with pytest.raises(ValueError, match=r"2 values of query \(0, 1\): .* --where query=0"):
            plot(command, entries, "--out", out, *by)
        with pytest.raises(ValueError, match=r"3 values of key \(0, 1, 2\): .* --where key=0"):
            plot(command, entries, "--out", out, "--where", "query=1", *by)
    drawn(
        "target-patterns", entries, "--where", "query=1", "--where", "key=2", "--out", out, *QUICK
    )
    drawn("percentiles", tables / "residual.parquet", "--by", "layer", "--where",
          "category=other", "--out", out, "--overwrite")  # fmt: skip
    assert "mean over squares" in svg_text(out)
    drawn("percentiles", tables / "heads.parquet", "--by", "layer", "--where", "head=2", "--out",
          out, "--overwrite")  # fmt: skip
    drawn("target-patterns", tables / "residual.parquet", "--of", "other", "--layers", "0", "--out",
          out, "--overwrite", *QUICK)  # fmt: skip
    assert "mean over squares" in svg_text(out)


def test_percentiles_of_categories_are_those_of_targets_and_controls(
    tables: Path, tmp_path: Path
) -> None:
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    ask = ("percentiles", tables / "residual.parquet", "--by", "category", "--layers", "1")
    found = example_effects.frame(example_effects.residual())
    rare = found["puzzle_id"].isin(["p00", "p01"]) & found["category"].eq("corrupted")
    found.loc[rare, "category"] = "ply7_target"
    table = pyarrow.Table.from_pandas(found, schema=example_effects.residual().schema)
    example_effects.write(table, tmp_path / "rare.parquet")
    drawn("percentiles", tmp_path / "rare.parquet", *ask[2:], "--out", out, "--table", numbers)
    shown = set(pd.read_csv(numbers)["category"])
    assert shown == {"corrupted", "ply1_target", "ply3_target", "matched_control", "other"}
    drawn("percentiles", tmp_path / "rare.parquet", *ask[2:], "--out", out, "--table", numbers,
          "--overwrite", "--curves", "all")  # fmt: skip
    assert set(pd.read_csv(numbers)["category"]) == shown | {"ply7_target"}


def test_the_embedding_is_drawn_by_its_name(tmp_path: Path) -> None:
    path = boards_of(tmp_path, embedding=True)
    drawn("layers", path, "--out", tmp_path / "l.svg", *QUICK)
    assert "embedding" in svg_text(tmp_path / "l.svg")
    drawn("boards", path, "--puzzle", "backrank", "--out", tmp_path / "b.svg")
    assert "embedding: h8 +0.98 nats" in svg_text(tmp_path / "b.svg")


def test_puzzles_without_games_are_not_called_games(tmp_path: Path) -> None:
    found = example_effects.entry()
    games = pyarrow.nulls(len(found), found.schema.field("game_id").type)
    found = found.set_column(found.schema.names.index("game_id"), "game_id", games)
    example_effects.write(found, tmp_path / "e.parquet")
    out = tmp_path / "f.svg"
    drawn("scatter", tmp_path / "e.parquet", "--first", "3->1", "--second", "all other entries",
          "--out", out, *QUICK)  # fmt: skip
    assert "of 24 puzzles" in svg_text(out)
    assert "interval by puzzle" in svg_text(out)


def boards_of(folder: Path, *, embedding: bool = False) -> Path:
    """A sweep over the squares of a puzzle with pairs beside it, as the manifest says."""
    pair = BY_HAND[0]
    kept = {
        "puzzle_id": [pair.puzzle_id], "game_id": [pair.game_id],
        "target_pattern": [pair.target_pattern], "verdict": ["found"], "rank": [1],
        "fen": [pair.clean_fen],
        "moves": [f"a2a3 {' '.join(pair.line)}"], "clean_fen": [pair.clean_fen],
        "corrupted_fen": [pair.corrupted_fen],
    }  # fmt: skip
    pd.DataFrame(kept).to_csv(folder / "pairs.csv", index=False)
    rows = [
        {"puzzle_id": pair.puzzle_id, "target_pattern": pair.target_pattern, "layer": layer,
         "square": square, "category": "other", "effect": np.float32(square / 64)}
        for layer in ([None] if embedding else range(6)) for square in range(64)
    ]  # fmt: skip
    site = "embedding" if embedding else "residual_after"
    table = example_effects.table(rows, sweep="residual", site=site)
    path = example_effects.write(table, folder / "b.parquet", where="after")
    beside = folder / "b.parquet.manifest.json"
    manifest = json.loads(beside.read_text())
    sha256 = hashlib.sha256((folder / "pairs.csv").read_bytes()).hexdigest()
    manifest["inputs"]["puzzles"] = {"file": "pairs.csv", "sha256": sha256}
    beside.write_text(json.dumps(manifest))
    return path


def test_boards_find_the_pairs_that_were_patched(tmp_path: Path) -> None:
    effects, out = boards_of(tmp_path), tmp_path / "f.svg"
    drawn("boards", effects, "--puzzle", "backrank", "--entry", "c8:e8", "--out", out)
    text = svg_text(out)
    for layer in (0, 2, 3, 5):
        assert f"layer {layer}: h8 +0.98 nats" in text
    assert "line c2c8 e6c8 e1e8" in text
    assert "Dashed: attention, from key to query." in text
    with pytest.raises(ValueError, match=r"no measured puzzle 'nobody' .*: it has backrank"):
        plot("boards", effects, "--puzzle", "nobody", "--out", tmp_path / "g.svg")
    again = ("boards", effects, "--puzzle", "backrank", "--out", tmp_path / "g.svg")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(pairs.read_text() + "\n")
    with pytest.raises(ValueError, match="is no longer what was patched: name the pairs with --p"):
        plot(*again)
    drawn(*again, "--pairs", pairs, "--layers", "4")
    (tmp_path / "b.parquet.manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="name them with --pairs"):
        plot(*again, "--overwrite")


def test_exclusions_follow_the_puzzles_from_stage_to_stage(tmp_path: Path) -> None:
    kept, pairs = tmp_path / "kept.csv", tmp_path / "pairs.csv"
    verdicts = {"a": "kept", "b": "kept", "c": "kept", "d": "kept", "e": "not_hard"}
    pd.DataFrame(verdicts.items(), columns=["puzzle_id", "verdict"]).to_csv(kept, index=False)
    found = {"a": "found", "b": "strong_unmoved", "c": "found"}
    rows = [*found.items(), ("a", "further")]
    pd.DataFrame(rows, columns=["puzzle_id", "verdict"]).to_csv(pairs, index=False)
    effects = example_effects.table(
        [
            {"puzzle_id": "a", "effect": 1.0},
            {"puzzle_id": "a", "effect": 2.0},
            {"puzzle_id": "c", "verdict": "only_legal_move"},
        ]
    )
    example_effects.write(effects, tmp_path / "r.parquet")
    out, numbers = tmp_path / "f.svg", tmp_path / "f.csv"
    drawn("exclusions", kept, pairs, tmp_path / "r.parquet", "--out", out, "--table", numbers)
    flow = pd.read_csv(numbers).set_index("reason")
    expected = {"not_hard": 1, "not in pairs.csv": 1, "strong_unmoved": 1, "only_legal_move": 1}
    assert flow["excluded"][flow["excluded"] > 0].to_dict() == expected
    assert (flow["remaining"].iloc[0], flow["remaining"].iloc[-1]) == (5, 1)
    assert "Took out none: malformed, duplicate id, mate in 1," in svg_text(out)
    (tmp_path / "odd.csv").write_text("puzzle_id,verdict\na,splendid\n")
    with pytest.raises(ValueError, match="verdicts of no stage: splendid"):
        plot("exclusions", tmp_path / "odd.csv", "--out", tmp_path / "g.svg")


def test_a_file_that_is_there_is_left_alone(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.svg"
    out.write_text("mine")
    with pytest.raises(ValueError, match=r"f\.svg exists already: .* \(--overwrite\)"):
        plot("layers", tables / "residual.parquet", "--out", out)
    assert out.read_text() == "mine"
    drawn("layers", tables / "residual.parquet", "--out", out, "--overwrite", *QUICK)
    with pytest.raises(ValueError, match=r"f\.gif ends in '\.gif': give \.pdf, \.png or \.svg"):
        plot("layers", tables / "residual.parquet", "--out", tmp_path / "f.gif")
    with pytest.raises(FileNotFoundError, match="is not there: make it first"):
        plot("layers", tables / "residual.parquet", "--out", tmp_path / "no" / "f.svg")


def test_tables_that_a_figure_cannot_be_made_of_are_refused(tables: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "f.svg")
    with pytest.raises(
        ValueError, match=r"is not a sweep over whole heads: .* leela-probe patch heads"
    ):
        plot("heads", tables / "residual.parquet", *out)
    with pytest.raises(
        ValueError, match=r"not about one square each, .* heads is not a sweep over sq"
    ):
        plot("layers", tables / "heads.parquet", *out)
    result = plot("layers", tables / "residual.parquet", "--categories", "ply9_target", *out)
    assert result.exit_code == 2
    assert "'ply9_target' is none of" in result.output
    result = plot("layers", tables / "residual.parquet", "--where", "layer", *out)
    assert result.exit_code == 2
    assert "write COLUMN=VALUE" in result.output


def test_a_refusal_at_the_terminal_is_one_line(tables: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from leela_probe import cli\n"
        f"sys.argv[1:] = ['plot', 'heads', {str(tables / 'none.parquet')!r}, '--out', 'f.svg']\n"
        "cli.main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("leela-probe: no table at ")
    assert result.stderr.count("\n") == 1
