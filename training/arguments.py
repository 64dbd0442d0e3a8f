"""Values of command lines that are checked before anything is done."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["existing_file", "positive"]


def positive(text: str) -> int:
    """A whole number from 1 up.

    Raises:
        argparse.ArgumentTypeError: it is none.

    Example:
        >>> positive("3")
        3
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return int(text)


def existing_file(text: str) -> Path:
    """A file that is there.

    Raises:
        argparse.ArgumentTypeError: it is not.
    """
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return Path(text)
