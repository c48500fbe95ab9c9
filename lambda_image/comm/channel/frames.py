"""The format of what goes over a channel. frame_writer.py makes it, frame_reader.py takes it apart.

    HEADER 16 | [tag 16] | meta | payload | [tag 16]

The header holds operation (u32), kind (u8), flags (u8), length of meta (u16) and of the payload (u64). Both tags are
keyed BLAKE2b of one running hash over the frame's sequence number and header, then also meta and payload. So a length
is verified before anything is allocated for it, and a payload before it is handed out. A frame of neither meta nor
payload has the first tag only. The sequence number is never sent, because both ends count. A frame that is repeated,
left out, moved or sent back does not verify.
"""

import hashlib
import struct
from typing import Any, NamedTuple

TAG_BYTES = 16
MAX_META = 1024  # a dtype and a shape, or the words of an error

HEADER = struct.Struct("!IBBHQ")
HEADER_BYTES = HEADER.size


class FrameRefused(Exception):
    """Bytes that are not the next frame of this session; nothing after them can be trusted."""


class Header(NamedTuple):
    """What stands at the beginning of each frame."""

    operation: int  # which of the group's operations this belongs to
    kind: int  # what operation that is
    flags: int
    meta_length: int
    length: int  # of the payload, bytes

    @classmethod
    def unpack(cls, packed: bytes | memoryview, offset: int = 0) -> "Header":
        return tuple.__new__(cls, HEADER.unpack_from(packed, offset))  # as _make does, with fewer steps


class Frame(NamedTuple):
    """A frame that has come complete."""

    header: Header
    meta: bytes
    value: Any  # what `allocate` made for the payload, now filled


class Seals:
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
