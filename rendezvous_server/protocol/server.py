"""The server's side of the protocol: one connection, whichever dialect its client speaks."""

import hmac
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from rendezvous_server.protocol.codec import (
    FrameBuffer,
    FrameType,
    decode_join,
    decode_relay,
    encode_challenge,
    encode_frame,
    encode_joined,
    encode_rejected,
    pack_endpoint,
    proof_of,
)
from rendezvous_server.protocol.messages import (
    JOIN_LABEL,
    MAGIC,
    MAX_CLIENT_FRAME,
    MAX_TOKEN,
    NONCE_SIZE,
    RELAY_LABEL,
    VERSION,
    Endpoint,
    Join,
    LocalProtocolError,
    RejectCode,
    Relay,
    RemoteProtocolError,
)
from rendezvous_server.protocol.pairing import HttpRequested, PairingRequested, WithdrawalRequested, read_request


@dataclass(frozen=True, slots=True)
class JoinRequested:
    """Tells that a client asks to join with a valid proof, or without one where none is needed.

    The answer is `ServerConnection.accept` or `reject`.
    """

    join: Join  # what the client says of itself


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """Tells that a client speaks the group dialect and is sent this nonce."""

    nonce: bytes  # 16 random bytes


@dataclass(frozen=True, slots=True)
class RelayRequested:
    """Tells that a client asks for a relay with a valid proof, or without one where none is needed.

    The answer is `ServerConnection.splice` or `reject`, at once or later.
    """

    relay: Relay  # the two ranks that it is for


@dataclass(frozen=True, slots=True)
class ProbeReceived:
    """Tells that a NAT probe came. The answer is `ServerConnection.confirm` or `reject`."""

    nonce: bytes  # the nonce of the connection that the probe belongs to


@dataclass(frozen=True, slots=True)
class Refused:
    """Tells that a client's request must be refused, whoever sends it. The answer is `ServerConnection.reject`."""

    code: RejectCode  # why, for a program
    reason: str  # why, for a person


@dataclass(frozen=True, slots=True)
class LeaveReceived:
    """Tells that a member leaves its group."""


ServerEvent = (  # what the server's side yields
    PairingRequested
    | WithdrawalRequested
    | HttpRequested
    | HelloReceived
    | JoinRequested
    | RelayRequested
    | ProbeReceived
    | Refused
    | LeaveReceived
)

RequestT = TypeVar("RequestT", Join, Relay)


class ServerState(Enum):
    """Says how far a connection of the server's side has come."""

    NEW = auto()  # nothing but perhaps a part of HELLO has come
    UNFRAMED = auto()  # speaks the pairing dialect, or HTTP
    CHALLENGED = auto()  # has its nonce and must send a request
    DECIDING = auto()  # has asked to join or sent a probe; `accept`, `confirm` or `reject` follows
    MEMBER = auto()  # has been accepted into its group
    RELAYING = auto()  # has asked for a relay; `splice` or `reject` follows
    ENDED = auto()  # by a final frame, by LEAVE or by an error; a relay: by being spliced


_SERVER_ACCEPTS: dict[ServerState, frozenset[FrameType]] = {
    ServerState.CHALLENGED: frozenset({FrameType.JOIN, FrameType.RELAY, FrameType.PROBE}),
    ServerState.DECIDING: frozenset(),
    ServerState.MEMBER: frozenset({FrameType.LEAVE, FrameType.PING, FrameType.PONG}),
    ServerState.RELAYING: frozenset(),
}
_TOO_EARLY = "the client spoke before it was spliced"
# Every pairing asks for these, and looking a member up takes five times as long.
_NEW, _UNFRAMED, _ENDED = ServerState.NEW, ServerState.UNFRAMED, ServerState.ENDED


class ServerConnection:
    """Speaks for the server on one connection, whichever dialect its client speaks.

    Args:
        key: The deployment's key; None if requests are accepted without proof.
        make_nonce: Returns 16 fresh random bytes. It is called for the group dialect only.
        observed: The client's endpoint as the server sees it.
        probe_port: The server's port for NAT probes; 0 if it has none.

    Attributes:
        state: How far the connection has come.
        dialect: "pairing", "group", "relay", "probe" or "http"; None until the client has shown which.
        is_framed: Whether the client understands frames, as it does in any dialect but pairing and HTTP.
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
        "is_framed",
        "state",
    )

    def __init__(
        self, key: bytes | None, make_nonce: Callable[[], bytes], observed: Endpoint, probe_port: int = 0
    ) -> None:
        self.state = _NEW
        self.dialect: str | None = None
        self.is_framed = False
        self._key = key
        self._make_nonce = make_nonce
        self._nonce = b""
        self._observed = observed
        self._probe_port = probe_port
        self._head = b""  # the request without frames so far, or a part of HELLO
        self._frames: FrameBuffer | None = None
        self._out = bytearray()

    @property
    def may_still_send(self) -> bool:
        """Says whether the client may be sending when it is sent the last word, which it must not lose."""
        return self.is_framed or self.dialect == "http"

    def data_to_send(self) -> bytes:
        """Gives out what must be sent now.

        Returns:
            The bytes, each of them once; empty if there are none.
        """
        if not self._out:
            return b""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes) -> Iterator[ServerEvent]:
        """Takes bytes of the client.

        Args:
            data: What has come, however it was cut on the way.

        Yields:
            The events that these bytes complete; none after the end.

        Raises:
            RemoteProtocolError: The bytes mean nothing in this state. Events before the error have been yielded, and
                `data_to_send` holds a REJECTED frame if the client understands one.
        """
        if self._frames is not None:
            self._frames.feed(data)
            return self._framed_events(self._frames)
        self._head += data
        if self._head and self._head[0] != MAGIC[0] and self.state is not _ENDED:
            return self._unframed_events()
        return self._first_events()

    def accept(self, expires_in_s: float, ping_interval_s: float, probed: Endpoint | None = None) -> None:
        """Answers a JoinRequested: the rank is a member.

        Args:
            expires_in_s: Seconds until its group ends if it stays incomplete; 0 if it is complete.
            ping_interval_s: Seconds between two pings.
            probed: The rank's endpoint as its NAT probe showed it, if there was one.

        Raises:
            LocalProtocolError: There is no request to answer.
        """
        self._require(ServerState.DECIDING, "accept")
        self._out += encode_joined(self._observed, expires_in_s, ping_interval_s, probed)
        self.state = ServerState.MEMBER

    def confirm(self) -> None:
        """Answers a ProbeReceived with the endpoint that the probe came from.

        Raises:
            LocalProtocolError: There is no probe to answer.
        """
        self._require(ServerState.DECIDING, "confirm")
        self._out += encode_frame(FrameType.PROBED, pack_endpoint(self._observed))
        self.state = _ENDED

    def splice(self) -> None:
        """Answers a RelayRequested. Once the answer is sent, all further bytes are the peer's.

        Raises:
            LocalProtocolError: There is no request to answer.
        """
        self._require(ServerState.RELAYING, "splice")
        self._out += encode_frame(FrameType.SPLICED)
        self.state = _ENDED

    def reject(self, code: RejectCode, reason: str) -> None:
        """Ends the connection, with a REJECTED frame if the client understands frames.

        Args:
            code: Why, for a program.
            reason: Why, for a person; cut to 1,000 bytes of UTF-8.
        """
        if self.is_framed and self.state is not _ENDED:
            self._out += encode_rejected(code, reason)
        self.state = _ENDED

    def _require(self, state: ServerState, step: str) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"{step} in state {self.state.name}: nobody asked for it")

    def _first_events(self) -> Iterator[ServerEvent]:
        if self.state is _ENDED or not self._head:
            return
        hello = self._head[: len(MAGIC)]
        if hello != MAGIC[: len(hello)]:
            self.state = _ENDED
            raise RemoteProtocolError(f"{hello!r} starts neither a pairing name nor the group dialect")
        if len(self._head) <= len(MAGIC):
            return
        self.dialect = "group"
        version, rest = self._head[len(MAGIC)], self._head[len(MAGIC) + 1 :]
        self._head = b""
        self._frames = FrameBuffer(MAX_CLIENT_FRAME)
        self.is_framed = True
        if version < 1:
            self.state = ServerState.DECIDING
            yield Refused(RejectCode.VERSION, f"version {version} was offered; this server speaks 1 to {VERSION}")
            return
        self._nonce = self._make_nonce()
        self._out += encode_challenge(min(version, VERSION), self._nonce, self._probe_port, self._observed)
        self.state = ServerState.CHALLENGED
        yield HelloReceived(self._nonce)
        self._frames.feed(rest)
        yield from self._framed_events(self._frames)

    def _unframed_events(self) -> Iterator[ServerEvent]:
        self.dialect = "pairing"
        try:
            request = read_request(self._head)
        except RemoteProtocolError:
            self.state = _ENDED
            raise
        self.state = _UNFRAMED
        if isinstance(request, HttpRequested):
            self.dialect = "http"
        return iter(() if request is None else (request,))

    def _framed_events(self, frames: FrameBuffer) -> Iterator[ServerEvent]:
        try:
            while self.state is not _ENDED:
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

    def _handle(self, kind: FrameType, body: bytes) -> Iterator[ServerEvent]:
        match kind:
            case FrameType.PONG:
                pass  # that it came is all it says
            case FrameType.PING:
                if len(body) > MAX_TOKEN:
                    raise RemoteProtocolError(f"a ping token of {len(body)} bytes; at most {MAX_TOKEN} are allowed")
                self._out += encode_frame(FrameType.PONG, body)
            case FrameType.LEAVE:
                self.state = _ENDED
                yield LeaveReceived()
            case FrameType.PROBE:
                self.dialect, self.state = "probe", ServerState.DECIDING
                yield ProbeReceived(body[:NONCE_SIZE])
            case FrameType.JOIN:
                self.state = ServerState.DECIDING
                join, objection = self._request(body, JOIN_LABEL, decode_join)
                yield Refused(*objection) if objection else JoinRequested(join)
            case _:
                if self._frames:
                    raise RemoteProtocolError(_TOO_EARLY)
                self.dialect, self.state = "relay", ServerState.RELAYING
                relay, objection = self._request(body, RELAY_LABEL, decode_relay)
                yield Refused(*objection) if objection else RelayRequested(relay)

    def _request(
        self, body: bytes, label: bytes, decode: Callable[[bytes], RequestT]
    ) -> tuple[RequestT, tuple[RejectCode, str] | None]:
        """What a JOIN or RELAY asks for, and what is wrong with its proof."""
        try:
            (size,) = struct.unpack_from("!B", body)
            proof, request = body[1 : 1 + size], body[1 + size :]
            asked = decode(request)
        except (struct.error, ValueError, LocalProtocolError) as error:
            raise RemoteProtocolError(f"malformed request: {error}") from error
        if self._key is None or hmac.compare_digest(proof, proof_of(self._key, label, self._nonce, request)):
            return asked, None
        wrong = "was made with another key" if proof else "is missing"
        reason = f"rank {asked.rank}: the proof {wrong}: set RENDEZVOUS_KEY to the server's key"
        return asked, (RejectCode.BAD_PROOF, reason)
