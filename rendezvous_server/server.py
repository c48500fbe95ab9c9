"""The asyncio side of the rendezvous server, on asyncio's own loop or uvloop. It listens, keeps time, and acts."""

import asyncio
import os
from collections.abc import Iterable
from copy import deepcopy
from functools import partial
from math import ceil, inf

from rendezvous_server.connection import Connection
from rendezvous_server.effects import Accept, Close, Confirm, Effect, Introduce, Outcome, Reject, Send, Splice
from rendezvous_server.health import HealthServer
from rendezvous_server.health_answers import WITHOUT_KEY
from rendezvous_server.idleness import Idleness
from rendezvous_server.listening import listening_socket, listening_sockets
from rendezvous_server.log import Log
from rendezvous_server.metrics import Snapshot
from rendezvous_server.protocol import NONCE_SIZE, Endpoint
from rendezvous_server.registry import Registry
from rendezvous_server.settings import ServerSettings
from rendezvous_server.splicing import BufferPool, splice

# Connections that the kernel holds until we accept them: a large group that starts at one moment. somaxconn caps it.
BACKLOG = 4096
HTTP_BACKLOG = 16
PAIRED = Outcome.PAIRED  # looking a member up takes five times as long


class RendezvousServer:
    """Serves all clients from `listen` to `shut_down`."""

    def __init__(self, settings: ServerSettings, log: Log) -> None:
        """Must be called inside the event loop that the server runs on."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.make_nonce = partial(os.urandom, NONCE_SIZE)
        self.settings = settings
        self.log = log
        self.registry: Registry[Connection] = Registry(settings.limits)
        self.connections: set[Connection] = set()
        self.probe_port = 0  # where ranks send NAT probes; 0 if there is none
        self._idleness = Idleness(settings.max_idle_s or inf, self.now())
        self._buffers = BufferPool()
        self._health: HealthServer | None = None
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._timer_at = inf
        self._empty = asyncio.Event()

    async def listen(self) -> None:
        """Begins to accept clients.

        Raises:
            OSError: An address cannot be listened on. The message names it.
        """
        settings, http = self.settings, None
        endpoint = await self._listen(settings.port)
        if settings.probe_port is not None:
            self.probe_port = (await self._listen(settings.probe_port)).port
        if settings.http_port is not None:
            http = listening_socket(settings.host, settings.http_port, HTTP_BACKLOG)
            self._health = HealthServer(http, self.snapshot)
        self.log.event(
            "listening",
            host=endpoint.host,
            port=endpoint.port,
            probe_port=self.probe_port or None,
            http_port=http and http.getsockname()[1],
            authenticated=settings.key is not None,
            proxy_protocol=settings.proxy_protocol,
        )
        if settings.key is None:
            self.log.event("warning", message=WITHOUT_KEY)
        self.log.flush()

    async def _listen(self, port: int) -> Endpoint:
        factory, sockets = partial(Connection, self), listening_sockets(self.settings.host, port, BACKLOG)
        for listening in sockets:
            self._listeners.append(await self._loop.create_server(factory, sock=listening, backlog=BACKLOG))
        return Endpoint.from_sockaddr(sockets[0].getsockname())

    async def idle(self) -> None:
        """Returns when nobody has used the server for as long as the settings say; never where they do not."""
        if self.settings.max_idle_s is None:
            await asyncio.Event().wait()
        idleness = self._idleness
        while (pause_s := idleness.pause_s(self.registry.phases(), self.now())) > 0:  # noqa: ASYNC110 - time is waited for
            await asyncio.sleep(pause_s)
        self.log.event("idle", seconds=self.settings.max_idle_s)

    async def shut_down(self) -> None:
        """Accepts nobody any more, tells everybody, and returns when all are gone, for which each has a deadline."""
        self.log.event("closing", connections=len(self.connections))
        for listener in self._listeners:
            listener.close()
        self.perform(self.registry.drain(self.now()))
        if self.connections:
            self._empty.clear()
            await self._empty.wait()
        if self._timer is not None:
            self._timer.cancel()
        if self._health is not None:
            await asyncio.to_thread(self._health.close)
        self.log.event("closed")

    def snapshot(self) -> Snapshot:
        """Returns what the server is and has done at this moment."""
        registry = self.registry
        return Snapshot(
            registry.draining,
            self.settings.key is not None,
            deepcopy(registry.counts),
            len(self.connections),
            registry.phases(),
            registry.groups(),
            len(asyncio.all_tasks()),
            self.log.dropped,
        )

    def forget(self, connection: Connection, dialect: str | None, outcome: Outcome) -> None:
        """Counts a connection that has ended, and drops the reference to it."""
        self.registry.counts.finished[dialect or "none", outcome] += 1
        if outcome is PAIRED and self.settings.key is None:
            self._idleness.used(self.now())
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()
        if self.registry.wake_at < self._timer_at:
            self._set_timer()

    def perform(self, effects: Iterable[Effect[Connection]]) -> None:
        """Does what the registry asks for."""
        for effect in effects:
            match effect:
                case Introduce(first, to_first, second, to_second):
                    second.write(to_second)
                    first.write(to_first)
                    second.finish(PAIRED)
                    first.finish(PAIRED)
                case Send(to, data):
                    for connection in to:
                        connection.write(data)
                case Close(to, outcome, abort):
                    for connection in to:
                        connection.finish(outcome, abort)
                case Accept(connection, expires_in_s, probed):
                    connection.accept(expires_in_s, probed)
                    self._idleness.used(self.now())
                case Confirm(connection):
                    connection.confirm()
                case Splice(first, second):
                    first.splice()
                    second.splice()
                    self._idleness.used(self.now())
                    splice(first, second, self._buffers, self._loop.call_soon)
                case Reject(connection):
                    connection.reject(effect)
        if self.registry.wake_at < self._timer_at:
            self._set_timer()

    def _set_timer(self) -> None:
        wake_at = self.registry.wake_at
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
