"""Memory for arrays that come, used again once nobody holds them any more.

Fresh pages cost several times what filling them over loopback does, since the kernel clears each.

Blocks begin in the middle of a page. A copy takes more than twice as long where it writes up to 31 bytes further into a
page than it reads, as the processor compares loads with earlier stores by these bits of their addresses first ("4K
aliasing"). The kernel begins a frame at the beginning of a page, and large arrays begin 16 bytes after one.
"""

import sys

import numpy as np

KEPT_BYTES = 256 << 20  # at most, whether in use or not: what 16 ranks of 16 MB gather
SMALLEST = 128 << 10  # bytes; for less, the allocator takes no fresh pages
PAGE = 4096
MIDDLE = PAGE // 2  # where blocks begin; a multiple of what vector instructions and cache lines take, 64


class Memory:
    """Blocks of memory, lent until the last array over them is gone. One thread at a time uses it."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._blocks: list[np.ndarray] = []  # lent or not, the one lent last at the end; each a page longer than needed

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array, uninitialised. What is made of it keeps its memory lent: numpy's views refer to their owner."""
        size = dtype.itemsize
        for extent in shape:
            size *= extent
        if size < SMALLEST:
            return np.empty(shape, dtype)
        return placed(self._block(size + PAGE), MIDDLE, size).view(dtype).reshape(shape)

    def like(self, array: np.ndarray) -> np.ndarray:
        """An array of that type and shape, uninitialised."""
        return self.empty(array.shape, array.dtype)

    def _block(self, size: int) -> np.ndarray:
        blocks = self._blocks
        for index in range(len(blocks)):
            if blocks[index].nbytes == size and _references(blocks, index) == _UNUSED:
                block = blocks.pop(index)
                break
        else:
            block = np.empty(size, np.uint8)
        blocks.append(block)
        while sum(one.nbytes for one in blocks) > self._kept_bytes:
            del blocks[0]  # if it is lent, it is freed with the last array over it
        return block


def placed(block: np.ndarray, offset: int, size: int) -> np.ndarray:
    """So many bytes of a block that begin so many bytes after the beginning of a page. The block has a page more."""
    start = (offset - block.ctypes.data) % PAGE
    return block[start : start + size]


def _references(blocks: list[np.ndarray], index: int) -> int:
    return sys.getrefcount(blocks[index])


_UNUSED = _references([np.empty(0)], 0)  # to a block that only its list holds
