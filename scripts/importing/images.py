"""Images of galaxies as the model takes them: its bands by name, the centre, and NaN where a pixel is missing.

Two kinds of sources give them, arrays and cut-out files, and both put their batches through `stamps`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed, UsageError
from scripts.importing.bands import places_of
from scripts.importing.choosing import Choice, bands_beside, beside
from scripts.importing.contents import Array, Contents, as_numbers, as_texts
from scripts.importing.wanted import PUBLISHED, Wanted

# A mask that hides more than this of the first galaxies is read the wrong way round.
MOSTLY = 0.5
SAMPLE_ROWS = 16


@dataclass(frozen=True)
class PixelFlags:
    """What the flags say of images.

    Attributes:
        bands: Names of the bands in their order, where the file does not name them.
        mask: The array that marks pixels, or "none"; None guesses.
        ivar: The array of inverse variances, or "none"; None guesses.
        good_mask: The value of a good pixel in the mask, 0 or 1; None takes the usual one.
        wanted: What the model takes.
    """

    bands: tuple[str, ...] | None = None
    mask: str | None = None
    ivar: str | None = None
    good_mask: int | None = None
    wanted: Wanted = PUBLISHED


class Images(Protocol):
    """A source of images.

    Attributes:
        rows: How many galaxies have images in it.
        described: What it is, in words.
        notes: More about it, a clause each.
        units: The units that the files give, and None where one gives none.
        pixel_scale: Arcseconds per pixel, where the file says so.
        row_bytes: What a galaxy takes in memory while it is read.
    """

    rows: int
    described: str
    notes: list[str]
    units: tuple[str | None, ...]
    pixel_scale: float | None
    row_bytes: int

    def read(self, start: int, stop: int) -> Array:
        """Float32 [stop - start, bands, side, side] in the file's unit, with NaN where a pixel is missing."""
        ...

    def told(self) -> list[str]:
        """Sentences about what was wrong with images that have been read."""
        ...


def axis_of_bands(shape: Sequence[int], bands: int, name: str) -> int:
    """Which axis of [N, ...] has the bands: 1 or 3. Raises UsageError where none has their number, or both have."""
    axes = [axis for axis in (1, 3) if shape[axis] == bands]
    if len(axes) == 1:
        return axes[0]
    problem = "no axis" if not axes else "two axes"
    raise UsageError(f"{name} {list(shape)} has {problem} of {bands} bands, for which there are names (--bands)")


def centred(batch: Array, rows_axis: int, side: int) -> Array:
    """The centre of images along the axes of rows and columns, which follow each other; a view."""
    index: list[Any] = [slice(None)] * batch.ndim
    for axis in (rows_axis, rows_axis + 1):
        begin = (batch.shape[axis] - side) // 2
        index[axis] = slice(begin, begin + side)
    cropped: Array = batch[tuple(index)]
    return cropped


def check_side(shape: Sequence[int], name: str, side: int) -> list[str]:
    """Notes about the crop. Raises UsageError for images that are smaller than the model's."""
    height, width = shape[-2:]
    if min(height, width) < side:
        raise UsageError(
            f"{name} has images of {height} x {width} pixels, and the model takes {side} x {side}: cut larger ones out"
        )
    return [] if height == width == side else [f"the centre {side} x {side} of {height} x {width} pixels"]


def stamps(batch: Array, missing: Array | None) -> Array:
    """Float32 images, NaN where a pixel is masked or `missing`."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array(np.ma.getdata(batch), np.float32)  # a copy: what was read may be a view of the file
    mask = np.ma.getmaskarray(batch)
    if mask.any():
        values[mask] = np.nan
    if missing is not None:
        values[missing] = np.nan
    return values


class ArrayImages:
    """Images in an array [N, bands, rows, columns], with the bands last, or in an array per band."""

    def __init__(self, contents: Contents, choice: Choice, flags: PixelFlags) -> None:
        columns = [contents.arrays[name] for name in choice.names]
        self._columns, self._name, self._wanted = columns, choice.label, flags.wanted
        self._file = contents.name
        self.rows = columns[0].shape[0]
        for name, column in zip(choice.names, columns, strict=True):
            if column.shape != columns[0].shape:
                raise UsageError(f"the images of the bands differ: {contents.listed([choice.names[0], name])}")
        self._band_names: Column | None = None
        self._axis = 1
        if choice.per_band:
            shown = flags.wanted.bands
            source = "their names"
            self._places: list[int] = list(range(len(shown)))
            sides = columns[0].shape[1:]
        else:
            found, source = self._bands(contents, choice, flags)
            self._axis = axis_of_bands(columns[0].shape, len(found), choice.label)
            self._places, shown = places_of(found, f"{choice.label} of {contents.name}", flags.wanted), found
            sides = columns[0].shape[2:] if self._axis == 1 else columns[0].shape[1:3]
        self.bands = None if choice.per_band else tuple(shown)  # in the order of the array that has all of them
        self.notes = [f"bands {', '.join(shown)} by {source}", *check_side(sides, choice.label, flags.wanted.side)]
        self.described = f"{choice.label} {columns[0].dtype} {list(columns[0].shape)}"
        self.units = contents.units_of(choice.names)
        self.pixel_scale = self._scale(contents, choice)
        shapes = self._companion_shapes()
        self._ivar = _companion(contents, choice, flags.ivar, ("ivar", "invvar", "inv_var"), shapes, "--ivar")
        self._mask = _companion(contents, choice, flags.mask, ("mask",), shapes, "--mask")
        multimodal = bands_beside(contents, choice) is not None
        self._good = flags.good_mask if flags.good_mask is not None else int(multimodal)
        if self._ivar is not None:
            self.notes.append(f"missing where {self._ivar[0]} is 0")
        if self._mask is not None:
            self.notes.append(f"missing where {self._mask[0]} is not {self._good}")
            self._check_mask()
        companions = [column for _, column in filter(None, (self._ivar, self._mask))]
        self.row_bytes = sum(_row_bytes(column) for column in (*columns, *companions))

    def _bands(self, contents: Contents, choice: Choice, flags: PixelFlags) -> tuple[tuple[str, ...], str]:
        name = choice.names[0]
        beside_name = bands_beside(contents, choice)
        if flags.bands is not None:
            return flags.bands, "--bands"
        if name in contents.bands:
            return contents.bands[name], "the file"
        if beside_name is not None:
            column = contents.arrays[beside_name]
            if len(column.shape) == 1:
                return tuple(as_texts(column.read(0, column.shape[0]))), beside_name
            if column.shape[0] == self.rows and (first := _first_names(column)) is not None:
                self._band_names = column
                return first, beside_name
        raise contents.without_bands(name, flags.wanted.bands_flag)

    def _scale(self, contents: Contents, choice: Choice) -> float | None:
        if (
            given := next((contents.pixel_scales[n] for n in choice.names if n in contents.pixel_scales), None)
        ) is not None:
            return given
        for name, column in contents.arrays.items():
            if (
                name.lower() in ("image_scale", "image.scale", "pixel_scale", "pixscale")
                and column.shape[0] == self.rows
            ):
                scales = np.ravel(as_numbers(column.read(0, min(SAMPLE_ROWS, self.rows))))
                return next((float(scale) for scale in scales if scale > 0), None)  # a galaxy without images has none
        return None

    def _companion_shapes(self) -> list[tuple[int, ...]]:
        shape = self._columns[0].shape
        if len(shape) == 3:
            return [shape]
        return [shape, (shape[0], *(shape[2:] if self._axis == 1 else shape[1:3]))]

    def read(self, start: int, stop: int) -> Array:
        if len(self._columns) > 1:
            raw = np.ma.stack(
                [centred(column.read(start, stop), 1, self._wanted.side) for column in self._columns], axis=1
            )
            return stamps(raw, self._missing(start, stop, None))
        places, nameless = self._places_of_rows(start, stop)
        images = stamps(self._select(self._columns[0].read(start, stop), places), self._missing(start, stop, places))
        images[nameless] = np.nan
        return images

    def told(self) -> list[str]:
        return []

    def _select(self, batch: Array, places: Array | list[int]) -> Array:
        """The model's bands, first, and the centre."""
        if self._axis == 3:
            batch = np.moveaxis(batch, 3, 1)
        batch = centred(batch, 2, self._wanted.side)
        if isinstance(places, list):
            return batch[:, places]
        return np.ma.stack([image[row] for image, row in zip(batch, places, strict=True)])

    def _places_of_rows(self, start: int, stop: int) -> tuple[Array | list[int], Array]:
        """The places of the model's bands, and which rows do not name theirs, as galaxies without images do not.

        The places are the same for all rows, or [n, 5] where the file names bands by row.
        """
        if self._band_names is None:
            return self._places, np.zeros(stop - start, np.bool_)
        names = np.array(as_texts(self._band_names.read(start, stop))).reshape(stop - start, -1)
        nameless: Array = (names == "").all(axis=1)
        where, named = f"{self._name} of {self._file}, row", np.flatnonzero(~nameless)
        if not len(named):
            return self._places, nameless
        if (names[named] == names[named[0]]).all():
            places = places_of(names[named[0]].tolist(), f"{where} {start + named[0]}", self._wanted)
            return places, nameless
        each = np.tile(self._places, (stop - start, 1))
        for row in named:
            each[row] = places_of(names[row].tolist(), f"{where} {start + row}", self._wanted)
        return each, nameless

    def _missing(self, start: int, stop: int, places: Array | list[int] | None) -> Array | None:
        missing: Array | None = None
        for companion, is_mask in ((self._ivar, False), (self._mask, True)):
            if companion is None:
                continue
            values = companion[1].read(start, stop)
            if values.ndim == 4 and places is not None:
                values = self._select(values, places)
            else:
                values = centred(values, 1, self._wanted.side)[:, None]
            data = np.ma.getdata(values)
            bad = (data.astype(bool) != bool(self._good)) if is_mask else ~(data > 0)
            bad = bad | np.ma.getmaskarray(values)
            missing = bad if missing is None else missing | bad
        return None if missing is None else np.broadcast_to(missing, (stop - start, *self._wanted.image))

    def _check_mask(self) -> None:
        assert self._mask is not None
        name, column = self._mask
        first = np.ma.getdata(column.read(0, min(SAMPLE_ROWS, self.rows)))
        hidden = float((first.astype(bool) != bool(self._good)).mean()) if first.size else 0.0
        if hidden > MOSTLY:
            raise UsageError(
                f"{name} would mark {hidden:.0%} of the pixels of the first galaxies as missing: say which value a "
                f"good pixel has with --good-mask {1 - self._good}, or leave the mask out with --mask none"
            )


def _first_names(column: Column) -> tuple[str, ...] | None:
    """The bands of the first galaxy that names any; None where none does."""
    for start in range(0, column.shape[0], SAMPLE_ROWS):
        names = np.array(as_texts(column.read(start, min(start + SAMPLE_ROWS, column.shape[0]))))
        named = [row for row in names.reshape(-1, *column.shape[1:]).tolist() if any(row)]
        if named:
            return tuple(named[0])
    return None


def _companion(
    contents: Contents,
    choice: Choice,
    given: str | None,
    words: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    flag: str,
) -> tuple[str, Column] | None:
    """The array of inverse variances or the mask beside images."""
    if given == "none" or (given is None and choice.per_band):
        return None
    if given is None:
        name = beside(contents, choice, words, shapes)
        return None if name is None else (name, contents.arrays[name])
    from scripts.importing.choosing import find

    name = find(contents, given, flag)
    if contents.arrays[name].shape not in shapes:
        allowed = " or ".join(str(list(shape)) for shape in shapes)
        raise UsageError(f"{flag} {name}: {allowed} is needed, and it is {contents.listed([name])}")
    return name, contents.arrays[name]


def _row_bytes(column: Column) -> int:
    size = 1
    for length in column.shape[1:]:
        size *= length
    width = "".join(filter(str.isdigit, column.dtype))
    return size * max(1, int(width or 8) // 8)


def checked_length(images: Images, rows: int, name: str) -> None:
    """Raises PartitionMalformed if there are other numbers of images and rows."""
    if images.rows != rows:
        raise PartitionMalformed(f"{name} has {rows:,} rows, and there are {images.rows:,} images", object=name)
