"""Who is connected, who waits for whom, and until when. No I/O and no clock: `now` comes in, effects go out.

Every connection is in one of four phases, and each phase ends:

    silent    has asked for nothing yet             handshake_timeout_s
    waiting   for the partner of a pairing name     pairing_timeout_s
    member    of a group                            group_timeout_s while the group is incomplete; ping_timeout_s always
    closing   has been told its last word           close_timeout_s

The caller performs the effects in their order, and calls `advance` at `wake_at` (which may be early, never late). After
a Close or Reject it reports nothing more of that connection but `disconnected`, which is due for every connection,
whoever ended it.
"""

from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Generic, NamedTuple, TypeVar

from rendezvous_server.admission import Connections, Rate
from rendezvous_server.group import Group, Member, Send, describe_ranks
from rendezvous_server.protocol import (
    MAX_WORLD_SIZE,
    PING_FRAME,
    Endpoint,
    Join,
    LocalProtocolError,
    RejectCode,
    encode_closing,
    encode_expired,
    encode_rejected,
    encode_replaced,
    pairing_address,
)

C = TypeVar("C", bound=Hashable)  # a connection
K = TypeVar("K", bound=Hashable)

# After an announcement a group is quiet for this long per member told: announcing then takes about a tenth of a core at
# most, however the ranks trickle in. The first news after a quiet time goes out at once, and so does completion.
QUIET_PER_WRITE_S = 50e-6
CLOSING_REASON = "the rendezvous server shuts down"


class Outcome(StrEnum):
    """How a connection ended: the closed vocabulary of the log."""

    PAIRED = "paired"  # has its partner's address
    LEFT = "left"  # a member said goodbye
    LOST = "lost"  # a member's connection dropped
    REPLACED = "replaced"  # by a newer attempt of the same rank
    REJECTED = "rejected"  # a join refused with a code
    EXPIRED = "expired"  # the partner, or the rest of the group, did not come in time
    TIMEOUT = "timeout"  # silent after connecting, or no answer to pings
    MALFORMED = "malformed"  # bytes that mean nothing, or a request that its dialect cannot answer
    SLOW = "slow"  # does not read what it is sent
    LIMITED = "limited"  # too many connections, in total or from its address
    GONE = "gone"  # closed without having asked for anything: a health check
    ABANDONED = "abandoned"  # closed while it waited for its partner
    SHUTDOWN = "shutdown"  # the server ended first


@dataclass(frozen=True, slots=True)
class Accept(Generic[C]):
    """Tell this connection that it is a member; its group, if incomplete, ends after `expires_in_s`."""

    connection: C
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Reject(Generic[C]):
    """Tell this connection why it cannot join (if its dialect has words for it) and close it."""

    connection: C
    code: RejectCode
    reason: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Close(Generic[C]):
    """Close these connections once what was sent to them is on its way; at once with `abort`."""

    to: Collection[C]
    outcome: Outcome
    abort: bool = False


Effect = Send[C] | Accept[C] | Reject[C] | Close[C]


@dataclass(frozen=True, slots=True)
class Limits:
    max_connections: int = 20_000  # the largest group twice: while one run's ranks leave, the next run's come
    max_connections_per_address: int = 12_000  # the largest group behind one NAT, and some
    max_groups: int = 2_000
    join_burst: int = 2 * MAX_WORLD_SIZE  # joins from one address: two of the largest groups at once,
    join_rate: float = 1_000.0  # then so many per second: a client that rejoins in a loop costs a tenth of a core
    handshake_timeout_s: float = 10.0  # several retransmissions of a lost packet
    pairing_timeout_s: float = 300.0  # the slowest cold start, several times
    group_timeout_s: float = 300.0
    ping_interval_s: float = 10.0  # well under the minute or more for which NATs remember a quiet connection
    ping_timeout_s: float = 35.0  # three pings unanswered
    close_timeout_s: float = 5.0
    shutdown_grace_s: float = 5.0  # under the 10 s after which `docker stop` kills, and the 30 s of ECS


class Deadlines(Generic[K]):
    """Keys that fall due the same time after they were added: a queue whose head is the next one."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._queue: OrderedDict[K, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, key: K, now: float) -> float:
        """When it falls due."""
        self._queue[key] = due = now + self._after_s
        return due

    def discard(self, key: K) -> bool:
        """Whether it was there."""
        return self._queue.pop(key, None) is not None

    def left(self, key: K, now: float) -> float:
        """Seconds until it falls due; 0 if it is overdue or not there."""
        return max(0.0, self._queue.get(key, now) - now)

    def next(self) -> float:
        return next(iter(self._queue.values())) if self._queue else inf

    def take_due(self, now: float) -> Iterator[K]:
        while self._queue and self.next() <= now:
            yield self._queue.popitem(last=False)[0]


class _Waiter(NamedTuple, Generic[C]):
    connection: C
    record: bytes  # its address, as its partner will read it


class Registry(Generic[C]):
    def __init__(self, limits: Limits) -> None:
        self.wake_at = inf
        self._limits = limits
        self._connections: Connections[C] = Connections(limits.max_connections, limits.max_connections_per_address)
        self._join_rate = Rate(limits.join_burst, limits.join_rate)
        self._silent: Deadlines[C] = Deadlines(limits.handshake_timeout_s)
        self._waiting: Deadlines[bytes] = Deadlines(limits.pairing_timeout_s)
        self._waiters: dict[bytes, _Waiter[C]] = {}
        self._names: dict[C, bytes] = {}
        self._members: dict[C, Member[C]] = {}
        self._closing: Deadlines[C] = Deadlines(limits.close_timeout_s)
        self._groups: dict[str, Group[C]] = {}
        self._incomplete: Deadlines[str] = Deadlines(limits.group_timeout_s)
        self._pings: Deadlines[str] = Deadlines(limits.ping_interval_s)
        self._announce_at: dict[str, float] = {}  # groups with news, and when it goes out
        self._drain_at: float | None = None  # set once the server shuts down

    # What connections do.

    def connected(self, connection: C, host: str, now: float) -> list[Effect[C]]:
        if not self._connections.add(connection, host):
            return [Close((connection,), Outcome.LIMITED, abort=True)]
        self._wake(self._silent.add(connection, now))
        return []

    def named(self, connection: C, name: bytes, observed: Endpoint, now: float) -> list[Effect[C]]:
        """A client of the pairing dialect gave its name, or a longer part of it than before."""
        first = self._end_phase(connection, now) is Outcome.GONE
        try:
            record = pairing_address(observed)
        except LocalProtocolError:
            return [self._close((connection,), Outcome.MALFORMED, now)]
        own = record if first else b""
        partner = self._waiters.get(name)
        if partner is None:
            self._waiters[name] = _Waiter(connection, record)
            self._names[connection] = name
            self._wake(self._waiting.add(name, now))
            return [Send((connection,), own)] if own else []
        self._end_phase(partner.connection, now)
        return [
            Send((connection,), own + partner.record),
            Send((partner.connection,), record),
            self._close((connection, partner.connection), Outcome.PAIRED, now),
        ]

    def joined(self, connection: C, join: Join, observed: Endpoint, now: float) -> list[Effect[C]]:
        """A client of the group dialect asked to join, and its proof holds."""
        self._end_phase(connection, now)
        if self._drain_at is not None:
            return self._farewell([connection], encode_closing(CLOSING_REASON), Outcome.SHUTDOWN, now)
        group = self._groups.get(join.run_id)
        objection = self._objection(group, join, observed, now)
        if objection is not None:
            return [self._reject(connection, *objection, now, Outcome.REJECTED)]
        group = group or self._found(join, now)
        member, former = group.add(connection, join, observed, now)
        self._members[connection] = member
        effects: list[Effect[C]] = []
        if former is not None:
            del self._members[former.connection]
            data = encode_replaced(join.attempt, f"attempt {join.attempt} of rank {join.rank} has joined")
            effects += self._farewell([former.connection], data, Outcome.REPLACED, now)
        if group.complete:
            self._incomplete.discard(group.run_id)
        effects.append(Accept(connection, self._incomplete.left(group.run_id, now)))
        self._plan_announcement(group, now)
        return effects

    def heard(self, connection: C, now: float) -> None:
        """Bytes came: a sign of life."""
        member = self._members.get(connection)
        if member is not None:
            member.heard = now

    def ended(self, connection: C, outcome: Outcome, now: float, abort: bool = False) -> list[Effect[C]]:
        """The connection is of no use any more, in whatever phase it is: its client said goodbye, or misbehaved."""
        self._end_phase(connection, now)
        return [self._close((connection,), outcome, now, abort)]

    def disconnected(self, connection: C, now: float) -> Outcome | None:
        """The connection is gone. How it ended; None if that was decided before."""
        self._connections.remove(connection)
        return self._end_phase(connection, now)

    # What time does.

    def advance(self, now: float) -> list[Effect[C]]:
        """Everything that is due."""
        late = f"no join within {self._limits.handshake_timeout_s:g} s"
        effects: list[Effect[C]] = [
            self._reject(connection, RejectCode.TIMEOUT, late, now, Outcome.TIMEOUT)
            for connection in self._silent.take_due(now)
        ]
        effects += self._close_waiting(self._waiting.take_due(now), Outcome.EXPIRED, now)
        for run_id in self._incomplete.take_due(now):
            effects += self._expire(self._groups[run_id], now)
        for run_id in list(self._pings.take_due(now)):
            effects += self._ping(self._groups[run_id], now)
        for run_id in [run_id for run_id, due in self._announce_at.items() if due <= now]:
            effects += self._announce(self._groups[run_id], now)
        if overdue := list(self._closing.take_due(now)):
            effects.append(Close(overdue, Outcome.SLOW, abort=True))  # too late for another outcome: they have theirs
        if self._drain_at is not None and (now >= self._drain_at or not self._silent):
            effects += self._close_waiting(self._waiting.take_due(inf), Outcome.SHUTDOWN, now)
            if silent := list(self._silent.take_due(inf)):
                effects.append(self._close(silent, Outcome.SHUTDOWN, now))
        queues = (self._silent, self._waiting, self._incomplete, self._pings, self._closing)
        self.wake_at = min(*(queue.next() for queue in queues), *self._announce_at.values())
        if self._drain_at is not None and self._silent:
            self._wake(self._drain_at)
        return effects

    def drain(self, now: float) -> list[Effect[C]]:
        """The server shuts down: members are told; names wait a little longer for clients that have connected."""
        self._drain_at = now + self._limits.shutdown_grace_s
        members = list(self._members)
        for connection in members:
            self._end_phase(connection, now)
        effects = self._farewell(members, encode_closing(CLOSING_REASON), Outcome.SHUTDOWN, now) if members else []
        return effects + self.advance(now)

    # Parts of the above.

    def _wake(self, at: float) -> None:
        self.wake_at = min(self.wake_at, at)

    def _end_phase(self, connection: C, now: float) -> Outcome | None:
        """Forget what this connection waits for. How it ends if it ends here; None if that was decided before."""
        if self._silent.discard(connection):
            if self._drain_at is not None:
                self._wake(now)  # perhaps the last that a waiting name could hope for
            return Outcome.GONE
        name = self._names.pop(connection, None)
        if name is not None:
            del self._waiters[name]
            self._waiting.discard(name)
            return Outcome.ABANDONED
        member = self._members.pop(connection, None)
        if member is not None:
            member.group.remove(member)
            if member.group.members:
                self._plan_announcement(member.group, now)
            else:
                self._dissolve(member.group)
            return Outcome.LOST
        self._closing.discard(connection)
        return None

    def _close(self, to: Collection[C], outcome: Outcome, now: float, abort: bool = False) -> Close[C]:
        for connection in to:
            self._wake(self._closing.add(connection, now))
        return Close(to, outcome, abort)

    def _reject(self, connection: C, code: RejectCode, reason: str, now: float, outcome: Outcome) -> Reject[C]:
        self._wake(self._closing.add(connection, now))
        return Reject(connection, code, reason, outcome)

    def _farewell(self, to: Collection[C], data: bytes, outcome: Outcome, now: float) -> list[Effect[C]]:
        return [Send(to, data), self._close(to, outcome, now)]

    def _close_waiting(self, names: Iterable[bytes], outcome: Outcome, now: float) -> list[Effect[C]]:
        connections = [self._waiters.pop(name).connection for name in names]
        for connection in connections:
            del self._names[connection]
        return [self._close(connections, outcome, now)] if connections else []

    # Groups.

    def _objection(
        self, group: Group[C] | None, join: Join, observed: Endpoint, now: float
    ) -> tuple[RejectCode, str] | None:
        if not self._join_rate.take(observed.host, now):
            return RejectCode.LIMIT, f"too many joins from {observed.host}; try again in some seconds"
        if group is not None:
            return group.objection(join)
        if len(self._groups) >= self._limits.max_groups:
            return RejectCode.LIMIT, f"the server is full: {len(self._groups)} groups"
        return None

    def _found(self, join: Join, now: float) -> Group[C]:
        group: Group[C] = Group(join.run_id, join.world_size)
        self._groups[join.run_id] = group
        self._wake(self._incomplete.add(join.run_id, now))
        self._wake(self._pings.add(join.run_id, now))
        return group

    def _dissolve(self, group: Group[C]) -> None:
        del self._groups[group.run_id]
        self._incomplete.discard(group.run_id)
        self._pings.discard(group.run_id)
        self._announce_at.pop(group.run_id, None)

    def _plan_announcement(self, group: Group[C], now: float) -> None:
        due = now if group.completion_untold else max(now, group.quiet_until)
        self._announce_at[group.run_id] = due = min(due, self._announce_at.get(group.run_id, inf))
        self._wake(due)

    def _announce(self, group: Group[C], now: float) -> Iterable[Effect[C]]:
        del self._announce_at[group.run_id]
        sends = group.announce()
        group.quiet_until = now + QUIET_PER_WRITE_S * sum(len(send.to) for send in sends)
        return sends

    def _expire(self, group: Group[C], now: float) -> list[Effect[C]]:
        members = [member.connection for member in group.members.values()]
        for connection in members:
            del self._members[connection]
        self._dissolve(group)
        missing = group.missing()
        reason = (
            f"{describe_ranks(missing)} of {group.world_size} did not join run {group.run_id!r} "
            f"within {self._limits.group_timeout_s:g} s"
        )
        return self._farewell(members, encode_expired(missing, reason), Outcome.EXPIRED, now)

    def _ping(self, group: Group[C], now: float) -> list[Effect[C]]:
        """Ping the members; those that left earlier pings unanswered are gone."""
        effects: list[Effect[C]] = []
        mute = [m.connection for m in group.members.values() if now - m.heard >= self._limits.ping_timeout_s]
        for connection in mute:
            self._end_phase(connection, now)
        if mute:
            data = encode_rejected(RejectCode.TIMEOUT, f"no sign of life for {self._limits.ping_timeout_s:g} s")
            effects += self._farewell(mute, data, Outcome.TIMEOUT, now)
        if group.members:
            effects.append(Send([member.connection for member in group.members.values()], PING_FRAME))
            self._pings.add(group.run_id, now)
        return effects
