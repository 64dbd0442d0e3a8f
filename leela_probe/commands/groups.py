"""Groups of options: what several commands share is declared once and handed over as one record.

A group is a frozen dataclass whose fields are annotated options. A command takes a group as one
keyword parameter, and `spread` shows the group's options to the command line in its place.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leela_probe.commands import options, terminal

if TYPE_CHECKING:
    import pandas as pd

    from leela_probe.networks.network import Network
    from leela_probe.positions.planes import History
    from leela_probe.puzzles.criteria import Criteria
    from leela_probe.puzzles.partners import Search

__all__ = [
    "BatchOptions",
    "CascadeOptions",
    "CriteriaOptions",
    "DeviceOptions",
    "HeadOptions",
    "HistoryOptions",
    "IntervalOptions",
    "NetworkOptions",
    "NetworkPairOptions",
    "PuzzleOptions",
    "RowOptions",
    "SearchOptions",
    "spread",
]


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as the command line sees it: each group of options in place of its parameter.

    Args:
        command: a function; each parameter whose type is a dataclass is a group of options.

    Raises:
        TypeError: if two parameters or options of the command have the same name.

    Example:
        >>> @dataclasses.dataclass(frozen=True, kw_only=True)
        ... class RunOptions:
        ...     device: str = "cpu"
        ...     dtype: str = "float32"
        >>> @spread
        ... def show(net: str, *, run: RunOptions) -> None:
        ...     print(net, run)
        >>> list(inspect.signature(show).parameters)
        ['net', 'device', 'dtype']
        >>> show(net="maia", device="cuda", dtype="float16")
        maia RunOptions(device='cuda', dtype='float16')
    """
    types = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {
        name: type_ for name, type_ in types.items() if dataclasses.is_dataclass(type_)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _parameters(groups[name])
        else:
            keyword = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=keyword, annotation=types[name]))
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TypeError(f"{command.__name__} has two options of the name {twice!r}: rename one")

    @functools.wraps(command)
    def called(**values: Any) -> None:
        records = {
            name: group(
                **{field.name: values.pop(field.name) for field in dataclasses.fields(group)}
            )
            for name, group in groups.items()
        }
        command(**values, **records)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


@functools.cache
def _parameters(group: Any) -> list[inspect.Parameter]:
    """The options of a group as parameters with types; many commands have the same groups."""
    types = typing.get_type_hints(group, include_extras=True)
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=types[parameter.name])
        for parameter in inspect.signature(group).parameters.values()
    ]


# How it runs


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """Where a network runs and in which precision."""

    device: Annotated[
        str,
        options.run("Run torch on cpu, cuda or cuda:1.", metavar="NAME"),
    ] = "cpu"
    dtype: Annotated[
        str,
        options.run("Compute in float32, tf32, bfloat16 or float16.", metavar="TYPE"),
    ] = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions(DeviceOptions):
    """Where and how many positions at once a network runs."""

    batch_size: Annotated[
        int | None,
        options.run(
            "Run at most N positions at once.",
            default="as suits the device",
            min=1,
            max=65536,
            metavar="N",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeOptions(BatchOptions):
    """How two networks judge a stream of puzzles."""

    workers: Annotated[
        int | None,
        options.run(
            "Feed the networks from N processes.",
            default="one per core, minus one",
            min=0,
            metavar="N",
        ),
    ] = None

    def positions_at_once(self) -> int:
        """The batch size where networks only judge positions."""
        return 256 if self.batch_size is None else self.batch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalOptions:
    """How uncertainty is computed."""

    confidence: Annotated[
        float,
        options.run("Confidence level of the intervals.", min=0.5, max=0.9999, metavar="P"),
    ] = 0.95
    resamples: Annotated[
        int, options.run("Draw N bootstrap samples of games.", min=99, metavar="N")
    ] = 2000
    seed: Annotated[int, options.run("Seed for the resampling.", min=0, metavar="N")] = 0


# Networks


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadOptions:
    """What is taken of a network's file where it leaves a choice."""

    input_format: Annotated[
        int | None,
        options.run(
            "Encode boards in this input format: 1 to 5, 132 or 133.",
            default="as the file says",
            metavar="N",
        ),
    ] = None
    policy_head: Annotated[
        str | None,
        options.run(
            "Take this policy head of a .pb.gz with several: vanilla, optimistic, soft, opponent.",
            default="vanilla",
            metavar="NAME",
        ),
    ] = None
    value_head: Annotated[
        str | None,
        options.run(
            "Take this value head of a .pb.gz with several: winner, q, st.",
            default="winner",
            metavar="NAME",
        ),
    ] = None

    def load(self, path: Path, on: DeviceOptions) -> Network:
        """The network in a file, on a device."""
        return terminal.load(
            path, on.device, on.dtype, self.input_format, self.policy_head, self.value_head
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions(HeadOptions):
    """The network that is worked with, named by an option."""

    network: Annotated[
        Path,
        typer.Option(
            "--network", help="The network: a file, or bundled:strong.", metavar="NET",
            callback=options.network_file,
        ),
    ]  # fmt: skip

    def loaded(self, on: DeviceOptions) -> Network:
        """The network on a device."""
        return self.load(self.network, on)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPairOptions:
    """The strong network and the weak one that it is held against."""

    strong: Annotated[
        Path,
        typer.Option(
            help="The network that may look ahead: a file, or bundled:strong.",
            metavar="NET",
            callback=options.network_file,
        ),
    ]
    weak: Annotated[
        Path,
        typer.Option(
            help="A network that recognises but does not look ahead: a file, or bundled:weak.",
            metavar="NET",
            callback=options.network_file,
        ),
    ]
    strong_format: Annotated[
        int | None,
        options.run(
            "Input format of the strong network: 1 to 5, 132 or 133.",
            default="as its file says",
            metavar="N",
        ),
    ] = None
    weak_format: Annotated[
        int | None,
        options.run(
            "Input format of the weak network: 1 to 5, 132 or 133.",
            default="as its file says",
            metavar="N",
        ),
    ] = None

    def load(self, on: DeviceOptions) -> tuple[Network, Network]:
        """The strong and the weak network on a device."""
        return (
            terminal.load(
                self.strong, on.device, on.dtype, self.strong_format,
                format_option="--strong-format",
            ),
            terminal.load(
                self.weak, on.device, on.dtype, self.weak_format, format_option="--weak-format"
            ),
        )  # fmt: skip


# Puzzles


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryOptions:
    """What two networks see of the positions before a board; not given, the preset decides."""

    weak_history: Annotated[
        str | None,
        options.what(
            "History planes of the weak network: filled, known, current or jenner2024-weak.",
            default="filled",
            metavar="KIND",
        ),
    ] = None
    strong_history: Annotated[
        str | None,
        options.what(
            "History planes of the strong network: the same choices.",
            default="filled",
            metavar="KIND",
        ),
    ] = None

    def weak(self) -> History | None:
        """The kind of history of the weak network, if one is given."""
        return options.history(self.weak_history, "--weak-history")

    def strong(self) -> History | None:
        """The kind of history of the strong network, if one is given."""
        return options.history(self.strong_history, "--strong-history")


@dataclass(frozen=True, slots=True, kw_only=True)
class PuzzleOptions:
    """Which puzzles of a table are taken, and what stands for the positions before them."""

    history: Annotated[
        str, options.what("History planes: filled, known or current.", metavar="KIND")
    ] = "filled"
    limit: Annotated[
        int | None, options.what("Take only the first N puzzles.", min=1, metavar="N")
    ] = None

    def kind_of_history(self) -> History:
        """The kind of history planes.

        Raises:
            typer.BadParameter: if there is no such kind.
        """
        from leela_probe.positions.planes import History

        kinds = (History.FILLED, History.KNOWN, History.CURRENT)
        return History(options.choice(self.history, [kind.value for kind in kinds], "--history"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CriteriaOptions:
    """Thresholds that a puzzle has to meet; those not given are the preset's."""

    max_weak_first: Annotated[
        float | None,
        options.threshold(
            "Hard: the weak network gives the first move less than P.", default="0.05"
        ),
    ] = None
    min_strong_solver: Annotated[
        float | None,
        options.threshold(
            "Correct: the strong network gives each of the solver's moves more than P.",
            default="0.5",
        ),
    ] = None
    min_weak_reply: Annotated[
        float | None,
        options.threshold(
            "Forcing: the weak network gives the reply to the first move more than P.",
            default="0.7",
        ),
    ] = None

    def criteria(self, preset: str) -> Criteria:
        """The preset's criteria with the thresholds that were given."""
        from leela_probe.puzzles import criteria

        options.choice(preset, criteria.PRESETS, "--preset")
        return options.override(
            criteria.PRESETS[preset],
            hard=self.max_weak_first,
            correct=self.min_strong_solver,
            forcing=self.min_weak_reply,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """What a corrupted input has to do to the networks; thresholds not given are the preset's."""

    max_weak_drop: Annotated[
        float | None,
        options.what(
            "The weak network's log odds of the first move fall by less than this.",
            default="0.2",
            metavar="NATS",
        ),
    ] = None
    min_value_drop: Annotated[
        float | None,
        options.what(
            "The strong network's value (win minus loss) falls by more than this.",
            default="0.1",
            metavar="Q",
        ),
    ] = None
    max_strong_first: Annotated[
        float | None,
        options.threshold(
            "The strong network gives the first move less than P after the change.", default="0.1"
        ),
    ] = None
    max_weak_divergence: Annotated[
        float | None,
        options.what(
            "The weak network's policy changes by no more than this (Jensen-Shannon).",
            default="0.2",
            metavar="NATS",
            min=0,
        ),
    ] = None

    def search(self, preset: str) -> Search:
        """The preset's search with the thresholds that were given."""
        from leela_probe.puzzles import partners

        options.choice(preset, partners.PRESETS, "--preset")
        return options.override(
            partners.PRESETS[preset],
            log_odds=self.max_weak_drop,
            value=self.min_value_drop,
            probability=self.max_strong_first,
            divergence=self.max_weak_divergence,
        )


# Effects


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """Which rows of an effects table are taken."""

    layers: Annotated[
        str | None, options.what("Take only these layers: 3 or 8-11 or 0,5,10.", metavar="LIST")
    ] = None
    where: Annotated[
        list[str] | None,
        options.what(
            "Take only such rows: head=3, target_pattern=112,123 or mate=true; may be repeated.",
            metavar="COLUMN=VALUES",
        ),
    ] = None
    differing_targets: Annotated[
        bool,
        options.flag("--differing-targets", "Take only puzzles whose 1st and 3rd target differ."),
    ] = False
    overlapping: Annotated[
        bool,
        options.flag(
            "--overlapping",
            "Count a square in each of its categories, not once as corrupted, else 1st, else 3rd "
            "target.",
        ),
    ] = False

    def conditions(self) -> dict[str, list[str]]:
        """The values that rows may have, by column.

        Raises:
            typer.BadParameter: if a condition cannot be read, or layers are chosen twice.
        """
        found = options.conditions(self.where)
        chosen = options.numbers(self.layers, "--layers")
        if chosen is not None:
            if "layer" in found:
                raise typer.BadParameter(
                    "--where chooses layers too: give one of the two", param_hint="'--layers'"
                )
            found["layer"] = [str(layer) for layer in chosen]
        return found

    def read(self, effects: Path, *, screened: bool = False) -> pd.DataFrame:
        """These rows of an effects table; see `effects_selection.read`."""
        from leela_probe.commands import effects_selection

        return effects_selection.read(
            effects,
            where=self.conditions(),
            differing_targets=self.differing_targets,
            screened=screened,
        )

    def by_category(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with one category each; see `effects_selection.by_category`."""
        from leela_probe.commands import effects_selection

        return effects_selection.by_category(
            rows, overlapping=self.overlapping, only=self.conditions().get("category")
        )
