"""How a rank takes the parts of others, in a thread of its own, from the moment at which it has joined.

A rank that ends early is rid of its part at once, and ends. What has come lies in memory until the rank's own work is
done, and no more than a limit of bytes can come, since larger tables do not travel. Nobody is given up before the rank
itself is done. It then waits for what can still come.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from lambda_image.bundle import Content, Delivered, Parts, unbundle
from lambda_image.gather_tree import GroupPlace

if TYPE_CHECKING:
    from lambda_image.comm.communicator import Communicator
    from lambda_image.comm.operations.collectives import Gathered

STOP_S = 5.0  # until a thread that does not end is left to die with the process


class Taking:
    """Takes the parts of a group at its first member."""

    def __init__(
        self,
        communicator: "Communicator",
        group: GroupPlace,
        latest: float,
        below: Callable[[int], Sequence[int]] | None = None,
    ) -> None:
        """Makes it; the thread begins with `begin`.

        Args:
            communicator: the rank's, of that group.
            group: the group.
            latest: by when it ends in any case, in seconds of time.monotonic().
            below: gives the leaves of an inner rank, where the members of the group are inner ranks.
        """
        from lambda_image.comm.closing import Closing  # late: what connects takes a third of a rank's imports

        self._communicator, self._group, self._below = communicator, group, below
        self._closing = Closing(latest)
        self._gathered: Future[Gathered] = Future()
        self._thread = threading.Thread(target=self._take, name="taking parts", daemon=True)

    def begin(self) -> None:
        """Takes parts from now on.

        Raises:
            RuntimeError: there is no memory for a thread.
        """
        self._thread.start()

    def finish(
        self,
        deadline: float,
        watch: AbstractContextManager[object],
        poll_s: float,
        in_vain: Callable[[], str | None] = lambda: None,
    ) -> tuple[Parts, str | None]:
        """Waits for the parts that can still come.

        Args:
            deadline: by when it ends, in seconds of time.monotonic().
            watch: is entered while it waits.
            poll_s: seconds between two looks whether it waits in vain.
            in_vain: gives the reason why the parts are of no use any more, if there is one.

        Returns:
            What has come, and the reason that `in_vain` gave.

        Raises:
            RunError: this rank is not in the group any more.
        """
        reason = None
        self._closing.close(deadline)
        with watch:
            while not self._has_ended(poll_s):
                if reason is None and (reason := in_vain()) is not None:
                    self._closing.close(time.monotonic())
        return self._parts(self._gathered.result()), reason

    def stop(self) -> None:
        """Takes nothing more, whatever has come."""
        self._closing.close(time.monotonic())
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _has_ended(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return self._gathered.done()

    def _take(self) -> None:
        try:
            gathered = self._communicator.gather(
                b"", root=0, closing=self._closing, allow_missing=True, await_retries=True
            )
            assert gathered is not None
            self._gathered.set_result(gathered)
        except BaseException as error:
            self._gathered.set_exception(error)

    def _parts(self, gathered: "Gathered") -> Parts:
        """By the ranks of the run."""
        found, parts = gathered.transports, Parts()
        for number, rank in enumerate(self._group.members):
            if number == self._group.number:
                continue
            speaks_for = (rank, *(self._below(rank) if self._below is not None else ()))
            if (content := gathered.parts[number]) is None:
                parts.missing |= dict.fromkeys(speaks_for, str(gathered.missing[number]))
            elif self._below is None:
                parts.came[rank] = Delivered(found[number], content)
            else:
                sent = _read(content, speaks_for)
                if rank in sent.came:
                    sent.came[rank] = Delivered(found[number], sent.came[rank].content)
                parts.came |= sent.came
                parts.missing |= sent.missing
        return parts


def _read(content: Content, speaks_for: Sequence[int]) -> Parts:
    """What an inner rank has sent, in which each rank that it speaks for is there or missing."""
    try:
        sent = unbundle(content)
        if sent.came.keys() | sent.missing.keys() != set(speaks_for):
            raise ValueError("it is about other ranks")
    except ValueError as error:
        return Parts(missing=dict.fromkeys(speaks_for, f"rank {speaks_for[0]} sent what cannot be read: {error}"))
    return sent
