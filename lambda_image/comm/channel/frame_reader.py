"""Bytes received become frames, without I/O: where bytes go next, and what has come.

The destination of a payload is allocated once its length is verified. It is filled record by record, each when it is
verified, and the frame is given out after the last.
"""

from collections import deque
from collections.abc import Callable

from lambda_image.comm.channel import record_memory
from lambda_image.comm.channel.cipher import Cipher
from lambda_image.comm.channel.frames import (
    HEADER,
    HEADER_BYTES,
    MAX_META,
    SEALED_RECORD_BYTES,
    TAG_BYTES,
    WHOLE_BYTES,
    Frame,
    FrameRefused,
    Header,
    record_bytes,
)
from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.channel.sealing import SEALED, Opening, Sealing

DEFAULT_MAX_PAYLOAD = 1 << 30  # a rank's part is megabytes; 1 GiB still fits the smallest Lambda that could send it
STAGING_BYTES = (
    HEADER_BYTES + WHOLE_BYTES + TAG_BYTES
)  # a small frame arrives in one read; of a large one no more is copied

_NOTHING = memoryview(bytearray())

# From header and meta: the value to hand out, and the writable bytes of it that the payload fills.
Allocate = Callable[[Header, bytes], tuple[object, memoryview]]


def plain_bytes(header: Header, meta: bytes) -> tuple[object, memoryview]:
    """The simplest `Allocate`: a bytearray."""
    value = bytearray(header.length)
    return value, memoryview(value)


class FrameReader:
    """Fill `buffer()`, report how much came with `received`, take `frames`."""

    def __init__(
        self,
        key: bytes | None,
        *,
        allocate: Allocate = plain_bytes,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        sealing: tuple[Sealing, Member] | None = None,
    ) -> None:
        """`sealing` opens values that the peer, who is named with it, sends sealed; None: there are none."""
        self._cipher = None if key is None else Cipher(key)
        self._sealing = sealing
        self._tag_bytes = 0 if key is None else TAG_BYTES
        self._allocate = allocate
        self._max_payload = max_payload
        self._staging = memoryview(bytearray(STAGING_BYTES))
        self._from = self._to = 0  # which bytes of staging are not parsed yet
        self._head: tuple[Header, bytes, bytes] | None = (
            None  # of a frame whose payload is on its way: also packed, meta
        )
        self._value: object = None
        self._payload = _NOTHING  # where that goes
        self._filled = 0  # bytes of it that are there
        self._opening: Opening | None = None  # if it is sealed for all ranks
        self._memory: memoryview | None = None  # for its records
        self._record_bytes = 0  # of its payload, in each record but the last
        self._record = _NOTHING  # the part of that which the next record takes
        self._came = 0  # bytes of this record that have come
        self.frames: deque[Frame] = deque()
        self.places = True  # whether `allocate` is asked for empty values, too

    @property
    def mid_frame(self) -> bool:
        return self._head is not None or self._to > self._from

    def buffer(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._head is None:
            return self._staging[self._to :]
        return self._payload[self._filled :] if self._cipher is None else self._record[self._came :]

    def feed(self, data: bytes) -> None:
        """Take bytes that are not in `buffer()`, but have room there. They are one small frame mostly.

        Raises FrameRefused.
        """
        size = len(data)
        if size >= HEADER_BYTES and self._to == 0 and self._head is None:
            fields = HEADER.unpack_from(data)
            length = fields[3] + fields[4]
            if length <= WHOLE_BYTES and size == HEADER_BYTES + length + self._tag_bytes:
                self._take_whole(fields, data, size)
                return
        self.buffer()[:size] = data
        self.received(size)

    def received(self, count: int) -> None:
        """`count` bytes were put into `buffer()`. Raises FrameRefused."""
        if self._head is None:
            self._to += count
            while self._from < self._to and self._step():
                pass
            if self._from == self._to:
                self._from = self._to = 0
            elif self._from:
                rest = bytes(self._staging[self._from : self._to])  # less than the head of a frame
                self._staging[: len(rest)] = rest
                self._from, self._to = 0, len(rest)
        else:
            self._advance(count)

    @property
    def unfinished(self) -> tuple[Header, object] | None:
        """The frame whose payload is on its way: its header, and the value that is being filled."""
        return None if self._head is None else (self._head[0], self._value)

    def leave(self, allocate: Allocate) -> None:
        """Go on with the unfinished frame in another value, with what has come so far."""
        if self._head is not None:
            former = self._payload
            header, _, meta = self._head
            self._value, self._payload = allocate(header, meta)
            self._payload[: self._filled] = former[: self._filled]

    def _step(self) -> bool:
        """Parse one thing of the bytes in staging; False if it needs more."""
        at, held = self._from, self._to - self._from
        if self._head is not None:
            room = self.buffer()
            count = min(len(room), held)
            room[:count] = self._staging[at : at + count]
            self._from += count
            self._advance(count)
            return count > 0
        if held < HEADER_BYTES:
            return False
        fields = HEADER.unpack_from(self._staging, at)
        _, _, _, meta_length, length = fields
        if meta_length > MAX_META:
            raise FrameRefused(f"a frame with {meta_length} bytes of meta; at most {MAX_META}")
        whole = meta_length + length <= WHOLE_BYTES
        start = at + HEADER_BYTES
        end = start + (meta_length + length if whole else meta_length) + self._tag_bytes
        if end > self._to:
            return False
        self._from = end
        if whole:
            self._take_whole(fields, bytes(self._staging[at:end]), end - at)
        else:
            self._begin(fields, bytes(self._staging[at:start]), bytes(self._staging[start:end]))
        return True

    def _take_whole(self, fields: tuple[int, ...], data: bytes, size: int) -> None:
        """The frame that these bytes are."""
        _, _, _, meta_length, length = fields
        if meta_length > MAX_META:
            raise FrameRefused(f"a frame with {meta_length} bytes of meta; at most {MAX_META}")
        if self._cipher is not None:
            content = self._cipher.open(data[HEADER_BYTES:], data[:HEADER_BYTES])
        else:
            content = data[HEADER_BYTES:] if size > HEADER_BYTES else b""
        if length > self._max_payload:
            raise FrameRefused(_too_large(length, self._max_payload))
        if fields[2] & SEALED:
            raise FrameRefused(_NOT_SEALED)
        header: Header = tuple.__new__(Header, fields)  # as _make does, with fewer steps
        meta = content[:meta_length] if meta_length else b""
        if content or self.places:
            value, payload = self._allocate(header, meta)
            if length:
                payload[:] = content[meta_length:] if meta_length else content
        else:
            value = bytearray()
        self.frames.append(tuple.__new__(Frame, (header, meta, value)))

    def _begin(self, fields: tuple[int, ...], packed: bytes, meta: bytes) -> None:
        """The head of a frame whose payload comes by itself."""
        header = Header(*fields)
        if self._cipher is not None:
            meta = self._cipher.open(meta, packed)
        if header.length > self._max_payload:
            raise FrameRefused(_too_large(header.length, self._max_payload))
        if header.flags & SEALED:
            if self._cipher is None or self._sealing is None:
                raise FrameRefused(_NOT_SEALED)
            sealing, peer = self._sealing
            self._opening = sealing.open(header, packed, meta, peer)
            meta = self._opening.meta
        value, payload = self._allocate(header, meta)
        self._head = header, packed, meta
        self._value, self._payload, self._filled = value, payload, 0
        if self._cipher is not None:
            if self._opening is None or self._opening.records is None:
                self._memory = record_memory.borrow(header.length)
                self._record_bytes = record_bytes(header.length)
            self._expect_record()

    def _expect_record(self) -> None:
        most = self._record_bytes if self._opening is None else SEALED_RECORD_BYTES
        length = min(most, len(self._payload) - self._filled) + TAG_BYTES
        if self._memory is not None:
            self._record = self._memory[:length]
        else:
            assert self._opening is not None
            self._record = self._opening.records_after(self._filled)[:length]
        self._came = 0

    def _advance(self, count: int) -> None:
        """The next `count` bytes of the payload, or of its record, are in place."""
        assert self._head is not None
        header, packed, meta = self._head
        if self._cipher is None:
            self._filled += count
        else:
            self._came += count
            if self._came < len(self._record):
                return
            end = self._filled + self._came - TAG_BYTES
            target = self._payload[self._filled : end]
            if self._opening is None:
                self._cipher.open_into(self._record, packed, target)
            else:
                self._opening.cipher.open_into(self._record, self._opening.associated, target)
            self._filled = end
        if self._filled < len(self._payload):
            if self._cipher is not None:
                self._expect_record()
            return
        value = self._value if self._opening is None else self._opening.opened(self._value, packed)
        self.frames.append(Frame(header, meta, value))
        self._head = self._value = self._opening = None
        self._payload = self._record = _NOTHING
        if self._memory is not None:
            memory, self._memory = self._memory, None  # first: an interruption here must not lend it twice
            record_memory.give_back(memory)


_NOT_SEALED = "a sealed value where there can be none"


def _too_large(length: int, most: int) -> str:
    return f"a frame of {length} bytes; this end takes at most {most}"
