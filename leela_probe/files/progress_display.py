"""Shows how far a piece of work is: a bar in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

from leela_probe.files.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Rate", "on_console", "shown"]

_WINDOW = 30.0  # seconds that the rate looks back
_EVERY = 10.0  # seconds between plain lines
_REDRAWN = 0.2  # seconds between two states of a notebook's bar
_PATIENCE = 1.0  # seconds before a bar appears that nobody asked for

# True inside work whose progress is reported: what it is made of does not show itself as well.
_REPORTED: ContextVar[bool] = ContextVar("_REPORTED", default=False)


class Rate:
    """How fast something is going, over the last half minute.

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
        """Notes that so much was done before, and that work begins now."""
        self._samples = [(self._clock(), done)]

    def at(self, done: int) -> None:
        """Notes that so much is done by now."""
        now = self._clock()
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] < now - _WINDOW:
            self._samples.pop(0)

    @property
    def per_second(self) -> float | None:
        """How much is done in a second; None as long as it is not known."""
        if len(self._samples) < 2:
            return None
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - start) if end > start and last > first else None

    def left(self, *, done: int, total: int | None) -> str:
        """The time that the rest takes, such as `1:02:03`; `?` as long as it is not known."""
        rate = self.per_second
        if rate is None or total is None:
            return "?"
        minutes, seconds = divmod(round((total - done) / rate), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _Reported:
    """Takes what a stage reports and shows it; see `progress.ResumedProgress`."""

    def __init__(self, rate: Rate, show: Callable[[int, int | None], object]) -> None:
        self._rate = rate
        self._show = show

    def __call__(self, done: int, total: int | None, counts: Mapping[str, int], /) -> None:
        self._rate.at(done)
        self._show(done, total)

    def kept(self, done: int, total: int | None, counts: Mapping[str, int], /) -> None:
        """A part that an earlier run had finished says nothing of how fast this one is."""
        self._rate.begin(done)
        self._show(done, total)


@contextmanager
def shown(
    progress: Progress | bool | None,
    what: str,
    *,
    unit: str = "rows",
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """A function to report progress to, for as long as the block lasts.

    Args:
        progress: such a function, which is given back; None shows a bar if there is a notebook or a
            terminal to show it in, after a second, and nothing within work that reports progress
            itself; True shows plain lines where there is neither; False is silent.
        what: the work, such as `filter`.
        unit: of what is counted.
        clock: the time in seconds.

    Example:
        >>> with shown(False, "filter") as report:
        ...     report(10, 200, {})
    """
    if progress is None and _REPORTED.get():
        progress = False
    if progress is None or isinstance(progress, bool):
        with _display(progress, what, unit, clock) as report, _reported():
            yield report
    else:
        with _reported():
            yield progress


@contextmanager
def _reported() -> Iterator[None]:
    """Within the block nothing shows its progress unless it is asked to."""
    token = _REPORTED.set(True)
    try:
        yield
    finally:
        _REPORTED.reset(token)


@contextmanager
def _display(
    asked: bool | None, what: str, unit: str, clock: Callable[[], float]
) -> Iterator[Progress]:
    if asked is not False and _in_notebook():
        with _in_cell(what, unit, clock) as report:
            yield report
    elif asked or (asked is None and sys.stderr is not None and sys.stderr.isatty()):
        from rich.console import Console

        console = Console(highlight=False, stderr=True)
        patience = 0.0 if asked else _PATIENCE
        with on_console(console, what, unit=unit, patience=patience, clock=clock) as report:
            yield report
    else:
        yield lambda done, total, counts, /: None


def _in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    if "IPython" not in sys.modules:
        return False
    shell: Any = import_module("IPython").get_ipython()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def _in_cell(what: str, unit: str, clock: Callable[[], float]) -> Iterator[Progress]:
    """A bar below the cell that goes away when the work is done; needs no widgets."""
    display: Any = import_module("IPython.display")
    rate, begun = Rate(clock=clock), clock()
    rate.begin(0)
    handle: Any = None
    drawn = begun + _PATIENCE - _REDRAWN

    def draw(done: int, total: int | None) -> None:
        nonlocal handle, drawn
        if clock() - drawn < _REDRAWN:
            return
        drawn = clock()
        length = "" if total is None else f' value="{done}" max="{total}"'
        bar = display.HTML(
            f"<div>{html.escape(what)} <progress{length}></progress> "
            f"{html.escape(_facts(rate, done, total, unit))}</div>"
        )
        if handle is None:
            handle = display.display(bar, display_id=True)
        else:
            handle.update(bar)

    try:
        yield _Reported(rate, draw)
    finally:
        if handle is not None:
            handle.update(display.HTML(""))


@contextmanager
def on_console(
    console: Console,
    what: str,
    *,
    unit: str = "rows",
    patience: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """A function that shows progress on a console, as a bar or, in a file, a line now and then.

    Args:
        console: where to; nothing is written elsewhere.
        what: the work, such as `filter`.
        unit: of what is counted.
        patience: seconds before a bar appears.
        clock: the time in seconds.
    """
    rate = Rate(clock=clock)
    rate.begin(0)
    if console.is_terminal:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            SpinnerColumn(), TextColumn(what), BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}"), console=console, transient=True, expand=True,
        )  # fmt: skip
        task = bar.add_task(what, total=None, facts="starting")
        begun, started = clock(), False

        def draw(done: int, total: int | None) -> None:
            nonlocal started
            if not started and clock() - begun >= patience:
                bar.start()
                started = True
            bar.update(task, completed=done, total=total, facts=_facts(rate, done, total, unit))

        try:
            if patience == 0:
                bar.start()
                started = True
            with _reported():
                yield _Reported(rate, draw)
        finally:
            if started:
                bar.stop()
        return

    from rich.text import Text

    written = clock()

    def write(done: int, total: int | None) -> None:
        nonlocal written
        if clock() - written >= _EVERY:
            written = clock()
            console.print(Text(f"{what}: {_facts(rate, done, total, unit)}"), soft_wrap=True)

    with _reported():
        yield _Reported(rate, write)


def _facts(rate: Rate, done: int, total: int | None, unit: str) -> str:
    """How much is done, how fast it goes, and how long the rest takes."""
    speed = rate.per_second
    amount = f"{done:,} of {total:,} {unit}" if total is not None else f"{done:,} {unit}"
    return f"{amount}, {'?' if speed is None else f'{speed:,.0f}'} a second, " + (
        f"{rate.left(done=done, total=total)} left"
    )
