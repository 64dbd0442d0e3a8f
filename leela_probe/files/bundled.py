"""The networks and puzzles that come with the package, found by name.

`bundled:strong` stands for a file in the folder `leela_probe/bundled` wherever a network or a file
of puzzles is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

__all__ = ["FILES", "FOLDER", "PREFIX", "is_bundled", "path", "resolve"]

PREFIX = "bundled:"
FOLDER = Path(__file__).parent.parent / "bundled"
"""Where the files lie."""

FILES: Mapping[str, str] = MappingProxyType(
    {
        "strong": "strong.pb.gz",  # the network whose look-ahead is in question
        "weak": "weak.pb.gz",  # the one that must not see it
        "planted": "planted.pb.gz",  # look-ahead by construction, in one known head
        "shuffled": "shuffled.pb.gz",  # trained on moves drawn by lot: nothing to find
        "mates": "mates.csv",  # certified puzzles in Lichess's columns
        "planted-puzzles": "planted-puzzles.csv",  # pairs for `planted`, as corrupt writes them
    }
)
"""The file of each name."""


def is_bundled(text: str | Path) -> bool:
    """Whether a text or path is a bundled name.

    Example:
        >>> is_bundled("bundled:strong"), is_bundled("strong.pb.gz")
        (True, False)
    """
    return str(text).startswith(PREFIX)


def path(name: str | Path, *, folder: Path = FOLDER) -> Path:
    """The file that a bundled name stands for.

    Args:
        name: such as `bundled:strong`.
        folder: where the files lie.

    Raises:
        ValueError: if there is no such name.
        FileNotFoundError: if this installation lacks the file.

    Example:
        >>> path("bundled:stronk")
        Traceback (most recent call last):
        ValueError: no 'bundled:stronk': there are bundled:strong, bundled:weak, \
bundled:planted, bundled:shuffled, bundled:mates, bundled:planted-puzzles
    """
    short = str(name).removeprefix(PREFIX)
    if not is_bundled(name) or short not in FILES:
        raise ValueError(
            f"no {str(name)!r}: there are {', '.join(PREFIX + known for known in FILES)}"
        )
    found = folder / FILES[short]
    if not found.is_file():
        raise FileNotFoundError(
            f"{str(name)!r} is not in this installation ({found} is missing): give a file of your "
            "own instead, or install the package anew"
        )
    return found


def resolve(given: str | Path, *, folder: Path = FOLDER) -> Path:
    """The file itself for a bundled name; any other path as it is.

    Example:
        >>> resolve("puzzles.csv").name
        'puzzles.csv'
    """
    return path(given, folder=folder) if is_bundled(given) else Path(given)
