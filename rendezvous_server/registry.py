"""Decides who is connected, who waits for whom, and until when. No I/O, no clock: `now` comes in, effects go out.

Every connection is in one of six phases, and each phase ends:

    silent    has asked for nothing yet             handshake_timeout_s; METHOD_HELD_S after a method of HTTP
    waiting   for the partner of a pairing name     pairing_timeout_s
    relaying  waits for the other end of a relay    relay_timeout_s
    spliced   joined to the other end of a relay    relay_idle_timeout_s without a byte; relay_max_bytes
    member    belongs to a group                    group_timeout_s while the group is incomplete; ping_timeout_s always
    closing   has been sent its final frame         close_timeout_s

The caller performs the effects in their order, and calls `advance` at `wake_at` (which may be early, never late). After
a Close or Reject it reports nothing more of that connection but `disconnected`, which it reports for every connection.
All times are seconds of one monotonic clock.
"""

from collections.abc import Collection, Iterator
from math import inf
from typing import Generic

from rendezvous_server.admission import ConnectionLimiter, RateLimiter
from rendezvous_server.counts import Counts
from rendezvous_server.deadlines import Deadlines
from rendezvous_server.effects import Accept, Close, Confirm, ConnT, Effect, Introduce, Outcome, Reject, Send, Splice
from rendezvous_server.groups import Groups
from rendezvous_server.limits import Limit, Limits
from rendezvous_server.probes import Probes
from rendezvous_server.protocol import (
    Endpoint,
    Join,
    LocalProtocolError,
    RejectCode,
    Relay,
    encode_closing,
    encode_expired,
    encode_rejected,
    encode_replaced,
    pairing_address,
)
from rendezvous_server.protocol.pairing import HTTP_METHODS
from rendezvous_server.relays import Relays
from rendezvous_server.waiting import Waiters

CLOSING_REASON = "the rendezvous server shuts down"
# How long the name of a method of HTTP is no pairing name. A request that is cut behind it goes on before that, and a
# client of that name has a moment to spare.
METHOD_HELD_S = 1.0
IPV4_BYTES = 4  # a pairing record begins with the address
GONE = Outcome.GONE  # the two of every pairing ask for it, and looking a member up takes five times as long


class Registry(Generic[ConnT]):
    """Keeps the phase of every connection. Methods take what happened, and return what the caller must do."""

    def __init__(self, limits: Limits) -> None:
        self.wake_at = inf
        self.counts = Counts()
        self._limits = limits
        self._connections: ConnectionLimiter[ConnT] = ConnectionLimiter(
            limits.max_connections, limits.max_connections_per_address
        )
        self._request_rate = RateLimiter(limits.join_burst, limits.join_rate)
        self._silent: Deadlines[ConnT] = Deadlines(limits.handshake_timeout_s)
        self._held: Deadlines[ConnT] = Deadlines(METHOD_HELD_S)  # silent, but for a method of HTTP
        self._methods: dict[ConnT, tuple[bytes, Endpoint]] = {}  # that these sent, and from where
        self._probes: Probes[ConnT] = Probes()  # of silent connections
        self._pairing: Waiters[bytes, ConnT, bytes] = Waiters(limits.pairing_timeout_s)  # by name, with address records
        self._groups: Groups[ConnT] = Groups(limits, self.counts)
        self._relays: Relays[ConnT] = Relays(limits)
        self._orphaned: set[ConnT] = set()  # were spliced to a connection that has dropped
        self._closing: Deadlines[ConnT] = Deadlines(limits.close_timeout_s)
        self._drain_at: float | None = None  # set once the server shuts down

    # What connections do.

    def connected(self, connection: ConnT, host: str | None, now: float) -> list[Effect[ConnT]]:
        """A client has connected. None as host stands for one that `located` will give."""
        limit = self._connections.add(connection, host)
        if limit is not None:
            self.counts.limits[limit] += 1
            return [Close((connection,), Outcome.LIMITED, abort=True)]
        self._wake(self._silent.add(connection, now))
        return []

    def located(self, connection: ConnT, host: str, now: float) -> list[Effect[ConnT]]:
        """A load balancer has told where a connection comes from."""
        limit = self._connections.locate(connection, host)
        if limit is None:
            return []
        self.counts.limits[limit] += 1
        return self.ended(connection, Outcome.LIMITED, now, abort=True)

    def named(self, connection: ConnT, name: bytes, observed: Endpoint, now: float) -> list[Effect[ConnT]]:
        """A client of the pairing dialect gave its name, or a longer part of it than before.

        The first that comes may be a method of HTTP, whose request was cut there. It is a name if nothing follows soon,
        or if it comes again, with a zero behind it.
        """
        if name in HTTP_METHODS and self._silent.discard(connection):
            self._methods[connection] = name, observed
            self._wake(self._held.add(connection, now))
            return []
        first = self._end_phase(connection, now) is GONE
        record = _record(observed)
        if not record:
            return [self._close((connection,), Outcome.MALFORMED, now)]
        own = record if first else b""
        waiter = self._pairing.at(name)
        if waiter is None:
            self._wake(self._pairing.add(name, connection, record, now))
            return [Send((connection,), own)] if own else []
        self._pairing.forget(waiter.connection)
        self.counts.pairing_s.observe(now - waiter.since)
        for end in (waiter.connection, connection):
            self._wake(self._closing.add(end, now))
        return [Introduce(waiter.connection, record, connection, own + waiter.detail)]

    def withdrawn(self, connection: ConnT, name: bytes, observed: Endpoint, now: float) -> list[Effect[ConnT]]:
        """A client that waits no longer under a name says so by another connection from the same address."""
        self._end_phase(connection, now)
        effects: list[Effect[ConnT]] = []
        waiter = self._pairing.at(name)
        if waiter is not None and waiter.detail[:IPV4_BYTES] == _record(observed)[:IPV4_BYTES]:
            self._end_phase(waiter.connection, now)
            effects.append(self._close((waiter.connection,), Outcome.WITHDRAWN, now))
        return [*effects, self._close((connection,), Outcome.WITHDRAWAL, now)]

    def answered(self, connection: ConnT, answer: bytes, now: float) -> list[Effect[ConnT]]:
        """A client asked over HTTP, and this is the answer."""
        self._end_phase(connection, now)
        return self._send_and_close([connection], answer, Outcome.ANSWERED, now)

    def greeted(self, connection: ConnT, nonce: bytes) -> None:
        """A client of the group dialect was sent this nonce, and may send a probe with it."""
        self._probes.expect(connection, nonce)

    def probed(self, connection: ConnT, nonce: bytes, observed: Endpoint, now: float) -> list[Effect[ConnT]]:
        """A probe for the connection that was sent this nonce came from `observed`."""
        self._end_phase(connection, now)
        if not self._probes.note(nonce, observed):
            late = "the connection of this probe has asked to join already, or is closed"
            return [self._reject(connection, RejectCode.UNKNOWN, late, now)]
        return [Confirm(connection), self._close((connection,), Outcome.PROBED, now)]

    def joined(self, connection: ConnT, join: Join, observed: Endpoint, now: float) -> list[Effect[ConnT]]:
        """A client of the group dialect asked to join, and its proof holds."""
        probed = self._probes.take(connection)
        self._end_phase(connection, now)
        if self._drain_at is not None:
            return self._send_and_close([connection], encode_closing(CLOSING_REASON), Outcome.SHUTDOWN, now)
        objection = self._too_often(observed.host, now) or self._groups.objection(join)
        if objection is not None:
            return [self._reject(connection, *objection, now)]
        former = self._groups.add(connection, join, observed, now)
        self._wake(self._groups.wake_at)
        effects: list[Effect[ConnT]] = []
        if former is not None:
            data = encode_replaced(join.attempt, f"attempt {join.attempt} of rank {join.rank} has joined")
            effects += self._send_and_close([former], data, Outcome.REPLACED, now)
        effects.append(Accept(connection, self._groups.expires_in(join.run_id, now), probed))
        return effects

    def relay_requested(self, connection: ConnT, relay: Relay, host: str, now: float) -> list[Effect[ConnT]]:
        """A client asked for a relay, and its proof holds."""
        self._end_phase(connection, now)
        if self._drain_at is not None:
            return self._send_and_close([connection], encode_closing(CLOSING_REASON), Outcome.SHUTDOWN, now)
        objection = self._too_often(host, now) or self._relay_objection(relay)
        if objection is not None:
            return [self._reject(connection, *objection, now)]
        effects: list[Effect[ConnT]] = []
        waiter = self._relays.waiters.at(relay.token)
        if waiter is not None:
            self._end_phase(waiter.connection, now)
            if waiter.detail.rank != relay.rank:
                self.counts.relay_s.observe(now - waiter.since)
                self._wake(self._relays.splice(waiter.connection, connection, now))
                return [Splice(waiter.connection, connection)]
            data = encode_replaced(relay.attempt, f"rank {relay.rank} has connected for this relay once more")
            effects += self._send_and_close([waiter.connection], data, Outcome.REPLACED, now)
        self._wake(self._relays.waiters.add(relay.token, connection, relay, now))
        return effects

    def carried(self, connection: ConnT, size: int, now: float) -> list[Effect[ConnT]]:
        """An end of a relay sent `size` bytes."""
        self.counts.relayed_bytes += size
        if self._relays.carry(connection, size, now):
            return []
        self.counts.limits[Limit.RELAY_BYTES] += 1
        return self._end_pair(connection, Outcome.LIMITED, now, abort=True)

    def relay_ended(self, connection: ConnT, now: float) -> list[Effect[ConnT]]:
        """Both ends of this connection's relay have ended, and all that they sent is on its way."""
        return self._end_pair(connection, Outcome.RELAYED, now)

    def refused(self, connection: ConnT, code: RejectCode, reason: str, host: str, now: float) -> list[Effect[ConnT]]:
        """A client sent a request that is refused whoever sends it, such as one without proof.

        One that does so too often no longer learns what was wrong, so that nobody can try out keys.
        """
        self._end_phase(connection, now)
        return [self._reject(connection, *(self._too_often(host, now) or (code, reason)), now)]

    def heard(self, connection: ConnT, now: float) -> None:
        """A connection sent bytes, which shows that it is alive."""
        self._groups.heard(connection, now)

    def ended(self, connection: ConnT, outcome: Outcome, now: float, abort: bool = False) -> list[Effect[ConnT]]:
        """A connection is of no use any more, in whatever phase it is: its client left, or broke a rule."""
        self._end_phase(connection, now)
        return [self._close((connection,), outcome, now, abort)]

    def disconnected(self, connection: ConnT, now: float) -> Outcome | None:
        """A connection is gone. Returns how it ended; None if that was decided before."""
        self._connections.remove(connection)
        if self._closing.discard(connection):  # as nearly all
            return None
        return self._end_phase(connection, now)

    # What time does.

    def advance(self, now: float) -> list[Effect[ConnT]]:
        """Returns everything that is due, and sets `wake_at`."""
        effects = list(self._effects_due(now))
        queues = (self._silent, self._held, self._pairing, self._groups, self._relays, self._closing)
        self.wake_at = min(queue.next() for queue in queues)
        if self._drain_at is not None and (self._silent or self._held or self._relays.spliced):
            self._wake(self._drain_at)
        return effects

    def drain(self, now: float) -> list[Effect[ConnT]]:
        """The server shuts down. Members and those that wait for a relay are told and closed at once.

        Pairing names wait for clients that have connected, and relays for their ends, until the grace period is over.
        """
        self._drain_at = now + self._limits.shutdown_grace_s
        to = [*self._groups.members, *self._relays.waiters.connections]
        for connection in to:
            self._end_phase(connection, now)
        effects = self._send_and_close(to, encode_closing(CLOSING_REASON), Outcome.SHUTDOWN, now) if to else []
        return effects + self.advance(now)

    # What there is.

    @property
    def draining(self) -> bool:
        """Says whether the server shuts down."""
        return self._drain_at is not None

    def partner(self, sought: bytes | Relay) -> ConnT | None:
        """Returns the connection that waits for a client with this pairing name or this request for a relay."""
        waiter = self._relays.waiters.at(sought.token) if isinstance(sought, Relay) else self._pairing.at(sought)
        return None if waiter is None else waiter.connection

    def phases(self) -> dict[str, int]:
        """Returns how many connections are in each phase."""
        return {
            "silent": len(self._silent) + len(self._held),
            "waiting": len(self._pairing),
            "relaying": len(self._relays.waiters),
            "spliced": 2 * self._relays.spliced + len(self._orphaned),
            "member": len(self._groups.members),
            "closing": len(self._closing),
        }

    def groups(self) -> dict[str, int]:
        """Returns how many groups are in each state."""
        incomplete = self._groups.incomplete
        return {"incomplete": incomplete, "complete": len(self._groups) - incomplete}

    # Parts of the above.

    def _wake(self, at: float) -> None:
        if at < self.wake_at:
            self.wake_at = at

    def _effects_due(self, now: float) -> Iterator[Effect[ConnT]]:
        late = f"no request within {self._limits.handshake_timeout_s:g} s"
        for connection in self._silent.take_due(now):
            self._probes.take(connection)
            yield self._reject(connection, RejectCode.TIMEOUT, late, now, Outcome.TIMEOUT)
        for connection in self._held.due(now):
            yield from self.named(connection, *self._methods[connection], now)
        if expired := [waiter.connection for waiter in self._pairing.take_due(now)]:
            yield self._close(expired, Outcome.EXPIRED, now)
        yield from self._relays_due(now)
        yield from self._groups_due(now)
        if overdue := list(self._closing.take_due(now)):
            yield Close(overdue, Outcome.SLOW, abort=True)  # the caller knows their outcome already
        if self._drain_at is not None:
            yield from self._drain_due(now >= self._drain_at, now)

    def _relays_due(self, now: float) -> Iterator[Effect[ConnT]]:
        for waiter in self._relays.waiters.take_due(now):
            peer = waiter.detail.peer
            reason = f"rank {peer} did not connect for this relay within {self._limits.relay_timeout_s:g} s"
            yield from self._send_and_close([waiter.connection], encode_expired([peer], reason), Outcome.EXPIRED, now)
        if idle := self._relays.take_idle(now):
            yield self._close(idle, Outcome.TIMEOUT, now, abort=True)
        if self._orphaned:
            orphaned, self._orphaned = self._orphaned, set()
            yield self._close(orphaned, Outcome.LOST, now)

    def _groups_due(self, now: float) -> Iterator[Effect[ConnT]]:
        for members, data in self._groups.take_expired(now):
            yield from self._send_and_close(members, data, Outcome.EXPIRED, now)
        if unresponsive := list(self._groups.take_unresponsive(now)):
            data = encode_rejected(RejectCode.TIMEOUT, f"no sign of life for {self._limits.ping_timeout_s:g} s")
            yield from self._send_and_close(unresponsive, data, Outcome.TIMEOUT, now)
        yield from self._groups.ping(now)
        yield from self._groups.announce(now)

    def _drain_due(self, over: bool, now: float) -> Iterator[Effect[ConnT]]:
        """Closes names as soon as no silent client is left that could be a partner, and the rest when time is over."""
        if (over or not (self._silent or self._held)) and (waiting := self._pairing.take_due(inf)):
            yield self._close([waiter.connection for waiter in waiting], Outcome.SHUTDOWN, now)
        if over and (silent := [*self._silent.due(inf), *self._held.due(inf)]):
            for connection in silent:
                self._end_phase(connection, now)
            yield self._close(silent, Outcome.SHUTDOWN, now)
        if over and (spliced := self._relays.take_idle(inf)):
            yield self._close(spliced, Outcome.SHUTDOWN, now, abort=True)

    def _end_phase(self, connection: ConnT, now: float) -> Outcome | None:
        """Takes a connection out of its phase. Returns how it ends if it ends here; None if that was decided before."""
        if self._silent.discard(connection) or self._held.discard(connection):
            self._methods.pop(connection, None)
            self._probes.take(connection)
            if self._drain_at is not None:
                self._wake(now)  # perhaps the last that could be the partner of a name
            return GONE
        if self._closing.discard(connection):
            return None
        if self._pairing.forget(connection) or self._relays.waiters.forget(connection):
            return Outcome.ABANDONED
        if self._groups.forget(connection, now):
            self._wake(self._groups.wake_at)
            return Outcome.LOST
        other = self._relays.end_pair(connection)
        if other is not None:
            self._orphaned.add(other)
            self._wake(now)
            return Outcome.LOST
        if connection in self._orphaned:
            self._orphaned.discard(connection)
            return Outcome.LOST
        return None

    def _close(self, to: Collection[ConnT], outcome: Outcome, now: float, abort: bool = False) -> Close[ConnT]:
        for connection in to:
            self._wake(self._closing.add(connection, now))
        return Close(to, outcome, abort)

    def _reject(
        self, connection: ConnT, code: RejectCode, reason: str, now: float, outcome: Outcome = Outcome.REJECTED
    ) -> Reject[ConnT]:
        self._wake(self._closing.add(connection, now))
        return Reject(connection, code, reason, outcome)

    def _send_and_close(self, to: Collection[ConnT], data: bytes, outcome: Outcome, now: float) -> list[Effect[ConnT]]:
        return [Send(to, data), self._close(to, outcome, now)]

    def _end_pair(self, connection: ConnT, outcome: Outcome, now: float, abort: bool = False) -> list[Effect[ConnT]]:
        other = self._relays.end_pair(connection)
        return [] if other is None else [self._close((connection, other), outcome, now, abort)]

    def _too_often(self, host: str, now: float) -> tuple[RejectCode, str] | None:
        """Counts a request that costs a proof, a place in a group or a relay."""
        if self._request_rate.take(host, now):
            return None
        self.counts.limits[Limit.JOINS] += 1
        return RejectCode.LIMIT, f"too many joins from {host}; try again in some seconds"

    def _relay_objection(self, relay: Relay) -> tuple[RejectCode, str] | None:
        for rank, attempt in ((relay.rank, relay.attempt), (relay.peer, relay.peer_attempt)):
            if not self._groups.has(relay.run_id, rank, attempt):
                return RejectCode.UNKNOWN, f"attempt {attempt} of rank {rank} is no member of run {relay.run_id!r}"
        if not self._relays.has_room(relay):
            self.counts.limits[Limit.RELAYS] += 1
            return RejectCode.LIMIT, f"the server is full: {self._limits.max_relays} relays"
        return None


def _record(observed: Endpoint) -> bytes:
    """What the pairing dialect says of an endpoint; nothing where it has no word for it, as for IPv6."""
    try:
        return pairing_address(observed)
    except LocalProtocolError:
        return b""
