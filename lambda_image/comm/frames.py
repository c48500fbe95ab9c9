"""Frames of an open channel, without I/O: a writer that says which bytes go out, a reader that says where bytes go.

    HEADER 16 | [tag 16] | meta | payload | [tag 16]

The header holds operation (u32), kind (u8), flags (u8), length of meta (u16) and of the payload (u64). Both tags are
keyed BLAKE2b of one running hash over the frame's sequence number and header, then also meta and payload: a length is
trusted before anything is allocated for it, a payload is handed out only after its tag; a frame of neither meta nor
payload has the first tag only. The sequence number is never sent, both ends count: a frame that is repeated, left out,
moved or sent back does not verify.

Neither side copies a payload: the writer hands out views of the caller's buffers for `sendmsg`, the reader allocates
the destination once the header is known and has it filled by `recvmsg_into`.
"""

import hashlib
import hmac
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

TAG_BYTES = 16
MAX_META = 1024  # a dtype and a shape, or the words of an error
DEFAULT_MAX_PAYLOAD = 1 << 30  # a rank's part is megabytes; 1 GiB still fits the smallest Lambda that could send it
STAGING_BYTES = 4 * 1024  # a small frame arrives in one read; of a large one at most this much is moved twice
SEAL_CHUNK = 1 << 18  # hashed, then handed to the kernel: while the next one is hashed, the peer hashes this one
ONE_PIECE_BYTES = 8 * 1024  # a frame up to this is copied into one piece: cheaper than a system call on several

_HEADER = struct.Struct("!IBBHQ")
HEADER_BYTES = _HEADER.size
_NOTHING = memoryview(bytearray())


class FrameRefused(Exception):
    """Bytes that are not the next frame of this session; nothing after them can be trusted."""


class Header(NamedTuple):
    operation: int  # which of the group's operations this belongs to
    kind: int  # what operation that is
    flags: int
    meta_length: int
    length: int  # of the payload, bytes

    @classmethod
    def unpack(cls, packed: bytes | memoryview, offset: int = 0) -> "Header":
        return tuple.__new__(cls, _HEADER.unpack_from(packed, offset))  # as _make does, with fewer steps


class Frame(NamedTuple):
    header: Header
    meta: bytes
    value: Any  # what `allocate` made for the payload, now filled


# From header and meta: the value to hand out, and the writable bytes of it that the payload fills.
Allocate = Callable[[Header, bytes], tuple[object, memoryview]]


def plain_bytes(header: Header, meta: bytes) -> tuple[object, memoryview]:
    """The simplest `Allocate`: a bytearray."""
    value = bytearray(header.length)
    return value, memoryview(value)


class _Seals:
    """The running hashes of one direction's frames, in order; None throughout when the session has no tags."""

    def __init__(self, key: bytes | None) -> None:
        self._base = None if key is None else hashlib.blake2b(key=key, digest_size=TAG_BYTES)
        self._sequence = 0
        self.tag_bytes = 0 if key is None else TAG_BYTES

    def begin(self, header: bytes) -> "hashlib.blake2b | None":
        if self._base is None:
            return None
        seal = self._base.copy()
        seal.update(self._sequence.to_bytes(8, "big") + header)
        self._sequence += 1
        return seal


class FrameWriter:
    """Frames waiting to be sent: `push` them, send `buffers()`, report how much went with `sent`."""

    def __init__(self, key: bytes | None) -> None:
        self._seals = _Seals(key)
        self._frames: deque[tuple[bytes, bytes, Sequence[memoryview]]] = deque()  # not begun: header, meta, payload
        self._payload: deque[memoryview] = deque()  # of the begun frame, neither hashed nor offered yet
        self._seal: hashlib.blake2b | None = None
        self._out: list[bytes | memoryview] = []  # bytes to send, of the begun frame
        self._begun = False
        self.pushed = 0  # frames; a frame is on its way when `completed` reaches what `pushed` was after it
        self.completed = 0

    @property
    def idle(self) -> bool:
        return self.completed == self.pushed

    @property
    def mid_frame(self) -> bool:
        """Part of a frame may have been sent: without the rest the stream makes no sense to the peer."""
        return self._begun

    def push(self, operation: int, kind: int, flags: int, meta: bytes, payload: Sequence[memoryview]) -> int:
        """Queue a frame; `payload` is flat views of bytes. Returns its ticket (see `completed`)."""
        if len(meta) > MAX_META:
            raise ValueError(f"meta of {len(meta)} bytes; at most {MAX_META}")
        length = sum(map(len, payload)) if payload else 0
        header = _HEADER.pack(operation, kind, flags, len(meta), length)
        self.pushed += 1
        if self.pushed > self.completed + 1:
            self._frames.append((header, meta, payload))
        elif length or meta or self._seals.tag_bytes:
            self._begin(header, meta, payload, length)
        else:
            self._begun = True
            self._out.append(header)
        return self.pushed

    def drop_unbegun(self) -> None:
        """Forget every frame of which no byte was sent."""
        if not self._begun:
            self._frames.clear()
            self.pushed = self.completed

    def buffers(self) -> list[bytes | memoryview]:
        """What to send next, in order; empty when there is nothing."""
        if not self._out:
            if self._begun:
                self._continue()
            elif self._frames:
                header, meta, payload = self._frames.popleft()
                self._begin(header, meta, payload, sum(map(len, payload)))
        return self._out

    def sent(self, count: int) -> bool:
        """The first `count` bytes of `buffers()` are with the kernel; whether it took all and there is more to send."""
        out = self._out
        if len(out) == 1 and count == len(out[0]):
            count = 0
            out.clear()
        while count:
            size = len(out[0])
            if count < size:
                out[0] = memoryview(out[0])[count:]
                return False
            count -= size
            del out[0]
        if out:
            return False
        if not self._payload:
            self._begun = False
            self.completed += 1
        return self.completed < self.pushed

    def _begin(self, header: bytes, meta: bytes, payload: Sequence[memoryview], length: int) -> None:
        self._begun = True
        seal = self._seals.begin(header)
        head = header + meta if seal is None else header + seal.digest() + meta
        if not length and not meta:
            self._out.append(head)
        elif length + len(head) <= ONE_PIECE_BYTES:
            content = b"".join(payload)
            if seal is not None:
                seal.update(meta + content)
                content += seal.digest()
            self._out.append(head + content)
        else:
            if seal is not None:
                seal.update(meta)
            self._seal = seal
            self._out.append(head)
            self._payload.extend(payload)
            self._continue()

    def _continue(self) -> None:
        """Offer more of the payload: all of it without tags, otherwise as much as is hashed at a time."""
        budget = SEAL_CHUNK
        while self._payload and budget > 0:
            view = self._payload.popleft()
            if self._seal is not None:
                if len(view) > budget:
                    self._payload.appendleft(view[budget:])
                    view = view[:budget]
                self._seal.update(view)
                budget -= len(view)
            self._out.append(view)
        if not self._payload and self._seal is not None:
            self._out.append(self._seal.digest())


class FrameReader:
    """Bytes received become frames: fill `buffers()`, report how much came with `received`, take `frames`."""

    def __init__(self, key: bytes | None, *, allocate: Allocate = plain_bytes, max_payload: int = DEFAULT_MAX_PAYLOAD):
        self._seals = _Seals(key)
        self._allocate = allocate
        self._max_payload = max_payload
        self._staging = memoryview(bytearray(STAGING_BYTES))
        self._from = self._to = 0  # which bytes of staging are not parsed yet
        self._header: Header | None = None
        self._seal: hashlib.blake2b | None = None
        self._meta: bytes | None = None
        self._value: object = None
        self._payload = _NOTHING  # where the frame's payload goes
        self._filled = 0  # bytes of that which have come
        self.frames: deque[Frame] = deque()

    @property
    def mid_frame(self) -> bool:
        return self._header is not None or self._to > self._from

    def buffers(self) -> list[memoryview]:
        """Where the next bytes go, in order; never empty."""
        if self._to:
            return [self._staging[self._to :]]
        if self._filled < len(self._payload):
            rest = self._payload[self._filled :]
            return [rest] if self._seal is None else [rest, self._staging]  # nothing is held in staging then
        return [self._staging]

    def received(self, count: int) -> None:
        """`count` bytes were put into `buffers()`. Raises FrameRefused."""
        if self._header is None and not self._to and self._take_whole(count):
            return
        missing = len(self._payload) - self._filled
        if missing:
            direct = min(missing, count)
            self._fill(direct)
            count -= direct
        self._to += count
        while self._step():
            pass
        if self._from == self._to:
            self._from = self._to = 0
        elif self._from:
            rest = bytes(self._staging[self._from : self._to])  # less than one header, meta or tag
            self._staging[: len(rest)] = rest
            self._from, self._to = 0, len(rest)

    @property
    def unfinished(self) -> tuple[Header, object] | None:
        """The frame whose payload is on its way: its header, and the value that is being filled."""
        return None if self._header is None or self._meta is None else (self._header, self._value)

    def leave(self, allocate: Allocate) -> None:
        """Go on with the unfinished frame in another value, with what has come so far."""
        if self._header is not None and self._meta is not None:
            former = self._payload
            self._value, self._payload = allocate(self._header, self._meta)
            self._payload[: self._filled] = former[: self._filled]

    def _fill(self, count: int) -> None:
        """The next `count` bytes of the payload are in place."""
        start, self._filled = self._filled, self._filled + count
        if self._seal is not None:
            self._seal.update(self._payload[start : self._filled])

    def _take_whole(self, count: int) -> bool:
        """If `count` bytes in staging are one frame, as small ones mostly come, take it; otherwise it is for _step."""
        staging, tag = self._staging, self._seals.tag_bytes
        start = HEADER_BYTES + tag
        if count < start:
            return False
        header = Header.unpack(staging)
        _, _, _, meta_length, length = header
        content = meta_length + length
        if count != start + content + (tag if content else 0) or meta_length > MAX_META or length > self._max_payload:
            return False
        seal = self._verified_head(0) if tag else None
        meta = bytes(staging[start : start + meta_length]) if meta_length else b""
        value, payload = self._allocate(header, meta)
        if length:
            payload[:] = staging[start + meta_length : start + content]
        if seal is not None and content:
            seal.update(staging[start : start + content])
            self._verify(seal, start + content)
        self.frames.append(Frame(header, meta, value))
        return True

    def _step(self) -> bool:
        """Parse one thing of the bytes in staging; False if it needs more."""
        at, held = self._from, self._to - self._from
        if self._header is None:
            if held < HEADER_BYTES + self._seals.tag_bytes:
                return False
            self._from += HEADER_BYTES + self._seals.tag_bytes
            self._begin(at)
            return True
        if self._meta is None:
            size = self._header.meta_length
            if held < size:
                return False
            self._from += size
            self._meta = bytes(self._staging[at : at + size])
            if self._seal is not None:
                self._seal.update(self._meta)
            self._value, self._payload = self._allocate(self._header, self._meta)
            self._filled = 0
            return True
        missing = len(self._payload) - self._filled
        if missing:
            count = min(missing, held)
            self._payload[self._filled : self._filled + count] = self._staging[at : at + count]
            self._from += count
            self._fill(count)
            return count == missing
        if self._seal is not None:
            if held < TAG_BYTES:
                return False
            self._from += TAG_BYTES
            self._verify(self._seal, at)
        self._finish(self._header, self._meta)
        return True

    def _begin(self, at: int) -> None:
        if self._seals.tag_bytes:
            self._seal = self._verified_head(at)
        header = Header.unpack(self._staging, at)
        if header.meta_length > MAX_META:
            raise FrameRefused(f"a frame with {header.meta_length} bytes of meta; at most {MAX_META}")
        if header.length > self._max_payload:
            raise FrameRefused(f"a frame of {header.length} bytes; this end takes at most {self._max_payload}")
        if header.meta_length or header.length:
            self._header = header
        else:
            self.frames.append(Frame(header, b"", self._allocate(header, b"")[0]))
            self._seal = None

    def _verified_head(self, at: int) -> "hashlib.blake2b":
        """The seal of the frame whose header and first tag are in staging at `at`, after these."""
        seal = self._seals.begin(bytes(self._staging[at : at + HEADER_BYTES]))
        assert seal is not None
        tag = self._staging[at + HEADER_BYTES : at + HEADER_BYTES + TAG_BYTES]
        if not hmac.compare_digest(seal.digest(), tag):
            raise FrameRefused("a header does not match its tag")
        return seal

    def _verify(self, seal: "hashlib.blake2b", at: int) -> None:
        if not hmac.compare_digest(seal.digest(), self._staging[at : at + TAG_BYTES]):
            raise FrameRefused("a payload does not match its tag")

    def _finish(self, header: Header, meta: bytes) -> None:
        self.frames.append(Frame(header, meta, self._value))
        self._header = self._meta = self._value = self._seal = None
        self._payload, self._filled = _NOTHING, 0
