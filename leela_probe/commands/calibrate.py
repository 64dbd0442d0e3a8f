"""The subcommand `leela-probe calibrate`: the experiments on networks whose look-ahead is known.

Stands on `terminal`, `options` and `findings`, and on the room that does the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal
from leela_probe.files import bundled

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

__all__ = ["calibrate"]

_WANTED = "What is wanted"
_TRAINED = ("strong=bundled:strong", "weak=bundled:weak")


def calibrate(
    out: Annotated[
        Path,
        typer.Option(help="The folder for networks and tables.", metavar="DIR", show_default=False),
    ],
    seeds: Annotated[
        int,
        typer.Option(
            help="Random networks, for the false alarms.",
            min=1,
            metavar="N",
            rich_help_panel=_WANTED,
        ),
    ] = 20,
    puzzles: Annotated[
        int,
        typer.Option(
            help="Puzzles for each planted network.", min=10, metavar="N", rich_help_panel=_WANTED
        ),
    ] = 200,
    seed: Annotated[
        int,
        typer.Option(help="Of networks and puzzles.", min=0, metavar="N", rich_help_panel=_WANTED),
    ] = 0,
    networks: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="A network whose truth is not known; can be given several times "
            "[default: strong=bundled:strong weak=bundled:weak]",
            metavar="NAME=FILE",
            rich_help_panel=_WANTED,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Run every experiment on networks whose look-ahead is known.

    Networks with a planted mechanism show what is found and with how many puzzles,
    those with nothing to find how often something is found all the same.

    Killed and started again it goes on where it was.
    """
    from leela_probe.commands import findings
    from leela_probe.files import store
    from leela_probe.organisms import calibration

    wanted = calibration.organisms(seeds=seeds, seed=seed, files=_files(networks or _TRAINED))
    if not out.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(out.parent)!r} is not there: make it first")
    out.mkdir(exist_ok=True)
    with terminal.stage("calibrate") as told:
        finished = calibration.run(out, wanted, puzzles=puzzles, overwrite=overwrite, progress=told)
    import pandas as pd

    table = calibration.summary(pd.read_parquet(finished.path))
    written = out / "summary.csv"
    findings.write_table(
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
    console.print(
        "rank: of the worst of those to find, 1 being the largest effect; effect: nats of\n"
        "the first move's log odds, planted minus placebo line, with its 95 % interval\n"
        "(- where all puzzles agree); p: corrected for the number of locations; alarms:\n"
        "networks with p <= 0.05 somewhere; rate: with its exact 95 % interval; plain:\n"
        "alarms if any effect on the planted line were taken for look-ahead."
    )
    print(f"wrote {finished.path}, {written} and {store.manifest_path(written).name}")


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
    words = ("organism", "experiment", "to find", "outcome")
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
        "organism", "experiment", "to find", "outcome", "rank", "effect", "low", "high", "p",
    )  # fmt: skip
    for row in _rows(table[table["networks"] == 1]):
        rank = "-" if _missing(row["rank"]) else f"{row['rank']:.0f}/{row['locations']}"
        grid.add_row(
            row["organism"],
            row["experiment"],
            row["to_find"],
            row["verdict"],
            rank,
            *(_number(row[name], "{:.2f}") for name in ("effect", "low", "high")),
            _number(row["p"], "{:.3f}"),
        )
    return grid


def _power(table: pd.DataFrame) -> Table:
    """Power by the number of puzzles."""
    names = [str(name) for name in table if str(name).startswith("power_")]
    sizes = [name.removeprefix("power_") for name in names]
    grid = _grid(
        "Power at so many puzzles: planted in all of them, and in 1 of 5",
        "organism", "experiment", *sizes, "|", *sizes,
    )  # fmt: skip
    grid.padding = (0, 1, 0, 0)
    for row in _rows(table[table["power_10"].notna()]):
        cells = [
            _number(row[f"{kind}{name}"], "{:.2f}") for kind in ("", "weak_") for name in names
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
