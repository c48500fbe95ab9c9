"""One client of the server, between its transport, the protocol and the registry.

A connection makes three moves: it feeds the protocol, hands the events to the registry, and performs the effects. The
registry decides. `Connection.write` is the only place that writes to a transport, and `Connection.finish` the only one
that closes it. A relay that has been spliced goes on in splicing.py and comes back here to end.
"""

import asyncio
import select
from collections.abc import Iterable
from typing import Protocol, cast

from rendezvous_server.effects import Effect, Outcome, Reject
from rendezvous_server.health_answers import answer_on_rendezvous_port
from rendezvous_server.log import Log
from rendezvous_server.protocol import (
    Endpoint,
    HelloReceived,
    HttpRequested,
    JoinRequested,
    LeaveReceived,
    PairingRequested,
    ProbeReceived,
    Refused,
    Relay,
    RelayRequested,
    RemoteProtocolError,
    ServerConnection,
    ServerEvent,
    WithdrawalRequested,
)
from rendezvous_server.proxy_protocol import ProxyHeader
from rendezvous_server.registry import Registry
from rendezvous_server.settings import ServerSettings

# No client has so much to say at once: a join has less than 1 kB, a rank's other frames tens of bytes. Answering a
# flood of pings would keep others waiting.
LONGEST_READ_BYTES = 16 * 1024
HUNG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)  # the first, which half a close suffices for, is Linux's
NOWHERE = Endpoint("0.0.0.0", 0)  # noqa: S104 - where a client was that is gone already


class ConnectionOwner(Protocol):
    """Describes the server as its connections use it."""

    @property
    def settings(self) -> ServerSettings: ...
    @property
    def registry(self) -> Registry["Connection"]: ...
    @property
    def log(self) -> Log: ...
    @property
    def connections(self) -> set["Connection"]: ...
    @property
    def probe_port(self) -> int:
        """The port that ranks send NAT probes to; 0 if there is none."""

    def now(self) -> float:
        """Returns the seconds of the event loop's clock."""

    def make_nonce(self) -> bytes:
        """Returns 16 fresh random bytes."""

    def perform(self, effects: Iterable[Effect["Connection"]]) -> None:
        """Does what the registry asks for."""

    def forget(self, connection: "Connection", dialect: str | None, outcome: Outcome) -> None:
        """Counts a connection that has ended, and drops the reference to it."""


class Connection(asyncio.Protocol):
    """Serves one client. Once `outcome` says how the connection ends, further bytes of the client are dropped."""

    __slots__ = ("_core", "_details", "_endpoint", "_proxy", "_relayed", "_server", "_since", "outcome", "transport")

    transport: asyncio.Transport
    _endpoint: Endpoint
    _core: ServerConnection

    def __init__(self, server: ConnectionOwner) -> None:
        self._server = server
        self._since = server.now()
        self._proxy = ProxyHeader() if server.settings.proxy_protocol else None
        self._details: dict[str, object] | None = None
        self._relayed = 0  # bytes that came after it was spliced
        self.outcome: Outcome | None = None

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")  # None if the client is gone already
        self._comes_from(Endpoint.from_sockaddr(peername) if peername else NOWHERE)
        server = self._server
        server.connections.add(self)
        host = None if self._proxy else self._endpoint.host
        server.perform(server.registry.connected(self, host, self._since))

    def data_received(self, data: bytes) -> None:
        server, now = self._server, self._server.now()
        if len(data) > LONGEST_READ_BYTES:
            self._note(reason=f"{len(data)} bytes at once; at most {LONGEST_READ_BYTES} are allowed")
            server.perform(server.registry.ended(self, Outcome.MALFORMED, now, abort=True))
        if self.outcome is not None:
            return
        if self._core.is_framed:
            server.registry.heard(self, now)
        try:
            if self._proxy is not None:
                data = self._without_header(self._proxy, data, now)
            for event in self._core.receive_data(data):
                server.perform(self._handle(event, now))
        except RemoteProtocolError as error:
            self._note(reason=str(error))
            server.perform(server.registry.ended(self, Outcome.MALFORMED, now))
        if self._core.is_framed:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        server = self._server
        now = server.now()
        ended = server.registry.disconnected(self, now)
        outcome = self.outcome or ended or Outcome.LOST
        dialect = self._core.dialect
        server.forget(self, dialect, outcome)
        if self._relayed:
            self._note(bytes=self._relayed)
        server.log.connection(outcome, dialect, self._endpoint.host, now - self._since, self._details)

    def _comes_from(self, endpoint: Endpoint) -> None:
        server = self._server
        self._endpoint = endpoint
        self._core = ServerConnection(server.settings.key, server.make_nonce, endpoint, server.probe_port)

    def _without_header(self, proxy: ProxyHeader, data: bytes, now: float) -> bytes:
        """The client's own bytes, which follow the load balancer's header. The header has the client's endpoint."""
        data = proxy.feed(data)
        if proxy.complete:
            self._proxy = None
            if proxy.client is not None:
                self._comes_from(proxy.client)
            self._server.perform(self._server.registry.located(self, self._endpoint.host, now))
        return data if self.outcome is None else b""

    def _handle(self, event: ServerEvent, now: float) -> Iterable[Effect["Connection"]]:
        registry = self._server.registry
        match event:
            case PairingRequested(name):
                self._drop_dead_partner(name, now)
                return registry.named(self, name, self._endpoint, now)
            case WithdrawalRequested(name):
                return registry.withdrawn(self, name, self._endpoint, now)
            case HttpRequested(method, path):
                authenticated = self._server.settings.key is not None
                answer = answer_on_rendezvous_port(
                    method, path, draining=registry.draining, authenticated=authenticated
                )
                return registry.answered(self, answer, now)
            case HelloReceived(nonce):
                registry.greeted(self, nonce)
                return ()
            case JoinRequested(join):
                self._note(run_id=join.run_id, rank=join.rank, attempt=join.attempt)
                return registry.joined(self, join, self._endpoint, now)
            case RelayRequested(relay):
                self._note(run_id=relay.run_id, rank=relay.rank, attempt=relay.attempt, peer=relay.peer)
                self._drop_dead_partner(relay, now)
                return registry.relay_requested(self, relay, self._endpoint.host, now)
            case ProbeReceived(nonce):
                return registry.probed(self, nonce, self._endpoint, now)
            case Refused(code, reason):
                return registry.refused(self, code, reason, self._endpoint.host, now)
            case LeaveReceived():
                return registry.ended(self, Outcome.LEFT, now)

    def _drop_dead_partner(self, sought: bytes | Relay, now: float) -> None:
        """Ends the connection that waits for this one, if its client has closed and the loop has not read that yet."""
        registry = self._server.registry
        partner = registry.partner(sought)
        if partner is not None and partner is not self and partner.hung_up():
            self._server.perform(registry.ended(partner, Outcome.ABANDONED, now))

    def hung_up(self) -> bool:
        """Says whether the client has closed, which the kernel may know before the event loop reports it."""
        if self.transport.is_closing():
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), HUNG_UP)
        return bool(poll.poll(0))

    # Effects.

    def write(self, data: bytes) -> None:
        """Sends bytes, or aborts the connection of a client that does not read what it is sent."""
        self.transport.write(data)
        server = self._server
        if self.transport.get_write_buffer_size() > server.settings.write_buffer_bytes:
            server.perform(server.registry.ended(self, Outcome.SLOW, server.now(), abort=True))

    def accept(self, expires_in_s: float, probed: Endpoint | None) -> None:
        """Tells the client that it is a member; its group, if incomplete, ends after `expires_in_s` seconds."""
        self._core.accept(expires_in_s, self._server.settings.limits.ping_interval_s, probed)
        self._flush()

    def confirm(self) -> None:
        """Tells the client where its NAT probe came from."""
        self._core.confirm()
        self._flush()

    def splice(self) -> None:
        """Tells the client that all further bytes are its peer's."""
        self._core.splice()
        self._flush()

    def reject(self, effect: Reject["Connection"]) -> None:
        """Tells the client why its request is refused, and closes."""
        self._note(code=effect.code.name, reason=effect.reason)
        self._core.reject(effect.code, effect.reason)
        self.finish(effect.outcome)

    def finish(self, outcome: Outcome, abort: bool = False) -> None:
        """Closes once everything is sent, or at once with `abort`. The first outcome counts."""
        if abort:
            self.outcome = self.outcome or outcome
            self.transport.abort()
        elif self.outcome is None:
            self.outcome = outcome
            if self._core.is_framed:
                self._flush()
            if self.transport.is_closing():
                return
            if self._core.may_still_send and outcome is not Outcome.RELAYED:
                # A close while bytes of the client are unread would reset the connection, and the client might lose
                # the final frame. So only our half ends, and the client ends the other before the registry's deadline.
                self.transport.write_eof()
            else:
                self.transport.close()

    # Called by its RelayEnd.

    def carried(self, size: int) -> None:
        """Counts bytes that were passed on to the other end of the relay."""
        self._relayed += size
        server = self._server
        server.perform(server.registry.carried(self, size, server.now()))

    def relay_ended(self) -> None:
        """Ends the relay, both of whose clients have sent all that they will."""
        server = self._server
        server.perform(server.registry.relay_ended(self, server.now()))

    def _note(self, **details: object) -> None:
        """Adds fields to the connection's log line."""
        self._details = {**(self._details or {}), **details}

    def _flush(self) -> None:
        data = self._core.data_to_send()
        if data:
            self.write(data)
