"""NAT probes: which connection each belongs to, and where it came from. No I/O, no clock."""

from typing import Generic

from rendezvous_server.effects import ConnT
from rendezvous_server.protocol import Endpoint


class Probes(Generic[ConnT]):
    """Keeps the connections that have a nonce and have not asked for anything yet. Their probes may still come."""

    def __init__(self) -> None:
        self._connections: dict[bytes, ConnT] = {}
        self._nonces: dict[ConnT, bytes] = {}
        self._seen: dict[ConnT, Endpoint] = {}

    def expect(self, connection: ConnT, nonce: bytes) -> None:
        """Takes note that probes with this nonce belong to this connection."""
        self._connections[nonce] = connection
        self._nonces[connection] = nonce

    def note(self, nonce: bytes, observed: Endpoint) -> bool:
        """Takes note of where the probe with this nonce came from; False if the nonce is not expected."""
        connection = self._connections.get(nonce)
        if connection is None:
            return False
        self._seen[connection] = observed
        return True

    def take(self, connection: ConnT) -> Endpoint | None:
        """Returns where this connection's probe came from, if one came. No further one is expected."""
        nonce = self._nonces.pop(connection, None)
        if nonce is None:
            return None
        del self._connections[nonce]
        return self._seen.pop(connection, None)
