"""Memory for one encrypted record, lent while a frame of several is sent or received, and used again after it.

Fresh memory costs more than what is done with it. A channel between two such frames holds none, since a rank may have a
thousand channels. It lies where the kernel copies it fastest (memory.py).
"""

import numpy as np

from lambda_image.comm.channel.frames import RECORD_BYTES, SHORTEST_RECORD_BYTES, TAG_BYTES
from lambda_image.comm.channel.memory import MIDDLE, PAGE, placed

KEPT = 8  # records, of all channels of this process: 8 MiB

_free: list[memoryview] = []


def borrow(length: int) -> memoryview:
    """For the records of a payload of this length, and longer where they can be used again."""
    try:
        return _free.pop()
    except IndexError:
        # Only what is written to becomes memory.
        size = (RECORD_BYTES if length >= SHORTEST_RECORD_BYTES else length) + TAG_BYTES
        return placed(np.empty(size + PAGE, np.uint8), MIDDLE, size).data


def give_back(memory: memoryview) -> None:
    if len(_free) < KEPT and len(memory) == RECORD_BYTES + TAG_BYTES:
        _free.append(memory)
