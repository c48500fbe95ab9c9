"""The bytes of the protocol: how frames and their bodies are written and read.

What the package exports as `encode_...` returns whole frames, which can be sent to any number of members as they are.
Only `encode_row` returns a part of one. A `decode_` function raises RemoteProtocolError, ValueError or struct.error
where a body is malformed, and the connections make RemoteProtocolErrors of all three.
"""

import hmac
import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from rendezvous_server.protocol.messages import (
    MAX_FRAME,
    MAX_LOCAL_ENDPOINTS,
    MAX_REASON,
    NONCE_SIZE,
    Endpoint,
    Expired,
    Join,
    Joined,
    LocalProtocolError,
    Peer,
    RejectCode,
    Rejected,
    Relay,
    RemoteProtocolError,
    Replaced,
    ServerClosing,
    Topology,
    plain_host,
)


class FrameType(IntEnum):
    """The first byte of a frame."""

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


def proof_of(key: bytes, label: bytes, nonce: bytes, request: bytes) -> bytes:
    """HMAC-SHA256 of a request, 32 bytes; `label` says what the request is for."""
    return hmac.digest(key, label + nonce + request, "sha256")


def pairing_address(endpoint: Endpoint) -> bytes:
    """Encodes an endpoint for the pairing dialect.

    Args:
        endpoint: An IPv4 endpoint.

    Returns:
        8 bytes in network byte order: IPv4 address (4), port (2), padding (2).

    Raises:
        LocalProtocolError: The endpoint has an IPv6 address, which does not fit, or no address at all.
    """
    packed = _pack_host(endpoint.host)
    if len(packed) != 4:
        raise LocalProtocolError(f"the pairing dialect has no room for the IPv6 address {endpoint.host}")
    return _PAIRING_ADDRESS.pack(packed, endpoint.port)


def encode_row(join: Join, observed: Endpoint) -> bytes:
    """Encodes how a rank is announced to its peers. A row is encoded once, and `encode_peers` puts it into frames.

    Args:
        join: What the rank said of itself.
        observed: Its endpoint as the server sees it.

    Returns:
        The row: rank, attempt, observed endpoint, local endpoints.

    Raises:
        LocalProtocolError: An endpoint has no IPv4 or IPv6 address, or a port above 65,535.
    """
    endpoints = (observed, *join.local)
    return _ROW.pack(join.rank, join.attempt, len(endpoints)) + b"".join(map(pack_endpoint, endpoints))


def encode_challenge(version: int, nonce: bytes, probe_port: int, observed: Endpoint) -> bytes:
    """A CHALLENGE frame; `probe_port` 0 stands for none."""
    body = _CHALLENGE.pack(version, nonce) + _PORT.pack(probe_port) + pack_endpoint(observed)
    return encode_frame(FrameType.CHALLENGE, body)


def decode_challenge(body: bytes) -> tuple[int, bytes, bytes]:
    """Version, nonce, and what the server offers beside them (see `decode_probe_offer`): nothing, if it is older."""
    version, nonce = _CHALLENGE.unpack_from(body)
    return version, nonce, body[_CHALLENGE.size :]


def decode_probe_offer(offer: bytes) -> tuple[int, Endpoint]:
    """The server's probe port (0: none) and the endpoint it observes."""
    (port,) = _PORT.unpack_from(offer)
    return port, decode_endpoint(offer[_PORT.size :])


def encode_joined(
    observed: Endpoint, expires_in_s: float, ping_interval_s: float, probed: Endpoint | None = None
) -> bytes:
    """Encodes the JOINED frame, which tells a rank that it is a member.

    Args:
        observed: The rank's endpoint as the server sees it.
        expires_in_s: Seconds until its group ends if it stays incomplete; 0 if it is complete.
        ping_interval_s: Seconds between two pings.
        probed: The rank's endpoint as its NAT probe showed it, if there was one.

    Returns:
        The frame.

    Raises:
        LocalProtocolError: An endpoint has no IPv4 or IPv6 address, or a port above 65,535.
    """
    times = _TIMES.pack(round(expires_in_s * 1000), round(ping_interval_s * 1000))
    return encode_frame(FrameType.JOINED, pack_endpoint(observed) + times + (pack_endpoint(probed) if probed else b""))


def decode_joined(body: bytes) -> Joined:
    (observed,), at = take_endpoints(body, 0, 1)
    expires_ms, ping_ms = _TIMES.unpack_from(body, at)
    at += _TIMES.size
    probed = decode_endpoint(body[at:]) if at < len(body) else None
    return Joined(observed, expires_ms / 1000, ping_ms / 1000, probed)


def encode_peers(rows: Iterable[bytes]) -> bytes:
    """Encodes who is there.

    Args:
        rows: What `encode_row` has made of each rank.

    Returns:
        PEERS frames, as few as their length allows; no bytes for no rows.
    """
    return b"".join(encode_frame(FrameType.PEERS, body) for body in _bodies(rows))


def encode_left(ranks: Iterable[tuple[int, int]]) -> bytes:
    """Encodes who has left.

    Args:
        ranks: Pairs of rank and attempt.

    Returns:
        LEFT frames, as few as their length allows; no bytes for no pairs.
    """
    return b"".join(encode_frame(FrameType.LEFT, body) for body in _bodies(_LEFT.pack(*pair) for pair in ranks))


def decode_left(body: bytes) -> Iterator[tuple[int, int]]:
    """Rank and attempt of each that has left."""
    return _LEFT.iter_unpack(body)


def encode_rejected(code: RejectCode, reason: str) -> bytes:
    """Encodes the REJECTED frame.

    Args:
        code: Why the server refuses, for programs.
        reason: The same for people, cut to 1,000 bytes of UTF-8.

    Returns:
        The frame.
    """
    return encode_frame(FrameType.REJECTED, bytes((code,)) + _pack_text(reason))


def encode_expired(missing: Sequence[int], reason: str) -> bytes:
    """Encodes the EXPIRED frame.

    Args:
        missing: The ranks that did not come.
        reason: A sentence for people, cut to 1,000 bytes of UTF-8.

    Returns:
        The frame.
    """
    count = len(missing)
    return encode_frame(FrameType.EXPIRED, struct.pack(f"!H{count}H", count, *missing) + _pack_text(reason))


def encode_replaced(attempt: int, reason: str) -> bytes:
    """Encodes the REPLACED frame.

    Args:
        attempt: The one that takes the place of the receiver.
        reason: A sentence for people, cut to 1,000 bytes of UTF-8.

    Returns:
        The frame.
    """
    return encode_frame(FrameType.REPLACED, struct.pack("!H", attempt) + _pack_text(reason))


def encode_closing(reason: str) -> bytes:
    """Encodes the CLOSING frame, which says that the server shuts down.

    Args:
        reason: A sentence for people, cut to 1,000 bytes of UTF-8.

    Returns:
        The frame.
    """
    return encode_frame(FrameType.CLOSING, _pack_text(reason))


def encode_frame(kind: FrameType, body: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(body)) + body


COMPLETE_FRAME = encode_frame(FrameType.COMPLETE)
PING_FRAME = encode_frame(FrameType.PING)  # without a token, which the server has no use for


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


def encode_join(join: Join) -> bytes:
    """What JOIN holds behind the proof."""
    run_id = join.run_id.encode()
    fixed = _IDENTITY.pack(join.topology, join.rank, join.world_size, join.attempt, len(run_id))
    return fixed + run_id + bytes((len(join.local),)) + b"".join(map(pack_endpoint, join.local))


def decode_join(body: bytes) -> Join:
    topology, rank, world_size, attempt, size = _IDENTITY.unpack_from(body)
    at = _IDENTITY.size + size
    run_id = body[_IDENTITY.size : at]
    (count,) = struct.unpack_from("!B", body, at)  # fails too if the run id is cut short
    if count > MAX_LOCAL_ENDPOINTS:
        raise RemoteProtocolError(f"{count} local endpoints; at most {MAX_LOCAL_ENDPOINTS} are allowed")
    local, _ = take_endpoints(body, at + 1, count)
    return Join(run_id.decode(), rank, world_size, attempt, local, Topology(topology))


def encode_relay(relay: Relay) -> bytes:
    """What RELAY holds behind the proof."""
    run_id = relay.run_id.encode()
    return _RELAY.pack(relay.rank, relay.attempt, relay.peer, relay.peer_attempt, len(run_id)) + run_id


def decode_relay(body: bytes) -> Relay:
    *fields, size = _RELAY.unpack_from(body)
    run_id = body[_RELAY.size : _RELAY.size + size]
    if len(run_id) < size:
        raise RemoteProtocolError("the run id is cut short")
    return Relay(run_id.decode(), *fields)


def decode_rows(body: bytes) -> Iterator[Peer]:
    at = 0
    while at < len(body):
        rank, attempt, count = _ROW.unpack_from(body, at)
        endpoints, at = take_endpoints(body, at + _ROW.size, count)
        if not endpoints:
            raise RemoteProtocolError(f"the row of rank {rank} has no endpoint")
        yield Peer(rank, attempt, endpoints[0], endpoints[1:])


def take_endpoints(body: bytes, at: int, count: int) -> tuple[tuple[Endpoint, ...], int]:
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


def decode_endpoint(body: bytes) -> Endpoint:
    """The endpoint that `body` begins with."""
    (endpoint,), _ = take_endpoints(body, 0, 1)
    return endpoint


def pack_endpoint(endpoint: Endpoint) -> bytes:
    host, port = endpoint
    if not 0 <= port <= 65_535:
        raise LocalProtocolError(f"port {port}")
    packed = _pack_host(host)
    return _ENDPOINT.pack(4 if len(packed) == 4 else 6, port) + packed


# Hosts repeat (many ranks behind one address), and parsing one costs more than the rest of a row.
@lru_cache(maxsize=4096)
def _pack_host(host: str) -> bytes:
    try:
        return ip_address(plain_host(host)).packed
    except ValueError as error:
        raise LocalProtocolError(f"{host!r} is not an IPv4 or IPv6 address") from error


@lru_cache(maxsize=4096)
def _unpack_host(packed: bytes) -> str:
    return str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed))


def _pack_text(text: str) -> bytes:
    return text.encode()[:MAX_REASON]


def decode_text(body: bytes) -> str:
    return body.decode(errors="replace")


class FrameBuffer:
    """Cuts a byte stream into frames, for both sides. Refuses a body above `limit` bytes before it comes."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> bytes:
        """All bytes that have not been cut into frames, which leave the buffer."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def next(self) -> tuple[FrameType, bytes] | None:
        """The next frame's type and body; None until it is complete."""
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
            return FrameType(kind), body
        except ValueError:
            raise RemoteProtocolError(f"unknown frame type 0x{kind:02x}") from None


def decode_final(kind: FrameType, body: bytes) -> Rejected | Expired | Replaced | ServerClosing:
    """What a frame says after which the server sends nothing more."""
    if kind is FrameType.REJECTED:
        (code,) = struct.unpack_from("!B", body)
        return Rejected(RejectCode(code), decode_text(body[1:]))
    if kind is FrameType.EXPIRED:
        (count,) = struct.unpack_from("!H", body)
        return Expired(struct.unpack_from(f"!{count}H", body, 2), decode_text(body[2 + 2 * count :]))
    if kind is FrameType.REPLACED:
        (attempt,) = struct.unpack_from("!H", body)
        return Replaced(attempt, decode_text(body[2:]))
    return ServerClosing(decode_text(body))
