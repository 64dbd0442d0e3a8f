"""Arguments and options of the subcommands, each described once, and how choices are checked.

A value that is none of a few is a mistaken command line, and the message lists the right ones; what
they are is asked only when a subcommand runs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

__all__ = [
    "DTYPES",
    "choice",
    "conditions",
    "entry",
    "file",
    "flag",
    "head",
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
        typer.BadParameter: if it is no such list, a range runs backwards or a number comes twice.

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
                f"{part!r} is no number and no range such as 8-11", param_hint=repr(option)
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
        typer.BadParameter: if it names no head.

    Example:
        >>> head("12.7", "--head"), head("L3H0", "--head")
        ((12, 7), (3, 0))
    """
    match = re.fullmatch(r"\s*L?(\d+)(?:\.|H)(\d+)\s*", text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} names no head: write LAYER.HEAD, such as 12.12", param_hint=repr(option)
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
        typer.BadParameter: if it is no entry.

    Example:
        >>> entry("a1:h8", "--entries")
        (0, 63)
    """
    from leela_probe.positions import squares

    query, found, key = text.strip().partition(":")
    if not found:
        raise typer.BadParameter(
            f"{text!r} is no entry: write QUERY:KEY, such as g6:h4", param_hint=repr(option)
        )
    return squares.parse_name(query), squares.parse_name(key)


def conditions(given: list[str] | None) -> dict[str, list[str]]:
    """Values by column out of texts such as layer=3 and target_pattern=112,123.

    Raises:
        typer.BadParameter: if a text is no such condition, or a column comes twice.

    Example:
        >>> conditions(["layer=3", "target_pattern=112,123"])
        {'layer': ['3'], 'target_pattern': ['112', '123']}
    """
    found: dict[str, list[str]] = {}
    for text in given or ():
        column, sign, values = text.partition("=")
        if not sign or not values.strip():
            raise typer.BadParameter(
                f"{text!r} is no condition: write COLUMN=VALUE, such as layer=3",
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
    min: float | None = None,
    max: float | None = None,
) -> Any:
    """An option that changes what is computed."""
    return _option(help, names, default, metavar, min, max, "What is done")


def run(
    help: str,
    *names: str,
    default: str | None = None,
    metavar: str | None = None,
    min: float | None = None,
    max: float | None = None,
) -> Any:
    """An option that changes how it is computed."""
    return _option(help, names, default, metavar, min, max, "How it runs")


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
    least: float | None,
    most: float | None,
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


def _else(default: str, help: str, **more: Any) -> Any:
    """An option that is None unless it is given: its default comes from a preset or a file."""
    return typer.Option(help=f"{help} \\[default: {default}]", show_default=False, **more)


_WANTED = "What is wanted"
_RUNNING = "How it runs"
_THRESHOLD: dict[str, Any] = {"metavar": "P", "min": 0, "max": 1, "rich_help_panel": _WANTED}

# Networks

Net = Annotated[
    Path,
    typer.Argument(
        help="An .onnx file, or a .pb.gz or .pb, which lc0 converts; or bundled:strong.",
        metavar="NET",
        callback=file,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Where torch runs: cpu, cuda, cuda:1.", metavar="NAME", rich_help_panel=_RUNNING
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        help="float32, tf32, bfloat16 or float16.", metavar="TYPE", rich_help_panel=_RUNNING
    ),
]
Format = Annotated[
    int | None,
    _else("as the file says", "1 to 5, 132 or 133.", metavar="N", rich_help_panel=_RUNNING),
]
TakenPolicyHead = Annotated[
    str | None,
    _else(
        "vanilla",
        "Of several in a .pb.gz: vanilla, optimistic, soft, opponent.",
        metavar="NAME",
        rich_help_panel=_RUNNING,
    ),
]
TakenValueHead = Annotated[
    str | None,
    _else(
        "winner",
        "Of several in a .pb.gz: winner, q, st.",
        metavar="NAME",
        rich_help_panel=_RUNNING,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a finished output.", rich_help_panel=_RUNNING)
]

Sites = Annotated[
    bool,
    typer.Option(
        "--sites",
        help="List the named activations: a kind an entry on a terminal; elsewhere nothing but "
        "all of them, a line each, between tabs.",
    ),
]

Fen = Annotated[str | None, typer.Option(help="The position to evaluate.", metavar="FEN")]
Moves = Annotated[
    str, typer.Option(help="Moves played from it: 'e2e4 c7c5'.", metavar="UCI", show_default=False)
]
Positions = Annotated[
    Path | None,
    typer.Option(
        help="A file with FEN or FEN|uci uci a line, # before comments; - reads standard input.",
        metavar="FILE",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]
Top = Annotated[int, typer.Option(help="How many moves the table shows.", min=1, metavar="N")]

Source = Annotated[
    Path,
    typer.Argument(
        help="A .pb.gz or .pb file, or bundled:strong.", metavar="IN.pb.gz", callback=file
    ),
]
Target = Annotated[Path, typer.Argument(help="The file to make.", metavar="OUT.onnx")]
PolicyHead = Annotated[str, typer.Option(help="Which policy head to take.", metavar="NAME")]
ValueHead = Annotated[str, typer.Option(help="Which value head to take.", metavar="NAME")]

ArchitecturePreset = Annotated[
    str,
    typer.Argument(
        help="The architecture: classical, se-convolution, attention, multihead, ...; a wrong name "
        "gets the list.",
        metavar="PRESET",
    ),
]
NetworkTarget = Annotated[Path, typer.Argument(help="The file to make.", metavar="OUT.pb.gz")]
Seed = Annotated[int, typer.Option(help="Of the random numbers.", min=0, metavar="N")]
WrittenFormat = Annotated[int, typer.Option(help="1 to 5, 132 or 133.", metavar="N")]

# Puzzles

Dump = Annotated[
    Path,
    typer.Argument(
        help="Lichess puzzles: .csv, .csv.zst or .parquet; or bundled:mates.",
        metavar="DUMP",
        callback=file,
    ),
]
Puzzles = Annotated[
    Path,
    typer.Argument(
        help="What the filter wrote, or a puzzle dump.", metavar="PUZZLES", callback=file
    ),
]
Strong = Annotated[
    Path,
    typer.Option(help="The network whose look-ahead is in question.", metavar="NET", callback=file),
]
Weak = Annotated[
    Path, typer.Option(help="The network that must not see it.", metavar="NET", callback=file)
]
StrongFormat = Annotated[
    int | None,
    _else(
        "as its file says",
        "Strong network's input format: 1 to 5, 132, 133.",
        metavar="N",
        rich_help_panel=_RUNNING,
    ),
]
WeakFormat = Annotated[
    int | None,
    _else(
        "as its file says",
        "Weak network's input format: 1 to 5, 132, 133.",
        metavar="N",
        rich_help_panel=_RUNNING,
    ),
]
Out = Annotated[Path, typer.Option(help="The table to write: .parquet or .csv.", metavar="FILE")]
Preset = Annotated[
    str,
    typer.Option(
        help="default, or jenner2024: the paper's inputs.", metavar="NAME", rich_help_panel=_WANTED
    ),
]
WeakHistory = Annotated[
    str | None,
    _else(
        "filled",
        "filled, known, current or jenner2024-weak.",
        metavar="KIND",
        rich_help_panel=_WANTED,
    ),
]
StrongHistory = Annotated[
    str | None,
    _else("filled", "The same for the strong network.", metavar="KIND", rich_help_panel=_WANTED),
]
BatchSize = Annotated[
    int,
    typer.Option(
        help="Positions that go through a network at once.",
        metavar="N",
        min=1,
        rich_help_panel=_RUNNING,
    ),
]
Workers = Annotated[
    int | None,
    _else(
        "one a core but one",
        "Processes that feed the networks.",
        metavar="N",
        min=0,
        rich_help_panel=_RUNNING,
    ),
]

Hard = Annotated[
    float | None, _else("0.05", "Weak network's first move is below this.", **_THRESHOLD)
]
Correct = Annotated[
    float | None, _else("0.5", "Strong network's solver moves are above this.", **_THRESHOLD)
]
Forcing = Annotated[
    float | None, _else("0.7", "Weak network's answer is above this.", **_THRESHOLD)
]
Plies = Annotated[
    int | None, _else("3", "The shortest solution.", metavar="N", min=1, rich_help_panel=_WANTED)
]
AllPlies = Annotated[
    bool,
    typer.Option(
        "--all-plies", help="Compute every probability of every puzzle.", rich_help_panel=_RUNNING
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Only the first N rows.", min=1, metavar="N", rich_help_panel=_WANTED),
]
Sample = Annotated[
    int | None,
    typer.Option(
        help="Only N of the rows, drawn at random.", min=1, metavar="N", rich_help_panel=_WANTED
    ),
]
SampleSeed = Annotated[
    int,
    typer.Option("--seed", help="Of the sample.", min=0, metavar="N", rich_help_panel=_WANTED),
]

LogOdds = Annotated[
    float | None,
    _else("0.2", "Weak network's log odds fall by less.", metavar="NATS", rich_help_panel=_WANTED),
]
Value = Annotated[
    float | None,
    _else("0.1", "Strong network's W - L falls by more.", metavar="Q", rich_help_panel=_WANTED),
]
Probability = Annotated[
    float | None, _else("0.1", "Strong network's first move is below this.", **_THRESHOLD)
]
Divergence = Annotated[
    float | None,
    _else(
        "0.2",
        "Weak network's policy is no farther.",
        metavar="NATS",
        min=0,
        rich_help_panel=_WANTED,
    ),
]
Keep = Annotated[
    int,
    typer.Option(
        help="How many partners, the nearest first.", metavar="N", min=1, rich_help_panel=_WANTED
    ),
]
Kinds = Annotated[
    str, typer.Option(help="Classes of change, by commas.", metavar="LIST", rich_help_panel=_WANTED)
]
NoKings = Annotated[bool, typer.Option("--no-kings", help="Move no king.", rich_help_panel=_WANTED)]
NoLineSquares = Annotated[
    bool,
    typer.Option(
        "--no-line-squares", help="Change no square of the solution.", rich_help_panel=_WANTED
    ),
]
NoThirdMover = Annotated[
    bool,
    typer.Option("--no-third-mover", help="Leave the third move's piece.", rich_help_panel=_WANTED),
]
AnyFirstMove = Annotated[
    bool,
    typer.Option(
        "--any-first-move",
        help="Take puzzles too whose first move is not the strong network's favourite.",
        rich_help_panel=_WANTED,
    ),
]
Verdicts = Annotated[
    str,
    typer.Option(
        "--verdict",
        help="Puzzles of these verdicts, by commas.",
        metavar="LIST",
        rich_help_panel=_WANTED,
    ),
]

# Effects, their statistics and figures

Effects = Annotated[Path, typer.Argument(help="What patch has written.", metavar="EFFECTS")]
Stages = Annotated[
    list[Path],
    typer.Argument(help="What filter, corrupt and patch have written.", metavar="TABLE..."),
]
FigureFile = Annotated[
    Path, typer.Option("--out", help="The figure: .pdf, .png or .svg.", metavar="FILE")
]
FigureTable = Annotated[
    Path | None,
    typer.Option("--table", help="Also its numbers: .csv or .parquet.", metavar="FILE"),
]
StatisticsFile = Annotated[
    Path | None,
    typer.Option("--out", help="All rows as a table: .csv or .parquet.", metavar="FILE"),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Only such rows: layer=3, target_pattern=112,123 or mate=true; may be repeated.",
        metavar="COLUMN=VALUES",
        rich_help_panel=_WANTED,
    ),
]
DifferingTargets = Annotated[
    bool,
    typer.Option(
        "--differing-targets",
        help="Only puzzles whose 1st and 3rd target differ.",
        rich_help_panel=_WANTED,
    ),
]
Prioritise = Annotated[
    bool,
    typer.Option(
        "--prioritise",
        help="One category a square: corrupted, else 1st, else 3rd target.",
        rich_help_panel=_WANTED,
    ),
]
Squares = Annotated[
    str,
    typer.Option(
        help="mean or max: a puzzle's squares of one category.",
        metavar="NAME",
        rich_help_panel=_WANTED,
    ),
]
OneLayer = Annotated[
    int | None, typer.Option("--layer", help="This layer.", metavar="L", rich_help_panel=_WANTED)
]
Called = Annotated[
    str | None,
    typer.Option(
        "--of",
        help="A label (3->1), a category (ply3_target) or a head (12.12).",
        metavar="NAME",
        rich_help_panel=_WANTED,
    ),
]
FirstCalled = Annotated[
    str,
    typer.Option(
        "--first", help="A label, category or head.", metavar="NAME", rich_help_panel=_WANTED
    ),
]
SecondCalled = Annotated[
    str,
    typer.Option(
        "--second", help="What it is held against.", metavar="NAME", rich_help_panel=_WANTED
    ),
]
Confidence = Annotated[
    float,
    typer.Option(help="Of intervals.", min=0.5, max=0.9999, metavar="P", rich_help_panel=_RUNNING),
]
Resamples = Annotated[
    int,
    typer.Option(help="Bootstrap samples of games.", min=99, metavar="N", rich_help_panel=_RUNNING),
]
ResampleSeed = Annotated[
    int,
    typer.Option("--seed", help="Of the samples.", min=0, metavar="N", rich_help_panel=_RUNNING),
]
