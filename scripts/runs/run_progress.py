"""Live progress of a run. A terminal gets one bar for each rank, and anything else gets plain lines.

The ranks of a large run are counted instead, in one bar or in lines.
"""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from scripts.words import counted

PLAIN_INTERVAL_S = 1.0  # between two plain lines about the same phase of a rank
MOST_BARS = 64  # rows that a terminal may have
TOLD_OF_A_KIND = 3  # failures of the same kind, of ranks of a large run
NAMED = 5  # ranks whose parts are missing
ALL = -1  # the bar of all ranks of a large run
# For two ^C of a terminal. Behind a full line they would take a new one, which is not cleared.
ECHO_COLUMNS = 4


class Bars(Progress):
    """Draws bars that leave room for the ^C of a terminal."""

    def get_renderable(self) -> RenderableType:
        return Narrowed(super().get_renderable())


@dataclass(frozen=True)
class Narrowed:
    """Renders bars some columns narrower than the terminal."""

    bars: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.bars, options.update_width(options.max_width - ECHO_COLUMNS))


class RunProgress:
    """Shows the events that ranks log. Bars are drawn while it is entered."""

    def __init__(self, out: TextIO, totals: Sequence[int]) -> None:
        """Draws nothing yet.

        Args:
            out: where to show progress.
            totals: how many samples each rank has; of ranks that are not in it nobody knows.
        """
        self._console = Console(file=out, highlight=False)
        self._lock = threading.Lock()  # events come in the threads of several processes
        self._totals = totals
        self._counts: Mapping[str, int] = {}
        self._ranks, self._phases, self._counted = len(totals), dict[int, str](), -PLAIN_INTERVAL_S
        self._done, self._wave = 0, ""
        self._failures: Counter[str] = Counter()  # of the ranks of a large run, by their kinds
        self._last_line: dict[int, tuple[str, float]] = {}
        self._started = time.monotonic()
        self._running = self._engine_shown = False
        self._bars: Progress | None = None
        self._tasks: dict[int, TaskID] = {}
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.fields[name]}"),
                TextColumn("{task.fields[phase]:<10}"),
                BarColumn(bar_width=None),
                TextColumn("{task.completed:>7,.0f} {task.fields[unit]}  {task.fields[rate]:>12}"),
                TimeElapsedColumn(),
                console=self._console,
            )
            self.expect(len(totals))

    def __enter__(self) -> "RunProgress":
        self._started, self._running = time.monotonic(), True
        if self._bars:
            self._bars.start()
            for task in self._tasks.values():
                self._bars.start_task(task)
        return self

    def __exit__(self, *exception: object) -> None:
        self._running = False
        if self._bars:
            self._bars.stop()
        for what, count in self._failures.most_common():
            if count > TOLD_OF_A_KIND:
                self.print(f"{what}: {count:,} times in all, of which the first {TOLD_OF_A_KIND} are shown")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it nothing is drawn, so that the user can be asked something."""
        drawn = self._bars is not None and self._running
        if drawn and self._bars:
            self._bars.stop()
        try:
            yield
        finally:
            if drawn and self._bars:
                self._bars.start()

    def expect(self, ranks: int) -> None:
        """Draws a bar for each of so many ranks, where bars are drawn. More than fit are counted instead."""
        self._ranks = max(self._ranks, ranks)
        if self._bars is None or self._ranks > MOST_BARS:
            return
        for rank in range(len(self._tasks), ranks):
            total = self._totals[rank] if rank < len(self._totals) else None
            self._tasks[rank] = self._bars.add_task(
                "", start=self._running, name=f"rank {rank}", phase="waiting", unit="samples", rate="", total=total
            )

    def turn(self, begun: int, ranks: int, at_once: int) -> None:
        """Shows in which wave the ranks are, where they take turns.

        Args:
            begun: how many have begun.
            ranks: how many there are.
            at_once: how many may work at the same time; 0 for all.
        """
        if not at_once or ranks <= at_once or not begun:
            return
        wave = f"wave {-(-begun // at_once):,} of {-(-ranks // at_once):,}"
        if wave != self._wave and ranks <= MOST_BARS:  # a large run has it beside its counts
            self.print(f"{time.monotonic() - self._started:6.1f} s  {wave}, {at_once:,} ranks at a time")
        self._wave = wave

    def count(self, counts: Mapping[str, int]) -> None:
        """Shows how many ranks of a large run are how far.

        Args:
            counts: the item counts of its map run, as Step Functions has them.
        """
        shown = {name: counts.get(name, 0) for name in ("pending", "running", "succeeded", "failed")}
        if shown == self._counts:
            return
        self._counts, ranks = shown, f"{counts.get('total', 0):,} ranks"
        if self._wave:
            ranks += f", {self._wave}"
        if self._bars:
            self._count_in_a_bar(ranks, counts.get("total", 0), shown)
        else:
            words = ", ".join(f"{count:,} {name}" for name, count in shown.items() if count)
            self.print(f"{time.monotonic() - self._started:6.1f} s  {ranks}: {words}")

    def _count_in_a_bar(self, name: str, total: int, shown: Mapping[str, int]) -> None:
        assert self._bars is not None
        fields: dict[str, Any] = {"phase": f"{shown['running']:,} at work", "rate": f"{shown['failed']:,} failed"}
        if ALL not in self._tasks:
            self._tasks[ALL] = self._bars.add_task("", start=self._running, name="", unit="ranks", **fields)
        done = shown["succeeded"] + shown["failed"]
        self._bars.update(self._tasks[ALL], name=name, total=total, completed=done, **fields)

    def print(self, text: str) -> None:
        """Prints a line above the bars."""
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, event: Mapping[str, Any]) -> None:
        """Shows an event of the log, or ignores it where it does not concern a user. Any thread may call this."""
        with self._lock:
            kind = event.get("event")
            if kind == "phase":
                self._phase(event)
            elif kind == "engine" and not self._engine_shown:  # once: it is the same at every rank
                self._engine_shown = True
                self.print(str(event["message"]))
            elif kind in ("failed", "gather_failed", "gather_incomplete", "warning"):
                if self._ranks > MOST_BARS and not self._is_told(str(kind), str(event.get("error", ""))):
                    return
                self.print(_sentence(event))
            elif kind == "worker_exited" and event.get("function") == "rank" and event["returncode"] and self._running:
                code = event["returncode"]
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
                self.print(f"warning: a rank's process ({event['worker']}) {how}; what it worked on is tried again")
            elif kind == "log" and event.get("stream") == "stderr":
                self.print(f"{event.get('function')}: {event.get('line')}")

    def _is_told(self, kind: str, error: str) -> bool:
        """Whether a failure of a large run has a line of its own. The others of its kind are counted."""
        what = f"{kind} {error}".rstrip()
        self._failures[what] += 1
        return self._failures[what] <= TOLD_OF_A_KIND

    def _phase(self, event: Mapping[str, Any]) -> None:
        rank, phase, samples = event["rank"], event["phase"], event.get("samples")
        if self._ranks > MOST_BARS:
            self._count_phases(rank, phase)
            return
        rate = f"{event['samples_per_s']:,.0f} samples/s" if event.get("samples_per_s") else ""
        if self._bars:
            updates: dict[str, Any] = {"phase": phase}
            if samples is not None:
                updates["completed"] = samples
            if rate:
                updates["rate"] = rate
            self.expect(rank + 1)
            if rank in self._tasks:
                if phase == "done" and samples is not None:
                    updates["total"] = samples or 1  # a bar that was of unknown length is full, too
                self._bars.update(self._tasks[rank], **updates)
            return
        shown_phase, shown_at = self._last_line.get(rank, ("", 0.0))
        now = time.monotonic()
        if shown_phase != phase or now - shown_at >= PLAIN_INTERVAL_S:
            self._last_line[rank] = (phase, now)
            count = ""
            if samples is not None:
                of_all = f" of {self._totals[rank]:,}" if rank < len(self._totals) else ""
                count = f"{samples:,}{of_all} samples"
            self.print(f"{now - self._started:6.1f} s  rank {rank}  {phase:<10} {count:<24} {rate}".rstrip())

    def _count_phases(self, rank: int, phase: str) -> None:
        """Counts the ranks of a large run by what they have said, which is shown now and then and at the end."""
        before = self._phases.get(rank)
        self._phases[rank] = phase
        self._done += phase == "done" and before != "done"
        now, said, done = time.monotonic(), len(self._phases), self._done
        if now - self._counted >= PLAIN_INTERVAL_S or done == self._ranks:
            self._counted = now
            self.count({"total": self._ranks, "pending": self._ranks - said, "running": said - done, "succeeded": done})


def _sentence(event: Mapping[str, Any]) -> str:
    """What has gone wrong, for people."""
    rank, why = f"rank {event.get('rank')}", event.get("message")
    if event["event"] == "warning":
        return f"warning: {why}"
    if event["event"] == "failed":
        return ": ".join(filter(None, [f"{rank} failed", event.get("error"), why]))
    if event["event"] == "gather_incomplete":
        missing = event["missing"]
        named = ", ".join(list(missing)[:NAMED]) + (" and others" if len(missing) > NAMED else "")
        without = f"{rank} gathers without the parts of {counted(len(missing), 'rank')} ({named})"
        return f"{without}: {next(iter(missing.values()))}"
    return f"{rank} is not in the gather, so that its part goes by way of storage: {why}"
