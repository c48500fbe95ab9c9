"""How large a galaxy's row is: what a network takes, and what a partition holds."""

import math
from dataclasses import dataclass

BANDS = ("u", "g", "r", "i", "z")  # of the published network, in its order
WIDE_IMAGE = (64, 64, len(BANDS))  # the full cutouts of the published documents, bands last
PUBLISHED_SIDE = 32
# Far above any survey and any cutout. What a file claims must not make an array of no rows too large for numpy.
MAX_BANDS, MAX_SIDE, MAX_MAGNITUDES = 1_000, 4_096, 1_000


@dataclass(frozen=True)
class Sizes:
    """Says what belongs to one galaxy; the defaults are the published network's.

    Attributes:
        bands: Bands of its image.
        side: Pixels of the image's side.
        magnitudes: How many magnitudes it has, 0 where a network takes the image alone.
    """

    bands: int = len(BANDS)
    side: int = PUBLISHED_SIDE
    magnitudes: int = len(BANDS)

    def __str__(self) -> str:
        return f"images [{self.bands}, {self.side}, {self.side}] and {self.magnitudes or 'no'} magnitudes"

    @property
    def image(self) -> tuple[int, int, int]:
        """Shape of an image: bands, rows, columns."""
        return self.bands, self.side, self.side

    @property
    def row_bytes(self) -> int:
        """Bytes of a galaxy in a file of float32, with its redshift and without columns of the user."""
        return 4 * (math.prod(self.image) + self.magnitudes + 1)


PUBLISHED = Sizes()


def magnitude_columns(count: int) -> tuple[str, ...]:
    """Name the columns of `count` magnitudes in a table.

    Args:
        count: How many there are.

    Returns:
        The bands' names where they are as many as the published ones, and numbers from 1 elsewhere.
    """
    names = BANDS if count == len(BANDS) else tuple(map(str, range(1, count + 1)))
    return tuple(f"mag_{name}" for name in names)


def image_layout(shape: tuple[int, ...], wanted: Sizes | None) -> tuple[int, int] | None:
    """Judge the shape of stored images.

    Args:
        shape: Of one image in the file.
        wanted: What a network takes, or None where any network may be meant.

    Returns:
        Bands and side of the images as they are read, or None where the shape does not fit.
    """
    if len(shape) != 3:
        return None
    first, middle, last = shape
    if wanted is not None:
        margin = first - wanted.side
        wide = first == middle and last == wanted.bands and margin >= 0 and margin % 2 == 0
        return (wanted.bands, wanted.side) if shape == wanted.image or wide else None
    if shape == WIDE_IMAGE:
        return PUBLISHED.bands, PUBLISHED.side
    bands, side = (first, last) if middle == last else (last, first)
    fits = middle == side and 0 < bands <= MAX_BANDS and 0 < side <= MAX_SIDE
    return (bands, side) if fits else None
