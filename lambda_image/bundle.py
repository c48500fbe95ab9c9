"""What an inner rank of a tree sends to rank 0: its own part and those of its leaves, and why some are missing. Pure.

The bytes are the length of a head (4 bytes, big endian), the head as JSON, and the parts one after another.
"""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

from lambda_image.errors import cut
from lambda_image.json_text import parse_json

Content = bytes | bytearray | memoryview
MAX_REASON = 500  # characters; 100 leaves may have one each


class Delivered(NamedTuple):
    """A part that has come, as `results.pack` made it, and by which transport."""

    transport: str
    content: Content


@dataclass
class Parts:
    """What has come at a rank that gathers, by the ranks of the run.

    Attributes:
        came: The parts that are there.
        missing: Why the others are not.
    """

    came: dict[int, Delivered] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)


def bundle(parts: Parts) -> bytes:
    """Puts parts together into one."""
    came = sorted(parts.came.items())
    listed = [[rank, part.transport, len(part.content)] for rank, part in came]
    missing = [[rank, cut(reason, MAX_REASON)] for rank, reason in sorted(parts.missing.items())]
    head = json.dumps({"parts": listed, "missing": missing}).encode()
    return b"".join([len(head).to_bytes(4, "big"), head, *(part.content for _, part in came)])


def unbundle(content: Content) -> Parts:
    """Takes apart what `bundle` gives, without a copy of the parts.

    Raises:
        ValueError: it is something else.
    """
    view = memoryview(content)
    at = 4 + int.from_bytes(view[:4], "big")
    parts = Parts()
    try:
        head = parse_json(bytes(view[4:at]))
        for rank, transport, size in head["parts"]:
            parts.came[rank] = Delivered(transport, view[at : at + size])
            at += size
        parts.missing = {rank: str(reason) for rank, reason in head["missing"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the parts of several ranks: {error}") from error
    if at != len(view):
        raise ValueError(f"the parts of several ranks have {len(view):,} bytes, and {at:,} were named")
    return parts
