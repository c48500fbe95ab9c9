"""Progress of a measurement, which is a bar on a terminal and plain lines elsewhere.

Nothing is drawn between two steps, as a thread that draws would take its time from what is measured.
"""

import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 1.0  # between two plain lines


class StepProgress:
    """Shows which of some steps of about the same length is under way. Each is announced before it begins."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False)
        self._steps = self._begun = 0
        self._started = 0.0
        self._last_line = -PLAIN_INTERVAL_S
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "StepProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, steps: int) -> None:
        """Start the clock. `steps` says how many there will be."""
        self._steps = steps
        self._started = time.monotonic()
        if self._bar:
            self._task = self._bar.add_task("", total=steps)
            self._bar.start()

    def step(self, what: str) -> None:
        """Announce the next step."""
        self._begun += 1
        if self._bar:
            self._bar.update(self._task, description=what, completed=self._begun, refresh=True)
            return
        elapsed = time.monotonic() - self._started
        if elapsed - self._last_line >= PLAIN_INTERVAL_S:
            self._last_line = elapsed
            self.say(f"{elapsed:6.1f} s  {self._begun:>3} of {self._steps}  {what}")

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, markup=False, soft_wrap=True)
