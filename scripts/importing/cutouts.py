"""Images in files of their own, one for each galaxy (or one for each of its bands), named by columns of a catalogue."""

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed, PartitionMissing, UsageError
from lambda_image.partition_names import printable
from scripts.importing.bands import letter
from scripts.importing.choosing import find
from scripts.importing.contents import TEXT, Array, Contents, as_texts
from scripts.importing.cutout import Cutout, CutoutPart
from scripts.importing.file_series import SCALE_TOLERANCE
from scripts.importing.images import PixelFlags
from scripts.importing.photometry import meant
from scripts.words import counted

BAND = "band"  # the field of a pattern that stands for each of the bands
CHECKED_AT_A_TIME = 10_000
LOOKED_AT = 64  # of all cut-outs, where the first ones are not as they are needed
DAMAGE = (PartitionMalformed, PartitionMissing)  # the latter of a file that has gone since it was looked for


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

    def _first_usable(self, first: int) -> tuple[Path, Cutout]:
        """The file and the cut-out of the first galaxy that can be used, from row `first` on.

        Damage says nothing of the next file. What is not as it is needed is likely so in all, of which a few then tell.
        """
        fault: Exception | None = None
        row, step = first, 1
        while row < self.rows:
            if (paths := self._files(self._values(row))) is not None:
                try:
                    cutout = Cutout(paths, self._array, self._flags)
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
                    cutout = Cutout(paths, self._array, self._flags)
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

    def _check_order(self, part: CutoutPart) -> None:
        """Refuses a file that says of its bands another order than others, where --bands gives one for all."""
        named = [letter(band) for band in part.named]
        if self._flags.bands is not None and named != self._order and sorted(named) == sorted(self._order):
            raise UsageError(
                f"{printable(part.path)} has the bands {', '.join(part.named)}, and others have "
                f"{', '.join(self._order)}: bring all to one order, which --bands gives, or leave it out"
            )

    def _compare(self, row: int, cutout: Cutout) -> None:
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
