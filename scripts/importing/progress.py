"""Progress of an import: a bar on a terminal that rich can draw on, and plain lines elsewhere."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_INTERVAL_S = 1.0  # between two plain lines


class ImportProgress:
    """Shows how many galaxies have been written."""

    def __init__(self, out: TextIO, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._total, self._done = out, total, 0
        self._clock = clock
        self._started = self._last_line = clock()
        self._bar: Progress | None = None
        if out.isatty() and find_spec("rich"):
            from rich import progress
            from rich.console import Console

            columns = (
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("galaxies"),
                progress.TimeRemainingColumn(),
            )
            self._bar = progress.Progress(*columns, console=Console(file=out, highlight=False), transient=True)
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> "ImportProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, galaxies: int) -> None:
        """Counts galaxies that were written."""
        self._done += galaxies
        if self._bar:
            self._bar.update(self._task, completed=self._done)
            return
        now = self._clock()
        if now - self._last_line >= PLAIN_INTERVAL_S:
            self._last_line = now
            elapsed = now - self._started
            print(
                f"{elapsed:6.1f} s  {self._done:,} of {self._total:,} galaxies  {self._done / elapsed:,.0f} galaxies/s",
                file=self._out,
                flush=True,
            )
