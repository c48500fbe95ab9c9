"""Frames waiting to be sent, without I/O: which bytes go out next. Payloads are views of the callers' buffers."""

from collections import deque
from collections.abc import Sequence

from lambda_image.comm.channel import record_memory
from lambda_image.comm.channel.cipher import Cipher
from lambda_image.comm.channel.frames import HEADER, MAX_META, TAG_BYTES, WHOLE_BYTES, record_bytes
from lambda_image.comm.channel.sealing import SealedValue

_NOTHING = memoryview(b"")


class FrameWriter:
    """`push` frames, send `buffers()`, report how much went with `sent`."""

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else Cipher(key)
        self._frames: deque[tuple[bytes, bytes, Sequence[memoryview] | SealedValue]] = (
            deque()
        )  # not begun: header, meta, payload
        self._header = b""  # of the begun frame
        self._rest = _NOTHING  # of its payload, neither encrypted nor offered yet
        self._sealed: SealedValue | None = None  # of which this follows instead, from `_at` on
        self._at = 0
        self._memory: memoryview | None = None  # for its records
        self._record_bytes = 0  # of its payload, in each record but the last
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
        length = len(payload[0]) if len(payload) == 1 else sum(map(len, payload))
        header = HEADER.pack(operation, kind, flags, len(meta), length)
        self.pushed += 1
        if self.pushed > self.completed + 1:
            self._frames.append((header, meta, payload))
        else:
            self._begin(header, meta, payload, length)
        return self.pushed

    def push_sealed(self, value: SealedValue) -> int:
        """The same for a value that is sealed for all ranks."""
        self.pushed += 1
        if self.pushed > self.completed + 1:
            self._frames.append((value.header, value.meta, value))
        else:
            self._begin_sealed(value)
        return self.pushed

    def push_whole(self, operation: int, kind: int, flags: int, meta: bytes, payload: Sequence[memoryview]) -> bytes:
        """Begin a small frame and return its bytes, which `sent` or `sent_whole` tells of; b"" if that is not possible.

        The same as `push`, with fewer steps.
        """
        length = len(payload[0]) if payload else 0
        if len(meta) + length > WHOLE_BYTES or len(meta) > MAX_META or self.completed < self.pushed or len(payload) > 1:
            return b""
        header = HEADER.pack(operation, kind, flags, len(meta), length)
        self.pushed += 1
        self._begun = True
        content = meta + payload[0] if length else meta
        data = header + (content if self._cipher is None else self._cipher.seal(content, header))
        self._out.append(data)
        return data

    def sent_whole(self) -> None:
        """All of what `push_whole` has returned is with the kernel."""
        self._out.clear()
        self._begun = False
        self.completed = self.pushed

    def drop_unbegun(self) -> None:
        """Forget every frame of which no byte was sent."""
        if not self._begun:
            self._frames.clear()
            self.pushed = self.completed

    def release(self) -> None:
        """Hold no value any more. What had not gone never will."""
        self._frames.clear()
        self._out, self._rest, self._memory, self._sealed = [], _NOTHING, None, None

    def buffers(self) -> list[bytes | memoryview]:
        """What to send next, in order; empty when there is nothing."""
        if not self._out:
            if self._begun:
                self._continue()
            elif self._frames:
                header, meta, payload = self._frames.popleft()
                if isinstance(payload, SealedValue):
                    self._begin_sealed(payload)
                else:
                    self._begin(header, meta, payload, sum(map(len, payload)))
        return self._out

    def sent(self, count: int) -> bool:
        """The first `count` bytes of `buffers()` are with the kernel; whether it took all and there is more to send."""
        out = self._out
        if len(out) == 1 and count == len(out[0]):
            count = 0
            out.clear()
        while count and out:  # none where the channel was ended while the kernel took them
            size = len(out[0])
            if count < size:
                out[0] = memoryview(out[0])[count:]
                return False
            count -= size
            del out[0]
        if out:
            return False
        if not self._rest and self._sealed is None:
            self._rest = _NOTHING  # an empty view, too, would keep the caller's buffer
            self._begun = False
            self.completed += 1
            if self._memory is not None:
                memory, self._memory = self._memory, None  # first: an interruption here must not lend it twice
                record_memory.give_back(memory)
        return self.completed < self.pushed

    def _begin(self, header: bytes, meta: bytes, payload: Sequence[memoryview], length: int) -> None:
        self._begun = True
        cipher = self._cipher
        if len(meta) + length <= WHOLE_BYTES:  # in one piece, since a system call on several costs more than the copy
            content = b"".join((meta, *payload)) if length else meta
            self._out.append(header + (content if cipher is None else cipher.seal(content, header)))
        elif cipher is None:
            self._out += [header + meta, *payload]
        else:
            self._out.append(header + cipher.seal(meta, header))
            self._header = header
            self._rest = payload[0] if len(payload) == 1 else memoryview(b"".join(payload))
            self._memory = record_memory.borrow(length)
            self._record_bytes = record_bytes(length)
            self._continue()

    def _begin_sealed(self, value: SealedValue) -> None:
        assert self._cipher is not None
        self._begun, self._sealed, self._at = True, value, 0
        self._out.append(value.header + self._cipher.seal(value.meta, value.header))
        self._continue()

    def _continue(self) -> None:
        """Offer one more record of the payload, or all that are sealed."""
        if self._sealed is not None:
            records = self._sealed.records_from(self._at)
            self._at += len(records)
            self._out.append(records)
            if self._at == self._sealed.sealed_length:
                self._sealed = None
            return
        assert self._cipher is not None
        assert self._memory is not None
        piece, self._rest = self._rest[: self._record_bytes], self._rest[self._record_bytes :]
        record = self._memory[: len(piece) + TAG_BYTES]
        self._cipher.seal_into(piece, self._header, record)
        self._out.append(record)
