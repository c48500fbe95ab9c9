"""Progress through galaxies, which is a bar on a terminal and plain lines elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

from rich.progress import TextColumn, TimeRemainingColumn

from scripts.step_progress import PLAIN_INTERVAL_S, BarOrLines


class GalaxyProgress(BarOrLines):
    """Shows how many galaxies are done."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(out, TextColumn("galaxies"), TimeRemainingColumn(), clock=clock)

    def begin(self, total: int) -> None:
        """Start the clock. `total` says how many galaxies there are."""
        super().begin(total)
        self._next_line += PLAIN_INTERVAL_S  # before which there is no rate

    def advance(self, galaxies: int) -> None:
        """Count galaxies that were done."""
        if (elapsed := self._add(galaxies)) is not None:
            rate = f"{self._done / elapsed:,.0f} galaxies/s"
            self.say(f"{elapsed:6.1f} s  {self._done:,} of {self._total:,} galaxies  {rate}")
