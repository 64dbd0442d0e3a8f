"""Statistics by the command line: the numbers are those of the functions, and fit 80 columns."""

from __future__ import annotations

import json
from pathlib import Path

import example_effects
import pandas as pd
import pyarrow
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner, Result

from leela_probe.commands import registration
from leela_probe.commands import stats as stats_commands

app = registration.application(stats_commands.GROUP.commands, help="")
QUICK = ("--resamples", "99")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("effects")
    made = {
        "residual": example_effects.residual(), "heads": example_effects.heads(),
        "entry": example_effects.entry(), "pairs": example_effects.head_pairs(),
    }  # fmt: skip
    for name, table in made.items():
        example_effects.write(table, folder / f"{name}.parquet")
    return folder


def stats(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def printed(*arguments: object) -> str:
    result = stats(*arguments)
    assert result.exit_code == 0, result.output
    lines = result.output.partition("\nwrote ")[0].splitlines()  # the names of files may be long
    assert max(map(len, lines)) <= 80
    return result.output


COMMANDS: dict[str, tuple[str, ...]] = {
    "summary": ("residual", "--by", "layer,category", *QUICK),
    "tests": ("heads", *QUICK),
    "halves": ("heads", "--splits", "20", *QUICK),
    "paired": ("residual", "--first", "ply1_target", "--second", "matched_control", *QUICK),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_printed_fits_and_all_of_it_can_be_written(
    name: str, tables: Path, tmp_path: Path
) -> None:
    stem, *options = COMMANDS[name]
    effects, out = tables / f"{stem}.parquet", tmp_path / "s.csv"
    text = printed(name, effects, "--out", out, *options)
    assert f"wrote {out}" in text.replace("\n", "")
    found = pd.read_csv(out)
    assert found["interval" if name != "tests" else "p_max_t"].notna().all()
    manifest = json.loads((tmp_path / "s.csv.manifest.json").read_text())
    assert manifest["stage"] == f"stats {name}"
    assert manifest["rows"] == len(found)
    with pytest.raises(ValueError, match=r"exists already: .* \(--overwrite\)"):
        stats(name, effects, "--out", out, *options)
    printed(name, effects, "--out", tmp_path / "s.parquet", *options)
    again = pd.read_parquet(tmp_path / "s.parquet")
    assert again["estimate"].to_numpy() == pytest.approx(found["estimate"].to_numpy(), rel=1e-5)


def test_means_are_those_of_pandas(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    printed("summary", tables / "heads.parquet", "--by", "layer,head", "--out", out, *QUICK)
    effects = example_effects.frame(example_effects.heads())
    expected = effects.groupby(["layer", "head"])["effect"].mean()
    assert pd.read_csv(out)["estimate"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    printed("summary", tables / "heads.parquet", "--by", "layer,head", "--out", out, "--overwrite",
            "--statistic", "median", *QUICK)  # fmt: skip
    expected = effects.groupby(["layer", "head"])["effect"].median()
    assert pd.read_csv(out)["estimate"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_a_square_counts_once_unless_categories_may_overlap(tables: Path, tmp_path: Path) -> None:
    # In pattern 111 the third target is the first.
    out = tmp_path / "s.csv"
    ask = ("summary", tables / "residual.parquet", "--by", "category", "--where",
           "category=ply3_target", "--layers", "1", "--out", out, *QUICK)  # fmt: skip
    text = " ".join(printed(*ask).split())
    assert "a square counts once: as corrupted, else 1st, else 3rd target" in text
    effects = example_effects.frame(example_effects.residual())
    effects = effects[effects["layer"] == 1]
    for more, puzzles, chosen in (
        ((), 16, effects["category"] == "ply3_target"),
        (("--overlapping",), 24, effects["category"].str.contains("ply3")),
    ):
        text = printed(*ask, "--overwrite", *more)
        found = pd.read_csv(out)
        assert found["category"].tolist() == ["ply3_target"]
        assert found["n"].tolist() == [puzzles]
        expected = effects[chosen]["effect"].mean()
        assert found["estimate"].iloc[0] == pytest.approx(expected, rel=1e-5)
    assert "a square in several categories counts in each" in text


def test_without_by_the_places_are_those_of_the_table(tables: Path) -> None:
    for stem, heading in (
        ("residual", ["layer", "category"]), ("heads", ["layer", "head"]), ("entry", ["label"]),
    ):  # fmt: skip
        first, *_ = printed("summary", tables / f"{stem}.parquet", *QUICK).splitlines()
        assert first.split()[: len(heading)] == heading


def test_layers_are_chosen_by_one_option(tables: Path) -> None:
    lines = printed("summary", tables / "heads.parquet", "--layers", "0-1", *QUICK).splitlines()
    assert {line.split()[0] for line in lines[1:9]} == {"0", "1"}
    result = stats("summary", tables / "heads.parquet", "--layers", "1", "--where", "layer=1")
    assert result.exit_code == 2
    assert "--where chooses layers too" in result.output


@pytest.mark.parametrize("name", ["summary", "tests", "halves"])
def test_no_name_is_broken(name: str, tables: Path, tmp_path: Path) -> None:
    effects = example_effects.frame(example_effects.residual())
    effects["category"] = effects["category"].replace("other", "corrupted_favourite")
    path = tmp_path / "long.parquet"
    table = pyarrow.Table.from_pandas(effects, schema=example_effects.residual().schema)
    example_effects.write(table, path)
    text = printed(name, path, "--by", "layer,category", *QUICK)
    assert "corrupted_favourite " in text
    assert "ply1_target " in text


def test_normalised_effects_are_shares_of_the_gap(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    text = printed("summary", tables / "heads.parquet", "--by", "layer,head", "--normalised",
                   "--out", out, *QUICK)  # fmt: skip
    assert "24 puzzles with a gap above 1; 0 with a narrower one" in text
    effects = example_effects.frame(example_effects.heads())
    expected = ((effects["changed"] + 1) / 3).groupby([effects["layer"], effects["head"]]).mean()
    assert pd.read_csv(out)["estimate"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    with pytest.raises(ValueError, match=r"more than 5 above its corrupted one: .*--min-gap"):
        stats("summary", tables / "heads.parquet", "--by", "layer,head", "--normalised",
              "--min-gap", "5")  # fmt: skip


def test_a_share_is_that_of_puzzles_above(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    effects = example_effects.frame(example_effects.heads())
    middle = float(effects["effect"].median())
    ask = ("summary", tables / "heads.parquet", "--above", middle, "--out", out)
    text = " ".join(printed(*ask, *QUICK).split())
    assert f"estimate: share of puzzles with an effect above {middle:g} (nats)" in text
    found = pd.read_csv(out)
    expected = (effects["effect"] > middle).groupby([effects["layer"], effects["head"]]).mean()
    assert found["estimate"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert found["low"].between(0, found["estimate"]).all()
    result = stats(*ask, "--overwrite", "--statistic", "median")
    assert result.exit_code == 2
    assert "leave out --statistic" in " ".join(result.output.replace("│", " ").split())


def test_the_largest_effect_is_named_first(tables: Path) -> None:
    lines = printed("tests", tables / "heads.parquet", "--top", "2", *QUICK).splitlines()
    assert lines[0].split() == ["layer", "head", "n", "estimate", "t", "p", "p_max_t", "p_holm",
                                "p_bh"]  # fmt: skip
    assert lines[1].split()[:3] == ["1", "2", "24"]
    assert "10 more rows: --top N prints, --out FILE writes" in lines[-1]
    text = " ".join(printed("tests", tables / "heads.parquet", *QUICK).split())
    assert "p: not corrected for the number of places; the larger of the place's own and" in text
    flipped = " ".join(printed("tests", tables / "heads.parquet", "--null", "sign-flip").split())
    assert "the larger of" not in flipped
    halves = printed("halves", tables / "heads.parquet", "--top", "1", "--splits", "20", *QUICK)
    for line in halves.splitlines()[1:3]:
        assert line.split()[1:4] == ["1", "1", "2"]
    assert "6 and 6 games" in halves


def test_paired_comparisons_count_games(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    printed("paired", tables / "entry.parquet", "--first", "3->1", "--second", "all other entries",
            "--out", out, *QUICK)  # fmt: skip
    found = pd.read_csv(out).iloc[0]
    effects = example_effects.frame(example_effects.entry())
    wide = effects.pivot(index="puzzle_id", columns="label", values="effect").reset_index()
    difference = wide["3->1"] - wide["all other entries"]
    by_game = difference.groupby(wide["puzzle_id"].str[1:].astype(int) // 2).mean()
    greater = int((by_game > 0).sum())
    assert found["estimate"] == pytest.approx(difference.mean(), rel=1e-5)
    assert (found["greater"], found["less"]) == (greater, 12 - greater)
    assert found["sign_p"] == pytest.approx(binomtest(greater, 12).pvalue, rel=1e-5)


def test_a_mean_over_squares_is_said_to_be_one(tables: Path) -> None:
    ask = ("paired", tables / "residual.parquet", "--first", "ply1_target", *QUICK, "--second")
    assert "mean over squares, where a puzzle has several" in printed(*ask, "other")
    assert "over squares" not in printed(*ask, "matched_control")


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("layer", "the mean over square, which --by leaves out (6 values)"),
        ("layer,category", "the mean over square, which --by leaves out (1 to 3 values)"),
        ("category", "the mean over layer, square, which --by leaves out (3 to 9 values)"),
        ("layer,square", None),
    ],
)
def test_what_is_averaged_within_a_puzzle_is_said(tables: Path, by: str, said: str | None) -> None:
    for command in ("summary", "tests", "halves"):
        few = ("--top", "2") if command == "halves" else ()
        text = printed(command, tables / "residual.parquet", "--by", by, *few, *QUICK)
        words = " ".join(text.split())
        assert said in words if said else "of each puzzle" not in words
    if by == "layer":
        largest = printed("summary", tables / "residual.parquet", "--by", by, "--squares", "max")
        assert "of each puzzle: the largest over square, which" in " ".join(largest.split())


def test_heads_that_need_each_other_interact(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    text = printed("interactions", tables / "heads.parquet", tables / "pairs.parquet", "--out",
                   out, *QUICK)  # fmt: skip
    assert "1.0 1.2" in text
    assert pd.read_csv(out)["estimate"].iloc[0] == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(ValueError, match="is not a sweep over pairs of heads"):
        stats("interactions", tables / "heads.parquet", tables / "entry.parquet", *QUICK)
    with pytest.raises(ValueError, match="is not a sweep over heads"):
        stats("interactions", tables / "pairs.parquet", tables / "pairs.parquet", *QUICK)


def test_mistaken_options_say_what_there_is(tables: Path) -> None:
    heads = tables / "heads.parquet"
    for arguments, message in (
        (("summary", heads, "--by", "colour"), "'colour' is none of layer, head"),
        (("summary", heads, "--by", "layer", "--statistic", "mode"), "none of mean, median"),
        (("tests", heads, "--null", "none"), "none of bootstrap, sign-flip"),
        (("tests", heads, "--where", "layer"), "'layer' is not a condition"),
    ):
        result = stats(*arguments)
        assert result.exit_code == 2
        assert message in " ".join(result.output.replace("│", " ").split())
    with pytest.raises(ValueError, match="have no label: see --by"):
        stats("summary", heads, "--by", "label")
    with pytest.raises(ValueError, match=r"several rows at one location \(layer=0\)"):
        stats("summary", heads, "--by", "layer")
    with pytest.raises(ValueError, match=r"no row has layer 7: the table has 0, 1, 2"):
        stats("summary", heads, "--by", "head", "--where", "layer=7")


def test_places_with_too_few_puzzles_say_why_they_have_no_interval(tables: Path) -> None:
    text = printed("summary", tables / "heads.parquet", "--by", "layer,head,target_pattern", *QUICK)
    assert " - " in text
    assert "-: " in text
