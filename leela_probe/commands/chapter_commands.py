"""The commands that chapters of the study bring along: one table of a file of puzzles each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leela_probe.commands import options, terminal
from leela_probe.commands.groups import DeviceOptions, NetworkOptions, PuzzleOptions
from leela_probe.commands.registration import Command
from leela_probe.study import contents

if TYPE_CHECKING:
    from rich.table import Table

    from leela_probe.study import chapter
    from leela_probe.study.chapter import Shown

__all__ = ["commands"]


def commands() -> tuple[Command, ...]:
    """The commands of all chapters that have one, `leela-probe NAME PUZZLES --network NET`."""
    return tuple(map(_command, contents.commands()))


def _command(brought: chapter.Command) -> Command:
    def run(
        puzzles: options.FilteredPuzzles,
        out: options.Out,
        overwrite: options.Overwrite = False,
        *,
        network: NetworkOptions,
        taken: PuzzleOptions,
        device: DeviceOptions,
    ) -> None:
        from leela_probe.commands import outputs

        history = taken.kind_of_history()
        with terminal.overwriting():
            outputs.claim(out, outputs.TABLES, overwrite=True)  # the stage refuses what must stay
        loaded = network.loaded(device)
        terminal.say_origin(puzzles, loaded)
        with terminal.stage(brought.name) as progress:
            finished = brought.measure(
                loaded,
                puzzles,
                out,
                history=history,
                limit=taken.limit,
                overwrite=overwrite,
                progress=progress,
            )
        terminal.console().print(_table(brought.show(finished.path)))
        print(terminal.outcome(finished))

    run.__name__ = brought.name
    run.__doc__ = brought.help
    example = (
        f"leela-probe {brought.name} filtered.parquet --network bundled:strong "
        f"--out {brought.name}.parquet"
    )
    return Command(name=brought.name, run=run, examples=(example,))


def _table(shown: Shown) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(shown.head):
        table.add_column(name, justify="right" if place else "left", no_wrap=place == 0)
    for row in shown.rows:
        table.add_row(*row)
    return table
