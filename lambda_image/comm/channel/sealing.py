"""Values that are encrypted once for all ranks of the group, whoever brings them, instead of once for each channel.

The frame of such a value has the flag SEALED. Only its payload differs from that of any large frame (frames.py): its
records are encrypted under a key of the sealing rank's own, so that every receiver is sent the same bytes, and can pass
them on as they came. The header and meta are encrypted and authenticated by each channel, as ever. Meta begins with the
seal, which names the rank and attempt that have sealed the value, the nonce of the key, and the first record's number.

    key              by HKDF from the run's key, a fresh nonce, and the rank and attempt. It is used for many values,
                     since deriving one takes as long as encrypting 400 kB where ranks displace each other's caches
    nonces           count the records of a key, at the rank that seals, over all its values
    associated data  in each record header and meta, which name the operation, its kind, the seal, type and shape

So records of another run, rank, attempt, operation or value do not open, nor those that change places. The nonce comes
in a record of the channel, so only who holds the run's key can name one. A seal that names the peer itself must name
the attempt at the other end. What a peer passes on of others, the operation judges (group_context.py).
"""

import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lambda_image.comm.channel.cipher import RECORDS_PER_KEY, Cipher, derive_key
from lambda_image.comm.channel.frames import HEADER, MAX_META, SEALED_RECORD_BYTES, TAG_BYTES, FrameRefused, Header
from lambda_image.comm.channel.handshake import NONCE_BYTES, Member
from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.signals import Flag, Kind
from lambda_image.comm.channel.values import Value, encode

SEALED = int(Flag.SEALED)
SMALLEST = 256 << 10  # bytes of a value; pieces of 125 kB that all ranks give each other cost more sealed than not
LARGEST = 64 << 20  # bytes; all that is sealed is kept until the last rank has it, and a Lambda may have 128 MB
KEYS_KEPT = 1024  # of other ranks
_BYTE = np.dtype(np.uint8)
_PURPOSE = b"cosmicai value for all ranks, version 5: "
_MEMBER = struct.Struct("!II")  # rank and attempt
_SEAL = struct.Struct(f"!II{NONCE_BYTES}sI")  # rank and attempt that have sealed it, nonce, number of the first record
# Kinds of operations in which a rank sends the same value to several others.
_KINDS = frozenset(map(int, (Kind.BCAST, Kind.ALLGATHER, Kind.ALLREDUCE)))


class SealedValue:
    """A value with its sealed bytes, as far as these are there. Channels send it like any value."""

    def __init__(self, value: Value, sealer: Member, header: bytes, meta: bytes, records: memoryview | None) -> None:
        self.value = value
        self.sealer = sealer
        self.header, self.meta = header, meta  # of its frame; meta with the seal
        self._records = records  # None: they were not kept

    @property
    def can_be_sent(self) -> bool:
        """Whether the sealed bytes are there, or will be."""
        return self._records is not None

    @property
    def sealed_length(self) -> int:
        return 0 if self._records is None else len(self._records)

    def records_from(self, start: int) -> memoryview:
        """The sealed bytes that are there from this one on, at least those of a record."""
        assert self._records is not None
        return self._records[start:]


Content = Value | SealedValue  # what channels send


class _ValueToSeal(SealedValue):
    """The same where it begins: each record is encrypted when it is first asked for."""

    def __init__(self, payload: memoryview, cipher: Cipher, *what: Any) -> None:
        super().__init__(*what)
        self._rest, self._cipher = payload, cipher
        self._sealed = 0  # bytes of records that are there

    def records_from(self, start: int) -> memoryview:
        assert self._records is not None
        if start == self._sealed and self._rest:
            piece, self._rest = self._rest[:SEALED_RECORD_BYTES], self._rest[SEALED_RECORD_BYTES:]
            end = start + len(piece) + TAG_BYTES
            self._cipher.seal_into(piece, self.header + self.meta, self._records[start:end])
            self._sealed = end
        return self._records[start : self._sealed]


class Opening(NamedTuple):
    """What it takes to open the records of a sealed value that comes."""

    cipher: Cipher
    associated: bytes  # data, of each record
    sealer: Member
    meta: bytes  # without the seal, as `encode` makes it
    sealed_meta: bytes
    records: memoryview | None  # where they are kept, if they are

    def records_after(self, length: int) -> memoryview:
        """Where the records go of what follows so many bytes of the value."""
        assert self.records is not None
        return self.records[length + length // SEALED_RECORD_BYTES * TAG_BYTES :]

    def opened(self, value: Any, header: bytes) -> SealedValue:
        return SealedValue(value, self.sealer, header, self.sealed_meta, self.records)


class Sealing:
    """Seals the values of one rank, and opens those of others. All channels of a communicator share it."""

    def __init__(
        self,
        run_key: bytes,
        own: Member,
        memory: Memory,
        *,
        seals: bool = True,
        records_per_key: int = RECORDS_PER_KEY,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._run_key, self._own, self._memory = run_key, own, memory
        self._records_per_key, self._draw = records_per_key, draw
        self._seals = seals  # not where channels need not be encrypted
        self._nonce = b""
        self._cipher: Cipher | None = None  # of that nonce
        self._next = 0  # number of a record that is not promised to a value yet
        self._ciphers: dict[tuple[int, int, bytes], Cipher] = {}  # of others, by rank, attempt and nonce
        self.passed_on: tuple[int, int] | None = None  # the operation, and its kind, whose value this rank passes on

    def seal(self, operation: int, kind: int, flags: int, value: Value, receivers: int) -> Content:
        """The value, to be sent to so many ranks: sealed where that saves work, otherwise as it is."""
        if not self._seals or receivers < 2:
            return value
        form, views = encode(value)
        length = sum(map(len, views))
        if not SMALLEST <= length <= LARGEST or _SEAL.size + len(form) > MAX_META:
            return value
        number, self._next = self._next, self._next + _records(length)
        if self._cipher is None or self._next > self._records_per_key:
            self._nonce = self._draw(NONCE_BYTES)
            self._cipher = self._derive(self._own.rank, self._own.attempt, self._nonce)
            number, self._next = 0, _records(length)
        meta = _SEAL.pack(self._own.rank, self._own.attempt, self._nonce, number) + form
        header = HEADER.pack(operation, kind, flags | SEALED, len(meta), length)
        return _ValueToSeal(views[0], self._cipher.at(number), value, self._own, header, meta, self._room(length))

    def open(self, header: Header, packed: bytes, sealed_meta: bytes, peer: Member) -> Opening:
        """How to open what comes from a peer. Raises FrameRefused."""
        if header.kind not in _KINDS:
            raise FrameRefused("a sealed value where every rank has its own")
        if len(sealed_meta) < _SEAL.size:
            raise FrameRefused("a sealed value without its seal")
        rank, attempt, nonce, number = _SEAL.unpack_from(sealed_meta)
        if rank == peer.rank and attempt != peer.attempt:
            raise FrameRefused(f"a value that attempt {attempt} has sealed, which is not at the other end")
        if number + _records(header.length) > self._records_per_key:
            raise FrameRefused("more sealed records than one key is good for")
        name = rank, attempt, nonce
        cipher = self._ciphers.get(name)
        if cipher is None:
            if len(self._ciphers) >= KEYS_KEPT:
                self._ciphers.clear()
            cipher = self._ciphers[name] = self._derive(*name)
        keep = self.passed_on == header[:2] and header.length <= LARGEST
        return Opening(
            cipher.at(number),
            packed + sealed_meta,
            Member(rank, attempt),
            sealed_meta[_SEAL.size :],
            sealed_meta,
            self._room(header.length) if keep else None,
        )

    def _derive(self, rank: int, attempt: int, nonce: bytes) -> Cipher:
        return Cipher(derive_key(self._run_key, nonce, _PURPOSE + _MEMBER.pack(rank, attempt)))

    def _room(self, length: int) -> memoryview:
        """Memory for the records of so many bytes."""
        return self._memory.empty((length + _records(length) * TAG_BYTES,), _BYTE).data


def _records(length: int) -> int:
    return -(-length // SEALED_RECORD_BYTES)
