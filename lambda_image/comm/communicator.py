"""A rank's membership in its run's group, and the operations on it.

with Communicator.join("rendezvous:10000", run_id=..., run_key=..., rank=2, world_size=4) as comm:
    ...                                                  # work; connections are made meanwhile
    comm.gather(part, root=0, timeout_s=60)
"""

import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from lambda_image.address import Address
from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.channel.handshake import KEY_BYTES, Member
from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.sealing import Sealing
from lambda_image.comm.channel.values import Value
from lambda_image.comm.closing import Closing
from lambda_image.comm.connecting.connector import Connector
from lambda_image.comm.connecting.group_name import group_name
from lambda_image.comm.connecting.membership import Membership
from lambda_image.comm.connecting.nat import Nat
from lambda_image.comm.operations import collectives, reduce_collectives
from lambda_image.comm.operations.collectives import Gathered
from lambda_image.comm.operations.group_context import GroupContext
from lambda_image.comm.operations.reduction import REDUCTIONS, Reduction
from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.peer_facts import PeerFacts
from lambda_image.comm.roster import Roster
from lambda_image.errors import RendezvousError
from rendezvous_server.protocol import Endpoint, Join, Topology

# For every wait whose caller names no end. Peers that start cold take seconds, a peer that is dead is known sooner, and
# whoever waits pays for the time. It is also what rank 0 of a run waits for parts, unless the input says otherwise.
DEFAULT_TIMEOUT_S = 60.0


class Communicator:
    """Carries bytes and numpy arrays between the ranks of a group; `join` makes one.

    Joining is not a barrier. It returns at once, and an operation waits for the peers that it needs. All ranks call the
    same collectives in the same order, and a `send` and its `recv` stand between the same two collectives. One thread
    at a time may use a communicator.

    Values are bytes-like or numpy arrays, and arrive as bytearrays or arrays of the same type and shape. `out` is a
    writable buffer of the result's form, which is filled and returned. It is for large values that are exchanged again
    and again, since fresh memory costs more than the transfer. What it holds after a failure is not defined.

    Every operation ends by its `deadline`, in seconds of time.monotonic(), or after `timeout_s` seconds. Without either
    it ends after DEFAULT_TIMEOUT_S. All operations raise the same errors:

    * PeerTimeout, PeerClosed or PeerUnreachable, with the peer that is to blame.
    * RendezvousUnreachable, RendezvousTimeout or RendezvousRejected for peers that the server never announced. The last
      one also ends every operation of a rank whose newer attempt has taken its place.
    * ValueError for a rank outside the world, for both or infinite time limits, and after `close`.
    * TypeError for values that cannot be sent, such as arrays of objects and masked arrays.

    Attributes:
        rank: This rank.
        world_size: How many ranks the group has.
    """

    def __init__(self, group: GroupContext, connector: Connector | None) -> None:
        """Put a communicator together, as `join` does.

        Args:
            group: The group as this rank sees it.
            connector: What keeps the group up to date; None in a world of one.
        """
        self.rank = group.rank
        self.world_size = group.world_size
        self._group = group
        self._connector = connector

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
        topology: Topology = Topology.FULL,
        settings: ChannelSettings | None = None,
        names: Sequence[int] | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> Self:
        """Begin to join a group, and return at once.

        Args:
            endpoint: The rendezvous server as host:port, as all ranks' hosts reach it. A rank that joins over loopback
                listens on loopback only. None will do for a world of one, which needs no server.
            run_id: The group's name, the same at all its ranks.
            run_key: 32 secret bytes that the ranks prove to each other.
            rank: This rank, from 0 to `world_size` - 1.
            world_size: How many ranks the group has.
            attempt: How often this rank was started before. A newer attempt takes an older one's place.
            rendezvous_key: What the rank proves to the server, if that asks for a key.
            topology: With Topology.STAR every rank but 0 has a channel to rank 0 only.
            settings: How the channels are to be.
            names: What errors call the ranks in their texts, by rank. It is for a group of some ranks of a larger one.
            deadline: By when the join must have succeeded. Operations fail if it has not.
            timeout_s: The same in seconds from now.

        Returns:
            The communicator, which leaves the group at the end of its `with` block.

        Raises:
            ValueError: An argument is malformed.
        """
        end = _deadline(deadline, timeout_s)
        if not math.isfinite(end):
            raise ValueError(f"the deadline is {end}, and every wait must end")
        if len(run_key) != KEY_BYTES:
            raise ValueError(f"a run key has {KEY_BYTES} bytes, this one {len(run_key)}")
        Join(run_id, rank, world_size)  # refuses what no group can be called
        join = Join(group_name(run_id, run_key), rank, world_size, attempt, topology=topology)
        if world_size > 1:
            if endpoint is None:
                raise ValueError(f"a world of {world_size} ranks needs a rendezvous endpoint")
            Address.parse(endpoint)  # a malformed one is the caller's mistake, told now and not in the background
        wakeup, memory, settings = Wakeup(), Memory(), settings or ChannelSettings()
        sealing = Sealing(run_key, Member(rank, attempt), memory, seals=settings.encrypted)
        roster = Roster(changed=wakeup.notify, memory=memory, sealing=sealing)
        connector = None
        if endpoint is not None and world_size > 1:
            membership = Membership(endpoint, join, run_key, rendezvous_key, end, settings, names=names)
            connector = Connector(membership, roster)
            connector.start()
        star_only = topology is Topology.STAR
        return cls(GroupContext(rank, world_size, roster, wakeup, star_only=star_only, names=names), connector)

    def send(self, value: Value, to: int, *, deadline: float | None = None, timeout_s: float | None = None) -> None:
        """Send a value to one rank, which calls `recv`.

        It returns when the kernel has all of the value, which may be changed then.

        Args:
            value: What to send.
            to: The rank that receives it.
            deadline: See the class.
            timeout_s: See the class.
        """
        collectives.send(self._group, value, self._peer(to), _deadline(deadline, timeout_s))

    def recv(
        self, source: int, *, out: Value | None = None, deadline: float | None = None, timeout_s: float | None = None
    ) -> Any:
        """Receive the value that one rank sends with `send`.

        Args:
            source: The rank that sends it.
            out: A buffer for it.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            The value.
        """
        return collectives.recv(self._group, self._peer(source), _deadline(deadline, timeout_s), out)

    def barrier(self, *, deadline: float | None = None, timeout_s: float | None = None) -> None:
        """Wait until every rank has called it.

        Args:
            deadline: See the class.
            timeout_s: See the class.
        """
        collectives.barrier(self._group, _deadline(deadline, timeout_s))

    def bcast(
        self,
        value: Value | None = None,
        root: int = 0,
        *,
        out: Value | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Give all ranks the root's value.

        Args:
            value: The value, at the root. It is not looked at elsewhere.
            root: The rank that has it.
            out: A buffer for it, which the root does not need.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            The value, which at the root is the very object given.
        """
        return collectives.bcast(self._group, value, self._rank(root), _deadline(deadline, timeout_s), out)

    def gather(
        self,
        part: Value,
        root: int = 0,
        *,
        allow_missing: bool = False,
        await_retries: bool = False,
        confirm: bool = True,
        out: Sequence[Value] | None = None,
        closing: Closing | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> Gathered | None:
        """Collect one part of each rank at the root.

        Args:
            part: This rank's part. The parts may differ in size and form.
            root: The rank that gets them.
            allow_missing: Whether the root does without parts that do not come. See Gathered.
            await_retries: Whether the root waits on for a newer attempt of a rank that was lost before its part came.
            confirm: Whether a rank waits until the root has all of its part. Otherwise it waits only until the kernel
                has it, as with `send`, and a later operation says if the root fails.
            out: One buffer for each rank, at the root. The root's own is not used.
            closing: When it ends, at a root that takes parts while it does other work. See Closing.
            deadline: See the class. It is not given together with `closing`.
            timeout_s: See the class.

        Returns:
            The parts at the root, and None at the other ranks.
        """
        if closing is not None:
            if deadline is not None or timeout_s is not None:
                raise ValueError("both closing and a deadline are given, and only one of them can say when a wait ends")
            deadline = closing.deadline
        return collectives.gather(
            self._group,
            part,
            self._rank(root),
            _deadline(deadline, timeout_s),
            closing=closing,
            allow_missing=allow_missing,
            await_retries=await_retries,
            confirm=confirm,
            out=out,
        )

    def withdraw(
        self, error: Exception, root: int = 0, *, deadline: float | None = None, timeout_s: float | None = None
    ) -> None:
        """Tell the root that no part will come, instead of a `gather`. The root does not wait for this rank then.

        Args:
            error: Why this rank has failed for good.
            root: The rank that gathers.
            deadline: See the class.
            timeout_s: See the class.
        """
        if self._rank(root) != self.rank:
            collectives.withdraw(self._group, error, root, _deadline(deadline, timeout_s))

    def allgather(
        self,
        part: Value,
        *,
        out: Sequence[Value] | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> list[Any]:
        """Give all ranks the parts of all ranks.

        Args:
            part: This rank's part. The parts may differ in size and form.
            out: One buffer for each rank. This rank's own is not used.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            The parts by rank.
        """
        return collectives.allgather(self._group, part, _deadline(deadline, timeout_s), out)

    def scatter(
        self,
        parts: Sequence[Value] | None = None,
        root: int = 0,
        *,
        out: Value | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Give each rank its own part of what the root has.

        Args:
            parts: One part for each rank, at the root. It is not looked at elsewhere.
            root: The rank that has them.
            out: A buffer for this rank's part.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            This rank's part.
        """
        return collectives.scatter(self._group, parts, self._rank(root), _deadline(deadline, timeout_s), out)

    def reduce(
        self,
        value: Value,
        reduction: str | Reduction = "sum",
        root: int = 0,
        *,
        out: Value | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Combine all ranks' values at the root, in the order of ranks.

        The result has the same bits at every root, and by every topology and algorithm (see reduction.py).

        Args:
            value: This rank's value. All ranks' arrays must have one type and shape.
            reduction: "sum", "min", "max", "prod", which take arrays, or a Reduction.
            root: The rank that gets the result.
            out: A buffer for the result, at the root.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            The result at the root, and None at the other ranks.
        """
        end = _deadline(deadline, timeout_s)
        return reduce_collectives.reduce(self._group, value, _reduction(reduction), self._rank(root), end, out)

    def allreduce(
        self,
        value: Value,
        reduction: str | Reduction = "sum",
        *,
        out: Value | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Combine all ranks' values for all ranks, in the order of ranks.

        Args:
            value: This rank's value. All ranks' arrays must have one type and shape.
            reduction: As in `reduce`.
            out: A buffer for the result.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            The result, with the same bits at every rank as that of `reduce`.
        """
        end = _deadline(deadline, timeout_s)
        return reduce_collectives.allreduce(self._group, value, _reduction(reduction), end, out)

    def scan(
        self,
        value: Value,
        reduction: str | Reduction = "sum",
        *,
        out: Value | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Combine the values of ranks 0 up to this one.

        Args:
            value: This rank's value. All ranks' arrays must have one type and shape.
            reduction: As in `reduce`.
            out: A buffer for the result.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            The result.
        """
        return reduce_collectives.scan(self._group, value, _reduction(reduction), _deadline(deadline, timeout_s), out)

    def wait_for_peer(self, rank: int, *, deadline: float | None = None, timeout_s: float | None = None) -> bool:
        """Wait until a rank has been announced or has connected, or until the rendezvous has failed (see `failure`).

        Args:
            rank: The rank to wait for.
            deadline: See the class.
            timeout_s: See the class.

        Returns:
            Whether the rank is known. Nothing is raised if it is not.
        """
        return self._group.wait_for_peer(self._peer(rank), _deadline(deadline, timeout_s))

    def excuse(self, rank: int, reason: str) -> None:
        """Note that a rank will send nothing more, so that no operation waits until it comes or connects.

        Another thread than the one that uses the communicator may call it. A rank that is connected is heard on.

        Args:
            rank: The rank.
            reason: How that is known, as errors say it after "rank 3".
        """
        self._group.roster.excuse(self._peer(rank), reason)

    def peers(self) -> list[PeerFacts]:
        """List the peers that were announced or have connected.

        Returns:
            Each peer in its newest attempt, by rank.
        """
        return [PeerFacts.of(peer) for peer in self._group.roster.all()]

    @property
    def failure(self) -> RendezvousError | None:
        """Why the rendezvous tells nothing any more, if so. Channels that are open go on working."""
        return self._group.roster.failure

    @property
    def rejected_connections(self) -> int:
        """Connections to this rank's port that did not prove themselves, and channels that carried foreign bytes."""
        broken = sum(peer.channel is not None and peer.channel.refused for peer in self._group.roster.all())
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
        """Seconds from `join` until the rendezvous server let this rank in; None until then and without one."""
        return self._connector.join_s if self._connector else None

    def close(self) -> None:
        """Leave the group, and free all threads and sockets. Data that was sent still arrives."""
        try:
            if self._connector is not None:
                self._connector.stop()
        finally:
            self._group.close()

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


def _deadline(deadline: float | None, timeout_s: float | None) -> float:
    """When a wait must have ended, by whichever of the two is given."""
    if deadline is None:
        return time.monotonic() + (DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s)
    if timeout_s is not None:
        raise ValueError("both deadline and timeout_s are given, and only one of them can say when a wait ends")
    return deadline


def _reduction(reduction: str | Reduction) -> Reduction:
    if isinstance(reduction, Reduction):
        return reduction
    try:
        return REDUCTIONS[reduction]
    except KeyError:
        raise ValueError(f"reduction {reduction!r}; known are {', '.join(REDUCTIONS)}, or give a Reduction") from None
