"""The rendezvous wire protocol: bytes in, events out. No I/O, no clock, no randomness, standard library only.

Rules of this file
- A connection object is fed with `receive_data(bytes)`, which yields events, and drained with `data_to_send()`.
  How the bytes were cut on the way never changes the events. `receive_data` is lazy: iterate it to its end.
- What a side may say in which state is one table per side (`_SERVER_ACCEPTS`, `_CLIENT_ACCEPTS`). A step that the
  table does not know raises and changes nothing that was already told.
- `RemoteProtocolError` is the other side's fault, `LocalProtocolError` the caller's. No bytes make it raise another.
- Every size is checked before the bytes it announces are waited for.
- Version 1 of a frame only ever grows at its end: a reader ignores bytes after the fields that it knows (rows of PEERS
  and LEFT excepted, which fill their frame). New frame types need a version that the client offered.

Two dialects share a port, told apart by the first byte
- Pairing (TCPunch, FMI): the bytes are a name of up to 100 bytes, unframed, ended by nothing or by zeros. Answers are
  `pairing_address` records of 8 bytes. A name is text: none starts with 0x01, 0x0D (PROXY protocol) or 0x16 (TLS).
- Group: the client starts with HELLO = 0x01 "RDV" and one byte, the highest version it speaks. From then on both sides
  send frames: type (1 byte), length of the body (2 bytes), body. All numbers are in network byte order.

A rank's connection
    rank    HELLO                                     server  CHALLENGE version, nonce, probe port, observed endpoint
    rank    JOIN proof, what it is                    server  JOINED observed endpoint, or REJECTED
                                                      server  PEERS, LEFT, ... as they come; COMPLETE; PING
    rank    PONG, PING, LEAVE                         server  PONG, or the end: EXPIRED, REPLACED, CLOSING, REJECTED
The proof is HMAC-SHA256 under RENDEZVOUS_KEY over the server's nonce and every byte of JOIN behind the proof.

A NAT probe: does the NAT before this rank show the same endpoint to two destinations?
    rank    HELLO, PROBE nonce                        server  CHALLENGE, PROBED observed endpoint; end
It goes to the probe port that CHALLENGE named (0: there is none), from the local port of the rank's connection and
before its JOIN. `nonce` is that connection's, so that nobody else can answer for it; JOINED then tells what was seen.

A relay: two members that cannot reach each other directly connect to the server once more, each naming the other
    rank    HELLO                                     server  CHALLENGE
    rank    RELAY proof, who to whom                  server  SPLICED when the other is here, or the end as above
From then on every byte is the other rank's, and the end of one side is passed on to the other. The token that pairs
them is made of what both know: run id, both ranks, both attempts. Before SPLICED the rank keeps silent.

Rows: rank, attempt, then endpoints: the first as the server observed it, the others as the rank announced them. A row
of a rank that is known already replaces the former one. A rank is sent its own row as well (the bytes are shared by all
members of a group), which the client side drops. With `Topology.STAR` a rank other than 0 is told of rank 0 only.
"""

import hashlib
import hmac
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import ClassVar, NamedTuple, TypeVar

VERSION = 1
MAGIC = b"\x01RDV"  # no pairing name starts with a control byte
ROOT = 0  # the rank that gathers

NONCE_SIZE = 16  # bytes: two servers never make the same one by chance
PROOF_SIZE = hashlib.sha256().digest_size
JOIN_LABEL = b"rendezvous join 1\0"  # a proof for one purpose is worth nothing for another
RELAY_LABEL = b"rendezvous relay 1\0"
MAX_PAIRING_NAME = 100  # bytes: the buffer that existing servers read into
MAX_RUN_ID = (
    200  # bytes: an execution name of Step Functions has at most 80 characters, an ARN's last part not much more
)
MAX_WORLD_SIZE = 10_000  # what a Distributed Map runs at a time
MAX_ATTEMPT = 65_535  # what two bytes hold; retries are counted in ones
MAX_LOCAL_ENDPOINTS = 8  # interfaces worth trying; a host has one or two, IPv4 and IPv6
MAX_TOKEN = 16  # bytes of a ping that come back in its pong
MAX_REASON = 1_000  # bytes: a sentence for a log line
MAX_FRAME = 65_535  # bytes of a body, what the length field holds: the server's frames to a rank
MAX_CLIENT_FRAME = 512  # bytes of a body from a rank: the longest JOIN has 33 + 8 + 200 + 1 + 8 * 19 = 394


class ProtocolError(Exception):
    pass


class LocalProtocolError(ProtocolError):
    """The caller asked for a step that the protocol does not know here, or for a value that it cannot carry."""


class RemoteProtocolError(ProtocolError):
    """The other side sent bytes that mean nothing here. The connection is of no use any more."""


class Topology(IntEnum):
    FULL = 0  # told of every peer
    STAR = 1  # told of the root only; the root itself is told of every peer


class RejectCode(IntEnum):
    MALFORMED = 1  # bytes that mean nothing
    VERSION = 2  # no version in common
    BAD_PROOF = 3  # the key is missing or another one
    WORLD_SIZE = 4  # the group was started with another world size
    DUPLICATE_RANK = 5  # this rank is connected, with the same or a newer attempt
    STALE_ATTEMPT = 6  # a newer attempt of this rank has been here
    LIMIT = 7  # the server is full, or this address joins too often: later it may work
    TIMEOUT = 8  # silent or unanswering for too long
    UNKNOWN = 9  # a relay for a rank that is not in the group (any more), or a probe for no connection

    @property
    def transient(self) -> bool:
        """Whether the same join may be accepted later."""
        return self in (RejectCode.LIMIT, RejectCode.TIMEOUT)


class Endpoint(NamedTuple):
    """An address in text (IPv4 or IPv6, never a name) and a port."""

    host: str
    port: int

    @classmethod
    def from_sockaddr(cls, address: Sequence[object]) -> "Endpoint":
        """The endpoint that `getpeername` and its like give: without scope, and IPv4 where IPv6 only wraps it."""
        host, port = str(address[0]), address[1]
        assert isinstance(port, int)
        return cls(_plain_host(host), port) if ":" in host else cls(host, port)


@dataclass(frozen=True, slots=True)
class Peer:
    rank: int
    attempt: int
    observed: Endpoint  # as the server sees it
    local: tuple[Endpoint, ...] = ()  # as the rank announced


@dataclass(frozen=True, slots=True)
class Join:
    """What a rank says of itself."""

    run_id: str
    rank: int
    world_size: int
    attempt: int = 0
    local: tuple[Endpoint, ...] = ()
    topology: Topology = Topology.FULL

    def __post_init__(self) -> None:
        if not 1 <= len(self.run_id.encode()) <= MAX_RUN_ID:
            raise LocalProtocolError(f"run id of {len(self.run_id.encode())} bytes; 1 to {MAX_RUN_ID} are allowed")
        if not 1 <= self.world_size <= MAX_WORLD_SIZE:
            raise LocalProtocolError(f"world size {self.world_size}; 1 to {MAX_WORLD_SIZE} are allowed")
        if not 0 <= self.rank < self.world_size:
            raise LocalProtocolError(f"rank {self.rank} in a world of {self.world_size}")
        if not 0 <= self.attempt <= MAX_ATTEMPT:
            raise LocalProtocolError(f"attempt {self.attempt}; 0 to {MAX_ATTEMPT} are allowed")
        if len(self.local) > MAX_LOCAL_ENDPOINTS:
            raise LocalProtocolError(f"{len(self.local)} local endpoints; at most {MAX_LOCAL_ENDPOINTS} are allowed")

    @property
    def wants_all(self) -> bool:
        """Whether this rank is told of every peer, or of the root only."""
        return self.topology is Topology.FULL or self.rank == ROOT


@dataclass(frozen=True, slots=True)
class Relay:
    """A rank's wish for a relayed connection to a peer; the peer's wish names the same two the other way round."""

    run_id: str
    rank: int
    attempt: int
    peer: int
    peer_attempt: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.run_id.encode()) <= MAX_RUN_ID:
            raise LocalProtocolError(f"run id of {len(self.run_id.encode())} bytes; 1 to {MAX_RUN_ID} are allowed")
        for rank, attempt in ((self.rank, self.attempt), (self.peer, self.peer_attempt)):
            if not (0 <= rank < MAX_WORLD_SIZE and 0 <= attempt <= MAX_ATTEMPT):
                raise LocalProtocolError(f"a relay for rank {rank} in attempt {attempt}")
        if self.rank == self.peer:
            raise LocalProtocolError(f"a relay from rank {self.rank} to itself")

    @property
    def token(self) -> tuple[str, frozenset[tuple[int, int]]]:
        """The same for both sides, and for no other pair."""
        return self.run_id, frozenset(((self.rank, self.attempt), (self.peer, self.peer_attempt)))


Claim = TypeVar("Claim", Join, Relay)  # what a proof is for


# Events of the rank's side.


@dataclass(frozen=True, slots=True)
class Joined:
    """The server knows this rank. `observed` is the rank's endpoint as the server sees it."""

    observed: Endpoint
    expires_in_s: float  # an incomplete group ends after that; 0 if the group is complete
    ping_interval_s: float  # the server speaks at least that often; silence of several intervals means that it is gone
    probed: Endpoint | None = None  # this rank's endpoint as its probe showed it; None without a probe


@dataclass(frozen=True, slots=True)
class ProbeOffered:
    """There is a NAT before this rank. A ProbeConnection with this nonce, from the same local port to this port of the
    server, shows what kind; `proceed` then asks to join, with or without it."""

    port: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Probed:
    """The end of a probe: the server has seen it come from `observed`."""

    observed: Endpoint


@dataclass(frozen=True, slots=True)
class Spliced:
    """The end of this protocol: all further bytes are the peer's. `payload` are those that have come already."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerJoined:
    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerReplaced:
    """A newer attempt (or a new connection of the same one) stands where `former` stood."""

    former: Peer
    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """The peer said goodbye or its connection dropped."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class GroupComplete:
    """Every rank of the world has joined; told to every topology, and after all rows this rank is told of."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The end: the server refuses this rank."""

    code: RejectCode
    reason: str


@dataclass(frozen=True, slots=True)
class Expired:
    """The end: the group was not complete in time."""

    missing: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """The end: a newer attempt of this very rank has joined."""

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class ServerClosing:
    """The end: the server shuts down. What was learnt of the peers stays true."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The end: the connection closed without a word."""


@dataclass(frozen=True, slots=True)
class Pong:
    token: bytes


ClientEvent = (
    ProbeOffered
    | Probed
    | Spliced
    | Joined
    | PeerJoined
    | PeerReplaced
    | PeerLeft
    | GroupComplete
    | Rejected
    | Expired
    | Replaced
    | ServerClosing
    | ConnectionLost
    | Pong
)

# Events of the server's side.


@dataclass(frozen=True, slots=True)
class PairingRequested:
    """The name given so far. A part that comes later gives the event again with the longer name."""

    name: bytes


@dataclass(frozen=True, slots=True)
class JoinRequested:
    """A join whose proof holds, or needs none. Answer with `accept` or `reject`."""

    join: Join


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """A client of the group dialect has got this nonce."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class RelayRequested:
    """A relay whose proof holds, or needs none. Answer with `splice` or `reject`, now or later."""

    relay: Relay


@dataclass(frozen=True, slots=True)
class ProbeReceived:
    """A probe for the connection that got this nonce. Answer with `confirm` or `reject`."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A join or relay that cannot be, whoever asks. Answer with `reject`."""

    code: RejectCode
    reason: str


@dataclass(frozen=True, slots=True)
class LeaveReceived:
    pass


ServerEvent = (
    PairingRequested | HelloReceived | JoinRequested | RelayRequested | ProbeReceived | Refused | LeaveReceived
)


# Bytes. Every encoder makes whole frames, so that what they return can be sent to any number of members as it is.


class _Type(IntEnum):
    JOIN = 0x10
    LEAVE = 0x11
    PING = 0x20
    PONG = 0x21
    CHALLENGE = 0x30
    JOINED = 0x31
    PEERS = 0x32
    LEFT = 0x33
    COMPLETE = 0x34
    REJECTED = 0x38
    EXPIRED = 0x39
    REPLACED = 0x3A
    CLOSING = 0x3B
    RELAY = 0x40
    SPLICED = 0x41
    PROBE = 0x48
    PROBED = 0x49


_HEADER = struct.Struct("!BH")  # type, length of the body
_CHALLENGE = struct.Struct(f"!B{NONCE_SIZE}s")  # version, nonce; probe port and observed endpoint follow
_PORT = struct.Struct("!H")
_IDENTITY = struct.Struct("!BHHHB")  # topology, rank, world size, attempt, length of the run id
_RELAY = struct.Struct("!HHHHB")  # rank, attempt, peer, its attempt, length of the run id; the run id follows
_ENDPOINT = struct.Struct("!BH")  # family (4 or 6), port; the address follows
_TIMES = struct.Struct("!II")  # milliseconds until expiry, milliseconds between pings
_ROW = struct.Struct("!HHB")  # rank, attempt, endpoints that follow
_LEFT = struct.Struct("!HH")  # rank, attempt
_PAIRING_ADDRESS = struct.Struct("!4sH2x")  # IPv4 address, port, padding: a C struct of TCPunch
_ADDRESS_SIZE = {4: 4, 6: 16}


def key_from_text(text: str) -> bytes | None:
    """The join key that RENDEZVOUS_KEY or a key file holds; None if it holds nothing but white space."""
    return text.strip().encode() or None


def _proof(key: bytes, label: bytes, nonce: bytes, claim: bytes) -> bytes:
    return hmac.digest(key, label + nonce + claim, "sha256")


def pairing_address(endpoint: Endpoint) -> bytes:
    """The 8 bytes of the pairing dialect. LocalProtocolError for an IPv6 endpoint, which they cannot hold."""
    packed = _pack_host(endpoint.host)
    if len(packed) != 4:
        raise LocalProtocolError(f"the pairing dialect has no room for the IPv6 address {endpoint.host}")
    return _PAIRING_ADDRESS.pack(packed, endpoint.port)


def parse_pairing_address(record: bytes) -> Endpoint:
    packed, port = _PAIRING_ADDRESS.unpack(record)
    return Endpoint(_unpack_host(packed), port)


def encode_row(join: Join, observed: Endpoint) -> bytes:
    """What others are told of a rank: encoded once, and shared by everything that announces it."""
    endpoints = (observed, *join.local)
    return _ROW.pack(join.rank, join.attempt, len(endpoints)) + b"".join(map(_pack_endpoint, endpoints))


def encode_joined(
    observed: Endpoint, expires_in_s: float, ping_interval_s: float, probed: Endpoint | None = None
) -> bytes:
    times = _TIMES.pack(round(expires_in_s * 1000), round(ping_interval_s * 1000))
    return _frame(_Type.JOINED, _pack_endpoint(observed) + times + (_pack_endpoint(probed) if probed else b""))


def encode_peers(rows: Iterable[bytes]) -> bytes:
    """PEERS frames with these rows: as few as their bodies allow."""
    return b"".join(_frame(_Type.PEERS, body) for body in _bodies(rows))


def encode_left(ranks: Iterable[tuple[int, int]]) -> bytes:
    """LEFT frames for pairs of rank and attempt."""
    return b"".join(_frame(_Type.LEFT, body) for body in _bodies(_LEFT.pack(*pair) for pair in ranks))


def encode_rejected(code: RejectCode, reason: str) -> bytes:
    return _frame(_Type.REJECTED, bytes((code,)) + _pack_text(reason))


def encode_expired(missing: Sequence[int], reason: str) -> bytes:
    count = len(missing)
    return _frame(_Type.EXPIRED, struct.pack(f"!H{count}H", count, *missing) + _pack_text(reason))


def encode_replaced(attempt: int, reason: str) -> bytes:
    return _frame(_Type.REPLACED, struct.pack("!H", attempt) + _pack_text(reason))


def encode_closing(reason: str) -> bytes:
    return _frame(_Type.CLOSING, _pack_text(reason))


def _frame(kind: _Type, body: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(body)) + body


COMPLETE_FRAME = _frame(_Type.COMPLETE)
PING_FRAME = _frame(_Type.PING)


def _bodies(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts, joined into bodies of at most MAX_FRAME bytes."""
    body: list[bytes] = []
    size = 0
    for part in parts:
        if size + len(part) > MAX_FRAME:
            yield b"".join(body)
            body, size = [], 0
        body.append(part)
        size += len(part)
    if body:
        yield b"".join(body)


def _encode_identity(join: Join) -> bytes:
    run_id = join.run_id.encode()
    fixed = _IDENTITY.pack(join.topology, join.rank, join.world_size, join.attempt, len(run_id))
    return fixed + run_id + bytes((len(join.local),)) + b"".join(map(_pack_endpoint, join.local))


def _decode_identity(body: bytes) -> Join:
    topology, rank, world_size, attempt, size = _IDENTITY.unpack_from(body)
    at = _IDENTITY.size + size
    run_id = body[_IDENTITY.size : at]
    (count,) = struct.unpack_from("!B", body, at)  # fails too if the run id is cut short
    if count > MAX_LOCAL_ENDPOINTS:
        raise RemoteProtocolError(f"{count} local endpoints; at most {MAX_LOCAL_ENDPOINTS} are allowed")
    local, _ = _take_endpoints(body, at + 1, count)
    return Join(run_id.decode(), rank, world_size, attempt, local, Topology(topology))


def _encode_relay(relay: Relay) -> bytes:
    run_id = relay.run_id.encode()
    return _RELAY.pack(relay.rank, relay.attempt, relay.peer, relay.peer_attempt, len(run_id)) + run_id


def _decode_relay(body: bytes) -> Relay:
    *fields, size = _RELAY.unpack_from(body)
    run_id = body[_RELAY.size : _RELAY.size + size]
    if len(run_id) < size:
        raise RemoteProtocolError("the run id is cut short")
    return Relay(run_id.decode(), *fields)


def _decode_rows(body: bytes) -> Iterator[Peer]:
    at = 0
    while at < len(body):
        rank, attempt, count = _ROW.unpack_from(body, at)
        endpoints, at = _take_endpoints(body, at + _ROW.size, count)
        if not endpoints:
            raise RemoteProtocolError(f"the row of rank {rank} has no endpoint")
        yield Peer(rank, attempt, endpoints[0], endpoints[1:])


def _take_endpoints(body: bytes, at: int, count: int) -> tuple[tuple[Endpoint, ...], int]:
    """`count` endpoints from `at` on, and where they end."""
    endpoints = []
    for _ in range(count):
        family, port = _ENDPOINT.unpack_from(body, at)
        at += _ENDPOINT.size
        if family not in _ADDRESS_SIZE:
            raise RemoteProtocolError(f"address family {family}; 4 and 6 are known")
        end = at + _ADDRESS_SIZE[family]
        if end > len(body):
            raise RemoteProtocolError("an address is cut short")
        endpoints.append(Endpoint(_unpack_host(body[at:end]), port))
        at = end
    return tuple(endpoints), at


def _pack_endpoint(endpoint: Endpoint) -> bytes:
    host, port = endpoint
    if not 0 <= port <= 65_535:
        raise LocalProtocolError(f"port {port}")
    packed = _pack_host(host)
    return _ENDPOINT.pack(4 if len(packed) == 4 else 6, port) + packed


# Hosts repeat (many ranks behind one address), and parsing one costs more than the rest of a row.
@lru_cache(maxsize=4096)
def _pack_host(host: str) -> bytes:
    try:
        return ip_address(_plain_host(host)).packed
    except ValueError as error:
        raise LocalProtocolError(f"{host!r} is not an IPv4 or IPv6 address") from error


@lru_cache(maxsize=4096)
def _unpack_host(packed: bytes) -> str:
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))


def _plain_host(host: str) -> str:
    """Without a scope (another host cannot use it), and as IPv4 where it is IPv4 inside IPv6."""
    plain = host.partition("%")[0]
    address = ip_address(plain)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped) if mapped else plain


def _pack_text(text: str) -> bytes:
    return text.encode()[:MAX_REASON]


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


# The frame reader that both sides share.


class _Frames:
    """Cuts a byte stream into (type, body). Refuses a body above `limit` before it comes."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> bytes:
        """All bytes that are no complete frame yet."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def next(self) -> tuple[_Type, bytes] | None:
        buffer = self._buffer
        if len(buffer) < _HEADER.size:
            return None
        kind, size = _HEADER.unpack_from(buffer)
        if size > self._limit:
            raise RemoteProtocolError(f"a frame of {size} bytes; at most {self._limit} are allowed")
        end = _HEADER.size + size
        if len(buffer) < end:
            return None
        body = bytes(memoryview(buffer)[_HEADER.size : end])
        del buffer[:end]
        try:
            return _Type(kind), body
        except ValueError:
            raise RemoteProtocolError(f"unknown frame type 0x{kind:02x}") from None


# The rank's side.


class ClientState(Enum):
    HELLO = auto()  # waits for the server's nonce
    PROBING = auto()  # has been offered a probe; `proceed` follows
    ASKING = auto()  # waits for the answer to its join, relay or probe
    MEMBER = auto()
    ENDED = auto()  # by the server's last word, by leave, or by the connection's end; a relay: by being spliced


_FAREWELLS = frozenset({_Type.REJECTED, _Type.CLOSING})
_LAST_WORDS = _FAREWELLS | {_Type.EXPIRED, _Type.REPLACED}
_Accepts = dict[ClientState, frozenset[_Type]]
_JOIN_ACCEPTS: _Accepts = {
    ClientState.HELLO: _FAREWELLS | {_Type.CHALLENGE},
    ClientState.PROBING: _FAREWELLS,
    ClientState.ASKING: _FAREWELLS | {_Type.JOINED},
    ClientState.MEMBER: _LAST_WORDS | {_Type.PEERS, _Type.LEFT, _Type.COMPLETE, _Type.PING, _Type.PONG},
}
_RELAY_ACCEPTS: _Accepts = {
    ClientState.HELLO: _FAREWELLS | {_Type.CHALLENGE},
    ClientState.ASKING: _LAST_WORDS | {_Type.SPLICED},
}
_PROBE_ACCEPTS: _Accepts = {
    ClientState.HELLO: _FAREWELLS | {_Type.CHALLENGE},
    ClientState.ASKING: _FAREWELLS | {_Type.PROBED},
}


class _RankConnection(ABC):
    """What a rank's connections have in common, whatever they are for.

    send(connection.data_to_send())
    for event in connection.receive_data(recv()): ...
    send(connection.data_to_send())  # after every receive_data: what the server asks for is answered by itself
    """

    _accepts: ClassVar[_Accepts]

    def __init__(self) -> None:
        self.state = ClientState.HELLO
        self._frames = _Frames(MAX_FRAME)
        self._out = bytearray(MAGIC + bytes((VERSION,)))

    def data_to_send(self) -> bytes:
        """What must go out now; empty if nothing. Taken once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes) -> Iterator[ClientEvent]:
        """The events that `data` completes; none after the end. RemoteProtocolError where the server talks nonsense."""
        self._frames.feed(data)
        return self._events()

    def receive_eof(self) -> list[ClientEvent]:
        """The connection closed: ConnectionLost, unless the end was told before."""
        if self.state is ClientState.ENDED:
            return []
        self.state = ClientState.ENDED
        return [ConnectionLost()]

    def _events(self) -> Iterator[ClientEvent]:
        while self.state is not ClientState.ENDED:
            frame = self._frames.next()
            if frame is None:
                return
            kind, body = frame
            if kind not in self._accepts[self.state]:
                raise RemoteProtocolError(f"the server sent {kind.name} in state {self.state.name}")
            try:
                yield from self._challenge(body) if kind is _Type.CHALLENGE else self._handle(kind, body)
            except (struct.error, ValueError) as error:
                raise RemoteProtocolError(f"the server sent a malformed {kind.name}: {error}") from error
        self._frames.take()

    def _challenge(self, body: bytes) -> Iterator[ClientEvent]:
        version, nonce = _CHALLENGE.unpack_from(body)
        if not 1 <= version <= VERSION:
            raise RemoteProtocolError(f"the server chose version {version}; 1 to {VERSION} were offered")
        self.state = ClientState.ASKING
        yield from self._challenged(nonce, body[_CHALLENGE.size :])

    @abstractmethod
    def _challenged(self, nonce: bytes, rest: bytes) -> Iterable[ClientEvent]:
        """Answer the nonce; `rest` is what CHALLENGE holds beside it."""

    def _handle(self, kind: _Type, body: bytes) -> Iterator[ClientEvent]:
        """What a frame means; here the last words, which are the same for all."""
        farewell = _decode_farewell(kind, body)
        self.state = ClientState.ENDED
        yield farewell

    def _ask(self, kind: _Type, label: bytes, key: bytes | None, nonce: bytes, claim: bytes) -> None:
        proof = _proof(key, label, nonce, claim) if key else b""
        self._out += _frame(kind, bytes((len(proof),)) + proof + claim)


class ClientConnection(_RankConnection):
    """A rank's connection as a member of its group.

    `peers` is the table so far, by rank, without this rank; with STAR it holds the root only (at the root, all).
    `probe_from` is the local endpoint of the connection, for a rank that wants to know its NAT: see ProbeOffered.
    """

    _accepts = _JOIN_ACCEPTS

    def __init__(self, join: Join, key: bytes | None = None, probe_from: Endpoint | None = None) -> None:
        super().__init__()
        self.join = join
        self.peers: dict[int, Peer] = {}
        self.complete = False
        self._key = key
        self._nonce = b""
        self._identity = _encode_identity(join)
        self._probe_from = probe_from

    def proceed(self) -> None:
        """Ask to join, after a ProbeOffered."""
        if self.state is not ClientState.PROBING:
            raise LocalProtocolError(f"proceed in state {self.state.name}: no probe was offered")
        self.state = ClientState.ASKING
        self._ask(_Type.JOIN, JOIN_LABEL, self._key, self._nonce, self._identity)

    def leave(self) -> None:
        """Say goodbye: peers are told at once. Send, then close. Only a member can; before that just close."""
        self._require_member("leave")
        self._out += _frame(_Type.LEAVE)
        self.state = ClientState.ENDED

    def ping(self, token: bytes = b"") -> None:
        """Ask for a Pong with the same token of at most 16 bytes."""
        self._require_member("ping")
        if len(token) > MAX_TOKEN:
            raise LocalProtocolError(f"a ping token of {len(token)} bytes; at most {MAX_TOKEN} are allowed")
        self._out += _frame(_Type.PING, token)

    def _require_member(self, step: str) -> None:
        if self.state is not ClientState.MEMBER:
            raise LocalProtocolError(f"{step} in state {self.state.name}: only a member can")

    def _challenged(self, nonce: bytes, rest: bytes) -> Iterable[ClientEvent]:
        self._nonce = nonce
        self.state = ClientState.PROBING
        if self._probe_from is not None and rest:  # an older server offers nothing
            (port,) = _PORT.unpack_from(rest)
            (observed,), _ = _take_endpoints(rest, _PORT.size, 1)
            if port and observed != self._probe_from:
                return (ProbeOffered(port, nonce),)
        self.proceed()
        return ()

    def _handle(self, kind: _Type, body: bytes) -> Iterator[ClientEvent]:
        match kind:
            case _Type.PEERS:
                yield from self._peers(body)
            case _Type.LEFT:
                yield from self._left(body)
            case _Type.PING:
                self._out += _frame(_Type.PONG, body[:MAX_TOKEN])
            case _Type.PONG:
                yield Pong(body)
            case _Type.JOINED:
                (observed,), at = _take_endpoints(body, 0, 1)
                expires_ms, ping_ms = _TIMES.unpack_from(body, at)
                at += _TIMES.size
                probed = _take_endpoints(body, at, 1)[0][0] if at < len(body) else None
                self.state = ClientState.MEMBER
                yield Joined(observed, expires_ms / 1000, ping_ms / 1000, probed)
            case _Type.COMPLETE:
                self.complete = True
                yield GroupComplete()
            case _:
                yield from super()._handle(kind, body)

    def _peers(self, body: bytes) -> Iterator[ClientEvent]:
        for peer in _decode_rows(body):
            if peer.rank >= self.join.world_size:
                raise RemoteProtocolError(f"a row of rank {peer.rank} in a world of {self.join.world_size}")
            former = self.peers.get(peer.rank)
            if peer.rank == self.join.rank or peer == former:
                continue
            self.peers[peer.rank] = peer
            yield PeerJoined(peer) if former is None else PeerReplaced(former, peer)

    def _left(self, body: bytes) -> Iterator[ClientEvent]:
        for rank, attempt in _LEFT.iter_unpack(body):
            peer = self.peers.get(rank)
            if peer is not None and peer.attempt == attempt:
                del self.peers[rank]
                yield PeerLeft(peer)


class RelayConnection(_RankConnection):
    """A rank's relayed connection to a peer, until it is spliced: then the socket belongs to the two ranks."""

    _accepts = _RELAY_ACCEPTS

    def __init__(self, relay: Relay, key: bytes | None = None) -> None:
        super().__init__()
        self.relay = relay
        self._key = key
        self._claim = _encode_relay(relay)

    def _challenged(self, nonce: bytes, rest: bytes) -> Iterable[ClientEvent]:
        self._ask(_Type.RELAY, RELAY_LABEL, self._key, nonce, self._claim)
        return ()

    def _handle(self, kind: _Type, body: bytes) -> Iterator[ClientEvent]:
        if kind is _Type.SPLICED:
            self.state = ClientState.ENDED
            yield Spliced(self._frames.take())
        else:
            yield from super()._handle(kind, body)


class ProbeConnection(_RankConnection):
    """A rank's probe of its NAT, for the connection that got `nonce`."""

    _accepts = _PROBE_ACCEPTS

    def __init__(self, nonce: bytes) -> None:
        super().__init__()
        self._out += _frame(_Type.PROBE, nonce)  # at once: it proves nothing that an own nonce would be needed for

    def _challenged(self, nonce: bytes, rest: bytes) -> Iterable[ClientEvent]:
        return ()

    def _handle(self, kind: _Type, body: bytes) -> Iterator[ClientEvent]:
        if kind is _Type.PROBED:
            (observed,), _ = _take_endpoints(body, 0, 1)
            self.state = ClientState.ENDED
            yield Probed(observed)
        else:
            yield from super()._handle(kind, body)


def _decode_farewell(kind: _Type, body: bytes) -> Rejected | Expired | Replaced | ServerClosing:
    if kind is _Type.REJECTED:
        (code,) = struct.unpack_from("!B", body)
        return Rejected(RejectCode(code), _text(body[1:]))
    if kind is _Type.EXPIRED:
        (count,) = struct.unpack_from("!H", body)
        return Expired(struct.unpack_from(f"!{count}H", body, 2), _text(body[2 + 2 * count :]))
    if kind is _Type.REPLACED:
        (attempt,) = struct.unpack_from("!H", body)
        return Replaced(attempt, _text(body[2:]))
    return ServerClosing(_text(body))


# The server's side.


class ServerState(Enum):
    NEW = auto()  # nothing but perhaps a part of HELLO has come
    PAIRING = auto()  # speaks the pairing dialect
    CHALLENGED = auto()  # has its nonce, owes a request
    DECIDING = auto()  # has asked for something; `accept`, `confirm` or `reject` follows
    MEMBER = auto()
    RELAYING = auto()  # has asked for a relay; `splice` or `reject` follows
    ENDED = auto()  # a relay: by being spliced


_SERVER_ACCEPTS: dict[ServerState, frozenset[_Type]] = {
    ServerState.CHALLENGED: frozenset({_Type.JOIN, _Type.RELAY, _Type.PROBE}),
    ServerState.DECIDING: frozenset(),
    ServerState.MEMBER: frozenset({_Type.LEAVE, _Type.PING, _Type.PONG}),
    ServerState.RELAYING: frozenset(),
}
_TOO_EARLY = "the client spoke before it was spliced"
_FOREIGN = {0x0D: "a PROXY protocol header, which this server is not set to expect", 0x16: "TLS"}


class ServerConnection:
    """The server's end of one connection, of either dialect.

    `make_nonce` gives NONCE_SIZE fresh random bytes; it is called for the group dialect only. `observed` is where the
    client comes from, `probe_port` what it is told of, 0 for none.
    After a RemoteProtocolError `data_to_send` may hold a last word for the client.
    """

    __slots__ = (
        "_frames",
        "_head",
        "_key",
        "_make_nonce",
        "_nonce",
        "_observed",
        "_out",
        "_probe_port",
        "dialect",
        "state",
    )

    def __init__(
        self, key: bytes | None, make_nonce: Callable[[], bytes], observed: Endpoint, probe_port: int = 0
    ) -> None:
        self.state = ServerState.NEW
        self.dialect: str | None = None  # "pairing", "group", "relay" or "probe", once the client has shown which
        self._key = key
        self._make_nonce = make_nonce
        self._nonce = b""
        self._observed = observed
        self._probe_port = probe_port
        self._head = b""  # the pairing name so far, or a part of HELLO
        self._frames: _Frames | None = None
        self._out = bytearray()

    @property
    def is_framed(self) -> bool:
        """Whether frames mean something to the client: any dialect but pairing."""
        return self._frames is not None

    def data_to_send(self) -> bytes:
        """What must go out now; empty if nothing. Taken once."""
        if not self._out:
            return b""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes) -> Iterator[ServerEvent]:
        """The events that `data` completes; none after the end. RemoteProtocolError where the client talks nonsense."""
        if self._frames is not None:
            self._frames.feed(data)
            return self._framed_events(self._frames)
        self._head += data
        return self._first_events()

    def accept(self, expires_in_s: float, ping_interval_s: float, probed: Endpoint | None = None) -> None:
        """Answer a JoinRequested."""
        self._require(ServerState.DECIDING, "accept")
        self._out += encode_joined(self._observed, expires_in_s, ping_interval_s, probed)
        self.state = ServerState.MEMBER

    def confirm(self) -> None:
        """Answer a ProbeReceived."""
        self._require(ServerState.DECIDING, "confirm")
        self._out += _frame(_Type.PROBED, _pack_endpoint(self._observed))
        self.state = ServerState.ENDED

    def splice(self) -> None:
        """Answer a RelayRequested: send what there is to send, and all further bytes are the peer's."""
        self._require(ServerState.RELAYING, "splice")
        self._out += _frame(_Type.SPLICED)
        self.state = ServerState.ENDED

    def reject(self, code: RejectCode, reason: str) -> None:
        """The last word to a client that knows frames; to another there is nothing to say."""
        if self.is_framed and self.state is not ServerState.ENDED:
            self._out += encode_rejected(code, reason)
        self.state = ServerState.ENDED

    def _require(self, state: ServerState, step: str) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"{step} in state {self.state.name}: nobody asked for it")

    def _first_events(self) -> Iterator[ServerEvent]:
        if self.state is ServerState.ENDED or not self._head:
            return
        if self._head[0] != MAGIC[0]:
            self.dialect = "pairing"
            yield PairingRequested(self._pairing_name())
            return
        hello = self._head[: len(MAGIC)]
        if hello != MAGIC[: len(hello)]:
            self.state = ServerState.ENDED
            raise RemoteProtocolError(f"{hello!r} starts neither a pairing name nor the group dialect")
        if len(self._head) <= len(MAGIC):
            return
        self.dialect = "group"
        version, rest = self._head[len(MAGIC)], self._head[len(MAGIC) + 1 :]
        self._head = b""
        self._frames = _Frames(MAX_CLIENT_FRAME)
        if version < 1:
            self.state = ServerState.DECIDING
            yield Refused(RejectCode.VERSION, f"version {version} was offered; this server speaks 1 to {VERSION}")
            return
        self._nonce = self._make_nonce()
        challenge = _CHALLENGE.pack(min(version, VERSION), self._nonce) + _PORT.pack(self._probe_port)
        self._out += _frame(_Type.CHALLENGE, challenge + _pack_endpoint(self._observed))
        self.state = ServerState.CHALLENGED
        yield HelloReceived(self._nonce)
        self._frames.feed(rest)
        yield from self._framed_events(self._frames)

    def _pairing_name(self) -> bytes:
        """The name so far. As in a C string, a zero ends it: what follows is padding, however it was cut."""
        head = self._head
        name = head.partition(b"\0")[0]
        if head[0] in _FOREIGN or not name or len(head) > MAX_PAIRING_NAME:
            self.state = ServerState.ENDED
            if head[0] in _FOREIGN:
                raise RemoteProtocolError(_FOREIGN[head[0]])
            was = f"a pairing name of {len(name)} bytes in {len(head)}"
            raise RemoteProtocolError(f"{was}; 1 to {MAX_PAIRING_NAME} are allowed")
        self.state = ServerState.PAIRING
        return name

    def _framed_events(self, frames: _Frames) -> Iterator[ServerEvent]:
        try:
            while self.state is not ServerState.ENDED:
                if self.state is ServerState.RELAYING and frames:
                    raise RemoteProtocolError(_TOO_EARLY)
                frame = frames.next()
                if frame is None:
                    return
                kind, body = frame
                if kind not in _SERVER_ACCEPTS[self.state]:
                    raise RemoteProtocolError(f"the client sent {kind.name} in state {self.state.name}")
                yield from self._handle(kind, body)
        except RemoteProtocolError as error:
            self.reject(RejectCode.MALFORMED, str(error))
            raise
        frames.take()

    def _handle(self, kind: _Type, body: bytes) -> Iterator[ServerEvent]:
        match kind:
            case _Type.PONG:
                pass  # that it came is all it says
            case _Type.PING:
                if len(body) > MAX_TOKEN:
                    raise RemoteProtocolError(f"a ping token of {len(body)} bytes; at most {MAX_TOKEN} are allowed")
                self._out += _frame(_Type.PONG, body)
            case _Type.LEAVE:
                self.state = ServerState.ENDED
                yield LeaveReceived()
            case _Type.PROBE:
                self.dialect, self.state = "probe", ServerState.DECIDING
                yield ProbeReceived(body[:NONCE_SIZE])
            case _Type.JOIN:
                self.state = ServerState.DECIDING
                join, objection = self._claim(body, JOIN_LABEL, _decode_identity)
                yield Refused(*objection) if objection else JoinRequested(join)
            case _:
                if self._frames:
                    raise RemoteProtocolError(_TOO_EARLY)
                self.dialect, self.state = "relay", ServerState.RELAYING
                relay, objection = self._claim(body, RELAY_LABEL, _decode_relay)
                yield Refused(*objection) if objection else RelayRequested(relay)

    def _claim(
        self, body: bytes, label: bytes, decode: Callable[[bytes], Claim]
    ) -> tuple[Claim, tuple[RejectCode, str] | None]:
        """What a JOIN or RELAY asks for, and what is wrong with its proof."""
        try:
            (size,) = struct.unpack_from("!B", body)
            proof, claim = body[1 : 1 + size], body[1 + size :]
            asked = decode(claim)
        except (struct.error, ValueError, LocalProtocolError) as error:
            raise RemoteProtocolError(f"malformed request: {error}") from error
        if self._key is None or hmac.compare_digest(proof, _proof(self._key, label, self._nonce, claim)):
            return asked, None
        wrong = "was made with another key" if proof else "is missing"
        reason = f"rank {asked.rank}: the proof {wrong}: set RENDEZVOUS_KEY to the server's key"
        return asked, (RejectCode.BAD_PROOF, reason)
