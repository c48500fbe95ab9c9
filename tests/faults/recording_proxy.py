"""A proxy before a rendezvous server that remembers what clients say, as anybody on the path could."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.integration.rendezvous import Server

PIECE = 1 << 16


class RecordingProxy:
    """The proxy, on a port of its own, as a context manager."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._said: list[bytearray] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def said(self) -> list[bytes]:
        """What each client has said so far."""
        return [bytes(one) for one in list(self._said)]

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                server, said = self._server.connect(), bytearray()
                server.settimeout(None)
                self._said.append(said)
                threading.Thread(target=_copy, args=(client, server, said), daemon=True).start()
                threading.Thread(target=_copy, args=(server, client, bytearray()), daemon=True).start()


def _copy(source: socket.socket, destination: socket.socket, said: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(PIECE):
            said += data
            destination.sendall(data)
    with suppress(OSError):
        destination.shutdown(socket.SHUT_WR)
