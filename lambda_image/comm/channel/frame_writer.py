"""Frames waiting to be sent, without I/O: which bytes go out next. Payloads are views of the callers' buffers."""

import hashlib
from collections import deque
from collections.abc import Sequence

from lambda_image.comm.channel.frames import HEADER, MAX_META, Seals

SEAL_CHUNK = 1 << 18  # hashed, then handed to the kernel: while the next one is hashed, the peer hashes this one
ONE_PIECE_BYTES = 8 * 1024  # a frame up to this is copied into one piece: cheaper than a system call on several


class FrameWriter:
    """`push` frames, send `buffers()`, report how much went with `sent`."""

    def __init__(self, key: bytes | None) -> None:
        self._seals = Seals(key)
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
        header = HEADER.pack(operation, kind, flags, len(meta), length)
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
