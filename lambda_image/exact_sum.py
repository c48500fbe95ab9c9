"""Sums of numbers that do not depend on the order in which these come, nor on how they are parted.

A finite number of float64 is an integer times a power of two. Their sum is kept as one integer, so that nothing is
rounded until somebody asks for it.
"""

import re
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

SCALE = 1200  # 2^-SCALE divides every number of float64, of which the smallest is 2^-1074
MANTISSA_BITS = 53
HALF_BITS = 27  # of a mantissa: the sum of 2^26 halves is still exact in float64
AT_A_TIME = 1 << 26
# What `to_text` gives. The largest sum of 2^63 numbers has 1,087 bits before the point and 1,200 behind it.
TEXT = re.compile(r"(-?)0x([0-9a-f]{1,580})p([+-]\d{1,4})", re.ASCII)


class ExactSum:
    """Sums numbers without rounding; sums add up to the same whatever their order."""

    def __init__(self, total: int = 0) -> None:
        """Makes it of an integer, in units of 2^-SCALE."""
        self._total = total

    def add(self, values: NDArray[np.float64]) -> None:
        """Adds finite numbers [N]."""
        for start in range(0, len(values), AT_A_TIME):
            fractions, exponents = np.frexp(values[start : start + AT_A_TIME])
            mantissas = np.ldexp(fractions, MANTISSA_BITS).astype(np.int64)
            lowest = int(exponents.min())
            places = exponents - lowest
            high = np.bincount(places, mantissas >> HALF_BITS)
            low = np.bincount(places, mantissas & ((1 << HALF_BITS) - 1))
            for place in np.flatnonzero((high != 0) | (low != 0)).tolist():
                part = (int(high[place]) << HALF_BITS) + int(low[place])
                self._total += part << (SCALE - MANTISSA_BITS + lowest + place)

    def merge(self, other: "ExactSum") -> None:
        """Adds what another sum has."""
        self._total += other._total

    @property
    def value(self) -> Fraction:
        """The sum as it is."""
        return Fraction(self._total, 1 << SCALE)

    def to_text(self) -> str:
        """Gives the sum in C's notation of hexadecimal floating-point numbers, which loses nothing.

        Returns:
            What `float.fromhex` rounds to the nearest number.
        """
        zeros = (self._total & -self._total).bit_length() - 1 if self._total else SCALE
        sign = "-" if self._total < 0 else ""
        return f"{sign}0x{abs(self._total) >> zeros:x}p{zeros - SCALE:+d}"

    @classmethod
    def from_text(cls, text: str) -> "ExactSum":
        """Reads what `to_text` gives.

        Raises:
            ValueError: the text is anything else.
        """
        found = TEXT.fullmatch(text)
        shift = int(found[3]) + SCALE if found else -1
        if found is None or not 0 <= shift <= 2 * SCALE:
            raise ValueError(f"not an exact sum: {text[:40]!r}")
        total = int(found[2], 16) << shift
        return cls(-total if found[1] else total)
