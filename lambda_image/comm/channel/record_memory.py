"""Memory for one encrypted record, lent while a frame of several is sent or received, and used again after it.

Fresh memory costs more than what is done with it. A channel between two such frames holds none, since a rank may have a
thousand channels.
"""

from lambda_image.comm.channel.frames import RECORD_BYTES, TAG_BYTES

KEPT = 16  # records, of all channels of this process: 1 MiB

_free: list[memoryview] = []


def borrow() -> memoryview:
    try:
        return _free.pop()
    except IndexError:
        return memoryview(bytearray(RECORD_BYTES + TAG_BYTES))


def give_back(memory: memoryview) -> None:
    if len(_free) < KEPT:
        _free.append(memory)
