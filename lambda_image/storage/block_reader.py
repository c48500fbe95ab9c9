"""An object that is read here and there, of which a few blocks are in memory.

Those who read Parquet jump between the columns of a group of rows, and each jump would be a request. The columns of a
group lie within a few blocks, which are asked for one after another.
"""

import math
from collections import OrderedDict
from typing import Any

from lambda_image.data.byte_source import SeekableReader
from lambda_image.errors import RunError
from lambda_image.storage.reader import ObjectReader

BLOCK_BYTES = 4 << 20


class BlockReader(SeekableReader):
    """Reads an object by blocks, and keeps those that were used last.

    Attributes:
        error: what went wrong. Those who read Parquet make a text of it.
    """

    def __init__(self, reader: ObjectReader, group_bytes: float, block_bytes: int = BLOCK_BYTES) -> None:
        """Makes it without asking S3.

        Args:
            reader: the object, which ends with this reader.
            group_bytes: how much of it is read at the same time, which is in memory.
            block_bytes: how much is asked for at a time.
        """
        self.size, self._reader = reader.size, reader
        self._block_bytes, self._most = block_bytes, 2 + math.ceil(group_bytes / block_bytes)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.error: RunError | None = None

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        number, start = divmod(self._position, self._block_bytes)
        found = self._block(number)[start : start + len(view)] if self._position < self.size else b""
        view[: len(found)] = found
        self._position += len(found)
        return len(found)

    def read(self, size: int = -1, /) -> bytes:
        """Reads so many bytes, fewer only at the end. Blocks do not show."""
        wanted = max(0, self.size - self._position)
        content = bytearray(wanted if size < 0 else min(size, wanted))
        view, done = memoryview(content), 0
        while done < len(content):
            done += self.readinto(view[done:])
        return bytes(content)

    def close(self) -> None:
        self._blocks.clear()
        self._reader.close()
        super().close()

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            while len(self._blocks) >= self._most:
                self._blocks.popitem(last=False)
            self._reader.seek(number * self._block_bytes)
            try:
                self._blocks[number] = self._reader.read(self._block_bytes)
            except RunError as error:
                self.error = error
                raise
        self._blocks.move_to_end(number)
        return self._blocks[number]
