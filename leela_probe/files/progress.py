"""How a stage reports its progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

__all__ = ["Progress", "ResumedProgress"]


@runtime_checkable
class Progress(Protocol):
    """Called after each part with the progress so far; any function of three arguments will do."""

    def __call__(self, done: int, total: int | None, counts: Mapping[str, int], /) -> object:
        """Reports progress.

        Args:
            done: rows of the input that are done.
            total: rows of the input in all; None if unknown.
            counts: how many rows have each verdict so far.
        """
        ...


@runtime_checkable
class ResumedProgress(Progress, Protocol):
    """A `Progress` that is interested in what an earlier run had finished, to tell the speed."""

    def kept(self, done: int, total: int | None, counts: Mapping[str, int], /) -> object:
        """Called in place of `__call__` after each part that an earlier run had finished."""
        ...
