"""Progress of a benchmark: a bar on a terminal, plain lines elsewhere.

Nothing is drawn between two steps: a thread that draws would take its time from what is measured.
"""

import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 1.0  # between two plain lines


class BenchProgress:
    """`steps` of about the same length; each is announced before it begins."""

    def __init__(self, out: TextIO, steps: int) -> None:
        self._console = Console(file=out, highlight=False)
        self._steps = steps
        self._begun = 0
        self._started = time.monotonic()
        self._last_line = -PLAIN_INTERVAL_S
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
            self._task = self._bar.add_task("", total=steps)

    def __enter__(self) -> "BenchProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, what: str) -> None:
        self._begun += 1
        if self._bar:
            self._bar.update(self._task, description=what, completed=self._begun, refresh=True)
            return
        elapsed = time.monotonic() - self._started
        if elapsed - self._last_line >= PLAIN_INTERVAL_S:
            self._last_line = elapsed
            self.say(f"{elapsed:6.1f} s  {self._begun:>3} of {self._steps}  {what}")

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
