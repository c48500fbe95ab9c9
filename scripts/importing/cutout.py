"""The image of one galaxy in a file of its own, or in one for each of its bands, with what lies beside it.

A FITS file of the Legacy Surveys' viewer is such a one: bands in BANDS, with the HDUs INVVAR and MASKBITS if asked for.
So are those of HSC and Rubin, with the HDUs IMAGE, MASK and VARIANCE.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import UsageError
from scripts.importing.bands import places_of
from scripts.importing.choosing import find
from scripts.importing.contents import Array, is_number
from scripts.importing.images import PixelFlags, centred, check_side, stamps
from scripts.importing.opening import open_file

# Bits of MASKBITS that say that a band has no good data in a pixel: saturated in it, or bad in all its exposures
# (SATUR_x and ALLMASK_x, https://www.legacysurvey.org/dr10/bitmasks/).
LEGACY_BITS = {"g": 1 << 2 | 1 << 5, "r": 1 << 3 | 1 << 6, "z": 1 << 4 | 1 << 7, "i": 1 << 14 | 1 << 15}
_BESIDE = re.compile(r"ivar|invvar|var|err|mask|psf|model|resid|weight", re.IGNORECASE)


class Cutout:
    """The image of one galaxy, in one file or in one for each band.

    Attributes:
        parts: The files.
        bands: The bands that they hold.
        source: What says so, in words.
        notes: More about them, a clause each.
        units: The units that they give, and None where one gives none.
        pixel_scale: Arcseconds per pixel, where the first file says so.
        pixels: How many pixels a band has there.
    """

    def __init__(self, paths: Sequence[Path], array: str | None, flags: PixelFlags) -> None:
        """Opens the files.

        Args:
            paths: One file, or one for each of the model's bands in their order.
            array: The image in a file, where it has more arrays than one that may be it.
            flags: What is said of bands and masks.

        Raises:
            PartitionMissing: a file has gone.
            PartitionMalformed: a file cannot be read. The message names it.
            UsageError: a file has no such image, or none that the model can take. The message says what it has.
        """
        self._wanted = flags.wanted
        self.parts = [CutoutPart(path, array, flags, 2 if len(paths) > 1 else 3) for path in paths]
        first = self.parts[0]
        self.bands: Sequence[str] = self._wanted.bands if len(paths) > 1 else first.bands
        self.source = "the files' names" if len(paths) > 1 else first.source
        self.notes = [*check_side(first.shape, str(paths[0]), self._wanted.side), *first.notes]
        self.units = tuple(dict.fromkeys(part.unit for part in self.parts))
        self.pixel_scale = first.pixel_scale
        self.pixels = int(np.prod(first.shape[-2:]))
        self._places = None if len(paths) > 1 else places_of(self.bands, str(paths[0]), self._wanted)

    def image(self) -> Array:
        """Float32 [bands, side, side] with NaN where a pixel is missing. Raises PartitionMalformed for damage."""
        if self._places is None:
            return np.concatenate(
                [part.stamp([band], [0]) for part, band in zip(self.parts, self._wanted.bands, strict=True)]
            )
        return self.parts[0].stamp(self._wanted.bands, self._places)


class CutoutPart:
    """A file with the image of a galaxy in some bands, or in one.

    Attributes:
        path: The file.
        shape: Of the image: [bands, rows, columns], or [rows, columns].
        unit: As the file gives it, or None.
        pixel_scale: Arcseconds per pixel, where the file says so.
        named: The bands that the file names, none where it does not.
        bands: Those that count, which --bands may give instead.
        source: What says so, in words.
        notes: What is known of missing pixels, a clause each.
    """

    def __init__(self, path: Path, array: str | None, flags: PixelFlags, dimensions: int) -> None:
        self.path, self._contents = path, open_file(path)
        self._good, self._wanted = flags.good_mask or 0, flags.wanted
        name = find(self._contents, array, "--images") if array else self._only(dimensions)
        column = self._contents.arrays[name]
        if not is_number(column.dtype):
            raise UsageError(f"{path}: {self._contents.listed([name])} holds no numbers, of which images are made")
        self._column, self.shape = column, column.shape
        self.unit = self._contents.units.get(name)
        self.pixel_scale = self._contents.pixel_scales.get(name)
        self.named = self._contents.bands.get(name, ())
        self.bands, self.source = self.named, "the file"
        if flags.bands is not None and dimensions == 3:
            self.bands, self.source = flags.bands, "--bands"
        if dimensions == 3 and not self.bands:
            raise self._contents.without_bands(name, flags.wanted.bands_flag)
        if dimensions == 3 and column.shape[0] != len(self.bands):
            raise UsageError(f"{path}: {self._contents.listed([name])} has other bands than {', '.join(self.bands)}")
        self._ivar = self._beside(name, flags.ivar, ("ivar", "invvar"), "--ivar")
        self._mask = self._beside(name, flags.mask, ("mask",), "--mask")
        self.notes = [f"missing where {self._ivar[0]} is 0"] if self._ivar else []
        self._bits: Mapping[str, int] | None = None  # of the mask, that say of each band that it has no good data
        if self._mask:
            self._bits, note = self._meaning(self._mask[0], flags.good_mask)
            self.notes.append(f"missing where {self._mask[0]} {note}")

    def _meaning(self, label: str, good: int | None) -> tuple[Mapping[str, int] | None, str]:
        """The bits of a mask that are bad in each band, and in words; None where it has no bits but 0 and others."""
        if label.upper().startswith("MASKBITS"):
            return LEGACY_BITS, "says saturated or masked in the band"
        if good is None and (bits := self._contents.bad_bits.get(label)):
            return dict.fromkeys(self._wanted.bands, bits), "says bad, saturated or without data"
        return None, f"is not {self._good}"

    def _only(self, dimensions: int) -> str:
        usable = [
            name
            for name, column in self._contents.arrays.items()
            if len(column.shape) == dimensions and is_number(column.dtype) and not _BESIDE.search(name)
        ]
        if len(usable) == 1:
            return usable[0]
        name, found = self._contents.name, self._contents.listed(usable or None)
        shape = "[rows, columns]" if dimensions == 2 else "[bands, rows, columns]"
        raise UsageError(f"{name} has no single image {shape}: name it behind the pattern, as [NAME]; found: {found}")

    def _beside(self, name: str, given: str | None, words: Sequence[str], flag: str) -> tuple[str, Column] | None:
        if given == "none":
            return None
        shape = self._column.shape
        found = [
            (label, column)
            for label, column in self._contents.arrays.items()
            if label != name
            and column.shape in (shape, shape[-2:])
            and (label.lower() == given.lower() if given else any(word in label.lower() for word in words))
        ]
        if given and not found:
            raise UsageError(
                f"{flag} {given}: {self._contents.name} has no such array of the shape of {name}; "
                f"found: {self._contents.listed()}"
            )
        return found[0] if len(found) == 1 else None

    def stamp(self, bands: Sequence[str], places: Sequence[int]) -> Array:
        """Float32 [len(bands), side, side] of these bands at these places, with NaN where a pixel is missing."""
        missing = np.zeros((len(bands), self._wanted.side, self._wanted.side), np.bool_)
        if self._ivar:
            missing |= ~(np.ma.getdata(self._crop(self._ivar[1], places)) > 0)
        if self._mask:
            mask = np.ma.getdata(self._crop(self._mask[1], places))
            if self._bits is None:
                missing |= mask.astype(bool) != bool(self._good)
            else:
                bits = np.array([self._bits.get(band, 0) for band in bands])
                missing |= (mask.astype(np.int64) & bits[:, None, None]) != 0
        return stamps(self._crop(self._column, places), missing)

    def _crop(self, column: Column, places: Sequence[int]) -> Array:
        whole = column.read(0, column.shape[0])
        planes = whole[None] if whole.ndim == 2 else whole[list(places)]
        check_side(planes.shape, self._contents.name, self._wanted.side)
        return centred(planes, 1, self._wanted.side)
