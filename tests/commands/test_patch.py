"""Sweeps by the command line: done as asked, counted by puzzles, refused where mistaken."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from example_pairs import BACK_RANK, BACK_RANK_BLACK, KNIGHT_SACRIFICE
from typer.testing import CliRunner, Result

from leela_probe.commands import patch as patch_commands
from leela_probe.commands import registration
from leela_probe.experiments import effects, screen, sweeps
from leela_probe.networks.network import Network
from leela_probe.puzzles import corruptions

app = registration.application(patch_commands.GROUP.commands, help="")
NO_PARTNER_MOVE = "6k1/pp3ppp/4b3/1B1r4/P1pb1q2/8/1PQ2PPP/4R1K1 w - - 0 1"  # c2c8 is blocked
PAIRS = (
    BACK_RANK,
    dataclasses.replace(BACK_RANK, corrupted_fen=BACK_RANK_BLACK.clean_fen.replace(" b ", " w "),
                        rank=2),
    KNIGHT_SACRIFICE,
    dataclasses.replace(BACK_RANK, puzzle_id="blocked", corrupted_fen=NO_PARTNER_MOVE),
)  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {
            "puzzle_id": pair.puzzle_id, "game_id": pair.game_id,
            "target_pattern": pair.target_pattern,
            "verdict": "found" if pair.rank == 1 else "further",
            "rank": pair.rank,
            "fen": "before", "moves": " ".join(("a1a1", *pair.line)),
            "clean_fen": pair.clean_fen, "corrupted_fen": pair.corrupted_fen,
        }
        for pair in PAIRS
    ]  # fmt: skip
    data = {name: [row.get(name) for row in rows] for name in corruptions.SCHEMA.names}
    path = tmp_path_factory.mktemp("pairs") / "pairs.parquet"
    pyarrow.parquet.write_table(pyarrow.table(data, schema=corruptions.SCHEMA), path)
    return path


@pytest.fixture
def patch(attention_file: Path, pairs: Path, tmp_path: Path) -> Callable[..., Result]:
    """Runs a subcommand; the table is `t.parquet`."""

    def run(command: str, *arguments: object, catch: bool = False) -> Result:
        out = ("--out", tmp_path / "t.parquet", "--overwrite")
        given = [command, pairs, "--network", attention_file, *out, *arguments]
        return CliRunner().invoke(app, [str(each) for each in given], catch_exceptions=catch)

    return run


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    return " ".join(result.output.replace("│", " ").split())


def test_puzzles_are_counted_by_themselves_and_runs_beside_them(
    patch: Callable[..., Result], tmp_path: Path
) -> None:
    text = said(patch("heads"))
    assert "2 66.7% measured their effects are in the table" in text
    assert "1 33.3% illegal_in_partner" in text
    assert "3 in all" in text
    assert "24 changed runs" in text
    assert len(pd.read_parquet(tmp_path / "t.parquet")) == 25


@pytest.mark.parametrize("name", ["zero", "mean", "resample", "scale:0.5"])
def test_an_action_is_what_the_sweep_does(
    name: str, patch: Callable[..., Result], tmp_path: Path
) -> None:
    said(patch("heads", "--action", name, "--held-out", "4", "--layers", "1"))
    found = pd.read_parquet(tmp_path / "t.parquet")
    assert set(found["direction"]) == {"ablation"}
    assert found["effect"].dropna().abs().max() > 0
    options = json.loads((tmp_path / "t.parquet.manifest.json").read_text())["options"]
    assert (options["action"], options["boards"]) == (name, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ("residual", "--layers", "0"),
        ("head-squares", "--head", "1.2"),
        ("head-sets", "--sets", "0.1+2.3"),
    ],
)
def test_every_sweep_that_patches_takes_an_action(
    arguments: tuple[str, ...], patch: Callable[..., Result], tmp_path: Path
) -> None:
    said(patch(*arguments, "--action", "zero"))
    assert set(pd.read_parquet(tmp_path / "t.parquet")["direction"]) == {"ablation"}


def test_a_set_of_entries_is_one_run(patch: Callable[..., Result], tmp_path: Path) -> None:
    text = said(patch("entries", "--head", "1.2", "--entries", "c8:e8,g6:h4", "--together"))
    assert "2 changed runs" in text
    found = pd.read_parquet(tmp_path / "t.parquet")
    assert found["label"].dropna().tolist() == ["2 entries together"] * 2
    assert "belongs to --entries LIST" in refused(patch("entries", "--head", "1.2", "--together"))


def test_the_entry_comes_with_controls_if_asked(
    patch: Callable[..., Result], tmp_path: Path
) -> None:
    said(patch("entry", "--head", "1.2", "--controls"))
    found = pd.read_parquet(tmp_path / "t.parquet")
    assert found["label"].nunique() == 5


def test_other_partners_than_the_nearest_can_be_asked_for(
    patch: Callable[..., Result], tmp_path: Path
) -> None:
    said(patch("heads", "--ranks", "1-2", "--layers", "0"))
    assert set(pd.read_parquet(tmp_path / "t.parquet")["rank"]) == {1, 2}
    said(patch("heads", "--ranks", "2", "--layers", "0"))
    assert set(pd.read_parquet(tmp_path / "t.parquet")["rank"]) == {2}
    assert "ranks are counted from 1" in refused(patch("heads", "--ranks", "0,1"))


def test_a_screen_is_checked_on_puzzles_measured_in_full(
    patch: Callable[..., Result], network: Callable[..., Network], tmp_path: Path
) -> None:
    text = said(patch("heads", "--screen", "3", "--check", "9"))
    net, some = network("attention"), [BACK_RANK, KNIGHT_SACRIFICE]
    sweep = sweeps.heads(net)
    expected = screen.agreement(
        screen.estimate(net, some, sweep), effects.measure(net, some, sweep), best=3
    )
    assert "2 puzzles measured in full" in text
    assert f"estimate and effect is {expected.spearman:.2f}" in text
    assert f"and {expected.overlap:.0%} of the 3 largest effects" in text
    assert "belongs to --screen K" in refused(patch("heads", "--check", "9"))


def test_a_screen_of_divergence_with_one_step_is_refused(patch: Callable[..., Result]) -> None:
    with pytest.raises(ValueError, match="gradient of kl is 0 at the clean run"):
        patch("residual", "--screen", "4", "--measure", "kl")


def test_lower_precision_says_how_far_effects_are_off(patch: Callable[..., Result]) -> None:
    text = said(patch("residual", "--dtype", "bfloat16"))
    assert "bfloat16: effects are off by 0." in text
    assert "(nats; 128 effects of 2 puzzles, 0." in text


def test_the_embedding_has_no_layers_to_choose(
    patch: Callable[..., Result], tmp_path: Path
) -> None:
    text = refused(patch("residual", "--site", "embedding", "--layers", "1"))
    assert "the embedding comes before all layers" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("heads", "--layers", "2-1"), "2-1 runs backwards: write 1-2"),
        (("heads", "--layers", "1,0-2"), "1 comes twice in '1,0-2'"),
        (("heads", "--action", "burn"), "'burn' is none of patch, zero, mean, resample"),
    ],
)
def test_a_mistaken_list_is_refused(
    arguments: tuple[str, ...], message: str, patch: Callable[..., Result]
) -> None:
    assert message in refused(patch(*arguments))


def test_a_head_or_piece_that_makes_no_sense_is_refused(
    patch: Callable[..., Result], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"head 1\.3 is named twice"):
        patch("head-sets", "--sets", "1.3+1.3")
    lists = tmp_path / "heads.json"
    lists.write_text('{"nite": [[0, 0]]}')
    with pytest.raises(ValueError, match="'nite' has no list of heads"):
        patch("piece-heads", "--head-lists", lists)


def test_a_control_with_fewer_heads_says_so(patch: Callable[..., Result], tmp_path: Path) -> None:
    lists = tmp_path / "heads.json"
    lists.write_text('{"rook": [[0, 0], [1, 1], [2, 2]], "knight": [[0, 3]]}')
    text = said(patch("piece-heads", "--head-lists", lists))
    assert "rook heads (3): 0.0 1.1 2.2; other pieces have only 1 for the control" in text
    assert "knight heads (1): 0.3 " in text
    options = json.loads((tmp_path / "t.parquet.manifest.json").read_text())["options"]
    assert options["other_heads"] == {"rook": 1, "knight": 1}


def test_the_help_shows_how_lists_of_heads_are_written() -> None:
    text = CliRunner().invoke(app, ["piece-heads", "--help"]).output
    assert '{"knight": [[layer, head], ...]' in " ".join(text.replace("│", " ").split())
