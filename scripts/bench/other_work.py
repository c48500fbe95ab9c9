"""What else a machine does while something is measured."""

import os
import time
from collections.abc import Callable

from scripts.bench.rounds import OTHER_WORK
from scripts.machine import read_text
from scripts.series import Round


def with_other_work(cpu_s: Callable[[], float | None], measure: Callable[[], Round]) -> Round:
    """Return the round that `measure` finds, and in it how many cores worked on other things meanwhile.

    Args:
        cpu_s: Reads the CPU time of what is measured beside this process; None where that is not known.
        measure: Measures a round.
    """
    other_work = OtherWork(cpu_s)
    figures = measure()
    if figures and (cores := other_work.cores()) is not None:
        figures[OTHER_WORK] = cores
    return figures


class OtherWork:
    """What else the machine does while something is measured. A busy machine's figures are to be taken again."""

    def __init__(self, measured_cpu_s: Callable[[], float | None]) -> None:
        self._measured_cpu_s = measured_cpu_s
        self._began = self._read()

    def cores(self) -> float | None:
        """Return how many cores it took since then, or None. What the host takes from a virtual machine is included."""
        began, now = self._began, self._read()
        if began is None or now is None:
            return None
        (busy_before, own_before, then), (busy, own, at) = began, now
        return max(0.0, (busy - busy_before - own + own_before) / (at - then))

    def _read(self) -> tuple[float, float, float] | None:
        measured, stat = self._measured_cpu_s(), read_text("/proc/stat")
        if measured is None or not stat:
            return None
        return busy_s(stat, os.sysconf("SC_CLK_TCK")), measured + time.process_time(), time.perf_counter()


def busy_s(stat: str, ticks_per_s: int) -> float:
    """Return the seconds that all cores together have worked, without idle and iowait, from the text of /proc/stat."""
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) / ticks_per_s
