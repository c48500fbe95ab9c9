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
    decode_final,
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
    """Says how far a connection of the rank's side has come."""

    HELLO = auto()  # waits for the server's nonce
    PROBING = auto()  # has been offered a probe; `proceed` follows
    ASKING = auto()  # waits for the answer to its join, relay or probe
    MEMBER = auto()  # has been accepted into its group
    ENDED = auto()  # by a final frame of the server, by leave, or by the connection's end; a relay: by being spliced


_REFUSALS = frozenset({FrameType.REJECTED, FrameType.CLOSING})
_FINAL = _REFUSALS | {FrameType.EXPIRED, FrameType.REPLACED}
_Accepts = dict[ClientState, frozenset[FrameType]]
_JOIN_ACCEPTS: _Accepts = {
    ClientState.HELLO: _REFUSALS | {FrameType.CHALLENGE},
    ClientState.PROBING: _REFUSALS,
    ClientState.ASKING: _REFUSALS | {FrameType.JOINED},
    ClientState.MEMBER: _FINAL | {FrameType.PEERS, FrameType.LEFT, FrameType.COMPLETE, FrameType.PING, FrameType.PONG},
}
_RELAY_ACCEPTS: _Accepts = {
    ClientState.HELLO: _REFUSALS | {FrameType.CHALLENGE},
    ClientState.ASKING: _FINAL | {FrameType.SPLICED},
}
_PROBE_ACCEPTS: _Accepts = {
    ClientState.HELLO: _REFUSALS | {FrameType.CHALLENGE},
    ClientState.ASKING: _REFUSALS | {FrameType.PROBED},
}


class _RankConnection(ABC):
    """What a rank's connections have in common, whatever they are for.

    send(connection.data_to_send())
    for event in connection.receive_data(recv()): ...
    send(connection.data_to_send())  # after every receive_data, which answers the server's challenge and pings
    """

    _accepts: ClassVar[_Accepts]

    def __init__(self) -> None:
        self.state = ClientState.HELLO
        self._frames = FrameBuffer(MAX_FRAME)
        self._out = bytearray(MAGIC + bytes((VERSION,)))

    def data_to_send(self) -> bytes:
        """Gives out what must be sent now.

        Returns:
            The bytes, each of them once; empty if there are none.
        """
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes) -> Iterator[ClientEvent]:
        """Takes bytes of the server.

        Args:
            data: What has come, however it was cut on the way.

        Yields:
            The events that these bytes complete; none after the end.

        Raises:
            RemoteProtocolError: The bytes mean nothing in this state. Events before the error have been yielded.
        """
        self._frames.feed(data)
        return self._events()

    def receive_eof(self) -> list[ClientEvent]:
        """Takes note that the connection has closed, and returns ConnectionLost unless it had ended before."""
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
        """What a frame means; here the final frames, which are the same for all."""
        final = decode_final(kind, body)
        self.state = ClientState.ENDED
        yield final

    def _ask(self, kind: FrameType, label: bytes, key: bytes | None, nonce: bytes, request: bytes) -> None:
        proof = proof_of(key, label, nonce, request) if key else b""
        self._out += encode_frame(kind, bytes((len(proof),)) + proof + request)


class ClientConnection(_RankConnection):
    """Speaks for a rank that joins a group and stays in it.

    Args:
        join: What the rank says of itself.
        key: The deployment's key; None where joins are not authenticated.
        probe_from: The local endpoint of the TCP connection, for a rank that wants to know its NAT (see ProbeOffered).
            Without it no probe is offered.

    Attributes:
        join: As given.
        peers: The peers so far, by rank, without this rank. With Topology.STAR that is the root only.
        complete: Whether every rank of the world has joined.
        state: How far the connection has come.

    Raises:
        LocalProtocolError: A local endpoint has no IPv4 or IPv6 address, or a port above 65,535.
    """

    _accepts = _JOIN_ACCEPTS

    def __init__(self, join: Join, key: bytes | None = None, probe_from: Endpoint | None = None) -> None:
        super().__init__()
        self.join = join
        self.peers: dict[int, Peer] = {}
        self.complete = False
        self._key = key
        self._nonce = b""
        self._request = encode_join(join)
        self._probe_from = probe_from

    def proceed(self) -> None:
        """Asks to join, after a ProbeOffered.

        Raises:
            LocalProtocolError: No probe was offered.
        """
        if self.state is not ClientState.PROBING:
            raise LocalProtocolError(f"proceed in state {self.state.name}, where no probe was offered")
        self.state = ClientState.ASKING
        self._ask(FrameType.JOIN, JOIN_LABEL, self._key, self._nonce, self._request)

    def leave(self) -> None:
        """Leaves the group, of which the peers learn at once. Send what there is to send, then close.

        Raises:
            LocalProtocolError: The rank is no member. Before it is one, closing the connection suffices.
        """
        self._require_member("leave")
        self._out += encode_frame(FrameType.LEAVE)
        self.state = ClientState.ENDED

    def ping(self, token: bytes = b"") -> None:
        """Asks the server for a Pong.

        Args:
            token: Bytes that the Pong will hold, 16 at most.

        Raises:
            LocalProtocolError: The rank is no member, or the token is longer.
        """
        self._require_member("ping")
        if len(token) > MAX_TOKEN:
            raise LocalProtocolError(f"a ping token of {len(token)} bytes; at most {MAX_TOKEN} are allowed")
        self._out += encode_frame(FrameType.PING, token)

    def _require_member(self, step: str) -> None:
        if self.state is not ClientState.MEMBER:
            raise LocalProtocolError(f"{step} in state {self.state.name}, which only a member can do")

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
    """Speaks for a rank that asks for a relayed connection to a peer.

    The event Spliced ends it. From then on the socket carries the bytes of the two ranks.

    Args:
        relay: Who wants to reach whom.
        key: The deployment's key; None where requests are not authenticated.
    """

    _accepts = _RELAY_ACCEPTS

    def __init__(self, relay: Relay, key: bytes | None = None) -> None:
        super().__init__()
        self.relay = relay
        self._key = key
        self._request = encode_relay(relay)

    def _challenged(self, nonce: bytes, offer: bytes) -> Iterable[ClientEvent]:
        self._ask(FrameType.RELAY, RELAY_LABEL, self._key, nonce, self._request)
        return ()

    def _handle(self, kind: FrameType, body: bytes) -> Iterator[ClientEvent]:
        if kind is FrameType.SPLICED:
            self.state = ClientState.ENDED
            yield Spliced(self._frames.take())
        else:
            yield from super()._handle(kind, body)


class ProbeConnection(_RankConnection):
    """Speaks for a rank that shows the server from which endpoint a second connection comes.

    Args:
        nonce: That of the ProbeOffered, 16 bytes.
    """

    _accepts = _PROBE_ACCEPTS

    def __init__(self, nonce: bytes) -> None:
        super().__init__()
        # It does not wait for the challenge, since it proves nothing for which it would need a nonce of its own.
        self._out += encode_frame(FrameType.PROBE, nonce)

    def _challenged(self, nonce: bytes, offer: bytes) -> Iterable[ClientEvent]:
        return ()

    def _handle(self, kind: FrameType, body: bytes) -> Iterator[ClientEvent]:
        if kind is FrameType.PROBED:
            observed = decode_endpoint(body)
            self.state = ClientState.ENDED
            yield Probed(observed)
        else:
            yield from super()._handle(kind, body)
