"""A registry whose clock stands still until it is moved, and whose effects reach fake connections."""

from collections import defaultdict
from math import inf

from rendezvous_server import protocol as p
from rendezvous_server.admission import RateLimiter
from rendezvous_server.counts import Counts
from rendezvous_server.effects import Accept, Close, Confirm, Effect, Introduce, Outcome, Reject, Send, Splice
from rendezvous_server.limits import Limits
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, RejectCode, Relay, RelayConnection, Topology
from rendezvous_server.registry import Registry

NONCE = bytes(p.NONCE_SIZE)
LIMITS = Limits(
    handshake_timeout_s=2,
    pairing_timeout_s=20,
    group_timeout_s=30,
    relay_timeout_s=6,
    relay_idle_timeout_s=12,
    relay_max_bytes=1_000,
    ping_interval_s=8,
    ping_timeout_s=19,
    close_timeout_s=1,
    shutdown_grace_s=3,
)


class Server:
    """A registry whose effects reach fake connections: numbers, each from its own port of one host."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.registry: Registry[int] = Registry(limits)
        self.now = 100.0
        self.opened = 0
        self.open: set[int] = set()
        self.clients: dict[int, ClientConnection | RelayConnection] = {}  # of the group dialect
        self.events: defaultdict[int, list[p.ClientEvent]] = defaultdict(list)
        self.records: defaultdict[int, bytes] = defaultdict(bytes)  # what a client of the pairing dialect has read
        self.outcomes: dict[int, Outcome] = {}
        self.aborted: set[int] = set()
        self.rejections: dict[int, tuple[RejectCode, str]] = {}
        self.expires_in: dict[int, float] = {}
        self.probed: dict[int, Endpoint | None] = {}
        self.confirmed: set[int] = set()
        self.spliced: dict[int, int] = {}

    def perform(self, effects: list[Effect[int]]) -> None:
        for effect in effects:
            match effect:
                case Send(to, data):
                    for connection in to:
                        assert connection in self.open
                        assert connection not in self.outcomes, "nothing is sent after the last word"
                        self.receive(connection, data)
                case Introduce(first, to_first, second, to_second):
                    for connection, data in ((first, to_first), (second, to_second)):
                        assert connection in self.open
                        assert connection not in self.outcomes, "nothing is sent after the last word"
                        self.receive(connection, data)
                        self.outcomes[connection] = Outcome.PAIRED
                case Accept(connection, expires_in_s, probed):
                    self.expires_in[connection] = expires_in_s
                    self.probed[connection] = probed
                    self.receive(connection, p.encode_joined(endpoint(connection), expires_in_s, 8))
                case Confirm(connection):
                    self.confirmed.add(connection)
                case Splice(first, second):
                    assert {first, second} <= self.open - set(self.outcomes) - set(self.spliced)
                    self.spliced |= {first: second, second: first}
                case Reject(connection, code, reason, outcome):
                    self.rejections[connection] = (code, reason)
                    self.outcomes[connection] = outcome
                case Close(to, outcome, abort):
                    for connection in to:
                        self.outcomes.setdefault(connection, outcome)
                        if abort:
                            self.aborted.add(connection)

    def receive(self, connection: int, data: bytes) -> None:
        if connection in self.clients:
            self.events[connection] += self.clients[connection].receive_data(data)
        else:
            self.records[connection] += data

    def connect(self, host: str | None = "192.0.2.1") -> int:
        self.opened += 1
        self.open.add(self.opened)
        self.perform(self.registry.connected(self.opened, host, self.now))
        return self.opened

    def name(self, connection: int, name: bytes) -> int:
        self.perform(self.registry.named(connection, name, endpoint(connection), self.now))
        return connection

    def withdraw(self, name: bytes, host: str = "192.0.2.1") -> int:
        connection = self.connect(host)
        self.perform(self.registry.withdrawn(connection, name, Endpoint(host, 1), self.now))
        return connection

    def pair(self, name: bytes) -> int:
        return self.name(self.connect(), name)

    def ask(self, connection: int, join: Join) -> int:
        client = self.clients[connection] = ClientConnection(join)
        list(client.receive_data(b"\x30\0\x11\x01" + NONCE))
        self.perform(self.registry.joined(connection, join, endpoint(connection), self.now))
        return connection

    def join(self, rank: int, world_size: int = 3, attempt: int = 0, run_id: str = "run", **fields: Topology) -> int:
        return self.ask(self.connect(), Join(run_id, rank, world_size, attempt, **fields))

    def wish(self, connection: int, relay: Relay) -> int:
        client = self.clients[connection] = RelayConnection(relay)
        list(client.receive_data(b"\x30\0\x11\x01" + NONCE))
        self.perform(self.registry.relay_requested(connection, relay, "192.0.2.1", self.now))
        return connection

    def relay(self, rank: int, peer: int, attempt: int = 0, peer_attempt: int = 0, run_id: str = "run") -> int:
        return self.wish(self.connect(), Relay(run_id, rank, attempt, peer, peer_attempt))

    def carry(self, connection: int, size: int) -> None:
        self.perform(self.registry.carried(connection, size, self.now))

    def disconnect(self, connection: int) -> Outcome | None:
        self.open.discard(connection)
        return self.registry.disconnected(connection, self.now)

    def pass_time(self, seconds: float = 0.0) -> None:
        """Wake the registry whenever it wants to be woken until then."""
        until = self.now + seconds
        while self.registry.wake_at <= until:
            self.now = max(self.now, self.registry.wake_at)
            self.perform(self.registry.advance(self.now))
        self.now = until

    def member(self, connection: int) -> ClientConnection:
        client = self.clients[connection]
        assert isinstance(client, ClientConnection)
        return client

    def end_all(self) -> None:
        """All clients go, and nothing is left behind."""
        for connection in list(self.open):
            self.disconnect(connection)
        self.pass_time(30)
        self.assert_empty()

    def peers(self, connection: int) -> dict[int, p.Peer]:
        return self.member(connection).peers

    def assert_empty(self) -> None:
        """Nothing is left behind: no entry, no deadline."""
        self.perform(self.registry.advance(self.now))
        assert self.registry.wake_at == inf
        assert set(self.registry.phases().values()) == {0}
        assert entries(self.registry) == {}


def entries(part: object) -> dict[str, int]:
    """How much the registry and its parts hold, by name; what addresses did lately does not count."""
    held = {}
    for name, kept in vars(part).items():
        if isinstance(kept, Counts | Limits | RateLimiter | float):
            continue
        if type(kept).__module__.startswith("rendezvous_server."):
            held |= entries(kept)
        elif hasattr(kept, "__len__") and len(kept):
            held[f"{type(part).__name__}.{name}"] = len(kept)
    return held


def endpoint(connection: int) -> Endpoint:
    return Endpoint("192.0.2.1", 10_000 + connection)


def record(connection: int) -> bytes:
    return p.pairing_address(endpoint(connection))
