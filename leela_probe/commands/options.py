"""Arguments and options of the subcommands, each described once, and how choices are checked.

A value that is not among its choices is a mistaken command line, and the message lists the choices;
they are looked up only when a command runs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from leela_probe.positions.planes import History

__all__ = [
    "DTYPES",
    "choice",
    "choices",
    "conditions",
    "control",
    "entry",
    "file",
    "flag",
    "head",
    "history",
    "network_file",
    "numbers",
    "override",
    "puzzle_file",
    "run",
    "threshold",
    "what",
]  # and the options, which only the command line is made of

DTYPES = ("float32", "tf32", "bfloat16", "float16")


def choice(value: str, allowed: Iterable[object], option: str) -> str:
    """The value itself, if it is one of those allowed.

    Raises:
        typer.BadParameter: listing those, if it is not.

    Example:
        >>> choice("float16", DTYPES, "--dtype")
        'float16'
    """
    names = [str(each) for each in allowed]
    if value not in names:
        raise typer.BadParameter(
            f"{value!r} is none of {', '.join(names)}", param_hint=repr(option)
        )
    return value


def choices(text: str, allowed: Sequence[str], option: str) -> tuple[str, ...]:
    """The values of a list such as add,move, if each is one of those allowed.

    Raises:
        typer.BadParameter: listing those, if one is not.
    """
    return tuple(choice(name.strip(), allowed, option) for name in text.split(","))


def history(name: str | None, option: str) -> History | None:
    """The kind of history of that name; None where none is given.

    Raises:
        typer.BadParameter: listing those there are, if there is no such kind.
    """
    if name is None:
        return None
    from leela_probe.positions.planes import History

    return History(choice(name, [kind.value for kind in History], option))


def input_format(number: int | None, option: str) -> int | None:
    """The number of an input format, if it is one; None where none is given.

    Raises:
        typer.BadParameter: listing those there are, if it is not.
    """
    if number is not None:
        from leela_probe.positions.planes import InputFormat

        choice(str(number), map(int, InputFormat), option)
    return number


def numbers(text: str | None, option: str) -> list[int] | None:
    """The numbers of a list such as 3 or 8-11 or 0,5,10; None stays None.

    Raises:
        typer.BadParameter: if it is not such a list, a range runs backwards or a number repeats.

    Example:
        >>> numbers("0,8-11", "--layers")
        [0, 8, 9, 10, 11]
    """
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise typer.BadParameter(
                f"{part!r} is neither a number nor a range such as 8-11", param_hint=repr(option)
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise typer.BadParameter(
                f"{part.strip()} runs backwards: write {last}-{first}", param_hint=repr(option)
            )
        found.extend(range(first, last + 1))
    twice = [number for number in found if found.count(number) > 1]
    if twice:
        raise typer.BadParameter(f"{twice[0]} comes twice in {text!r}", param_hint=repr(option))
    return found


def head(text: str, option: str) -> tuple[int, int]:
    """The layer and head of a name such as 12.12 or L12H12.

    Raises:
        typer.BadParameter: if it is not a head.

    Example:
        >>> head("12.7", "--head"), head("L3H0", "--head")
        ((12, 7), (3, 0))
    """
    match = re.fullmatch(r"\s*L?(\d+)(?:\.|H)(\d+)\s*", text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a head: write LAYER.HEAD, such as 12.12", param_hint=repr(option)
        )
    return int(match[1]), int(match[2])


_Given = TypeVar("_Given", Path, Path | None)


def file(given: _Given) -> _Given:
    """The file itself where a bundled one is named (`bundled:mates`); else the path as it is.

    Raises:
        typer.BadParameter: if there is no such name.
    """
    from leela_probe.files import bundled

    try:
        return None if given is None else bundled.resolve(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def entry(text: str, option: str) -> tuple[int, int]:
    """The query and key square, on the mover's board, of an entry such as g6:h4.

    Raises:
        typer.BadParameter: if it is not an entry.

    Example:
        >>> entry("a1:h8", "--entries")
        (0, 63)
    """
    from leela_probe.positions import squares

    query, found, key = text.strip().partition(":")
    if not found:
        raise typer.BadParameter(
            f"{text!r} is not an entry: write QUERY:KEY, such as g6:h4", param_hint=repr(option)
        )
    return squares.parse_name(query), squares.parse_name(key)


def conditions(given: list[str] | None) -> dict[str, list[str]]:
    """Values by column out of texts such as layer=3 and target_pattern=112,123.

    Raises:
        typer.BadParameter: if a text is not such a condition, or a column comes twice.

    Example:
        >>> conditions(["layer=3", "target_pattern=112,123"])
        {'layer': ['3'], 'target_pattern': ['112', '123']}
    """
    found: dict[str, list[str]] = {}
    for text in given or ():
        column, sign, values = text.partition("=")
        if not sign or not values.strip():
            raise typer.BadParameter(
                f"{text!r} is not a condition: write COLUMN=VALUE, such as layer=3",
                param_hint="'--where'",
            )
        if column.strip() in found:
            raise typer.BadParameter(
                f"{column.strip()} comes twice: write all its values as one, {column.strip()}=A,B",
                param_hint="'--where'",
            )
        found[column.strip()] = [value.strip() for value in values.split(",")]
    return found


def network_file(given: Path) -> Path:
    """The network's file where a bundled one is named (`bundled:strong`); else the path as it is.

    Raises:
        typer.BadParameter: if no bundled network has the name; the message lists those there are.
    """
    return _bundled(given, "network")


def puzzle_file(given: Path) -> Path:
    """The file where bundled puzzles are named (`bundled:mates`); else the path as it is.

    Raises:
        typer.BadParameter: if no bundled puzzles have the name; the message lists those there are.
    """
    return _bundled(given, "puzzles")


def _bundled(given: Path, kind: str) -> Path:
    from leela_probe.files import bundled

    known = [
        bundled.PREFIX + name
        for name, file in bundled.FILES.items()
        if file.endswith(".csv") == (kind == "puzzles")
    ]
    if bundled.is_bundled(given) and str(given) not in known:
        raise typer.BadParameter(
            f"no {kind} of the name {str(given)!r}: there are {', '.join(known)}"
        )
    return bundled.resolve(given)


_Record = TypeVar("_Record")


def override(record: _Record, **values: object) -> _Record:
    """The record with those of its fields changed for which a value is given, not None.

    Example:
        >>> from leela_probe.puzzles.criteria import Criteria
        >>> override(Criteria(), hard=0.1, forcing=None)
        Criteria(hard=0.1, correct=0.5, forcing=0.7, plies=3, weak_history=<History.FILLED: \
'filled'>, strong_history=<History.FILLED: 'filled'>)
    """
    given = {name: value for name, value in values.items() if value is not None}
    return dataclasses.replace(record, **given)  # type: ignore[type-var]


# How an option is declared. `what` is about the result and `run` about how it is computed: each has
# a panel of its own in the help. `default` is for one that a preset or a file decides.


def what(
    help: str,
    *names: str,
    default: str | None = None,
    metavar: str | None = None,
    min: int | float | None = None,
    max: int | float | None = None,
) -> Any:
    """An option that changes what is computed."""
    return _option(help, names, default, metavar, min, max, "What is done")


def run(
    help: str,
    *names: str,
    default: str | None = None,
    metavar: str | None = None,
    min: int | float | None = None,
    max: int | float | None = None,
) -> Any:
    """An option that changes how it is computed."""
    return _option(help, names, default, metavar, min, max, "How it runs")


def control(help: str, *, metavar: str, min: int) -> Any:
    """An option for what a result is held against."""
    return _option(help, (), None, metavar, min, None, "Controls")


def threshold(help: str, *, default: str) -> Any:
    """An option for a bound on a probability."""
    return what(help, default=default, metavar="P", min=0, max=1)


def flag(name: str, help: str, *, panel: str = "What is done") -> Any:
    """An option without a value."""
    return typer.Option(name, help=help, metavar="", rich_help_panel=panel)


def _option(
    help: str,
    names: Sequence[str],
    default: str | None,
    metavar: str | None,
    least: int | float | None,
    most: int | float | None,
    panel: str,
) -> Any:
    return typer.Option(
        *names,
        help=help if default is None else f"{help} \\[default: {default}]",
        show_default=default is None,
        metavar=metavar,
        min=least,
        max=most,
        rich_help_panel=panel,
    )


# Networks

Net = Annotated[
    Path,
    typer.Argument(
        help="An .onnx file, or a .pb.gz or .pb, which lc0 converts; or bundled:strong.",
        metavar="NET",
        callback=network_file,
    ),
]
Overwrite = Annotated[
    bool, flag("--overwrite", "Replace what is there already.", panel="How it runs")
]

# Puzzles

Dump = Annotated[
    Path,
    typer.Argument(
        help="Lichess puzzles: CSV (plain, .zst, .gz, .bz2, .xz, or a pipe) or Parquet; or "
        "bundled:mates.",
        metavar="DUMP",
        callback=puzzle_file,
    ),
]
Puzzles = Annotated[
    Path,
    typer.Argument(
        help="What filter wrote, or a puzzle dump, or bundled:mates.",
        metavar="PUZZLES",
        callback=puzzle_file,
    ),
]
FilteredPuzzles = Annotated[
    Path,
    typer.Argument(
        help="What filter or corrupt wrote; or bundled:planted-puzzles.",
        metavar="PUZZLES",
        callback=puzzle_file,
    ),
]
Out = Annotated[Path, typer.Option(help="The table to write: .parquet or .csv.", metavar="FILE")]
Preset = Annotated[str, what("default, or jenner2024 for the paper's inputs.", metavar="NAME")]
# Effects

Squares = Annotated[
    str,
    what("Take the mean or the max over a puzzle's squares of one category.", metavar="NAME"),
]
FirstName = Annotated[
    str,
    what("The first effect: a label (3->1), a category (ply3_target) or a head (12.12).",
         "--first", metavar="NAME"),
]  # fmt: skip
SecondName = Annotated[
    str, what("The effect that it is compared with.", "--second", metavar="NAME")
]
