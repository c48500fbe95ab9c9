"""What a network takes of a galaxy: the bands in its order, and the side of its images."""

import re
from dataclasses import dataclass
from functools import cached_property

from lambda_image.data.sizes import BANDS, PUBLISHED_SIDE


@dataclass(frozen=True)
class Wanted:
    """Says what images and magnitudes are brought to; the defaults are the published network's.

    Attributes:
        bands: Letters or names of bands, in the order of the network.
        side: Pixels of the image's side.
    """

    bands: tuple[str, ...] = BANDS
    side: int = PUBLISHED_SIDE

    @property
    def image(self) -> tuple[int, int, int]:
        """Shape of an image: bands, rows, columns."""
        return len(self.bands), self.side, self.side

    @property
    def in_words(self) -> str:
        """The bands, as messages list them."""
        return ", ".join(self.bands)

    @property
    def bands_flag(self) -> str:
        """The flag that says that an array has these bands in this order."""
        return f"--bands {','.join(self.bands)}"

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
        """How a band stands in the name of an array: alone, before `mag` as in VizieR's umag, and behind it (magU)."""
        either = "|".join(re.escape(name) for band in self.bands for name in dict.fromkeys((band, band.upper())))
        lower = "|".join(map(re.escape, self.bands))
        upper = "|".join(re.escape(band.upper()) for band in self.bands)
        return (
            re.compile(rf"(?<![A-Za-z])({either})(?![A-Za-z0-9])"),
            re.compile(rf"^({lower})p?(?=mag$|flux$)"),
            re.compile(rf"(?<=mag|lux)({upper})$"),
        )


PUBLISHED = Wanted()
