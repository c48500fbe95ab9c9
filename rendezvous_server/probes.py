"""Which connection a NAT probe belongs to, and what it showed. No I/O, no clock."""

from typing import Generic

from rendezvous_server.effects import ConnT
from rendezvous_server.protocol import Endpoint


class Probes(Generic[ConnT]):
    """Connections that have a nonce and have not asked for anything yet: a probe can still tell them something."""

    def __init__(self) -> None:
        self._connections: dict[bytes, ConnT] = {}
        self._nonces: dict[ConnT, bytes] = {}
        self._seen: dict[ConnT, Endpoint] = {}

    def expect(self, connection: ConnT, nonce: bytes) -> None:
        self._connections[nonce] = connection
        self._nonces[connection] = nonce

    def note(self, nonce: bytes, observed: Endpoint) -> bool:
        """A probe with this nonce came from there; False if nobody waits for it."""
        connection = self._connections.get(nonce)
        if connection is None:
            return False
        self._seen[connection] = observed
        return True

    def take(self, connection: ConnT) -> Endpoint | None:
        """Where this connection's probe came from, if one came. None is expected any more."""
        nonce = self._nonces.pop(connection, None)
        if nonce is None:
            return None
        del self._connections[nonce]
        return self._seen.pop(connection, None)
