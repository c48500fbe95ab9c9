"""For how long nobody has used the server, so that one that nobody stops can end by itself. No I/O, and `now` comes in.

Use is a member of a group or a relay. Where the server has no key, it is also a pair that has met. A connection that
only says something is no use, since every port that the internet reaches is tried all day long.
"""

from collections.abc import Mapping

LOOKS = 20  # within the time that it may be idle
BUSY_PHASES = ("member", "relaying", "spliced")


class Idleness:
    """Tells when the server has been idle for long enough."""

    def __init__(self, limit_s: float, now: float) -> None:
        """Begins idle.

        Args:
            limit_s: for how long it may be.
            now: seconds of the clock that all calls use.
        """
        self._limit_s, self._since = limit_s, now

    def used(self, now: float) -> None:
        """Takes note that somebody uses the server, or has used it until now."""
        self._since = now

    def pause_s(self, phases: Mapping[str, int], now: float) -> float:
        """Returns after how many seconds to look again; 0 or less where the server is to end.

        Members and relays that have gone between two looks count until the first of them.

        Args:
            phases: how many connections are in each phase, as the registry counts them.
            now: seconds of the clock.
        """
        if any(phases[phase] for phase in BUSY_PHASES):
            self._since = now
        return min(self._since + self._limit_s - now, self._limit_s / LOOKS)
