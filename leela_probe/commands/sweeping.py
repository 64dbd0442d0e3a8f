"""What every subcommand of `leela-probe patch` does: run its sweep and say what came out."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from leela_probe.commands import options, tables_shown, terminal

if TYPE_CHECKING:
    from leela_probe.experiments.sweeps import Choice, Sweep
    from leela_probe.files.store import Finished
    from leela_probe.networks.network import Network

__all__ = ["run", "settings", "swept"]

_SETTINGS = ("measure", "direction", "limit", "seed", "batch_size", "overwrite")


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """What the running of every sweep takes, out of a subcommand's arguments."""
    from leela_probe.positions.planes import History

    kinds = [kind.value for kind in History]
    ranks = options.numbers(given["ranks"], "--ranks") or []
    if min(ranks, default=0) < 1:
        raise typer.BadParameter("ranks are counted from 1, the nearest", param_hint="'--ranks'")
    best, check = given.get("screen"), given.get("check")
    if check is not None and best is None:
        raise typer.BadParameter("belongs to --screen K", param_hint="'--check'")
    return {name: given[name] for name in _SETTINGS if name in given} | {
        "history": History(options.choice(given["history"], kinds, "--history")),
        "ranks": ranks,
        "screen": best,
        "steps": given.get("steps", 1),
        "check": check,
        "action": given.get("action", "patch"),
        "boards": given.get("boards"),
    }


def swept(make: Callable[[Choice], Sweep], network: Network, asked: Mapping[str, Any]) -> Sweep:
    """The sweep with the action that was asked for."""
    from leela_probe.experiments import actions

    name = asked["action"]
    if not name.startswith("scale:"):
        options.choice(name, actions.NAMES, "--action")
    return actions.with_action(
        make,
        name,
        network,
        boards=asked["boards"],
        seed=asked["seed"],
        history=asked["history"],
    )


def run(
    network: Network,
    sweep: Sweep,
    made: Mapping[str, object],
    pairs: Path,
    out: Path,
    asked: dict[str, Any],
) -> None:
    """Runs a sweep over a file of pairs, writes its table and says what came out.

    Args:
        network: whose runs are changed.
        sweep: the changes.
        made: what the sweep was made with, for the manifest.
        pairs: the file.
        out: the table to write.
        asked: from `settings`.
    """
    from leela_probe.experiments import effects, screen
    from leela_probe.networks.measures import MEASURES

    options.choice(asked["measure"], MEASURES, "--measure")
    options.choice(asked.get("direction", "noising"), effects.DIRECTIONS, "--direction")
    best, steps, check = (asked.pop(name) for name in ("screen", "steps", "check"))
    action, boards = asked.pop("action"), asked.pop("boards")
    if action != "patch":
        made = {**made, "action": action, "boards": boards}
    if network.dtype != "float32":
        _tell_precision(network, pairs, sweep, asked)
    with terminal.stage("patch") as told:
        if best is None:
            finished = effects.sweep(
                network, pairs, sweep, out, options=dict(made), progress=told, **asked
            )
        else:
            finished = screen.screen(
                network,
                pairs,
                sweep,
                out,
                best=best,
                steps=steps,
                options=dict(made),
                progress=told,
                **asked,
            )
    _tell_funnel(finished, sweep)
    if check is not None:
        _tell_agreement(network, pairs, sweep, asked, best=best, steps=steps, check=check)
    print(terminal.outcome(finished))


def _tell_funnel(finished: Finished, sweep: Sweep) -> None:
    """What became of the puzzles, and how many runs were changed."""
    from leela_probe.experiments import effect_tables

    meanings = {
        "measured": "their effects are in the table",
        "no_partner": "there is no corrupted partner",
        "other_side_to_move": "the partner has the other side to move",
        "illegal_in_partner": "the first move is illegal in the partner",
        "illegal_first_move": "the first move is illegal",
        "only_legal_move": "the first move has no rival",
        "nothing_to_change": sweep.reason,
    }
    counts = effect_tables.pairs_by_verdict(finished.path)
    terminal.console().print(tables_shown.funnel(counts, meanings))
    terminal.console().print(_counted(finished.counts["measured"], "changed run"))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


_ASKED = ("measure", "direction", "history")


def _tell_precision(network: Network, pairs: Path, sweep: Sweep, asked: Mapping[str, Any]) -> None:
    """How far effects in lower precision are from those in float32, measured on some of them."""
    from leela_probe.experiments import effect_figures, precision
    from leela_probe.puzzles import pairs as pair_files

    found = precision.compare(
        network,
        terminal.load(network.path, str(network.device), input_format=int(network.input_format)),
        pair_files.read(pairs, ranks=asked["ranks"])[: asked["limit"]],
        sweep,
        **{name: asked[name] for name in _ASKED if name in asked},
    )
    if found is None:
        said = "the first puzzles cannot be measured, so the error of effects is not known"
    else:
        unit, _ = effect_figures.UNITS[asked["measure"]]
        said = (
            f"effects are off by {found.mean:.2g} on average and {found.largest:.2g} at most "
            f"({unit}; {_counted(found.effects, 'effect')} of {_counted(found.puzzles, 'puzzle')}, "
            f"{found.size:.2g} on average, measured in float32 too)"
        )
    terminal.console().print(f"{network.dtype}: {said}")


def _tell_agreement(
    network: Network,
    pairs: Path,
    sweep: Sweep,
    asked: Mapping[str, Any],
    *,
    best: int,
    steps: int,
    check: int,
) -> None:
    """How well estimates rank places, from some puzzles of which all places are measured."""
    from leela_probe.experiments import effect_tables, effects, screen
    from leela_probe.puzzles import pairs as pair_files

    every = pair_files.read(pairs, ranks=asked["ranks"])[: asked["limit"]]
    some = random.Random(asked["seed"]).sample(every, min(check, len(every)))
    question = {name: asked[name] for name in _ASKED if name in asked}
    guessed = screen.estimate(network, some, sweep, steps=steps, **question)
    if effect_tables.measured(guessed).empty:
        terminal.console().print("none of the puzzles to check the screen on can be measured")
        return
    exact = effects.measure(network, some, sweep, batch_size=asked["batch_size"], **question)
    found = screen.agreement(guessed, exact, best=best)
    terminal.console().print(
        f"{_counted(found.puzzles, 'puzzle')} measured in full: Spearman's correlation of estimate "
        f"and effect is {found.spearman:.2f}; the best {best} estimates hold the largest effect in "
        f"{found.found:.0%} of them, and {found.overlap:.0%} of the {best} largest effects"
    )
