"""A rank's membership in its run's group, and the operations on it.

    with Communicator.join("rendezvous:10000", run_id=..., run_key=..., rank=2, world_size=4, deadline=...) as comm:
        ...                                                  # work; connections are made meanwhile
        comm.gather(part, root=0, deadline=time.monotonic() + 60)

Joining is not a barrier: it returns at once, and an operation waits for the peers it needs, up to its deadline. All
ranks call the same collectives in the same order; a `send` and its `recv` stand between the same two collectives.
Values are bytes-like or numpy arrays, and arrive as bytearrays or arrays. Deadlines are seconds of time.monotonic.

`out` is a writable buffer of the result's form, which is filled and returned: for large values that are exchanged again
and again, since fresh memory costs more than the transfer. What it holds after a failure is not defined.

Every operation raises PeerTimeout, PeerClosed or PeerUnreachable with rank, peer, phase and elapsed time in `details`,
or the rendezvous' own failure (RendezvousUnreachable, RendezvousTimeout, RendezvousRejected) for peers that it never
announced. One thread at a time may use a communicator.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lambda_image.address import Address
from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.channel.handshake import KEY_BYTES
from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.channel.values import Value
from lambda_image.comm.connecting.connector import Connector
from lambda_image.comm.connecting.membership import Membership
from lambda_image.comm.connecting.nat import Nat
from lambda_image.comm.operations import collectives, reduce_collectives
from lambda_image.comm.operations.collectives import Gathered
from lambda_image.comm.operations.cost_model import Algorithm, choose
from lambda_image.comm.operations.exchange import Exchange
from lambda_image.comm.operations.group_context import Scratch
from lambda_image.comm.operations.reduction import REDUCTIONS, Reduction
from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.roster import PeerState, Roster
from lambda_image.errors import RunError
from rendezvous_server.protocol import Endpoint, Join, Topology


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """How one peer is, or was, connected."""

    rank: int
    attempt: int
    transport: str | None  # direct, punched or relayed; None without a channel
    connect_s: float | None  # from learning of the peer until its channel was proven
    bytes_sent: int
    bytes_received: int
    lost: str | None  # why it can no longer be used


class Communicator:
    def __init__(
        self,
        rank: int,
        world_size: int,
        connector: Connector | None,
        roster: Roster,
        wakeup: Wakeup,
        *,
        star_only: bool = False,
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self.star_only = star_only
        self.scratch = Scratch()
        self._connector = connector
        self._roster = roster
        self._wakeup = wakeup
        self._operation = 0  # collectives begun
        self._closed = False

    @classmethod
    def join(
        cls,
        endpoint: str | None,
        *,
        run_id: str,
        run_key: bytes,
        rank: int,
        world_size: int,
        attempt: int = 0,
        rendezvous_key: bytes | None = None,
        deadline: float,
        topology: Topology = Topology.FULL,
        settings: ChannelSettings | None = None,
    ) -> Self:
        """Begin to join; returns at once. A world of one needs no server.

        `run_key` (32 bytes) is what members prove to each other, `rendezvous_key` what they prove to the server. The
        join must have succeeded by `deadline`. With Topology.STAR every rank but 0 has a channel to rank 0 only.
        `endpoint` is host:port as all ranks' hosts reach it: a rank that joins over loopback listens on loopback only.
        """
        if len(run_key) != KEY_BYTES:
            raise ValueError(f"a run key has {KEY_BYTES} bytes, this one {len(run_key)}")
        join = Join(run_id, rank, world_size, attempt, topology=topology)
        if world_size > 1:
            if endpoint is None:
                raise ValueError(f"a world of {world_size} ranks needs a rendezvous endpoint")
            Address.parse(endpoint)  # a malformed one is the caller's mistake, told now and not in the background
        wakeup = Wakeup()
        roster = Roster(changed=wakeup.notify)
        connector = None
        if endpoint is not None and world_size > 1:
            settings = settings or ChannelSettings()
            connector = Connector(Membership(endpoint, join, run_key, rendezvous_key, deadline, settings), roster)
            connector.start()
        return cls(rank, world_size, connector, roster, wakeup, star_only=topology is Topology.STAR)

    def send(self, value: Value, to: int, *, deadline: float) -> None:
        """Returns when the kernel has all of it; `value` may be changed then."""
        collectives.send(self, value, self._peer(to), deadline)

    def recv(self, source: int, *, out: Value | None = None, deadline: float) -> Any:
        return collectives.recv(self, self._peer(source), deadline, out)

    def barrier(self, *, deadline: float) -> None:
        """No rank returns before every rank has called."""
        collectives.barrier(self, deadline)

    def bcast(self, value: Value | None = None, root: int = 0, *, out: Value | None = None, deadline: float) -> Any:
        """The root's value, at every rank. The root's own is returned as it is; it needs no `out`."""
        return collectives.bcast(self, value, self._rank(root), deadline, out)

    def gather(
        self,
        part: Value,
        root: int = 0,
        *,
        deadline: float,
        allow_missing: bool = False,
        await_retries: bool = False,
        confirm: bool = True,
        out: Sequence[Value] | None = None,
    ) -> Gathered | None:
        """At the root the parts of all ranks, of any sizes; elsewhere None, once the root has all of this rank's part.

        Without `confirm` a rank waits only until the kernel has its part, as with `send`; if the root fails, a later
        operation says so.
        With `allow_missing` the root raises nothing for ranks whose part does not come: see Gathered. With
        `await_retries` it waits until the deadline for a newer attempt of a rank that was lost before its part came.
        `out` is one buffer for each rank, of which the root's own is not used.
        """
        return collectives.gather(
            self,
            part,
            self._rank(root),
            deadline,
            allow_missing=allow_missing,
            await_retries=await_retries,
            confirm=confirm,
            out=out,
        )

    def withdraw(self, error: Exception, root: int = 0, *, deadline: float) -> None:
        """Instead of `gather`, for a rank that failed for good: the root does not wait for it."""
        if self._rank(root) != self.rank:
            collectives.withdraw(self, error, root, deadline)

    def allgather(self, part: Value, *, out: Sequence[Value] | None = None, deadline: float) -> list[Any]:
        """The parts of all ranks, at every rank. `out` is one buffer for each."""
        return collectives.allgather(self, part, deadline, out)

    def scatter(
        self, parts: Sequence[Value] | None = None, root: int = 0, *, out: Value | None = None, deadline: float
    ) -> Any:
        """This rank's part of those that the root gives, one for each rank."""
        return collectives.scatter(self, parts, self._rank(root), deadline, out)

    def reduce(
        self,
        value: Value,
        reduction: str | Reduction = "sum",
        root: int = 0,
        *,
        out: Value | None = None,
        deadline: float,
    ) -> Any:
        """At the root the reduction of all ranks' values in the order of ranks; elsewhere None.

        The same bits at every root, by every topology and algorithm (reduction.py). All ranks' arrays must be alike.
        """
        return reduce_collectives.reduce(self, value, _reduction(reduction), self._rank(root), deadline, out)

    def allreduce(
        self, value: Value, reduction: str | Reduction = "sum", *, out: Value | None = None, deadline: float
    ) -> Any:
        """The reduction of all ranks' values, at every rank, the same bits everywhere and as those of `reduce`."""
        return reduce_collectives.allreduce(self, value, _reduction(reduction), deadline, out)

    def scan(
        self, value: Value, reduction: str | Reduction = "sum", *, out: Value | None = None, deadline: float
    ) -> Any:
        """The reduction of the values of ranks 0 up to this one."""
        return reduce_collectives.scan(self, value, _reduction(reduction), deadline, out)

    @property
    def failure(self) -> RunError | None:
        """Why the rendezvous tells nothing any more, if so. Channels that are open go on working."""
        return self._roster.failure

    @property
    def rejected_connections(self) -> int:
        """Connections to this rank's port that did not prove themselves, and channels that carried foreign bytes."""
        broken = sum(peer.channel is not None and peer.channel.refused for peer in self._roster.all())
        return broken + (self._connector.rejected_connections if self._connector else 0)

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """Where peers can dial this rank, as announced; empty before the join and in a world of one."""
        return self._connector.local if self._connector else ()

    @property
    def nat(self) -> Nat:
        """What the NAT between this rank and the rendezvous server does; unknown before the join and without one."""
        return self._connector.nat if self._connector else Nat.UNKNOWN

    @property
    def join_s(self) -> float | None:
        """From `join` until the rendezvous server let this rank in; None until then and without one."""
        return self._connector.join_s if self._connector else None

    def peers(self) -> list[PeerFacts]:
        """Every peer that was announced or has connected, by rank, in its newest attempt."""
        return [_facts(peer) for peer in self._roster.all()]

    def choose(self, kind: Kind, size: int, *, associative: bool = True, divisible: bool = False) -> Algorithm:
        """What algorithm an operation takes for `size` bytes at each rank; the same at all of them."""
        return choose(
            kind, self.world_size, size, star_only=self.star_only, associative=associative, divisible=divisible
        )

    def exchange(self, kind: Kind, deadline: float, *, abort_to: Iterable[int] = ()) -> Exchange:
        """The next operation's exchange: what collectives are made of."""
        if not math.isfinite(deadline):
            raise ValueError(f"a deadline of {deadline}: every wait must end")
        if self._closed:
            raise ValueError("the communicator is closed")
        for channel in self._roster.former_channels():
            channel.close()
        if kind is not Kind.SEND:
            self._operation += 1
        return Exchange(
            self._roster,
            self._wakeup,
            rank=self.rank,
            operation=self._operation,
            kind=kind,
            deadline=deadline,
            abort_to=abort_to,
        )

    def close(self) -> None:
        """Leave the group and free all threads and sockets. Data that was sent still arrives."""
        self._closed = True
        if self._connector is not None:
            self._connector.stop()
        for channel in self._roster.former_channels():
            channel.close()
        for peer in self._roster.all():
            if peer.channel is not None:
                peer.channel.close()
        self._wakeup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rank(self, rank: int) -> int:
        if not 0 <= rank < self.world_size:
            raise ValueError(f"rank {rank} in a world of {self.world_size}")
        return rank

    def _peer(self, rank: int) -> int:
        if self._rank(rank) == self.rank:
            raise ValueError(f"rank {rank} has no channel to itself")
        return rank


def _reduction(reduction: str | Reduction) -> Reduction:
    if isinstance(reduction, Reduction):
        return reduction
    try:
        return REDUCTIONS[reduction]
    except KeyError:
        raise ValueError(f"reduction {reduction!r}; known are {', '.join(REDUCTIONS)}, or give a Reduction") from None


def _facts(peer: PeerState) -> PeerFacts:
    channel = peer.channel
    lost = peer.gone or peer.unreachable or (channel.ended if channel else None)
    rank, attempt = peer.member.rank, peer.member.attempt
    if channel is None:
        return PeerFacts(rank, attempt, None, None, 0, 0, lost)
    sent, received = channel.bytes_sent, channel.bytes_received
    return PeerFacts(rank, attempt, str(channel.transport), channel.connect_s, sent, received, lost)
