"""What every command of `leela-probe patch` does: run its sweep and say what came out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leela_probe.commands import options, tables_shown, terminal
from leela_probe.commands.groups import BatchOptions, DeviceOptions, NetworkOptions, PuzzleOptions
from leela_probe.commands.options import Overwrite

if TYPE_CHECKING:
    from leela_probe.experiments.effects import Settings
    from leela_probe.experiments.screen import Settings as ScreenSettings
    from leela_probe.experiments.sweeps import Choice, Sweep
    from leela_probe.files.store import Finished
    from leela_probe.networks.network import Network
    from leela_probe.puzzles.pairs import Pair

__all__ = ["ActionOptions", "ScreenOptions", "SweepOptions", "Work", "begin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions(PuzzleOptions):
    """What every sweep takes: pairs, an output, a measure."""

    pairs: Annotated[
        Path,
        typer.Argument(
            help="What corrupt (or filter) wrote; or bundled:planted-puzzles.",
            metavar="PAIRS",
            callback=options.puzzle_file,
        ),
    ]
    out: Annotated[Path, typer.Option(help="The table to write: .parquet or .csv.", metavar="FILE")]
    measure: Annotated[
        str,
        options.what("Measure log_odds, probability, win_log_odds, q or kl.", metavar="NAME"),
    ] = "log_odds"
    ranks: Annotated[
        str,
        options.what(
            "Take these partners of each puzzle: 1 is the nearest, 1-3 the first three.",
            metavar="LIST",
        ),
    ] = "1"
    seed: Annotated[
        int, options.what("Seed for everything that is random.", min=0, metavar="N")
    ] = 0
    overwrite: Overwrite = False

    def chosen_ranks(self) -> list[int]:
        """The ranks of partners."""
        ranks = options.numbers(self.ranks, "--ranks") or []
        if min(ranks, default=0) < 1:
            raise typer.BadParameter(
                "ranks are counted from 1, the nearest", param_hint="'--ranks'"
            )
        return ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionOptions:
    """What is done at each place of a sweep."""

    action: Annotated[
        str,
        options.what(
            "patch, zero, mean or resample (over held-out positions), or scale:FACTOR.",
            metavar="NAME",
        ),
    ] = "patch"
    direction: Annotated[
        str,
        options.what(
            "noising: corrupted into clean; denoising: clean into corrupted.", metavar="NAME"
        ),
    ] = "noising"
    held_out: Annotated[
        int,
        options.what("For mean and resample: take N held-out positions.", min=1, metavar="N"),
    ] = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenOptions:
    """How places are screened by gradient before the best are measured."""

    screen: Annotated[
        int | None,
        options.what(
            "Rank all places by gradient, measure the best K of each puzzle.", metavar="K", min=1
        ),
    ] = None
    steps: Annotated[
        int,
        options.what(
            "With --screen: average gradients at N points between the boards.", metavar="N", min=1
        ),
    ] = 1
    check: Annotated[
        int | None,
        options.what(
            "With --screen: measure all places of N puzzles too and say how the ranks agree.",
            metavar="N",
            min=1,
        ),
    ] = None


def begin(
    sweep: SweepOptions,
    network: NetworkOptions,
    run: BatchOptions,
    *,
    action: ActionOptions | None = None,
    screen: ScreenOptions | None = None,
) -> Work:
    """A sweep that is about to be made: its options checked, its network loaded.

    Raises:
        typer.BadParameter: for an option that is none of its choices.
    """
    from leela_probe.experiments import actions, effects
    from leela_probe.networks.measures import MEASURES

    action, screen = action or ActionOptions(), screen or ScreenOptions()
    sweep.chosen_ranks()
    sweep.kind_of_history()
    options.choice(sweep.measure, MEASURES, "--measure")
    options.choice(action.direction, effects.DIRECTIONS, "--direction")
    if not action.action.startswith("scale:"):
        options.choice(action.action, actions.NAMES, "--action")
    if screen.check is not None and screen.screen is None:
        raise typer.BadParameter("belongs to --screen K", param_hint="'--check'")
    loaded = network.loaded(run)
    terminal.say_origin(sweep.pairs, loaded)
    return Work(
        network=loaded,
        file=network,
        sweep=sweep,
        run=run,
        action=action,
        screen=screen,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A sweep that is about to be made; see `begin`."""

    network: Network
    file: NetworkOptions
    sweep: SweepOptions
    run: BatchOptions
    action: ActionOptions
    screen: ScreenOptions

    def perform(self, make: Callable[[Choice], Sweep]) -> None:
        """Makes the sweep over the pairs, writes its table and says what came out.

        Args:
            make: the sweep with an action.
        """
        from leela_probe.experiments import actions, effects

        planned = actions.with_action(
            make,
            self.action.action,
            self.network,
            boards=self.action.held_out,
            seed=self.sweep.seed,
            history=self.sweep.kind_of_history(),
        )
        if self.network.dtype != "float32":
            self._say_precision(planned)
        with terminal.stage("patch") as progress:
            finished = effects.sweep(
                self.network,
                self.sweep.pairs,
                planned,
                self.sweep.out,
                self._settings() if self.screen.screen is None else self._screened(),
                overwrite=self.sweep.overwrite,
                progress=progress,
            )
        _say_funnel(finished, planned)
        if self.screen.check is not None:
            self._say_agreement(planned, check=self.screen.check)
        print(terminal.outcome(finished))

    def _settings(self) -> Settings:
        from leela_probe.experiments import effects

        return effects.Settings(
            measure=self.sweep.measure,
            direction=self.action.direction,
            history=self.sweep.kind_of_history(),
            batch_size=self.run.batch_size,
            limit=self.sweep.limit,
            ranks=tuple(self.sweep.chosen_ranks()),
            seed=self.sweep.seed,
        )

    def _screened(self) -> ScreenSettings:
        from leela_probe.experiments import screen

        return screen.Settings.of(
            self._settings(), best=self.screen.screen or 1, steps=self.screen.steps
        )

    def _pairs(self) -> list[Pair]:
        from leela_probe.puzzles import pairs as pair_files

        pairs = pair_files.read(self.sweep.pairs, ranks=self.sweep.chosen_ranks())
        return pairs[: self.sweep.limit]

    def _say_precision(self, planned: Sweep) -> None:
        """How far effects in lower precision are from those in float32, on a few puzzles."""
        from leela_probe.experiments import precision
        from leela_probe.networks.measures import MEASURES

        found = precision.compare(
            self.network,
            self.file.loaded(DeviceOptions(device=self.run.device)),
            self._pairs(),
            planned,
            self._settings(),
        )
        if found is None:
            text = "the first puzzles cannot be measured, so the error of effects is not known"
        else:
            unit = MEASURES[self.sweep.measure].unit
            text = (
                f"effects are off by {found.mean:.2g} on average and {found.largest:.2g} at most "
                f"({unit}; {_counted(found.effects, 'effect')} of "
                f"{_counted(found.puzzles, 'puzzle')}, {found.size:.2g} on average, measured in "
                "float32 too)"
            )
        terminal.console().print(f"{self.network.dtype}: {text}")

    def _say_agreement(self, planned: Sweep, *, check: int) -> None:
        """How well estimates rank places, from some puzzles of which all places are measured."""
        from leela_probe.experiments import effect_tables, effects, screen

        pairs = self._pairs()
        drawn = random.Random(self.sweep.seed).sample(pairs, min(check, len(pairs)))
        screened = self._screened()
        estimated = screen.estimate(self.network, drawn, planned, screened)
        if effect_tables.measured(estimated).empty:
            terminal.console().print("none of the puzzles to check the screen on can be measured")
            return
        exact = effects.measure(self.network, drawn, planned, self._settings())
        best = screened.best
        found = screen.agreement(estimated, exact, best=best)
        terminal.console().print(
            f"{_counted(found.puzzles, 'puzzle')} measured in full: Spearman's correlation of "
            f"estimate and effect is {found.spearman:.2f}; the best {best} estimates hold the "
            f"largest effect in {found.found:.0%} of them, and {found.overlap:.0%} of the {best} "
            "largest effects"
        )


def _say_funnel(finished: Finished, planned: Sweep) -> None:
    """What became of the puzzles, and how many runs were changed."""
    from leela_probe.experiments import effect_tables

    meanings = {
        "measured": "their effects are in the table",
        "no_partner": "there is no corrupted partner",
        "other_side_to_move": "the partner has the other side to move",
        "illegal_in_partner": "the first move is illegal in the partner",
        "illegal_first_move": "the first move is illegal",
        "only_legal_move": "the first move has no rival",
        "nothing_to_change": planned.reason,
    }
    counts = effect_tables.pairs_by_verdict(finished.path)
    terminal.console().print(tables_shown.funnel(counts, meanings))
    terminal.console().print(_counted(finished.counts["measured"], "changed run"))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
