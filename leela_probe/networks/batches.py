"""Work done in batches that get smaller where memory does not suffice."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

__all__ = ["Batches", "SmallerBatchWarning", "is_out_of_memory", "says_out_of_memory"]

Result = TypeVar("Result")
_WORDS = ("DefaultCPUAllocator", "bad_alloc", "out of memory", "Failed to allocate memory")


class SmallerBatchWarning(UserWarning):
    """Memory did not suffice for a batch, and the work goes on in smaller ones."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, torch, Arrow or onnxruntime says that memory does not suffice.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("std::bad_alloc"))
        (True, True)
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and says_out_of_memory(error)
    )


def says_out_of_memory(error: BaseException) -> bool:
    """Whether the words of an error say that memory does not suffice."""
    return any(word in str(error) for word in _WORDS)


class Batches:
    """Cuts work into batches, and remembers how large they may be.

    A batch that does not fit into memory is done again in two halves, with a `SmallerBatchWarning`;
    those that come later are no larger.
    """

    def __init__(self) -> None:
        self._most: dict[str, int] = {}

    def run(
        self, count: int, size: int, work: Callable[[slice], Result], *, what: str
    ) -> Iterator[tuple[slice, Result]]:
        """What the work gives for each batch, in order.

        Args:
            count: how many pieces there are.
            size: how many go into a batch at most.
            work: does the pieces of a range.
            what: what the pieces are called: "boards", "runs".

        Raises:
            MemoryError: a single piece does not fit into memory.
        """
        start, tried = 0, 0
        while start < count:
            size = min(size, self._most.get(what, size))
            batch = slice(start, min(start + size, count))
            result = self._try(batch, work, what)
            if result is None:
                tried = tried or batch.stop - batch.start
                continue
            if tried:
                warnings.warn(
                    f"memory does not suffice for {tried} {what} at once: going on with {size} "
                    f"(--batch-size {size} saves the attempt)",
                    SmallerBatchWarning,
                    stacklevel=3,
                )
                tried = 0
            yield batch, result[0]
            start = batch.stop

    def _try(
        self, batch: slice, work: Callable[[slice], Result], what: str
    ) -> tuple[Result] | None:
        """What the work gives; None if it did not fit into memory."""
        try:
            return (work(batch),)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size = batch.stop - batch.start
            if size == 1:
                raise MemoryError(
                    f"memory does not suffice for one of the {what}, so that no --batch-size "
                    f"helps: free some, or take another device. {_line(error)}"
                ) from error
        # here the error is gone, and with it what its frames held
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._most[what] = size // 2
        return None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
