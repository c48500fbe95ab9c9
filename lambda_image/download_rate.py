"""The least rate at which a download counts as one that goes on, and reads that show the rate. No I/O of its own."""

import time
from collections.abc import Callable
from typing import Any

MIN_RATE = 16 * 1024  # bytes per second; S3 gives a Lambda thousands of times as much
WINDOW_S = 10.0  # of waiting for the body, over which the rate is taken; longer than a lost packet's retransmissions
PIECE = 1 << 20  # bytes that one read asks for at most


class StalledError(OSError):
    """Says that a body came more slowly than MIN_RATE over WINDOW_S, or not at all."""


class RateFloor:
    """Counts the bytes of one object's body and the seconds that were spent waiting for them.

    What passes between two reads does not count, since then the reader is busy with something else.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = 0.0
        self._bytes, self._seconds = 0, 0.0  # in this window

    def begin(self) -> None:
        """Notes that a read begins."""
        self._started = self._clock()

    def end(self, count: int) -> bool:
        """Notes that a read gave `count` bytes, and says whether a window has ended well with it.

        Raises:
            StalledError: the window has ended with too few bytes. The next one begins.
        """
        self._seconds += self._clock() - self._started
        self._bytes += count
        if self._seconds < WINDOW_S:
            return False
        rate, seconds = self._bytes / self._seconds, self._seconds
        self._bytes, self._seconds = 0, 0.0
        if rate < MIN_RATE:
            raise StalledError(f"{rate:,.0f} B/s over {seconds:.0f} s, where at least {MIN_RATE:,} B/s are needed")
        return True


class PromptStream:
    """A raw stream of botocore's whose `readinto` returns what has come instead of waiting for a full buffer."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def readinto(self, buffer: Any) -> int:
        """Reads what has come, or waits for the first of it."""
        data = self._raw.read1(min(len(buffer), PIECE))
        buffer[: len(data)] = data
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def make_prompt(body: Any) -> None:
    """Lets a body of botocore's give what has come, so that its rate can be seen; a silent one ends after WINDOW_S.

    botocore goes on checking the length and the checksum. A body of another make is left as it is.
    """
    raw = getattr(body, "_raw_stream", None)
    if raw is None or not hasattr(raw, "read1"):
        return
    if hasattr(raw, "_fp"):  # urllib3's, on a socket
        body.set_socket_timeout(WINDOW_S)
    body._raw_stream = PromptStream(raw)
