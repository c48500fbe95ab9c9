"""Two connections over a fake wire: values that every conversation uses, and its first steps."""

import struct
from collections.abc import Callable
from itertools import pairwise

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, Peer, Relay, RelayConnection, ServerConnection

KEY = b"deployment key"
NONCE = bytes(range(p.NONCE_SIZE))
OBSERVED = Endpoint("198.51.100.7", 40_001)
LOCAL = (Endpoint("10.0.0.5", 41_000), Endpoint("2001:db8::5", 41_000))
PROBE_PORT = 10_001
JOIN = Join("run-1", rank=1, world_size=4, attempt=2, local=LOCAL)
RELAY = Relay("run-1", rank=1, attempt=2, peer=3, peer_attempt=0)
GREETED = p.HelloReceived(NONCE)


def server(key: bytes | None = KEY, probe_port: int = PROBE_PORT) -> ServerConnection:
    return ServerConnection(key, lambda: NONCE, OBSERVED, probe_port)


def challenged(client: ClientConnection | RelayConnection, key: bytes | None = KEY) -> ServerConnection:
    """The server's end of a client that has made its request, which lies in `data_to_send`."""
    end = server(key)
    assert list(end.receive_data(client.data_to_send())) == [GREETED]
    assert list(client.receive_data(end.data_to_send())) == []
    return end


def joined_pair(join: Join = JOIN, key: bytes | None = KEY) -> tuple[ClientConnection, ServerConnection]:
    """A client that is a member, and its server end."""
    client = ClientConnection(join, key)
    end = challenged(client, key)
    assert list(end.receive_data(client.data_to_send())) == [p.JoinRequested(join)]
    end.accept(30.5, 10)
    assert list(client.receive_data(end.data_to_send())) == [p.Joined(OBSERVED, 30.5, 10.0)]
    return client, end


def relaying(key: bytes | None = KEY) -> tuple[RelayConnection, ServerConnection]:
    client = RelayConnection(RELAY, key)
    end = challenged(client, key)
    assert list(end.receive_data(client.data_to_send())) == [p.RelayRequested(RELAY)]
    assert end.dialect == "relay"
    return client, end


def peer(rank: int, attempt: int = 0, *local: Endpoint) -> Peer:
    return Peer(rank, attempt, Endpoint("203.0.113.9", 50_000 + rank), local)


def row(peer: Peer) -> bytes:
    return p.encode_row(Join("run-1", peer.rank, 4, peer.attempt, peer.local), peer.observed)


def frame(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!BH", kind, len(body)) + body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def hear(receive: Callable, chunks: list[bytes]) -> list[object]:
    """The events of all chunks, and the error that ends them, if one does."""
    events: list[object] = []
    try:
        for chunk in chunks:
            events += receive(chunk)  # extended one by one: events before an error stay
    except p.RemoteProtocolError as error:
        events.append(str(error))
    return events
