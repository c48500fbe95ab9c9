"""The times of requests to S3 in one record, as the published plots read them. No I/O."""

from dataclasses import dataclass


@dataclass
class RequestTimes:
    """Counts requests and how long each waited for its answer; the body that follows an answer is not in it.

    Attributes:
        count: How many requests there were.
        total_s: Seconds of all of them together.
        shortest_s: Seconds of the shortest, None before there was one.
        longest_s: Seconds of the longest, likewise.
        first_request_at: When the first was sent, in seconds since the epoch, likewise.
        last_response_at: When the last answer came, in seconds since the epoch, likewise.
    """

    count: int = 0
    total_s: float = 0.0
    shortest_s: float | None = None
    longest_s: float | None = None
    first_request_at: float | None = None
    last_response_at: float | None = None

    def add(self, sent_at: float, duration_s: float) -> None:
        """Adds one request.

        Args:
            sent_at: when it was sent, in seconds since the epoch.
            duration_s: how long it waited for its answer, in seconds by a clock that is never set.
        """

        def least(value: float | None, other: float) -> float:
            return other if value is None else min(value, other)

        def most(value: float | None, other: float) -> float:
            return other if value is None else max(value, other)

        self.count += 1
        self.total_s += duration_s
        self.shortest_s = least(self.shortest_s, duration_s)
        self.longest_s = most(self.longest_s, duration_s)
        self.first_request_at = least(self.first_request_at, sent_at)
        self.last_response_at = most(self.last_response_at, sent_at + duration_s)
