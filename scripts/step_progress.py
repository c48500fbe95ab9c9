"""Progress of a measurement, which is a bar on a terminal and plain lines elsewhere.

Nothing is drawn between two calls, as a thread that draws would take its time from what is measured.
"""

import time
from collections.abc import Callable
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 1.0  # between two plain lines


class BarOrLines:
    """Shows a bar on a terminal, and elsewhere a plain line now and then."""

    def __init__(self, out: TextIO, *columns: ProgressColumn, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = Console(file=out, highlight=False), clock
        self._total = self._done = 0
        self._started, self._next_line = 0.0, 0.0
        self._bar: Progress | None = None
        if self._console.is_terminal:
            shown = (BarColumn(), MofNCompleteColumn(), *columns)
            self._bar = Progress(*shown, console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, total: int) -> None:
        """Start the clock. `total` says how much there is to do."""
        self._total, self._done = total, 0
        self._started = self._next_line = self._clock()
        if self._bar:
            self._task = self._bar.add_task("", total=total)
            self._bar.start()

    def _add(self, count: int, what: str = "") -> float | None:
        """Counts what is done, and gives the seconds so far where a line is due."""
        self._done += count
        if self._bar:
            self._bar.update(self._task, description=what, completed=self._done, refresh=True)
            return None
        now = self._clock()
        if now < self._next_line:
            return None
        self._next_line = now + PLAIN_INTERVAL_S
        return now - self._started

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, markup=False, soft_wrap=True)


class StepProgress(BarOrLines):
    """Shows which of some steps of about the same length is under way. Each is announced before it begins."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out, TimeElapsedColumn(), TextColumn("{task.description}"))

    def step(self, what: str) -> None:
        """Announce the next step."""
        if (elapsed := self._add(1, what)) is not None:
            self.say(f"{elapsed:6.1f} s  {self._done:>3} of {self._total}  {what}")
