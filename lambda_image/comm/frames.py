"""Frames of an open channel, without I/O: a writer that says which bytes go out, a reader that says where bytes go.

    HEADER 16 | [tag 16] | meta | payload | [tag 16]

The header holds operation (u32), kind (u8), flags (u8), length of meta (u16) and of the payload (u64). Both tags are
keyed BLAKE2b of one running hash over the frame's sequence number and header, then also meta and payload: a length is
trusted before anything is allocated for it, a payload is handed out only after its tag. The sequence number is never
sent, both ends count: a frame that is repeated, left out, moved or sent back does not verify.

Neither side copies a payload: the writer hands out views of the caller's buffers for `sendmsg`, the reader allocates
the destination once the header is known and has it filled by `recvmsg_into`.
"""

import hashlib
import hmac
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TAG_BYTES = 16
MAX_META = 1024  # a dtype and a shape, or the words of an error
DEFAULT_MAX_PAYLOAD = 1 << 30  # a rank's part is megabytes; 1 GiB still fits the smallest Lambda that could send it
STAGING_BYTES = 64 * 1024  # small frames arrive several to a read; of a large one at most this much is ever moved
SEAL_CHUNK = 1 << 20  # hashed, then handed to the kernel, which sends it while the next one is hashed

_HEADER = struct.Struct("!IBBHQ")


class FrameRefused(Exception):
    """Bytes that are not the next frame of this session; nothing after them can be trusted."""


@dataclass(frozen=True, slots=True)
class Header:
    operation: int  # which of the group's operations this belongs to
    kind: int  # what operation that is
    flags: int
    meta_length: int
    length: int  # of the payload, bytes

    def pack(self) -> bytes:
        return _HEADER.pack(self.operation, self.kind, self.flags, self.meta_length, self.length)


@dataclass(frozen=True, slots=True)
class Frame:
    header: Header
    meta: bytes
    value: object  # what `allocate` made for the payload, now filled


# From meta and length: the value to hand out, and the writable bytes of it that the payload fills.
Allocate = Callable[[bytes, int], tuple[object, memoryview]]


def plain_bytes(meta: bytes, length: int) -> tuple[object, memoryview]:
    """The simplest `Allocate`: a bytearray."""
    value = bytearray(length)
    return value, memoryview(value)


class _Seals:
    """The running hashes of one direction's frames, in order; None throughout when the session has no tags."""

    def __init__(self, key: bytes | None) -> None:
        self._base = None if key is None else hashlib.blake2b(key=key, digest_size=TAG_BYTES)
        self._sequence = 0
        self.tag_bytes = 0 if key is None else TAG_BYTES

    def begin(self, header: bytes | memoryview) -> "hashlib.blake2b | None":
        if self._base is None:
            return None
        seal = self._base.copy()
        seal.update(self._sequence.to_bytes(8, "big"))
        seal.update(header)
        self._sequence += 1
        return seal


class FrameWriter:
    """Frames waiting to be sent: `push` them, send `buffers()`, report how much went with `sent`."""

    def __init__(self, key: bytes | None) -> None:
        self._seals = _Seals(key)
        self._frames: deque[tuple[Header, bytes, list[memoryview]]] = deque()  # not begun
        self._payload: deque[memoryview] = deque()  # of the begun frame, not hashed yet
        self._seal: hashlib.blake2b | None = None
        self._out: deque[tuple[memoryview, bool]] = deque()  # bytes to send; whether they end a frame
        self._begun = False
        self.pushed = 0  # frames; a frame is on its way when `completed` reaches what `pushed` was after it
        self.completed = 0

    @property
    def idle(self) -> bool:
        return self.completed == self.pushed

    @property
    def mid_frame(self) -> bool:
        """Part of a frame has been sent: without the rest the stream makes no sense to the peer."""
        return self._begun

    def push(self, operation: int, kind: int, flags: int, meta: bytes, payload: Sequence[memoryview]) -> int:
        """Queue a frame; `payload` is flat views of bytes. Returns its ticket (see `completed`)."""
        if len(meta) > MAX_META:
            raise ValueError(f"meta of {len(meta)} bytes; at most {MAX_META}")
        views = [view for view in payload if view.nbytes]
        header = Header(operation, kind, flags, len(meta), sum(view.nbytes for view in views))
        self._frames.append((header, meta, views))
        self.pushed += 1
        return self.pushed

    def drop_unbegun(self) -> None:
        """Forget every frame of which no byte was sent."""
        if not self._begun:
            self._frames.clear()
            self._payload.clear()
            self.pushed = self.completed

    def buffers(self) -> list[memoryview]:
        """What to send next, in order; empty when there is nothing."""
        if not self._out:
            self._refill()
        return [view for view, _ in self._out]

    def sent(self, count: int) -> None:
        """The first `count` bytes of `buffers()` are with the kernel."""
        while count:
            view, last = self._out.popleft()
            if count < view.nbytes:
                self._out.appendleft((view[count:], last))
                return
            count -= view.nbytes
            if last:
                self.completed += 1
                self._begun = False

    def _refill(self) -> None:
        if not self._begun:
            if not self._frames:
                return
            header, meta, views = self._frames.popleft()
            packed = header.pack()
            self._seal = self._seals.begin(packed)
            head = packed + (self._seal.digest() if self._seal else b"") + meta
            if self._seal:
                self._seal.update(meta)
            self._begun = True
            self._payload.extend(views)
            # Without tags and without a payload the header is all there is.
            self._out.append((memoryview(head), not views and self._seal is None))
        budget = SEAL_CHUNK
        while self._payload and budget > 0:
            view = self._payload.popleft()
            if self._seal:
                if view.nbytes > budget:
                    self._payload.appendleft(view[budget:])
                    view = view[:budget]
                self._seal.update(view)
                budget -= view.nbytes
            self._out.append((view, not self._payload and self._seal is None))
        if not self._payload and self._seal:
            self._out.append((memoryview(self._seal.digest()), True))


class FrameReader:
    """Bytes received become frames: fill `buffers()`, report how much came with `received`, take `frames`."""

    def __init__(self, key: bytes | None, *, allocate: Allocate = plain_bytes, max_payload: int = DEFAULT_MAX_PAYLOAD):
        self._seals = _Seals(key)
        self._allocate = allocate
        self._max_payload = max_payload
        self._staging = memoryview(bytearray(STAGING_BYTES))
        self._held = 0  # bytes in staging, not parsed yet
        self._header: Header | None = None
        self._seal: hashlib.blake2b | None = None
        self._meta: bytes | None = None
        self._value: object = None
        self._rest: memoryview | None = None  # of the payload, still to be filled
        self.frames: deque[Frame] = deque()

    @property
    def mid_frame(self) -> bool:
        return self._header is not None or self._held > 0

    def buffers(self) -> list[memoryview]:
        """Where the next bytes go, in order; never empty."""
        free = self._staging[self._held :]
        return [self._rest, free] if self._rest is not None and self._rest.nbytes else [free]

    def received(self, count: int) -> None:
        """`count` bytes were put into `buffers()`. Raises FrameRefused."""
        if self._rest is not None and self._rest.nbytes:
            filled = self._rest[:count]
            self._rest = self._rest[count:]
            count -= filled.nbytes
            if self._seal:
                self._seal.update(filled)
        self._held += count
        at = 0
        while (used := self._parse(self._staging[at : self._held])) is not None:
            at += used
        if at:
            self._held -= at
            self._staging[: self._held] = bytes(self._staging[at : at + self._held])  # less than one header or meta

    def _parse(self, data: memoryview) -> int | None:
        """One step on bytes at hand: how many it used, or None when it needs more."""
        tag = self._seals.tag_bytes
        if self._header is None:
            if len(data) < _HEADER.size + tag:
                return None
            self._begin(data[: _HEADER.size], data[_HEADER.size : _HEADER.size + tag])
            return _HEADER.size + tag
        if self._meta is None:
            size = self._header.meta_length
            if len(data) < size:
                return None
            self._meta = bytes(data[:size])
            if self._seal:
                self._seal.update(self._meta)
            self._value, self._rest = self._allocate(self._meta, self._header.length)
            return size
        assert self._rest is not None
        if self._rest.nbytes:
            count = min(self._rest.nbytes, len(data))
            if not count:
                return None
            self._rest[:count] = data[:count]
            self._rest = self._rest[count:]
            if self._seal:
                self._seal.update(data[:count])
            return count
        if len(data) < tag:
            return None
        if self._seal and not hmac.compare_digest(self._seal.digest(), data[:tag]):
            raise FrameRefused("a payload does not match its tag")
        self.frames.append(Frame(self._header, self._meta, self._value))
        self._header = self._meta = self._value = self._rest = self._seal = None
        return tag

    def _begin(self, packed: memoryview, tag: memoryview) -> None:
        self._seal = self._seals.begin(packed)
        if self._seal and not hmac.compare_digest(self._seal.digest(), tag):
            raise FrameRefused("a header does not match its tag")
        header = Header(*_HEADER.unpack(packed))
        if header.meta_length > MAX_META:
            raise FrameRefused(f"a frame with {header.meta_length} bytes of meta; at most {MAX_META}")
        if header.length > self._max_payload:
            raise FrameRefused(f"a frame of {header.length} bytes; this end takes at most {self._max_payload}")
        self._header = header
