"""Worker processes that do the chess while this process runs the networks.

`Pool.map` runs a module-level function over items in other processes and gives the results in
order; `prefetch` does so in threads of this process, for functions that release the GIL. A worker
is a plain Python that loads what the function needs and nothing else: not the caller's script, not
torch. It lives on the pipe from this process, so that it ends when this process ends, in whatever
way.
"""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, cast

__all__ = ["Pool", "cores", "default_count", "prefetch", "serve"]

# Boards and moves hold no cycles, and looking for some takes a third of the time of encoding.
_RARELY = 200_000
# Workers do no linear algebra, for which numpy would start a thread a core in each of them.
_FEW_THREADS = {"OPENBLAS_NUM_THREADS": "1"}

_NOW, _IN_TURN = 0, 1

Work = Callable[[subprocess.Popen[bytes]], Any]
Item = TypeVar("Item")
Result = TypeVar("Result")
Request = TypeVar("Request")


def cores() -> int:
    """How many cores this process may use, which can be fewer than the machine has.

    Example:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_count() -> int:
    """How many workers there are by default: one per core, minus one; at least one, at most eight.

    Example:
        >>> 1 <= default_count() <= 8
        True
    """
    return min(max(cores() - 1, 1), 8)


class Pool:
    """Worker processes, held until the `with` block ends.

    Args:
        count: how many, by default `default_count()`; 0 does the work in this process, with the
            same results.

    Example:
        >>> with Pool(2) as pool:
        ...     list(pool.map(abs, [-1, -2, -3]))
        [1, 2, 3]
    """

    def __init__(self, count: int | None = None) -> None:
        if count is None:
            count = default_count()
        if count < 0:
            raise ValueError(f"expected 0 or more worker processes, got {count}")
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        # How urgent, a number that no other has, what to do with a worker, and what comes of it.
        self._tasks: queue.PriorityQueue[tuple[int, int, Work | None, Future[Any]]]
        self._tasks = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._begun = False
        self._collecting = gc.get_threshold()

    def __enter__(self) -> Pool:
        self._collecting = gc.get_threshold()
        gc.set_threshold(_RARELY)  # this process handles the workers' boards and moves too
        for _ in range(self._count):
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"import sys; sys.path[:] = {sys.path!r}; "
                    "from leela_probe.files import workers; workers.serve()",
                ],
                env={**os.environ, **_FEW_THREADS},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the workers
            )
            thread = threading.Thread(target=self._serve, args=(process,), daemon=True)
            thread.start()
            self._processes.append(process)
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        gc.set_threshold(*self._collecting)
        for process in self._processes:
            process.kill()
            self._put(_NOW, None)
        for thread in self._threads:
            thread.join()
        while not self._tasks.empty():
            self._tasks.get()[-1].cancel()
        for process in self._processes:
            process.communicate()
        self._processes.clear()
        self._threads.clear()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The function's result for each item, in order; a few items are worked on ahead.

        Args:
            function: a module-level function, or a `functools.partial` of one.
            items: what can be pickled; taken as workers become free, never all at once.

        Raises:
            RuntimeError: a worker process died.
            Exception: whatever the function raised, at the place of its item.
        """
        for _, result in self.map_with_items(function, items, request=_unchanged):
            yield result

    def map_with_items(
        self,
        function: Callable[[Request], Result],
        items: Iterable[Item],
        *,
        request: Callable[[Item], Request],
    ) -> Iterator[tuple[Item, Result]]:
        """Pairs of an item and the result of its request, in order; the item itself stays here.

        Args:
            function: as for `map`.
            items: taken as workers become free, never all at once.
            request: what of an item is sent to a worker.

        Example:
            >>> with Pool(0) as pool:
            ...     list(pool.map_with_items(abs, ["-1", "2"], request=int))
            [('-1', 1), ('2', 2)]
        """
        if not self._count:
            for item in items:
                yield item, function(request(item))
            return
        items, ahead = iter(items), 2 * self._count
        begun = (
            (item, self._put(_IN_TURN, partial(_call, function, request(item)))) for item in items
        )
        early: list[tuple[Item, Future[Result]]] = []
        if not self._begun:  # the workers are still loading: the first item is done here
            self._begun = True
            for first in itertools.islice(items, 1):
                early = list(itertools.islice(begun, ahead))
                yield first, function(request(first))
        yield from _in_order(itertools.chain(early, begun), ahead)

    def call(self, function: Callable[[Item], Result], item: Item) -> Result:
        """The function's result for one item, from the first worker that is free; in any thread.

        Raises:
            RuntimeError: a worker process died.
            Exception: whatever the function raised.
        """
        if not self._count:
            return function(item)
        return self._put(_NOW, partial(_call, function, item)).result()

    def _put(self, urgency: int, work: Work | None) -> Future[Any]:
        result: Future[Any] = Future()
        self._tasks.put((urgency, next(self._numbers), work, result))
        return result

    def _serve(self, process: subprocess.Popen[bytes]) -> None:
        """Give tasks to a worker, the urgent ones first, until one says that there are no more."""
        while True:
            _, _, work, result = self._tasks.get()
            if work is None:
                return
            try:
                result.set_result(work(process))
            except BaseException as error:
                result.set_exception(error)


def _call(
    function: Callable[[Item], Result], item: Item, process: subprocess.Popen[bytes]
) -> Result:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump((function, item), process.stdin, protocol=5)
        process.stdin.flush()
        result, error = pickle.load(process.stdout)
    except (EOFError, BrokenPipeError, pickle.UnpicklingError) as broken:
        raise RuntimeError(
            f"a worker process ended in the middle of its work (exit status "
            f"{process.wait()}); what is finished is kept: run again to go on, with fewer "
            f"workers if memory ran out"
        ) from broken
    if error is not None:
        raise error
    return cast(Result, result)


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int = 1
) -> Iterator[tuple[Item, Result]]:
    """Pairs of an item and its result, in order, while the function works on the next items.

    Args:
        function: what to do with an item, in a thread of this process.
        items: never more than one beyond those in work is taken.
        threads: how many items are in work at once. Whoever leaves early does not wait for them.

    Example:
        >>> list(prefetch(abs, [-1, -2, -3]))
        [(-1, 1), (-2, 2), (-3, 3)]
    """
    executor = ThreadPoolExecutor(threads)
    try:
        yield from _in_order(((item, executor.submit(function, item)) for item in items), threads)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _unchanged(item: Item) -> Item:
    return item


def _in_order(
    begun: Iterable[tuple[Item, Future[Result]]], ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Items with their results, with so many more begun before one is waited for."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for pair in begun:
        waiting.append(pair)
        if len(waiting) > ahead:
            item, future = waiting.popleft()
            yield item, future.result()
    for item, future in waiting:
        yield item, future.result()


def serve() -> None:
    """Work for a `Pool`: calls come in on standard input, results go out on standard output."""
    gc.freeze()
    gc.set_threshold(_RARELY)
    calls = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as results:
        os.dup2(2, 1)  # what a function prints must not fall among the results
        while True:
            try:
                function, item = pickle.load(calls)
            except EOFError:
                return
            answer: tuple[object, Exception | None]
            try:
                answer = function(item), None
            except Exception as error:
                answer = None, _portable(error)
            try:
                pickle.dump(answer, results, protocol=5)
                results.flush()
            except BrokenPipeError:
                os._exit(1)


def _portable(error: Exception) -> Exception:
    """The exception itself where it survives the way to the other process, else what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
