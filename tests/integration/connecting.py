"""Two ranks that connect, and a path between them that may stall or change what it carries."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from lambda_image.comm.channel.channel import Channel, ChannelSettings
from lambda_image.comm.connecting.candidates import candidates
from lambda_image.comm.connecting.connector import Connector
from lambda_image.comm.connecting.membership import Membership
from lambda_image.comm.connecting.peering import Plan
from lambda_image.comm.roster import Roster
from rendezvous_server.protocol import Endpoint, Join
from tests.integration.communicators import PATIENCE_S, RUN_KEY, SERVER_KEY, patience
from tests.integration.rendezvous import until

PATH_HOST = "127.0.0.2"  # another address than the ranks': to them, what comes from there has left the host


class Path:
    """Carries what comes to `endpoint` on to a rank, and back: `limit` bytes each way, as `change` passes them on."""

    def __init__(self, to: Endpoint, limit: int = 1 << 40, change: Callable[[bytes], bytes] = bytes) -> None:
        self._to, self._limit, self.change = to, limit, change
        self._listener = socket.create_server((PATH_HOST, 0))
        self._socks = [self._listener]
        self._threads: list[threading.Thread] = []
        self.carried: list[bytearray] = []  # from those who dialled, a connection each
        self.answered: list[bytearray] = []  # to these
        self.stalled = False
        self.endpoint = Endpoint(*self._listener.getsockname())
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to, source_address=(PATH_HOST, 0))
                self._socks += [near, far]
                self.carried.append(bytearray())
                self._start(self._carry, near, far, self.carried[-1])
                self.answered.append(bytearray())
                self._start(self._carry, far, near, self.answered[-1])

    def _carry(self, source: socket.socket, sink: socket.socket, carried: bytearray) -> None:
        with suppress(OSError):
            while data := source.recv(min(max(self._limit - len(carried), 1), 1 << 16)):
                if len(carried) >= self._limit:
                    self.stalled = True
                    continue
                carried += data
                sink.sendall(self.change(data))
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for sock in self._socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for sock in self._socks:
            sock.close()


class Rank:
    """One of two ranks, that tries the ways of `plan`."""

    def __init__(
        self,
        endpoint: str,
        run_id: str,
        rank: int,
        plan: Plan = candidates,
        *,
        run_key: bytes = RUN_KEY,
        settings: ChannelSettings | None = None,
        dial_limit_s: float = PATIENCE_S,
    ) -> None:
        self.roster, self._other = Roster(), 1 - rank
        self.connector = Connector(
            Membership(
                endpoint,
                Join(run_id, rank, 2),
                run_key,
                SERVER_KEY,
                patience(),
                settings or ChannelSettings(),
                dial_limit_s=dial_limit_s,
            ),
            self.roster,
            plan,
        )

    def __enter__(self) -> Self:
        self.connector.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.connector.stop()
        for peer in self.roster.all():
            if peer.channel is not None:
                peer.channel.close()

    @property
    def channel(self) -> Channel:
        """Waits for it."""
        until(lambda: (peer := self.roster.at(self._other)) and peer.channel)
        peer = self.roster.at(self._other)
        assert peer is not None
        assert peer.channel is not None
        return peer.channel
