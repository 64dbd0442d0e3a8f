"""Worker processes that do the chess while this process runs the networks.

`Pool.map` runs a module-level function over items in other processes and gives the results in
order. A worker is a plain Python that loads what the function needs and nothing else: not the
caller's script, not torch. It lives on the pipe from this process, so that it ends when
this process ends, in whatever way. Stands on nothing.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import TypeVar, cast

__all__ = ["Pool", "beside", "default_count", "serve"]

# Boards and moves hold no cycles, and looking for some takes a third of the time of encoding.
_RARELY = 200_000

Item = TypeVar("Item")
Result = TypeVar("Result")
Thing = TypeVar("Thing")


def default_count() -> int:
    """How many workers to use where nobody says: one a core but one, at least one, at most eight.

    Example:
        >>> 1 <= default_count() <= 8
        True
    """
    return min(max((os.cpu_count() or 1) - 1, 1), 8)


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
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
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
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the workers
            )
            self._processes.append(process)
            self._idle.put(process)
        if self._count:
            self._threads = ThreadPoolExecutor(self._count)
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
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.communicate()
        self._processes.clear()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The function's result for each item, in order; a few items are worked on ahead.

        Args:
            function: a module-level function, or a `functools.partial` of one.
            items: what can be pickled; taken as workers become free, never all at once.

        Raises:
            RuntimeError: a worker process died.
            Exception: whatever the function raised, at the place of its item.
        """
        if self._threads is None:
            yield from map(function, items)
            return
        items = iter(items)
        ahead: deque[Future[Result]] = deque()
        for item in items:
            if not self._begun:  # the workers are still loading: the first item is done here
                self._begun = True
                for later in islice(items, 2 * self._count):
                    ahead.append(self._threads.submit(self._call, function, later))
                yield function(item)
                continue
            ahead.append(self._threads.submit(self._call, function, item))
            if len(ahead) > 2 * self._count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _call(self, function: Callable[[Item], Result], item: Item) -> Result:
        process = self._idle.get()
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
        finally:
            self._idle.put(process)
        if error is not None:
            raise error
        return cast(Result, result)


def beside(
    pool: Pool,
    function: Callable[[Item], Result],
    things: Iterable[Thing],
    request: Callable[[Thing], Item],
) -> Iterator[tuple[Thing, Result]]:
    """Each thing beside what the workers make of its request; the thing itself stays here.

    Args:
        pool: the workers.
        function: as for `Pool.map`.
        things: taken as workers become free.
        request: what the function is given for a thing.

    Example:
        >>> with Pool(0) as pool:
        ...     list(beside(pool, abs, ["-1", "2"], int))
        [('-1', 1), ('2', 2)]
    """
    waiting: deque[Thing] = deque()

    def requests() -> Iterator[Item]:
        for thing in things:
            waiting.append(thing)
            yield request(thing)

    for result in pool.map(function, requests()):
        yield waiting.popleft(), result


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
