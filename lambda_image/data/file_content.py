"""What every format says of a file, which is its columns by name or what is wrong with it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class FormatError(Exception):
    """What is wrong with a file, before its name is known."""


class Column(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]  # rows [start, stop), as stored


def widen_bfloat16(stored: np.ndarray) -> np.ndarray:
    """Float32 of the same shape as the uint16 array: a bfloat16 is the upper half of a float32."""
    return (stored.astype(np.uint32) << 16).view(np.float32)
