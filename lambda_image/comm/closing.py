"""The end of a gather that begins before its root knows when that will be."""

from collections.abc import Callable


class Closing:
    """Keeps a gather open while its root does other work, until `close` says when it ends.

    While it is open the root takes parts as they come, and gives nobody up. A rank that was lost may be started again,
    and a rendezvous server that has gone may return. From `close` on, the gather goes on like one that begins then,
    with the parts that have come.

    One thread is in the gather, and another one calls `close`.

    Attributes:
        open: Whether `close` has not been called yet.
        deadline: By when the gather ends, in seconds of time.monotonic().
    """

    def __init__(self, latest: float) -> None:
        """Make one that is open.

        Args:
            latest: By when the gather ends though nobody closes it, in seconds of time.monotonic().
        """
        self.deadline = latest
        self.open = True
        self._changed: Callable[[], None] | None = None

    def close(self, deadline: float) -> None:
        """Say when the gather ends. It ends sooner once every part has come or cannot come any more.

        Args:
            deadline: In seconds of time.monotonic(). One that has passed ends it at once.
        """
        self.deadline = deadline
        self.open = False
        if (changed := self._changed) is not None:
            changed()

    def listen(self, changed: Callable[[], None] | None) -> None:
        """Have the gather told of the end that `close` sets.

        Args:
            changed: Is called after each change, in the thread that makes it; None for nobody.
        """
        self._changed = changed
