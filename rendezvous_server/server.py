"""The asyncio side of the rendezvous server, on asyncio's own loop or uvloop.

What a connection does is three moves: feed the protocol core, hand its events to the registry, perform the effects. The
registry decides; `Connection.write` is the only place that writes to a transport, `Connection.finish` the only one that
closes it. Relay connections will branch off in `Connection._handle`; NAT probe and HTTP will listen beside `listen`.
"""

import asyncio
import json
import os
import socket
from collections.abc import Iterable
from functools import partial
from math import ceil, inf
from typing import TextIO, cast

from rendezvous_server.group import Send
from rendezvous_server.protocol import (
    NONCE_SIZE,
    Endpoint,
    JoinRefused,
    JoinRequested,
    LeaveReceived,
    PairingRequested,
    RemoteProtocolError,
    ServerConnection,
    ServerEvent,
)
from rendezvous_server.registry import Accept, Close, Effect, Outcome, Registry, Reject
from rendezvous_server.settings import Settings

# Connections that the kernel holds until we accept them: a large group that starts at one moment. somaxconn caps it.
BACKLOG = 4096
# No client has so much to say at once: a join has less than 1 kB, a rank's other frames tens of bytes. Answering a
# flood of pings would keep others waiting.
LONGEST_READ_BYTES = 16 * 1024
LOG_DELAY_S = 0.1  # lines wait that long for others: thousands of connections a second cost tens of writes


class Log:
    """JSON lines, one event per line, written in batches."""

    def __init__(self, stream: TextIO, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._lines: list[str] = []

    def event(self, event: str, **fields: object) -> None:
        if not self._lines:
            self._loop.call_later(LOG_DELAY_S, self.flush)
        self._lines.append(json.dumps({"event": event, **fields}))

    def flush(self) -> None:
        if not self._lines:
            return
        lines, self._lines = "\n".join(self._lines) + "\n", []
        try:
            self._stream.write(lines)
            self._stream.flush()
        except OSError:
            # Whoever read the log is gone, or the disk is full: the server goes on without.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class Connection(asyncio.Protocol):
    """One client. `outcome` is None until it is decided how it ends; from then on its bytes are dropped."""

    __slots__ = ("_core", "_details", "_endpoint", "_server", "_since", "_transport", "outcome")

    _transport: asyncio.Transport
    _endpoint: Endpoint

    def __init__(self, server: "RendezvousServer") -> None:
        self._server = server
        self._core = ServerConnection(server.settings.key, partial(os.urandom, NONCE_SIZE))
        self._since = server.now()
        self._details: dict[str, object] | None = None
        self.outcome: Outcome | None = None

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")  # None if the client is gone already
        self._endpoint = Endpoint.from_sockaddr(peername) if peername else Endpoint("0.0.0.0", 0)  # noqa: S104
        server = self._server
        server.connections.add(self)
        server.perform(server.registry.connected(self, self._endpoint.host, self._since))

    def data_received(self, data: bytes) -> None:
        server, now = self._server, self._server.now()
        if len(data) > LONGEST_READ_BYTES:
            self._note(reason=f"{len(data)} bytes at once; at most {LONGEST_READ_BYTES} are allowed")
            server.perform(server.registry.ended(self, Outcome.MALFORMED, now, abort=True))
        if self.outcome is not None:
            return
        server.registry.heard(self, now)
        try:
            for event in self._core.receive_data(data):
                server.perform(self._handle(event, now))
        except RemoteProtocolError as error:
            self._note(reason=str(error))
            server.perform(server.registry.ended(self, Outcome.MALFORMED, now))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        server = self._server
        ended = server.registry.disconnected(self, server.now())
        server.forget(self)
        server.log.event(
            "connection",
            outcome=self.outcome or ended,
            dialect=self._core.dialect,
            host=self._endpoint.host,
            seconds=round(server.now() - self._since, 3),
            **(self._details or {}),
        )

    def _handle(self, event: ServerEvent, now: float) -> Iterable[Effect["Connection"]]:
        registry = self._server.registry
        match event:
            case PairingRequested(name):
                return registry.named(self, name, self._endpoint, now)
            case JoinRequested(join):
                self._note(run_id=join.run_id, rank=join.rank, attempt=join.attempt)
                return registry.joined(self, join, self._endpoint, now)
            case JoinRefused(code, reason):
                self._note(code=code.name, reason=reason)
                return registry.ended(self, Outcome.REJECTED, now)
            case LeaveReceived():
                return registry.ended(self, Outcome.LEFT, now)

    # Effects.

    def write(self, data: bytes) -> None:
        self._transport.write(data)
        server = self._server
        if self._transport.get_write_buffer_size() > server.settings.write_buffer_bytes:
            server.perform(server.registry.ended(self, Outcome.SLOW, server.now(), abort=True))

    def accept(self, expires_in_s: float) -> None:
        self._core.accept(self._endpoint, expires_in_s, self._server.settings.limits.ping_interval_s)
        self._flush()

    def reject(self, effect: Reject["Connection"]) -> None:
        self._note(code=effect.code.name, reason=effect.reason)
        self._core.reject(effect.code, effect.reason)
        self.finish(effect.outcome)

    def finish(self, outcome: Outcome, abort: bool = False) -> None:
        """Close after the last word, or at once with `abort`. The first outcome counts."""
        decided = self.outcome is not None
        self.outcome = self.outcome or outcome
        if abort:
            self._transport.abort()
        elif not decided:
            self._flush()
            if self._transport.is_closing():
                return
            if self._core.is_group:
                # A close with bytes of the client unread would reset the connection, and may take the last word with
                # it. So only our half ends, and the client ends the other; the registry sets it a deadline.
                self._transport.write_eof()
            else:
                self._transport.close()

    def _note(self, **details: object) -> None:
        """For the log line."""
        self._details = {**(self._details or {}), **details}

    def _flush(self) -> None:
        data = self._core.data_to_send()
        if data:
            self.write(data)


class RendezvousServer:
    def __init__(self, settings: Settings, stream: TextIO) -> None:
        """To be made inside the loop that it runs on. Log lines go to `stream`."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.settings = settings
        self.log = Log(stream, self._loop)
        self.registry: Registry[Connection] = Registry(settings.limits)
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._timer_at = inf
        self._empty = asyncio.Event()

    async def listen(self) -> Endpoint:
        """Accept clients from now on; OSError if the address is not to be had."""
        listening = _listening_socket(self.settings.host, self.settings.port)
        self._listener = await self._loop.create_server(partial(Connection, self), sock=listening, backlog=BACKLOG)
        endpoint = Endpoint.from_sockaddr(listening.getsockname())
        authenticated = self.settings.key is not None
        self.log.event("listening", host=endpoint.host, port=endpoint.port, authenticated=authenticated)
        self.log.flush()
        return endpoint

    async def shut_down(self) -> None:
        """Accept nobody any more, tell everybody, and return when all are gone: each has a deadline."""
        self.log.event("closing", connections=len(self.connections))
        if self._listener is not None:
            self._listener.close()
        self.perform(self.registry.drain(self.now()))
        if self.connections:
            self._empty.clear()
            await self._empty.wait()
        if self._timer is not None:
            self._timer.cancel()
        self.log.event("closed")
        self.log.flush()

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()
        self._set_timer()

    def perform(self, effects: Iterable[Effect[Connection]]) -> None:
        for effect in effects:
            match effect:
                case Send(to, data):
                    for connection in to:
                        connection.write(data)
                case Close(to, outcome, abort):
                    for connection in to:
                        connection.finish(outcome, abort)
                case Accept(connection, expires_in_s):
                    connection.accept(expires_in_s)
                case Reject(connection):
                    connection.reject(effect)
        self._set_timer()

    def _set_timer(self) -> None:
        wake_at = self.registry.wake_at
        if wake_at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = wake_at
        # Loops count in milliseconds and round: up, so that what is due is due. What is due now waits for the end of
        # this turn of the loop, so that everything that the turn brought goes out in one write per connection.
        delay_ms = ceil((wake_at - self.now()) * 1000)
        self._timer = (
            self._loop.call_later(delay_ms / 1000, self._wake) if delay_ms > 0 else self._loop.call_soon(self._wake)
        )

    def _wake(self) -> None:
        self._timer, self._timer_at = None, inf
        self.perform(self.registry.advance(self.now()))


def _listening_socket(host: str, port: int) -> socket.socket:
    if host == "::":
        return socket.create_server((host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG)
