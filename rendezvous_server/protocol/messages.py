"""What ranks and server tell each other, as values: no bytes, no I/O, standard library only.

The protocol's constants come first, then the requests of a rank, then the events that a connection of the rank's side
yields. codec.py holds the bytes of all of them. What a connection of the server's side yields is in server.py, which no
rank imports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

VERSION = 1
MAGIC = b"\x01RDV"  # no pairing name starts with a control byte
ROOT = 0  # the rank that gathers

NONCE_SIZE = 16  # bytes: two servers never make the same one by chance
JOIN_LABEL = b"rendezvous join 1\0"  # a proof for one purpose is worth nothing for another
RELAY_LABEL = b"rendezvous relay 1\0"
MAX_PAIRING_NAME = 100  # bytes: the buffer that existing servers read into
MAX_RUN_ID = 200  # bytes: an execution name of Step Functions has 80 characters at most, an ARN's last part few more
MAX_WORLD_SIZE = 10_000  # what a Distributed Map runs at a time
MAX_ATTEMPT = 65_535  # what two bytes hold; retries are counted in ones
MAX_LOCAL_ENDPOINTS = 8  # interfaces worth trying; a host has one or two, IPv4 and IPv6
MAX_TOKEN = 16  # bytes of a ping that come back in its pong
MAX_REASON = 1_000  # bytes: a sentence for a log line
MAX_FRAME = 65_535  # bytes of a body, what the length field holds: the server's frames to a rank
MAX_CLIENT_FRAME = 512  # bytes of a body from a rank: the longest JOIN has 33 + 8 + 200 + 1 + 8 * 19 = 394


class ProtocolError(Exception):
    """Says that a step or some bytes do not fit the protocol. Its two subclasses say on whose side the fault is."""


class LocalProtocolError(ProtocolError):
    """Says that the caller made a step that this state does not allow, or gave a value that no frame can carry."""


class RemoteProtocolError(ProtocolError):
    """Says that the other side sent bytes that mean nothing in this state. The connection must be closed."""


class Topology(IntEnum):
    """Says which peers a rank wants to learn of."""

    FULL = 0  # all of them
    STAR = 1  # the root only; the root itself learns of all


class RejectCode(IntEnum):
    """Says why the server refuses a request."""

    MALFORMED = 1  # bytes that mean nothing
    VERSION = 2  # no version in common
    BAD_PROOF = 3  # the key is missing or another one
    WORLD_SIZE = 4  # the group was started with another world size
    DUPLICATE_RANK = 5  # this rank is connected, with the same or a newer attempt
    STALE_ATTEMPT = 6  # a newer attempt of this rank has been here
    LIMIT = 7  # the server is full, or this address joins too often: later it may work
    TIMEOUT = 8  # no request, or no answer to pings, for too long
    UNKNOWN = 9  # a relay for a rank that is not in the group (any more), or a probe for no connection

    @property
    def transient(self) -> bool:
        """Says whether the same request may be accepted later."""
        return self in (RejectCode.LIMIT, RejectCode.TIMEOUT)


class Endpoint(NamedTuple):
    """Names one end of a TCP connection."""

    host: str  # An IPv4 or IPv6 address as text, never a name
    port: int  # 0 to 65,535

    @classmethod
    def from_sockaddr(cls, address: Sequence[Any]) -> "Endpoint":
        """Makes an endpoint of what `getpeername` and its like return.

        Args:
            address: Host and port first, as for AF_INET and AF_INET6. An IPv6 scope is left out, and an IPv4 address
                that is mapped into IPv6 becomes plain IPv4.

        Returns:
            The endpoint.

        Raises:
            ValueError: The host has a colon and is no IPv6 address.
        """
        host: str = address[0]
        return cls(plain_host(host) if ":" in host else host, address[1])


@dataclass(frozen=True, slots=True)
class Peer:
    """Describes another rank of the group, as the server has announced it."""

    rank: int  # its number in the group, from 0
    attempt: int  # how often this rank was started before, from 0
    observed: Endpoint  # its endpoint as the server sees it
    local: tuple[Endpoint, ...] = ()  # its endpoints as the rank itself announced them


@dataclass(frozen=True, slots=True)
class Join:
    """Asks for a place in a group: a rank describes itself and its run.

    Raises:
        LocalProtocolError: A field is out of its range.
    """

    run_id: str  # names the group, 1 to 200 bytes of UTF-8. All ranks of a run give the same.
    rank: int  # the number of this rank in the group, 0 to `world_size` - 1
    world_size: int  # how many ranks the group has, 1 to 10,000
    attempt: int = 0  # how often this rank was started before, 0 to 65,535. A newer attempt replaces an older one.
    local: tuple[Endpoint, ...] = ()  # endpoints of this host on which peers may try to connect, 8 at most
    topology: Topology = Topology.FULL  # which peers this rank wants to learn of

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
        """Says whether this rank learns of every peer (True) or of the root only (False)."""
        return self.topology is Topology.FULL or self.rank == ROOT


@dataclass(frozen=True, slots=True)
class Relay:
    """Asks for a relayed connection to a peer. The peer asks too, with the two ranks the other way round.

    Raises:
        LocalProtocolError: A field is out of its range, or both ranks are the same.
    """

    run_id: str  # names the group of both ranks, 1 to 200 bytes of UTF-8
    rank: int  # the rank that asks, 0 to 9,999
    attempt: int  # its attempt, 0 to 65,535
    peer: int  # the rank that it wants to reach, 0 to 9,999
    peer_attempt: int  # the attempt of that rank, 0 to 65,535

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
        """Identifies the pair: equal for the requests of both sides, different for any other pair."""
        return self.run_id, frozenset(((self.rank, self.attempt), (self.peer, self.peer_attempt)))


# Events of the rank's side. Those that say "the end" are the last of their connection.


@dataclass(frozen=True, slots=True)
class Joined:
    """Tells a rank that it is a member of its group.

    Attributes:
        observed: The rank's endpoint as the server sees it.
        expires_in_s: Seconds until the group ends if it stays incomplete; 0 if it is complete.
        ping_interval_s: Seconds between two frames of the server at most. A server that is silent for several
            intervals is gone.
        probed: The rank's endpoint as its NAT probe showed it; None without a probe.
    """

    observed: Endpoint
    expires_in_s: float
    ping_interval_s: float
    probed: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class ProbeOffered:
    """Tells a rank that there is a NAT before it and that a ProbeConnection would show of which kind.

    The probe goes from the local port of this connection to `port` of the server. `ClientConnection.proceed` then asks
    to join, whether the probe was made or not.
    """

    port: int  # the server's probe port
    nonce: bytes  # what the ProbeConnection must be made with, 16 bytes


@dataclass(frozen=True, slots=True)
class Probed:
    """Ends a probe: the server saw it come from `observed`."""

    observed: Endpoint  # the probe's own, as its NAT showed it


@dataclass(frozen=True, slots=True)
class Spliced:
    """Ends this protocol on a relayed connection: all further bytes are the peer's."""

    payload: bytes  # the peer's bytes that have arrived already


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """Announces a peer that was not there before."""

    peer: Peer  # the one that is new


@dataclass(frozen=True, slots=True)
class PeerReplaced:
    """Announces that a newer attempt, or a new connection of the same attempt, takes the place of a peer."""

    former: Peer  # the peer as it was announced before
    peer: Peer  # the peer as it is now


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """Announces that a peer has left the group or that its connection to the server has dropped."""

    peer: Peer  # as it was announced


@dataclass(frozen=True, slots=True)
class GroupComplete:
    """Announces that every rank of the world has joined. It follows all rows that this rank is sent."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The end: tells that the server refuses this rank."""

    code: RejectCode  # why, for a program
    reason: str  # why, for a person


@dataclass(frozen=True, slots=True)
class Expired:
    """The end: tells that the group was not complete in time, or that the other end of a relay did not come."""

    missing: tuple[int, ...]  # the ranks that did not come
    reason: str  # the same for a person


@dataclass(frozen=True, slots=True)
class Replaced:
    """The end: tells that a newer attempt of this very rank has joined."""

    attempt: int  # the newer attempt
    reason: str  # the same for a person


@dataclass(frozen=True, slots=True)
class ServerClosing:
    """The end: tells that the server shuts down. What it announced of the peers stays true."""

    reason: str  # a sentence for people


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The end: tells that the connection closed without a final frame."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping of this rank."""

    token: bytes  # the bytes that the ping held, 16 at most


ClientEvent = (  # what a connection of the rank's side yields
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


def plain_host(host: str) -> str:
    """`host` without a scope, which another host cannot use, and as IPv4 where it is IPv4 mapped into IPv6."""
    plain = host.partition("%")[0]
    address = ip_address(plain)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped) if mapped else plain
