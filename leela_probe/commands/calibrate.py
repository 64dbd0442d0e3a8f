"""The command `leela-probe calibrate`: the experiments on networks whose look-ahead is known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal
from leela_probe.commands.registration import Command
from leela_probe.files import bundled

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

__all__ = ["COMMAND", "calibrate"]

_PLAYED = 0.5  # networks that give the first moves less would play others


def calibrate(
    out: Annotated[
        Path,
        typer.Option(help="The folder for networks and tables.", metavar="DIR", show_default=False),
    ],
    seeds: Annotated[
        int,
        options.what(
            "Take N random networks for the false alarms, and a quarter as many of other kinds.",
            min=1,
            metavar="N",
        ),
    ] = 20,
    puzzles: Annotated[
        int, options.what("Make N puzzles for each planted network.", min=10, metavar="N")
    ] = 200,
    seed: Annotated[
        int, options.what("Seed for the networks and puzzles.", min=0, metavar="N")
    ] = 0,
    networks: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="Also take a network whose truth is not known, on random captures of a knight; "
            "can be given several times.",
            show_default=False,
            metavar="NAME=FILE",
            rich_help_panel="What is done",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Run the experiments on networks whose look-ahead is known.

    Networks with a planted mechanism show what is found and with how many
    puzzles, those with nothing to find how often something is found all the
    same. Stopped and started again, it goes on where it was.

    Two experiments are left out: a probe finds the third move's square in any
    network here, since in these puzzles it follows from the first move's, and
    the heads of single pieces need longer lines.
    """
    from leela_probe.files import derived, manifests, tables
    from leela_probe.organisms import calibration

    wanted = calibration.organisms(seeds=seeds, seed=seed, files=_files(networks or ()))
    if not out.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(out.parent)!r} is not there: make it first")
    out.mkdir(exist_ok=True)
    with terminal.stage("calibrate") as progress:
        finished = calibration.calibrate(
            out, wanted, puzzles=puzzles, overwrite=overwrite, progress=progress
        )
    table = calibration.summary(tables.read(finished.path, calibration.SCHEMA))
    written = out / "summary.csv"
    derived.write_with_manifest(
        table,
        written,
        name="calibrate summary",
        inputs={"calibration": finished.path},
        options={},
    )
    console = terminal.console()
    for part in (_planted(table), _power(table), _alarms(table)):
        console.print(part)
        console.print()
    console.print(_LEGEND)
    for line in _first_moves(table):
        console.print(line)
    print(f"wrote {finished.path}, {written} and {manifests.manifest_path(written).name}")


COMMAND = Command(
    name="calibrate",
    run=calibrate,
    examples=("leela-probe calibrate --out calibration --seeds 20",),
)


_LEGEND = """\
rank: of the worst of those to find, 1 being the largest effect; for the
residual stream then the median rank of that square among the 64; at: the
location of effect and p: of those to find the one with the largest p, else of
all the one with the smallest; effect: nats of the first move's log odds,
planted minus placebo line (complement: placebo minus planted; attention:
share of it; attention rank: halvings of the rank), with its 95 % interval (-
where too few puzzles differ for one); p: corrected for the number of
locations; power: share of 100 sets drawn with putting back, a 95 % interval
reaching 0.1 at most; alarms: networks with p <= 0.05 somewhere; rate: with
its exact 95 % interval; plain: alarms if any effect on the planted line were
taken for look-ahead."""


def _first_moves(table: pd.DataFrame) -> list[str]:
    """What networks of others make of the puzzles' first moves, a line each."""
    from leela_probe.organisms.calibration import UNKNOWN

    theirs = table[table["planted"] == UNKNOWN].drop_duplicates("organism")
    return [
        f"{name}: the first moves have a median probability of {likely:.2f}"
        + (
            ""
            if likely >= _PLAYED
            else ";\nwhat it does with moves of its own choice this does not say."
        )
        for name, likely in zip(theirs["organism"], theirs["first_move"], strict=True)
    ]


def _files(given: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in given:
        name, sign, path = text.partition("=")
        if not sign or not name or not path:
            raise typer.BadParameter(
                f"{text!r} is not NAME=FILE, such as t82=t82.pb.gz", param_hint="'--network'"
            )
        if name in found:
            raise typer.BadParameter(
                f"{name} comes twice: give each network a name", param_hint="'--network'"
            )
        found[name] = bundled.resolve(path)
    return found


def _grid(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    words = ("organism", "experiment", "to find", "outcome", "at")
    for name in columns:
        table.add_column(name, justify="left" if name in words else "right", overflow="fold")
    return table


def _rows(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows in order, an organism's name in its first row alone."""
    rows: list[dict[str, Any]] = found.to_dict("records")  # type: ignore[assignment]
    names = [row["organism"] for row in rows]
    for row, before in zip(rows, ["", *names], strict=False):
        row["organism"] = "" if row["organism"] == before else row["organism"]
    return rows


def _planted(table: pd.DataFrame) -> Table:
    """What one network of each kind showed."""
    grid = _grid(
        "One network each",
        "experiment", "to find", "outcome", "rank", "at", "effect", "low", "high", "p",
    )  # fmt: skip
    grid.padding = (0, 1, 0, 0)
    for row in _rows(table[table["networks"] == 1]):
        if row["organism"]:
            grid.add_row(row["organism"], style="bold")
        rank = "-" if _missing(row["rank"]) else f"{row['rank']:.0f}/{row['locations']}"
        if not _missing(row["square_rank"]):
            rank += f" {row['square_rank']:.0f}/64"
        grid.add_row(
            row["experiment"],
            row["to_find"],
            row["verdict"],
            rank,
            row["location"],
            *(_number(row[name], "{:.2f}") for name in ("effect", "low", "high")),
            _number(row["p"], "{:.3f}"),
        )
    return grid


def _power(table: pd.DataFrame) -> Table:
    """Power by the number of puzzles."""
    from leela_probe.organisms.power import SIZES

    sizes = list(map(str, SIZES))
    grid = _grid(
        "Power at so many puzzles: planted in all of them, and in 1 of 5",
        "organism", "experiment", *sizes, "|", *sizes,
    )  # fmt: skip
    grid.padding = (0, 1, 0, 0)
    for row in _rows(table[table["power_10"].notna()]):
        cells = [
            _number(row[f"{kind}power_{size}"], "{:.2f}")
            for kind in ("", "weak_")
            for size in sizes
        ]
        grid.add_row(
            row["organism"], row["experiment"], *cells[: len(sizes)], "|", *cells[len(sizes) :]
        )
    return grid


def _alarms(table: pd.DataFrame) -> Table:
    """How often something was found where there is nothing."""
    grid = _grid(
        "Where there is nothing to find",
        "organism", "experiment", "networks", "alarms", "rate", "low", "high", "plain",
    )  # fmt: skip
    for row in _rows(table[table["planted"] == "nothing"]):
        grid.add_row(
            row["organism"],
            row["experiment"],
            str(row["networks"]),
            str(row["rejections"]),
            *(_number(row[name], "{:.2f}") for name in ("rate", "rate_low", "rate_high")),
            str(row["plain_rejections"]),
        )
    return grid


def _missing(value: float | None) -> bool:
    return value is None or value != value


def _number(value: float | None, style: str) -> str:
    return "-" if value is None or value != value else style.format(value + 0.0)
