"""Bytes received become frames, without I/O: where bytes go next, and what has come.

The destination of a payload is allocated once the header is known and filled in place; a frame is given out when its
last tag is verified.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Callable

from lambda_image.comm.channel.frames import HEADER_BYTES, MAX_META, TAG_BYTES, Frame, FrameRefused, Header, Seals

DEFAULT_MAX_PAYLOAD = 1 << 30  # a rank's part is megabytes; 1 GiB still fits the smallest Lambda that could send it
STAGING_BYTES = 4 * 1024  # a small frame arrives in one read; of a large one at most this much is moved twice

_NOTHING = memoryview(bytearray())

# From header and meta: the value to hand out, and the writable bytes of it that the payload fills.
Allocate = Callable[[Header, bytes], tuple[object, memoryview]]


def plain_bytes(header: Header, meta: bytes) -> tuple[object, memoryview]:
    """The simplest `Allocate`: a bytearray."""
    value = bytearray(header.length)
    return value, memoryview(value)


class FrameReader:
    """Fill `buffers()`, report how much came with `received`, take `frames`."""

    def __init__(self, key: bytes | None, *, allocate: Allocate = plain_bytes, max_payload: int = DEFAULT_MAX_PAYLOAD):
        self._seals = Seals(key)
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
