"""A rank's connection to the rendezvous server: connect, join, then events for as long as it stays open.

The protocol itself is rendezvous_server.protocol. This module adds sockets and deadlines. Runs on the asyncio
loop of the communicator's background thread.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from lambda_image.address import Address
from lambda_image.comm.connecting.backoff import Backoff
from lambda_image.comm.connecting.group_name import without_secret
from lambda_image.comm.connecting.nat import Nat, nat_behaviour
from lambda_image.comm.connecting.racing import Destination, first_connected
from lambda_image.comm.connecting.sockets import LocalPort, reason_of
from lambda_image.errors import RendezvousRejected, RendezvousTimeout, RendezvousUnreachable
from rendezvous_server.protocol import (
    ClientConnection,
    ClientEvent,
    ClientState,
    Endpoint,
    Expired,
    Join,
    Joined,
    ProbeConnection,
    ProbeOffered,
    Rejected,
    RemoteProtocolError,
    Replaced,
    ServerClosing,
)

# A server that starts at the same moment as its ranks is there within tenths of a second.
CONNECT_BACKOFF = Backoff(first_s=0.1, longest_s=2.0, jitter=(0.5, 1.0))
SILENT_PINGS = 3  # intervals without a word until the server counts as gone; it speaks once in each
SMALLEST_SILENCE_S = 5.0  # whatever interval the server names: a busy host is slower than that now and then
RECEIVE_BYTES = 1 << 16
FAREWELL_S = 1.0  # to hand LEAVE to the kernel
PROBE_LIMIT_S = 0.2  # by which a probe may delay the join: two round trips within a continent, several times

Resolve = Callable[..., Awaitable[list[Any]]]  # as the loop's getaddrinfo


class RendezvousConnection:
    """One connection. `local` is this host's end of it, and where neighbours can reach this rank: it listens there."""

    def __init__(
        self,
        sock: socket.socket,
        endpoint: str,
        smallest_silence_s: float = SMALLEST_SILENCE_S,
        probe_limit_s: float = PROBE_LIMIT_S,
        rtt_s: float = 0.0,
    ) -> None:
        self._sock = sock
        self._endpoint = endpoint
        self._connection: ClientConnection | None = None
        self._silence_s, self._probe_limit_s = smallest_silence_s, probe_limit_s
        self._early: list[ClientEvent] = []  # told already, not handed out yet
        self._last_words = ""
        self.local = Endpoint.from_sockaddr(sock.getsockname())
        self.server = sock.getpeername()
        self.rtt_s = rtt_s  # what the connection took: a round trip to the server
        self.nat = Nat.UNKNOWN  # once joined: what the NAT on the way to the server does

    @classmethod
    async def connect(
        cls,
        endpoint: str,
        deadline: float,
        *,
        probe_limit_s: float = PROBE_LIMIT_S,
        resolve: Resolve | None = None,
    ) -> "RendezvousConnection":
        """Connect, with as many tries as it takes until `deadline`. Raises RendezvousUnreachable."""
        host, port = Address.parse(endpoint)
        loop = asyncio.get_running_loop()
        began, tried, reason, cause = loop.time(), 0, "no answer", None
        while loop.time() < deadline:
            tried += 1
            try:
                async with asyncio.timeout_at(deadline):
                    sock, rtt_s = await _connect(host, port, resolve)
                    return cls(sock, endpoint, probe_limit_s=probe_limit_s, rtt_s=rtt_s)
            except TimeoutError:
                break
            except OSError as error:
                reason, cause = reason_of(error), error
            await asyncio.sleep(min(CONNECT_BACKOFF.pause_s(tried), max(0.0, deadline - loop.time())))
        elapsed = loop.time() - began
        raise RendezvousUnreachable(
            f"no connection to the rendezvous server at {endpoint} within {elapsed:.1f} s: {reason}. "
            "Is it running there, and may this host reach it?",
            endpoint=endpoint,
            elapsed_s=round(elapsed, 3),
            reason=reason,
        ) from cause

    async def join(self, join: Join, key: bytes | None, deadline: float) -> Joined:
        """Become a member. Raises RendezvousRejected, RendezvousTimeout, RendezvousUnreachable."""
        self._connection = ClientConnection(join, key, probe_from=self.local)
        rank, endpoint, loop = join.rank, self._endpoint, asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout_at(deadline):
                await self._flush()
                while not (events := await self._more()) or await self._probed(events):
                    pass
        except TimeoutError:
            raise RendezvousTimeout(
                f"rank {rank}: the rendezvous server at {endpoint} did not answer the join by the deadline",
                rank=rank,
                endpoint=endpoint,
                elapsed_s=round(loop.time() - began, 3),
                reason="did not answer the join by the deadline",
            ) from None
        except OSError as error:
            self._last_words, events = reason_of(error), self._connection.receive_eof()
        first, *self._early = events
        match first:
            case Joined():
                self._silence_s = max(SILENT_PINGS * first.ping_interval_s, self._silence_s)
                self.nat = nat_behaviour(self.local, first.observed, first.probed)
                return first
            case Rejected(code, reason):
                raise RendezvousRejected(
                    f"rank {rank}: the rendezvous server at {endpoint} refused the join: {reason}",
                    rank=rank,
                    endpoint=endpoint,
                    elapsed_s=round(loop.time() - began, 3),
                    reason=reason,
                    code=code.name,
                    retry_later=code.transient,
                )
            case _:
                reason = self._last_words or type(first).__name__
                raise RendezvousUnreachable(
                    f"rank {rank}: what listens at {endpoint} ended the connection during the join ({reason}). "
                    "Is it a rendezvous server?",
                    rank=rank,
                    endpoint=endpoint,
                    elapsed_s=round(loop.time() - began, 3),
                    reason=reason,
                )

    async def events(self) -> AsyncIterator[ClientEvent]:
        """Everything the server tells after the join. The last one is an end: Expired, Replaced, ServerClosing,
        Rejected or ConnectionLost; a server that has fallen silent or talks nonsense counts as lost too.
        """
        assert self._connection is not None
        while True:
            for event in self._early:
                yield event
            if self._connection.state is ClientState.ENDED:
                return
            try:
                async with asyncio.timeout(self._silence_s):
                    self._early = await self._more()
            except TimeoutError:
                self._early = self._connection.receive_eof()

    async def leave(self) -> None:
        """Tell the others, through the server, that this rank goes; then close."""
        try:
            if self._connection is not None and self._connection.state is ClientState.MEMBER:
                self._connection.leave()
                async with asyncio.timeout(FAREWELL_S):
                    await self._flush()
        except (OSError, TimeoutError):
            pass  # who cannot be told sees the connection end
        finally:
            self.close()

    def close(self) -> None:
        self._sock.close()

    def local_port(self, max_segment: int | None = None) -> LocalPort:
        """For the sockets that are to share its local port."""
        return LocalPort.of(self._sock, max_segment)

    async def _probed(self, events: list[ClientEvent]) -> bool:
        """Whether these were the server's offer of a NAT probe, which has been taken, so that the join goes on. A probe
        that fails costs the probe's limit at most, and that the NAT stays unknown."""
        match events:
            case [ProbeOffered(port, nonce)]:
                try:
                    async with asyncio.timeout(self._probe_limit_s):
                        await _probe(self._sock, port, ProbeConnection(nonce))
                except (OSError, RemoteProtocolError):
                    pass
                assert self._connection is not None
                self._connection.proceed()
                await self._flush()
                return True
        return False

    async def _more(self) -> list[ClientEvent]:
        """What the next bytes mean; answers that the protocol owes are sent."""
        assert self._connection is not None
        events: list[ClientEvent] = []
        try:
            data = await asyncio.get_running_loop().sock_recv(self._sock, RECEIVE_BYTES)
            if not data:
                return self._connection.receive_eof()
            for event in self._connection.receive_data(data):
                events.append(_readable(event, self._connection.join.run_id))  # noqa: PERF401
            await self._flush()
        except (OSError, RemoteProtocolError) as error:
            self._last_words = reason_of(error)
            events += self._connection.receive_eof()
        return events

    async def _flush(self) -> None:
        assert self._connection is not None
        if data := self._connection.data_to_send():
            await asyncio.get_running_loop().sock_sendall(self._sock, data)


def _readable(event: ClientEvent, group: str) -> ClientEvent:
    """The event, without the secret that ends the group's name."""
    if isinstance(event, Rejected | Expired | Replaced | ServerClosing):
        return replace(event, reason=without_secret(event.reason, group))
    return event


async def _connect(host: str, port: int, resolve: Resolve | None = None) -> tuple[socket.socket, float]:
    """A connection to one of the host's addresses, and how long it took to be made. Raises OSError."""
    resolve = resolve or asyncio.get_running_loop().getaddrinfo
    found = await resolve(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"{host} has no address")
    return await first_connected([Destination(family, address) for family, _, _, _, address in found])


async def _probe(control: socket.socket, port: int, probe: ProbeConnection) -> None:
    """Let the server see this host from the local port of `control`, at another port of the server. Raises OSError."""
    loop = asyncio.get_running_loop()
    with LocalPort.of(control).open() as sock:
        host, _, *rest = control.getpeername()
        await loop.sock_connect(sock, (host, port, *rest))
        await loop.sock_sendall(sock, probe.data_to_send())
        events: list[ClientEvent] = []
        while not events:
            data = await loop.sock_recv(sock, RECEIVE_BYTES)
            events = list(probe.receive_data(data)) if data else probe.receive_eof()
