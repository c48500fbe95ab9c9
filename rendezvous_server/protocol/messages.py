"""What ranks and server tell each other, as values: no bytes, no I/O, standard library only.

Limits and names of the protocol stand at the top, then what a rank says of itself, then the events that either side's
connection gives out. codec.py has the bytes of all this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

VERSION = 1
MAGIC = b"\x01RDV"  # no pairing name starts with a control byte
ROOT = 0  # the rank that gathers

NONCE_SIZE = 16  # bytes: two servers never make the same one by chance
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
    """Names which other ranks a rank is told of."""

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
        return cls(plain_host(host), port) if ":" in host else cls(host, port)


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


def plain_host(host: str) -> str:
    """Without a scope (another host cannot use it), and as IPv4 where it is IPv4 inside IPv6."""
    plain = host.partition("%")[0]
    address = ip_address(plain)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped) if mapped else plain
