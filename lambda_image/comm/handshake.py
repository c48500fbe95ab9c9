"""The proof that opens a channel, without I/O: bytes in, bytes out, and at the end a `Session` or `HandshakeRefused`.

Three messages of fixed size. The peer with the higher rank opens, whichever of the two dialled (after a punched
connection both did):

    opener                                                     answerer
    HELLO   magic, flags, who I am, whom I want, nonce   ->    checks that it is the one wanted
            checks that it is the one wanted             <-    ANSWER  the same fields, own nonce, proof of the key
    PROOF   of the key                                   ->    checks the opener's proof

A proof is a keyed BLAKE2b over both HELLO and ANSWER, so over both nonces, both ranks and both attempts; its
`person` names the side, so that neither can be handed back to its maker. The opener gives its own proof last and only
to the connection it chooses: of several that answer, the answerer too knows by that which one is the channel.
Session keys, one per direction, come from the same bytes under other names.

Reading exactly `wanted` bytes at a time leaves on the socket what follows the handshake.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass

KEY_BYTES = 32  # a run key: 256 bits, as Init makes it
NONCE_BYTES = 32  # drawn anew for every connection: no two sessions share a key
PROOF_BYTES = 32

_MAGIC = b"CAI1"  # this protocol and its version: another version is another magic
_FLAG_TAGS = 1  # "I ask for a tag on each frame"; without it from both sides there are none
_GREETING = struct.Struct(f"!4sBIIII{NONCE_BYTES}s")


class HandshakeRefused(Exception):
    """The other end is not who it should be, or does not hold the run's key; the message says which."""


@dataclass(frozen=True, slots=True)
class Member:
    """One rank's one attempt: what a process of the group is."""

    rank: int
    attempt: int

    def __str__(self) -> str:
        return f"rank {self.rank} (attempt {self.attempt})"


@dataclass(frozen=True, slots=True)
class Session:
    """What both ends agreed on: the peer, and the keys of the two directions (None: frames carry no tags)."""

    peer: Member
    send_key: bytes | None
    receive_key: bytes | None


class Handshake:
    """One side of one connection's handshake.

    `peer` is the member that must be at the other end; the answerer may leave it None and learns it.
    """

    def __init__(self, run_key: bytes, own: Member, *, opens: bool, peer: Member | None, tags: bool, nonce: bytes):
        if len(run_key) != KEY_BYTES:
            raise ValueError(f"a run key has {KEY_BYTES} bytes, this one {len(run_key)}")
        if opens and peer is None:
            raise ValueError("the opener must know whom it wants")
        self._key = run_key
        self._own = own
        self._peer = peer
        self.opens = opens
        self._tags = tags
        self._nonce = nonce
        self._hello = b""
        self._transcript = b""
        self._both_want_none = False
        self.wanted = _GREETING.size + PROOF_BYTES if opens else _GREETING.size  # bytes to read next; 0: nothing more
        self.session: Session | None = None

    def hello(self) -> bytes:
        """The opener's first message."""
        assert self.opens
        assert self._peer is not None
        self._hello = self._greeting(self._peer)
        return self._hello

    def feed(self, data: bytes) -> bytes:
        """Take exactly `wanted` bytes; returns what to send. After HandshakeRefused there is nothing to send."""
        if not self.wanted or len(data) != self.wanted:
            raise HandshakeRefused(f"{len(data)} bytes where {self.wanted} were due")
        if self.opens:
            return self._on_answer(data)
        return self._on_proof(data) if self._transcript else self._on_hello(data)

    def prove(self) -> bytes:
        """The opener's last message, once `wanted` is 0: it makes this connection the channel."""
        assert self.opens
        assert self._peer is not None
        if self.wanted:
            raise HandshakeRefused("the answer has not come yet")
        self.session = self._agree(self._peer)
        return self._derive(b"opener's proof")

    def _on_hello(self, data: bytes) -> bytes:
        self._peer = self._read(data)
        answer = self._greeting(self._peer)
        self._transcript = data + answer
        self.wanted = PROOF_BYTES
        return answer + self._derive(b"answerer's proof")

    def _on_answer(self, data: bytes) -> bytes:
        answer, proof = data[: _GREETING.size], data[_GREETING.size :]
        self._read(answer)
        self._transcript = self._hello + answer
        self._check(proof, b"answerer's proof")
        self.wanted = 0
        return b""

    def _on_proof(self, data: bytes) -> bytes:
        assert self._peer is not None
        self._check(data, b"opener's proof")
        self.wanted = 0
        self.session = self._agree(self._peer)
        return b""

    def _greeting(self, peer: Member) -> bytes:
        flags = _FLAG_TAGS if self._tags else 0
        own = self._own
        return _GREETING.pack(_MAGIC, flags, own.rank, own.attempt, peer.rank, peer.attempt, self._nonce)

    def _read(self, data: bytes) -> Member:
        """The sender of a greeting, if it is meant for this member and comes from the one expected."""
        magic, flags, rank, attempt, wanted_rank, wanted_attempt, nonce = _GREETING.unpack(data)
        if magic != _MAGIC:
            raise HandshakeRefused(f"it does not speak this protocol (it began with {data[:4]!r})")
        sender, wanted = Member(rank, attempt), Member(wanted_rank, wanted_attempt)
        if wanted != self._own:
            raise HandshakeRefused(f"it wants {wanted}; this is {self._own}")
        if sender.rank == self._own.rank or (sender.rank > self._own.rank) == self.opens:
            raise HandshakeRefused(f"{sender} has no channel to {self._own} from this side")
        if self._peer is not None and sender != self._peer:
            raise HandshakeRefused(f"it says it is {sender}; {self._peer} was expected")
        if hmac.compare_digest(nonce, self._nonce):
            raise HandshakeRefused("it sent this side's own nonce back")
        self._both_want_none = not self._tags and not flags & _FLAG_TAGS
        return sender

    def _check(self, proof: bytes, name: bytes) -> None:
        if not hmac.compare_digest(proof, self._derive(name)):
            raise HandshakeRefused(f"it claims to be {self._peer} but does not hold this run's key")

    def _agree(self, peer: Member) -> Session:
        if self._both_want_none:
            return Session(peer, None, None)
        to_answerer, to_opener = self._derive(b"to answerer"), self._derive(b"to opener")
        return Session(peer, *((to_answerer, to_opener) if self.opens else (to_opener, to_answerer)))

    def _derive(self, name: bytes) -> bytes:
        return hashlib.blake2b(self._transcript, key=self._key, person=name, digest_size=PROOF_BYTES).digest()
