"""What every format says of a file, which is its columns by name or what is wrong with it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BEGINNING = 4096  # bytes, by which other formats are told
BANDS_FLAG = "--bands u,g,r,i,z"  # in the order that they have, which no tensor says


class FormatError(Exception):
    """What is wrong with a file, before its name is known."""


class ForeignFormat(FormatError):
    """It has another format, or another arrangement of tensors, of which `cosmicai import` makes partitions.

    Attributes:
        flags: What that command needs to know of such a file; None if `beginning` says it.
        beginning: The first bytes of the file.
    """

    def __init__(self, problem: str, flags: str | None = None, beginning: bytes = b"") -> None:
        super().__init__(problem)
        self.flags, self.beginning = flags, beginning


class Column(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]  # rows [start, stop), as stored


def widen_bfloat16(stored: np.ndarray) -> np.ndarray:
    """Float32 of the same shape as the uint16 array: a bfloat16 is the upper half of a float32."""
    return (stored.astype(np.uint32) << 16).view(np.float32)
