"""How far a stage is: a bar with rate and time left on a terminal, plain lines elsewhere.

Writes to the console that it is given and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from leela_probe.files import store

__all__ = ["Rate", "shown"]

_WINDOW = 30.0  # seconds that the rate looks back
_EVERY = 10.0  # seconds between plain lines


class Rate:
    """How fast something goes on, over the last half minute.

    Args:
        clock: the time in seconds.

    Example:
        >>> seconds = iter([0.0, 10.0, 20.0])
        >>> rate = Rate(clock=lambda: next(seconds))
        >>> for done in (0, 500, 1000):
        ...     rate.at(done)
        >>> rate.per_second, rate.left(done=1000, total=4000)
        (50.0, '1:00')
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: list[tuple[float, int]] = []

    def begin(self, done: int) -> None:
        """Takes note that so much was done before, and work begins now."""
        self._samples = [(self._clock(), done)]

    def at(self, done: int) -> None:
        """Takes note that so much is done by now."""
        now = self._clock()
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] < now - _WINDOW:
            self._samples.pop(0)

    @property
    def per_second(self) -> float | None:
        """How much is done in a second; None as long as nobody can say."""
        if len(self._samples) < 2:
            return None
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - start) if end > start and last > first else None

    def left(self, *, done: int, total: int | None) -> str:
        """The time that the rest takes, such as `1:02:03`; `?` as long as nobody can say."""
        rate = self.per_second
        if rate is None or total is None:
            return "?"
        minutes, seconds = divmod(round((total - done) / rate), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _Told:
    """What a stage tells, taken note of and shown; see `store.Progress`."""

    def __init__(self, rate: Rate, show: Callable[[int, int | None], object]) -> None:
        self._rate = rate
        self._show = show

    def __call__(self, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        self._rate.at(done)
        self._show(done, total)

    def kept(self, done: int, total: int | None, counts: Mapping[str, int]) -> None:
        """A part that an earlier run had finished says nothing of how fast this one is."""
        self._rate.begin(done)
        self._show(done, total)


@contextmanager
def shown(
    console: Console, what: str, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[store.Progress]:
    """A function that shows how far a stage is, for as long as the block lasts.

    Args:
        console: where to.
        what: the stage, such as `filter`.
        clock: the time in seconds.
    """
    rate = Rate(clock=clock)
    rate.begin(0)

    def facts(done: int, total: int | None) -> str:
        speed = rate.per_second
        rows = f"{done:,} of {total:,} rows" if total is not None else f"{done:,} rows"
        return f"{rows}, {'?' if speed is None else f'{speed:,.0f}'} a second, " + (
            f"{rate.left(done=done, total=total)} left"
        )

    if console.is_terminal:
        bar = Progress(
            TextColumn(what), BarColumn(bar_width=None), TextColumn("{task.fields[facts]}"),
            console=console, transient=True, expand=True,
        )  # fmt: skip
        with bar:
            task = bar.add_task(what, total=None, facts="starting")

            def draw(done: int, total: int | None) -> None:
                bar.update(task, completed=done, total=total, facts=facts(done, total))

            yield _Told(rate, draw)
        return

    said = clock()

    def say(done: int, total: int | None) -> None:
        nonlocal said
        if clock() - said >= _EVERY:
            said = clock()
            console.print(Text(f"{what}: {facts(done, total)}"), soft_wrap=True)

    yield _Told(rate, say)
