"""The rank's side of the protocol: a member of a group, a relayed connection, a NAT probe."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import ClassVar

from rendezvous_server.protocol.codec import (
    FrameBuffer,
    FrameType,
    decode_challenge,
    decode_endpoint,
    decode_farewell,
    decode_joined,
    decode_left,
    decode_probe_offer,
    decode_rows,
    encode_frame,
    encode_join,
    encode_relay,
    proof_of,
)
from rendezvous_server.protocol.messages import (
    JOIN_LABEL,
    MAGIC,
    MAX_FRAME,
    MAX_TOKEN,
    RELAY_LABEL,
    VERSION,
    ClientEvent,
    ConnectionLost,
    Endpoint,
    GroupComplete,
    Join,
    LocalProtocolError,
    Peer,
    PeerJoined,
    PeerLeft,
    PeerReplaced,
    Pong,
    Probed,
    ProbeOffered,
    Relay,
    RemoteProtocolError,
    Spliced,
)


class ClientState(Enum):
    HELLO = auto()  # waits for the server's nonce
    PROBING = auto()  # has been offered a probe; `proceed` follows
    ASKING = auto()  # waits for the answer to its join, relay or probe
    MEMBER = auto()
    ENDED = auto()  # by the server's last word, by leave, or by the connection's end; a relay: by being spliced


_FAREWELLS = frozenset({FrameType.REJECTED, FrameType.CLOSING})
_LAST_WORDS = _FAREWELLS | {FrameType.EXPIRED, FrameType.REPLACED}
_Accepts = dict[ClientState, frozenset[FrameType]]
_JOIN_ACCEPTS: _Accepts = {
    ClientState.HELLO: _FAREWELLS | {FrameType.CHALLENGE},
    ClientState.PROBING: _FAREWELLS,
    ClientState.ASKING: _FAREWELLS | {FrameType.JOINED},
    ClientState.MEMBER: _LAST_WORDS
    | {FrameType.PEERS, FrameType.LEFT, FrameType.COMPLETE, FrameType.PING, FrameType.PONG},
}
_RELAY_ACCEPTS: _Accepts = {
    ClientState.HELLO: _FAREWELLS | {FrameType.CHALLENGE},
    ClientState.ASKING: _LAST_WORDS | {FrameType.SPLICED},
}
_PROBE_ACCEPTS: _Accepts = {
    ClientState.HELLO: _FAREWELLS | {FrameType.CHALLENGE},
    ClientState.ASKING: _FAREWELLS | {FrameType.PROBED},
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
        self._frames = FrameBuffer(MAX_FRAME)
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
                yield from self._challenge(body) if kind is FrameType.CHALLENGE else self._handle(kind, body)
            except (struct.error, ValueError) as error:
                raise RemoteProtocolError(f"the server sent a malformed {kind.name}: {error}") from error
        self._frames.take()

    def _challenge(self, body: bytes) -> Iterator[ClientEvent]:
        version, nonce, offer = decode_challenge(body)
        if not 1 <= version <= VERSION:
            raise RemoteProtocolError(f"the server chose version {version}; 1 to {VERSION} were offered")
        self.state = ClientState.ASKING
        yield from self._challenged(nonce, offer)

    @abstractmethod
    def _challenged(self, nonce: bytes, offer: bytes) -> Iterable[ClientEvent]:
        """Answer the nonce; `offer` is what CHALLENGE holds beside it."""

    def _handle(self, kind: FrameType, body: bytes) -> Iterator[ClientEvent]:
        """What a frame means; here the last words, which are the same for all."""
        farewell = decode_farewell(kind, body)
        self.state = ClientState.ENDED
        yield farewell

    def _ask(self, kind: FrameType, label: bytes, key: bytes | None, nonce: bytes, claim: bytes) -> None:
        proof = proof_of(key, label, nonce, claim) if key else b""
        self._out += encode_frame(kind, bytes((len(proof),)) + proof + claim)


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
        self._identity = encode_join(join)
        self._probe_from = probe_from

    def proceed(self) -> None:
        """Ask to join, after a ProbeOffered."""
        if self.state is not ClientState.PROBING:
            raise LocalProtocolError(f"proceed in state {self.state.name}: no probe was offered")
        self.state = ClientState.ASKING
        self._ask(FrameType.JOIN, JOIN_LABEL, self._key, self._nonce, self._identity)

    def leave(self) -> None:
        """Say goodbye: peers are told at once. Send, then close. Only a member can; before that just close."""
        self._require_member("leave")
        self._out += encode_frame(FrameType.LEAVE)
        self.state = ClientState.ENDED

    def ping(self, token: bytes = b"") -> None:
        """Ask for a Pong with the same token of at most 16 bytes."""
        self._require_member("ping")
        if len(token) > MAX_TOKEN:
            raise LocalProtocolError(f"a ping token of {len(token)} bytes; at most {MAX_TOKEN} are allowed")
        self._out += encode_frame(FrameType.PING, token)

    def _require_member(self, step: str) -> None:
        if self.state is not ClientState.MEMBER:
            raise LocalProtocolError(f"{step} in state {self.state.name}: only a member can")

    def _challenged(self, nonce: bytes, offer: bytes) -> Iterable[ClientEvent]:
        self._nonce = nonce
        self.state = ClientState.PROBING
        if self._probe_from is not None and offer:  # an older server offers nothing
            port, observed = decode_probe_offer(offer)
            if port and observed != self._probe_from:
                return (ProbeOffered(port, nonce),)
        self.proceed()
        return ()

    def _handle(self, kind: FrameType, body: bytes) -> Iterator[ClientEvent]:
        match kind:
            case FrameType.PEERS:
                yield from self._peers(body)
            case FrameType.LEFT:
                yield from self._left(body)
            case FrameType.PING:
                self._out += encode_frame(FrameType.PONG, body[:MAX_TOKEN])
            case FrameType.PONG:
                yield Pong(body)
            case FrameType.JOINED:
                joined = decode_joined(body)
                self.state = ClientState.MEMBER
                yield joined
            case FrameType.COMPLETE:
                self.complete = True
                yield GroupComplete()
            case _:
                yield from super()._handle(kind, body)

    def _peers(self, body: bytes) -> Iterator[ClientEvent]:
        for peer in decode_rows(body):
            if peer.rank >= self.join.world_size:
                raise RemoteProtocolError(f"a row of rank {peer.rank} in a world of {self.join.world_size}")
            former = self.peers.get(peer.rank)
            if peer.rank == self.join.rank or peer == former:
                continue
            self.peers[peer.rank] = peer
            yield PeerJoined(peer) if former is None else PeerReplaced(former, peer)

    def _left(self, body: bytes) -> Iterator[ClientEvent]:
        for rank, attempt in decode_left(body):
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
        self._claim = encode_relay(relay)

    def _challenged(self, nonce: bytes, offer: bytes) -> Iterable[ClientEvent]:
        self._ask(FrameType.RELAY, RELAY_LABEL, self._key, nonce, self._claim)
        return ()

    def _handle(self, kind: FrameType, body: bytes) -> Iterator[ClientEvent]:
        if kind is FrameType.SPLICED:
            self.state = ClientState.ENDED
            yield Spliced(self._frames.take())
        else:
            yield from super()._handle(kind, body)


class ProbeConnection(_RankConnection):
    """A rank's probe of its NAT, for the connection that got `nonce`."""

    _accepts = _PROBE_ACCEPTS

    def __init__(self, nonce: bytes) -> None:
        super().__init__()
        self._out += encode_frame(
            FrameType.PROBE, nonce
        )  # at once: it proves nothing that an own nonce would be needed for

    def _challenged(self, nonce: bytes, offer: bytes) -> Iterable[ClientEvent]:
        return ()

    def _handle(self, kind: FrameType, body: bytes) -> Iterator[ClientEvent]:
        if kind is FrameType.PROBED:
            observed = decode_endpoint(body)
            self.state = ClientState.ENDED
            yield Probed(observed)
        else:
            yield from super()._handle(kind, body)
