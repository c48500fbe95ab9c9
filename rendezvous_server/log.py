"""The server's log: JSON lines, one event per line, which never make the server wait for whoever reads them."""

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Mapping

DELAY_S = 0.1  # lines wait that long for others: thousands of connections a second cost tens of writes
MAX_LINES = 20_000  # about 4 MB: the largest group leaving twice, while the reader of the log pauses
CLOSING_S = 2.0  # for a reader that has stalled to take the last lines
# What ends the name of a run's group, and opens the group to whoever has the deployment's key (SECURITY.md). More
# people read logs than should have that.
_SECRET = re.compile(r":[0-9a-f]{32}(?![0-9a-zA-Z])")


class Log:
    """Writes events as JSON lines, in a thread of its own.

    `write` may block for any time. Meanwhile up to MAX_LINES lines are kept and further ones are dropped; the next line
    that is written says how many. An OSError of `write` ends the log, and the server goes on.
    """

    def __init__(self, write: Callable[[bytes], None], loop: asyncio.AbstractEventLoop) -> None:
        self._write = write
        self._loop = loop
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._reader_gone = False
        self._dropped_unreported = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def event(self, event: str, **fields: object) -> None:
        """Adds a line, and returns at once."""
        self._add(json.dumps({"event": event, **fields}))

    def connection(
        self, outcome: str, dialect: str | None, host: str, seconds: float, details: Mapping[str, object] | None
    ) -> None:
        """Adds the line of a connection that has ended, and returns at once.

        Args:
            outcome: How it ended, a word.
            dialect: What it spoke, a word, or None.
            host: Its client's address.
            seconds: How long it lasted.
            details: Further fields, if there are any. The secret ends of groups' names are left out of them.
        """
        # There are many of these lines, and an encoder costs more than all else that the server does with a log.
        spoke = "null" if dialect is None else f'"{dialect}"'
        more = f", {_SECRET.sub('', json.dumps(details)[1:-1])}" if details else ""
        self._add(
            f'{{"event": "connection", "outcome": "{outcome}", "dialect": {spoke}, "host": "{host}", '
            f'"seconds": {seconds:.3f}{more}}}'
        )

    def _add(self, line: str) -> None:
        with self._lock:
            if self._reader_gone or len(self._lines) >= MAX_LINES:
                self.dropped += 1
                self._dropped_unreported += 1
                return
            first = not self._lines
            self._lines.append(line)
        if first:
            self._loop.call_later(DELAY_S, self._wake.set)

    def flush(self) -> None:
        """Has the lines written soon, without waiting for others, and returns at once."""
        self._wake.set()

    def close(self, limit_s: float = CLOSING_S) -> None:
        """Returns when all lines are written, or after `limit_s` seconds."""
        self._closed = True
        self._wake.set()
        self._thread.join(limit_s)

    def _run(self) -> None:
        try:
            while not (self._closed and not self._lines):
                self._wake.wait()
                self._wake.clear()
                self._write(self._take())
        except OSError:
            self._reader_gone = True  # whoever read the log, or the disk is full: the server goes on without
            self._lines.clear()

    def _take(self) -> bytes:
        with self._lock:
            lines, self._lines = self._lines, []
            if self._dropped_unreported:
                lines.append(json.dumps({"event": "log_lines_dropped", "lines": self._dropped_unreported}))
                self._dropped_unreported = 0
        return "".join(f"{line}\n" for line in lines).encode()


def to_descriptor(descriptor: int) -> Callable[[bytes], None]:
    """Returns a function that writes to an open file.

    It goes past Python's buffers, because a process that ends would wait until those are flushed.
    """

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    return write
