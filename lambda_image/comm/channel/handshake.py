"""The proof that opens a channel, without I/O: bytes in, bytes out, and at the end a `Session` or `HandshakeRefused`.

Who dials and who decides are apart, as in ICE: after a punched or relayed connection both have dialled, and of a pair
with several connections both must take the same one as the channel. Who dials greets at once, who is dialled greets
when it has read a greeting; from then on the two ranks make the roles:

    lower rank                                                      higher rank
    GREETING  magic, flags, way, who I am, whom I want, nonces  <->  GREETING
    PROOF     of the key                                        -->  checks it
              checks it                                         <--  PROOF, and 64 kB of PROBE
    PROBE     the same 64 kB, once they have come               -->  checks them; this connection can carry a channel
              checks it: this connection is the channel         <--  NOMINATION, if the higher rank chooses it

A proof is a keyed BLAKE2b over the lower rank's greeting and then the higher one's: over both ranks, both attempts,
both nonces and all flags. Its `person` names what it is for, and there are three: the lower rank's proof, the higher
one's, the nomination. So no message means anything in another place, on another connection, or to its own maker, and
what either side asked for (encryption) cannot be taken back on the way. Session keys, one per direction, come from the
run's key by HKDF (cipher.py), with both nonces as its salt and both greetings in its info.

The probe is there because connections have been seen to stall after 16 to 64 kB: such a one gets no further than that.
It goes to nobody who has not proved the key, and its bytes are no secret. If neither asks for it, as between processes
of one host, the nomination is the higher rank's only proof and follows the lower one's at once.

Reading exactly `wanted` bytes at a time leaves on the socket what follows the handshake.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from lambda_image.comm.channel.cipher import derive_key
from lambda_image.comm.channel.transport import WAYS, Transport

KEY_BYTES = 32  # a run key: 256 bits, as Init makes it
NONCE_BYTES = 32  # drawn anew for every connection: no two sessions share a key
PROCESS_BYTES = 8  # tells a process from a later one of the same rank and attempt
PROOF_BYTES = 32
# What no path compresses. More than the amount after which sockets between Lambdas have been seen to stall.
PROBE = hashlib.shake_128(b"a path that carries this will carry more").digest(64 * 1024)

_PROTOCOL, _VERSION = b"CAI", b"5"  # another version of the protocol begins with another magic
# What either side asks for, both do.
_FLAG_ENCRYPTED = 1
_FLAG_PROBE = 2
_GREETING = struct.Struct(f"!4sBBIIII{PROCESS_BYTES}s{NONCE_BYTES}s")


class HandshakeRefused(Exception):
    """The other end is not who it should be, or does not hold the run's key. The message says which."""


class OtherVersion(HandshakeRefused):
    """The other end speaks another version of this protocol. From `greeting` it learns which one this side speaks."""

    def __init__(self, message: str, greeting: bytes) -> None:
        super().__init__(message)
        self.greeting = greeting


@dataclass(frozen=True, slots=True)
class Member:
    """One attempt of one rank, which is one process of the group."""

    rank: int
    attempt: int

    def __str__(self) -> str:
        return f"rank {self.rank} (attempt {self.attempt})"


@dataclass(frozen=True, slots=True)
class Session:
    """What both ends agreed on: the peer, and the keys of the two directions (None: frames are not encrypted)."""

    peer: Member
    send_key: bytes | None
    receive_key: bytes | None


class Handshake:
    """One side of one connection's handshake.

    `way` is how this side has dialled, and whom: None if it was dialled, and learns both. `process` is the same for all
    handshakes of a process, `nonce` for none.
    """

    magic = _PROTOCOL + _VERSION

    def __init__(
        self,
        run_key: bytes,
        own: Member,
        *,
        way: tuple[Transport, Member] | None,
        encrypted: bool,
        probe: bool,
        nonce: bytes,
        process: bytes = bytes(PROCESS_BYTES),
    ) -> None:
        if len(run_key) != KEY_BYTES:
            raise ValueError(f"a run key has {KEY_BYTES} bytes, this one {len(run_key)}")
        self._key = run_key
        self._own = own
        self.dials = way is not None
        self._transport: Transport | None = way[0] if way else None
        self.peer: Member | None = way[1] if way else None
        self._asked = self._agreed = (_FLAG_ENCRYPTED if encrypted else 0) | (_FLAG_PROBE if probe else 0)
        self._nonce = nonce
        self._process = process
        self._greeting = b""
        self._transcript = b""  # both greetings, the lower rank's first
        self._next: Callable[[bytes], bytes] = self._on_greeting
        self.wanted = _GREETING.size  # bytes to read next; 0: nothing more
        self.transport: Transport | None = None  # once both have greeted
        self.peer_process = b""
        self.proven = False  # the other end holds the run's key
        self.session: Session | None = None

    @property
    def greeted(self) -> bool:
        return bool(self._transcript)

    @property
    def controls(self) -> bool:
        """Whether this side, once both have greeted, is the one that chooses among connections."""
        return self.peer is not None and self._own.rank > self.peer.rank

    def greet(self) -> bytes:
        """The first message of a side that dials."""
        assert self._transport is not None
        assert self.peer is not None
        own, peer, way = self._own, self.peer, WAYS.index(self._transport)
        names = own.rank, own.attempt, peer.rank, peer.attempt
        self._greeting = _GREETING.pack(self.magic, self._asked, way, *names, self._process, self._nonce)
        return self._greeting

    def feed(self, data: bytes) -> bytes:
        """Take exactly `wanted` bytes; returns what to send. After HandshakeRefused there is nothing to send."""
        if not self.wanted or len(data) != self.wanted:
            raise HandshakeRefused(f"{len(data)} bytes where {self.wanted} were due")
        return self._next(data)

    def nominate(self) -> bytes:
        """The last message, of the side that controls, once `wanted` is 0: it makes this connection the channel."""
        if self.wanted or not self.controls:
            raise HandshakeRefused("a nomination before its time")
        self.session = self._agree()
        return self._derive(b"nomination")

    def _on_greeting(self, data: bytes) -> bytes:
        way = self._read(data)
        answer = b""
        if not self.dials:
            self._transport = way
            answer = self.greet()
        assert self._transport is not None
        self.transport = min(
            way, self._transport, key=WAYS.index
        )  # whose dial needed less, says how they are connected
        self._transcript = self._greeting + data if not self.controls else data + self._greeting
        if self.controls:
            return self._then(PROOF_BYTES, self._on_lower_proof, answer)
        step = self._on_higher_proof if self._agreed & _FLAG_PROBE else self._on_nomination
        return self._then(PROOF_BYTES, step, answer + self._derive(b"lower's proof"))

    def _on_lower_proof(self, data: bytes) -> bytes:
        self._check(data, b"lower's proof")
        if self._agreed & _FLAG_PROBE:
            return self._then(len(PROBE), self._on_probe, self._derive(b"higher's proof") + PROBE)
        return self._then(0, self._on_lower_proof)

    def _on_higher_proof(self, data: bytes) -> bytes:
        self._check(data, b"higher's proof")
        return self._then(len(PROBE), self._on_probe)

    def _on_probe(self, data: bytes) -> bytes:
        if data != PROBE:
            raise HandshakeRefused("the probe came changed")
        if self.controls:
            return self._then(0, self._on_probe)
        return self._then(PROOF_BYTES, self._on_nomination, PROBE)

    def _on_nomination(self, data: bytes) -> bytes:
        self._check(data, b"nomination")
        self.session = self._agree()
        return self._then(0, self._on_nomination)

    def _then(self, wanted: int, step: Callable[[bytes], bytes], answer: bytes = b"") -> bytes:
        self.wanted, self._next = wanted, step
        return answer

    def _read(self, data: bytes) -> Transport:
        """How the sender of a greeting dialled, if it is meant for this member and comes from the one expected."""
        magic, flags, way, rank, attempt, wanted_rank, wanted_attempt, process, _ = _GREETING.unpack(data)
        sender, wanted = Member(rank, attempt), Member(wanted_rank, wanted_attempt)
        if magic != self.magic and magic.startswith(_PROTOCOL):
            self._refuse_version(magic, sender)
        if magic != self.magic or way >= len(WAYS):
            raise HandshakeRefused(f"it does not speak this protocol (it began with {magic!r})")
        if wanted != self._own:
            raise HandshakeRefused(f"it wants {wanted}; this is {self._own}")
        if sender.rank == self._own.rank:
            raise HandshakeRefused(f"{sender} has no channel to itself")
        if self.peer is not None and sender != self.peer:
            raise HandshakeRefused(f"it says it is {sender}; {self.peer} was expected")
        self.peer, self.peer_process = sender, process
        self._agreed = self._asked | flags
        transport: Transport = WAYS[way]
        return transport

    def _refuse_version(self, magic: bytes, sender: Member) -> NoReturn:
        """All versions' greetings have the same form. Who was dialled says its own version before it ends."""
        theirs, ours = (one[len(_PROTOCOL) :].decode("latin-1") for one in (magic, self.magic))
        refusal = f"{sender} speaks version {theirs!r} of this protocol, and {self._own} version {ours!r}"
        if self.dials:
            raise HandshakeRefused(refusal)
        own, nobody = (self._own.rank, self._own.attempt), (0, 0)
        greeting = _GREETING.pack(self.magic, self._asked, 0, *own, *nobody, self._process, self._nonce)
        raise OtherVersion(refusal, greeting)

    def _check(self, proof: bytes, name: bytes) -> None:
        if not hmac.compare_digest(proof, self._derive(name)):
            raise HandshakeRefused(f"it claims to be {self.peer} but does not hold this run's key")
        self.proven = True

    def _agree(self) -> Session:
        assert self.peer is not None
        if not self._agreed & _FLAG_ENCRYPTED:
            return Session(self.peer, None, None)
        to_lower, to_higher = self._direction_key(b"to the lower rank"), self._direction_key(b"to the higher rank")
        return Session(self.peer, *((to_lower, to_higher) if self.controls else (to_higher, to_lower)))

    def _derive(self, name: bytes) -> bytes:
        return hashlib.blake2b(self._transcript, key=self._key, person=name, digest_size=PROOF_BYTES).digest()

    def _direction_key(self, name: bytes) -> bytes:
        """From both nonces, and from both greetings, which hold both ranks and attempts."""
        both = self._transcript
        nonces = both[_GREETING.size - NONCE_BYTES : _GREETING.size] + both[-NONCE_BYTES:]
        return derive_key(self._key, nonces, b"cosmicai channel, version " + _VERSION + b": " + name + both)
