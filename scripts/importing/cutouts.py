"""Images in files of their own, one for each galaxy (or one for each of its bands), named by columns of a catalogue.

A FITS file of the Legacy Surveys' viewer is such a one: bands in BANDS, with the HDUs INVVAR and MASKBITS if asked for.
"""

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed, PartitionMissing, UsageError
from lambda_image.partition_names import printable
from scripts.importing.bands import letter, places_of
from scripts.importing.choosing import find
from scripts.importing.contents import TEXT, Array, Contents, as_texts, is_number
from scripts.importing.file_series import SCALE_TOLERANCE
from scripts.importing.images import PixelFlags, centred, check_side, stamps
from scripts.importing.opening import open_file
from scripts.importing.photometry import meant
from scripts.words import counted

BAND = "band"  # the field of a pattern that stands for each of the bands
# Bits of MASKBITS that say that a band has no good data in a pixel: saturated in it, or bad in all its exposures
# (SATUR_x and ALLMASK_x, https://www.legacysurvey.org/dr10/bitmasks/).
LEGACY_BITS = {"g": 1 << 2 | 1 << 5, "r": 1 << 3 | 1 << 6, "z": 1 << 4 | 1 << 7, "i": 1 << 14 | 1 << 15}
CHECKED_AT_A_TIME = 10_000
LOOKED_AT = 64  # of all cut-outs, where the first ones are not as they are needed
DAMAGE = (PartitionMalformed, PartitionMissing)  # the latter of a file that has gone since it was looked for
_BESIDE = re.compile(r"ivar|invvar|var|err|mask|psf|model|resid|weight", re.IGNORECASE)


class CutoutImages:
    """Images in files whose names follow from columns."""

    def __init__(
        self, catalogue: Contents, pattern: str, folder: Path, rows: int, flags: PixelFlags, unit: str | None = None
    ) -> None:
        """Looks for all files and reads the first that can be used.

        Args:
            catalogue: What has the columns.
            pattern: The path of a file with columns in braces, as `cutouts/{objid}.fits`. `{band}` gives each band a
                file, and a format may follow a column, as in `{ra:.4f}`.
            folder: Where paths are looked for that do not lead anywhere from here: the catalogue's folder.
            rows: How many galaxies there are.
            flags: What is said of bands and masks.
            unit: The unit of all files, where it does not matter what they say of it.

        Raises:
            UsageError: the pattern names no column, there is none of the files, or they cannot be used as they are.
            PartitionMalformed: none of the files can be read. The message names the first.
        """
        self._held: tuple[int, list[dict[str, object]]] = -1, []
        self.rows, self._pattern, self._folder, self._flags = rows, pattern, folder, flags
        self._bands = flags.wanted.bands
        pattern, self._array = with_array(pattern)
        self._fields = _fields(pattern)
        self._plain = pattern
        self._columns = {
            field: catalogue.arrays[find(catalogue, field, "--images")] for field in self._fields if field != BAND
        }
        for field, column in self._columns.items():
            if column.shape != (rows,):
                raise UsageError(f"--images {pattern}: {field} is no column of {rows:,} values")
        absent, first = self._look_for_all()
        self._absent = frozenset(absent)
        self._example, example = self._first_usable(first)
        self._unusable = _Noted(
            "cannot be used, and its galaxy is flagged", "cannot be used, and their galaxies are flagged"
        )
        self._rescaled = _Noted("has pixels of another width", "have pixels of another width")
        self.units, self.pixel_scale = example.units, example.pixel_scale
        self._unit_matters = unit is None
        self._order = [letter(band) for band in example.parts[0].named or flags.bands or ()]
        self.notes = [f"bands {', '.join(example.bands)} by {example.source}", *example.notes]
        self.described = f"{self._pattern} ({rows - len(absent):,} galaxies with files)"
        if absent:
            why = self._why_absent(absent[0])
            self.notes.append(f"{len(absent):,} of {rows:,} galaxies will be flagged, as {why}")
        self.row_bytes = 4 * len(self._bands) * example.pixels

    def _look_for_all(self) -> tuple[list[int], int]:
        """The rows without a file, and the first one with a file."""
        absent, first = [], None
        for start in range(0, self.rows, CHECKED_AT_A_TIME):
            for row, values in enumerate(self._values_of(start, min(start + CHECKED_AT_A_TIME, self.rows)), start):
                if self._files(values) is None:
                    absent.append(row)
                elif first is None:
                    first = row
        if first is None:
            raise UsageError(f"--images {self._pattern}: no galaxy has a file, as {self._why_absent(0)}")
        return absent, first

    def _why_absent(self, row: int) -> str:
        values = self._values(row)
        if unknown := [field for field, value in values.items() if value is None]:
            return f"row {row:,} has no {unknown[0]}"
        lacking = next((band for band in self._bands if self._file(values, band) is None), self._bands[0])
        return f"{printable(self._path(values, lacking))} is not there"

    def _values_of(self, start: int, stop: int) -> list[dict[str, object]]:
        read = {field: _scalars(column, start, stop) for field, column in self._columns.items()}
        return [{field: values[n] for field, values in read.items()} for n in range(stop - start)]

    def _values(self, row: int) -> dict[str, object]:
        """Those of one row. The rows around it are held, as the next are often asked for."""
        start = row - row % CHECKED_AT_A_TIME
        if self._held[0] != start:
            self._held = start, self._values_of(start, min(start + CHECKED_AT_A_TIME, self.rows))
        return self._held[1][row - start]

    def _path(self, values: Mapping[str, object], band: str) -> Path:
        try:
            path = Path(self._plain.format(**values, **({BAND: band} if BAND in self._fields else {})))
        except (ValueError, KeyError, IndexError) as error:
            raise UsageError(f"--images {self._pattern}: {error}") from error
        beside = self._folder / path
        return beside if not path.exists() and (beside.exists() or not path.parent.is_dir()) else path

    def _files(self, values: Mapping[str, object]) -> list[Path] | None:
        """The file of a galaxy, or of each of its bands; None if one is missing, or a value that names it."""
        if None in values.values():
            return None
        bands = self._bands if BAND in self._fields else self._bands[:1]
        found = [path for band in bands if (path := self._file(values, band)) is not None]
        return found if len(found) == len(bands) else None

    def _file(self, values: Mapping[str, object], band: str) -> Path | None:
        paths = (self._path(values, letter) for letter in (band, band.upper()))
        return next((path for path in paths if path.is_file()), None)

    def _first_usable(self, first: int) -> tuple[Path, "_Cutout"]:
        """The file and the cut-out of the first galaxy that can be used, from row `first` on.

        Damage says nothing of the next file. What is not as it is needed is likely so in all, of which a few then tell.
        """
        fault: Exception | None = None
        row, step = first, 1
        while row < self.rows:
            if (paths := self._files(self._values(row))) is not None:
                try:
                    cutout = _Cutout(paths, self._array, self._flags)
                    cutout.image()
                    return paths[0], cutout
                except UsageError as error:
                    if not isinstance(fault, UsageError):
                        fault, step = error, (self.rows - row) // LOOKED_AT | 1  # odd, as kinds may alternate
                except DAMAGE as error:
                    fault = fault or error
            row += step
        if isinstance(fault, UsageError):
            raise fault
        raise PartitionMalformed(
            f"--images {self._pattern}: no cut-out can be read, so fetch them again: the first one, {fault}",
            object=self._pattern,
        ) from fault

    def read(self, start: int, stop: int) -> Array:
        """As `Images` says. A galaxy whose file is damaged, or has no such image, has none; `told` tells of it."""
        images = np.full((stop - start, *self._flags.wanted.image), np.nan, np.float32)
        for row, values in enumerate(self._values_of(start, stop), start):
            if (paths := self._files(values)) is not None:
                try:
                    cutout = _Cutout(paths, self._array, self._flags)
                    self._check_order(cutout.parts[0])
                    images[row - start] = cutout.image()
                except (*DAMAGE, UsageError) as error:
                    images[row - start] = np.nan
                    self._unusable.add(row, str(error))
                    continue
                self._compare(row, cutout)
            elif row not in self._absent:
                self._unusable.add(row, f"{self._why_absent(row)} any more")
        return images

    def told(self) -> list[str]:
        return [noted.sentence() for noted in (self._unusable, self._rescaled) if noted.rows]

    def _check_order(self, part: "_Part") -> None:
        """Refuses a file that says of its bands another order than others, where --bands gives one for all."""
        named = [letter(band) for band in part.named]
        if self._flags.bands is not None and named != self._order and sorted(named) == sorted(self._order):
            raise UsageError(
                f"{printable(part.path)} has the bands {', '.join(part.named)}, and others have "
                f"{', '.join(self._order)}: bring all to one order, which --bands gives, or leave it out"
            )

    def _compare(self, row: int, cutout: "_Cutout") -> None:
        """Compares what files say of their pixels with what the first that could be used says."""
        example, usual, units = printable(self._example), self.pixel_scale, [meant(unit) for unit in self.units]
        for part in cutout.parts:
            if self._unit_matters and (unit := meant(part.unit)) not in units:
                raise UsageError(
                    f"{printable(part.path)} has the unit {unit}, and {example} has {units[0]}: bring all to one, "
                    "or say with --unit which one they have"
                )
            scale = part.pixel_scale
            if scale is not None and usual is not None and abs(scale / usual - 1) > SCALE_TOLERANCE:
                self._rescaled.add(row, f'{printable(part.path)} has {scale:.3f}", and {example} has {usual:.3f}"')


class _Noted:
    """Galaxies with the same fault, which may be read more than once, and what is known of the first."""

    def __init__(self, one: str, many: str) -> None:
        self._one, self._many = one, many
        self.rows: set[int] = set()
        self._first = ""

    def add(self, row: int, first: str) -> None:
        self._first = self._first or first
        self.rows.add(row)

    def sentence(self) -> str:
        words = self._one if len(self.rows) == 1 else self._many
        first = "" if len(self.rows) == 1 else "the first one, "
        return f"{counted(len(self.rows), 'cut-out')} {words}: {first}{self._first}"


class _Cutout:
    """The image of one galaxy, in one file or in one for each band."""

    def __init__(self, paths: Sequence[Path], array: str | None, flags: PixelFlags) -> None:
        self._wanted = flags.wanted
        self.parts = [_Part(path, array, flags, 2 if len(paths) > 1 else 3) for path in paths]
        first = self.parts[0]
        self.bands: Sequence[str] = self._wanted.bands if len(paths) > 1 else first.bands
        self.source = "the files' names" if len(paths) > 1 else first.source
        self.notes = [*check_side(first.shape, str(paths[0]), self._wanted.side), *first.notes]
        self.units = tuple(dict.fromkeys(part.unit for part in self.parts))
        self.pixel_scale = first.pixel_scale
        self.pixels = int(np.prod(first.shape[-2:]))
        self._places = None if len(paths) > 1 else places_of(self.bands, str(paths[0]), self._wanted)

    def image(self) -> Array:
        """Float32 [5, 32, 32] with NaN where a pixel is missing."""
        if self._places is None:
            return np.concatenate(
                [part.stamp([band], [0]) for part, band in zip(self.parts, self._wanted.bands, strict=True)]
            )
        return self.parts[0].stamp(self._wanted.bands, self._places)


class _Part:
    """A file with the image of a galaxy in some bands, or in one."""

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
            raise UsageError(
                f"{path} does not name the bands of {self._contents.listed([name])}: give them in their order, as in "
                f"{flags.wanted.bands_flag}"
            )
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
        """Float32 [len(bands), 32, 32]."""
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


def is_pattern(given: str) -> bool:
    """Whether --images names files by columns, and not an array."""
    return "{" in given and (
        "/" in given or "." in given.rpartition("}")[2] or given.count("{") > given.count("{band}")
    )


def with_array(pattern: str) -> tuple[str, str | None]:
    """A path, and the name of an array that stands in brackets behind it."""
    found = re.fullmatch(r"(.+)\[([^\[\]]+)\]", pattern)
    return (found[1], found[2]) if found else (pattern, None)


def _fields(pattern: str) -> list[str]:
    try:
        parts = [
            (field, conversion) for _, field, _, conversion in string.Formatter().parse(pattern) if field is not None
        ]
    except ValueError as error:
        raise UsageError(f"--images {pattern}: {error}") from error
    for field, conversion in parts:
        if not re.fullmatch(r"[A-Za-z_]\w*", field) or conversion:  # no attributes or items of a value
            raise UsageError(f"--images {pattern}: {{{field}}} is no name of a column")
    return [field for field, _ in parts]


def _scalars(column: Column, start: int, stop: int) -> Sequence[object]:
    values = column.read(start, stop)
    if column.dtype == TEXT:
        return [text or None for text in as_texts(values)]
    return list(values.tolist())  # None where masked
