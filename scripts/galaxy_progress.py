"""Progress through galaxies, which is a bar on a terminal and plain lines elsewhere.

Nothing is drawn between two calls, as a thread that draws would take its time from what is done with the galaxies.
"""

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_INTERVAL_S = 1.0  # between two plain lines


class GalaxyProgress:
    """Shows how many galaxies are done."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=out, highlight=False)
        self._clock = clock
        self._total = self._done = 0
        self._started = self._last_line = clock()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("galaxies"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "GalaxyProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, total: int) -> None:
        """Start the clock. `total` says how many galaxies there are."""
        self._total, self._done = total, 0
        self._started = self._last_line = self._clock()
        if self._bar:
            self._task = self._bar.add_task("", total=total)
            self._bar.start()

    def advance(self, galaxies: int) -> None:
        """Count galaxies that were done."""
        self._done += galaxies
        if self._bar:
            self._bar.update(self._task, completed=self._done, refresh=True)
            return
        now = self._clock()
        if now - self._last_line >= PLAIN_INTERVAL_S:
            self._last_line = now
            elapsed = now - self._started
            rate = f"{self._done / elapsed:,.0f} galaxies/s"
            self.say(f"{elapsed:6.1f} s  {self._done:,} of {self._total:,} galaxies  {rate}")

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, markup=False, soft_wrap=True)
