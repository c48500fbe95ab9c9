"""What operations are made of: the group as one rank sees it, and the buffers that a result may go to."""

import functools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import NoReturn

import numpy as np

from lambda_image.comm.channel.sealing import Content, SealedValue
from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.channel.values import Value, encode
from lambda_image.comm.operations.cost_model import Algorithm, choose
from lambda_image.comm.operations.exchange import Exchange
from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.operations.watch import Watch
from lambda_image.comm.roster import Roster
from lambda_image.errors import PeerClosed


class GroupContext:
    """The group as the operations of one rank see it, and what these share. A communicator owns one.

    With `star_only`, only rank 0 has channels to all others.
    """

    def __init__(
        self,
        rank: int,
        world_size: int,
        roster: Roster,
        wakeup: Wakeup,
        *,
        star_only: bool = False,
        names: Sequence[int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self.star_only = star_only
        self.names = names
        self.roster = roster
        self.memory = roster.memory  # for arrays that are made
        self.wakeup = wakeup
        self.clock = clock
        self.fast = True  # whether operations take the fast path (exchange.py)
        self.operation = 0  # collectives begun
        self._closed = False

    def choose(
        self,
        kind: Kind,
        size: int,
        *,
        associative: bool = True,
        divisible: bool = False,
        processors: int | None = None,
    ) -> Algorithm:
        """What algorithm an operation takes for `size` bytes at each rank; the same at all of them (cost_model.py)."""
        return choose(
            kind,
            self.world_size,
            size,
            star_only=self.star_only,
            associative=associative,
            divisible=divisible,
            processors=processors,
        )

    def bcasts_in_pieces(self, size: int) -> bool:
        """Whether this rank, as the root of a bcast, sends a value of so many bytes in pieces."""
        if self.choose(Kind.BCAST, size, divisible=True) is not Algorithm.PIECES:
            return False
        processors = self._processors_shared()
        return self.choose(Kind.BCAST, size, divisible=True, processors=processors) is Algorithm.PIECES

    def _processors_shared(self) -> int | None:
        """How many processors there are for all ranks; None unless they are on this host, and more than these."""
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if self.world_size <= processors:
            return None
        channels = (peer.channel for peer in self.roster.all())
        return processors if all(channel is not None and channel.same_host for channel in channels) else None

    def exchange(self, kind: Kind, deadline: float, *, abort_to: Iterable[int] = ()) -> Exchange:
        """The next operation's exchange, which gets its number here. Raises ValueError."""
        if self._closed or not isfinite(deadline):
            self._refuse(deadline)
        if self.roster.former:
            for channel in self.roster.former_channels():
                channel.close()
        if kind is not Kind.SEND:
            self.operation += 1
        exchange = Exchange(  # arguments by name would take a dict
            self.roster, self.wakeup, self.rank, self.operation, kind, deadline, abort_to, self.clock, self.fast
        )
        exchange.names = self.names
        return exchange

    def for_all(self, exchange: Exchange, value: Value, flags: int = 0) -> Content:
        """A value as it is sent to all other ranks, by whatever way: encrypted once, where that saves work."""
        sealing = self.roster.sealing
        if sealing is None:
            return value
        return sealing.seal(exchange.number, exchange.code, flags, value, self.world_size - 1)

    def pass_on(self, exchange: Exchange) -> None:
        """Keep what comes sealed, for others."""
        if self.roster.sealing is not None:
            self.roster.sealing.passed_on = exchange.number, exchange.code

    def opened(self, exchange: Exchange, rank: int, value: Content, sealer: int) -> Value:
        """A value that has come from a rank. Raises PeerClosed if another than `sealer` has sealed it."""
        if not isinstance(value, SealedValue):
            return value
        known = self.roster.at(sealer)
        if value.sealer.rank != sealer:
            raise exchange.error(PeerClosed, rank, f"brings a value of {value.sealer}, where rank {sealer}'s is due")
        if rank != sealer and known is not None and value.sealer.attempt < known.member.attempt:
            raise exchange.error(
                PeerClosed, rank, f"brings a value of {value.sealer}, whom {known.member} has replaced"
            )
        return value.value

    def wait_for_peer(self, rank: int, deadline: float) -> bool:
        """Wait until the rank is known or the rendezvous has failed. Returns whether it is known. Raises ValueError."""
        if self._closed or not isfinite(deadline):
            self._refuse(deadline)
        watch = Watch(self.wakeup)
        while (peer := self.roster.at(rank)) is None and self.roster.failure is None:
            left = deadline - self.clock()
            if left <= 0:
                break
            watch.wait(left)
        return peer is not None

    def close(self) -> None:
        """Close every channel. Data that was sent still arrives."""
        self._closed = True
        for channel in self.roster.former_channels():
            channel.close()
        for peer in self.roster.all():
            if peer.channel is not None:
                peer.channel.close()
        self.wakeup.close()

    def _refuse(self, deadline: float) -> NoReturn:
        if self._closed:
            raise ValueError("the communicator is closed")
        raise ValueError(f"the deadline is {deadline}, and every wait must end")


def others(group: GroupContext) -> tuple[int, ...]:
    """All other ranks, the next one first: so that not all turn to rank 0 at once."""
    return _others(group.rank, group.world_size)


@functools.lru_cache(256)
def _others(rank: int, world_size: int) -> tuple[int, ...]:
    return tuple((rank + step) % world_size for step in range(1, world_size))


def star(group: GroupContext, kind: Kind, deadline: float, centre: int) -> Exchange:
    """An operation's exchange; if it fails at the centre, the centre tells everybody."""
    return group.exchange(kind, deadline, abort_to=others(group) if group.rank == centre else ())


def delivered(value: Value, out: Value | None) -> Value:
    """The value, in `out` if that was given. Raises ValueError if it does not fit."""
    if out is None or value is out:
        return value
    check_fit(value, out)
    targets = encode(out)[1]
    for target, source in zip(targets, encode(value)[1], strict=True):
        target[:] = source
    return out


def check_fit(value: Value, out: Value) -> None:
    if isinstance(out, np.ndarray) and not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be writable and C-contiguous")
    (meta, views), (wanted, targets) = encode(value), encode(out)
    if any(view.readonly for view in targets):
        raise ValueError("out must be writable")
    if (meta, sum(map(len, views))) != (wanted, sum(map(len, targets))):
        raise ValueError(f"out has room for {_form(wanted, targets)}; the value is {_form(meta, views)}")


def _form(meta: bytes, views: list[memoryview]) -> str:
    return meta.decode().rstrip() if meta else f"{sum(map(len, views))} bytes"
