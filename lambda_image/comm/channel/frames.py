"""The format of what goes over a channel. frame_writer.py makes it, frame_reader.py takes it apart.

    HEADER 16 | meta, payload | tag 16                                      up to WHOLE_BYTES of meta and payload
    HEADER 16 | meta | tag 16 | payload | tag 16 | payload | tag 16 ...     more: the payload in several records

The header holds operation (u32), kind (u8), flags (u8), length of meta (u16) and of the payload (u64). What precedes a
tag is a record: it is encrypted (cipher.py), and opens only with this header and in this place of the stream. The
header itself can be read by anybody. A length is verified before anything is allocated for it, and a payload before it
is handed out. While one record of a large payload is on its way, the sender encrypts the next and the receiver decrypts
the one before.

With the flag SEALED, the records of the payload are encrypted for all ranks instead of for this channel (sealing.py),
and are of SEALED_RECORD_BYTES.

A session that is not encrypted has neither tags nor records: HEADER | meta | payload.
"""

import struct
from typing import Any, NamedTuple

TAG_BYTES = 16
MAX_META = 1024  # a dtype and a shape, or the words of an error
WHOLE_BYTES = 4096 - 32  # in one record with its header and tag: a small frame comes and goes in one piece of 4 kB
# All measured: every record has its price, of a call and of a wake-up, while a longer one must be waited for longer.
RECORD_BYTES = 1 << 20  # at most
SHORTEST_RECORD_BYTES = 256 << 10
_RECORDS = 4  # of a payload at least, unless they were shorter: so that two ranks encrypt and decrypt at the same time
_STEP = 64 << 10
SEALED_RECORD_BYTES = 512 << 10  # since who passes them on waits for each before the next rank can begin

HEADER = struct.Struct("!IBBHQ")
HEADER_BYTES = HEADER.size


def record_bytes(length: int) -> int:
    """How many bytes of a payload of this length each of its records has, except for the last."""
    part = -(-length // (_RECORDS * _STEP)) * _STEP
    return min(max(part, SHORTEST_RECORD_BYTES), RECORD_BYTES)


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
