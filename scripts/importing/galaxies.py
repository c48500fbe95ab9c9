"""Galaxies of a user's files: which arrays they are made of, in words, and their rows as partitions have them."""

import shlex
import textwrap
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from lambda_image.data.columns import MAX_TEXT_BYTES
from lambda_image.data.file_content import Column
from lambda_image.data.partition import Partition
from lambda_image.data.quality import Quality, judge_inputs
from lambda_image.errors import PartitionMalformed, UsageError
from scripts.galaxies import PIXEL_SCALE
from scripts.importing.alignment import check_lengths, check_order
from scripts.importing.bands import PLACE
from scripts.importing.choosing import Choice, choose_images, choose_redshifts, texts_named_redshifts
from scripts.importing.contents import TEXT, Array, Contents, as_numbers
from scripts.importing.cutouts import CutoutImages, is_pattern, with_array
from scripts.importing.file_series import SCALE_TOLERANCE
from scripts.importing.ids_and_columns import choose_columns, choose_id, same_ids
from scripts.importing.images import ArrayImages, Images, PixelFlags, checked_length
from scripts.importing.magnitudes import Photometry, PhotometryFlags, chosen_unit
from scripts.importing.opening import open_file, open_sources
from scripts.importing.photometry import nanomaggies_per
from scripts.importing.wanted import PUBLISHED, Wanted
from scripts.user_files import check_there
from scripts.words import counted

BATCH_BYTES = 32 << 20  # of a source's images that are in memory at a time
WIDTH = 110  # of what is shown
SAMPLE_ROWS = 64  # whose images are compared with their magnitudes
MOST_LIKELY_Z = 10.0  # a guess of redshifts with a larger median is none


@dataclass(frozen=True)
class Request:
    """What the command line says.

    Attributes:
        sources: Files or folders with the galaxies.
        images: Arrays, a file or a pattern of files, as --images has it.
        pixels: What is said of images.
        photometry: What is said of magnitudes.
        unit: The unit of the pixels.
        redshifts: The column of true redshifts, or "none".
        id: The column of ids.
        columns: Columns that travel, "all" or "none".
        pixel_scale: Arcseconds per pixel.
    """

    sources: tuple[Path, ...]
    images: str | None = None
    pixels: PixelFlags = field(default_factory=PixelFlags)
    photometry: PhotometryFlags = field(default_factory=PhotometryFlags)
    unit: str | None = None
    redshifts: str | None = None
    id: str | None = None
    columns: str | None = None
    pixel_scale: float | None = None


class Galaxies:
    """Galaxies whose arrays have been chosen; `len()` gives their number.

    Attributes:
        lines: What was chosen, as lines for the user.
        warnings: What the user should look at before trusting the result.
        wanted: What the images and magnitudes are brought to.
        id: What the column of ids is called in partitions, or None where there is none.
    """

    def __init__(self, request: Request) -> None:
        """Opens the files and chooses among their arrays. No image is read, except for few that are checked.

        Raises:
            UsageError: a flag names nothing, or nothing or too much can be guessed.
            PartitionMissing: there is no file.
            PartitionMalformed: a file cannot be read, or holds no galaxies.
        """
        contents, told = open_sources(request.sources)
        self._contents, self.wanted = contents, request.pixels.wanted
        self.warnings: list[str] = []
        self._images, names = _images(request, contents)
        image_bands = getattr(self._images, "bands", None)
        self._photometry = Photometry(contents, request.photometry, image_bands)
        self._rows = self._photometry.rows
        if not self._rows:
            raise PartitionMalformed(f"{contents.name}: it holds no galaxies", object=contents.name)
        checked_length(self._images, self._rows, contents.name)
        unit, unit_in_words = chosen_unit(request.unit, self._images.units, "the array of images", "--unit")
        self._factor = np.float32(nanomaggies_per(unit))
        taken = [*names, *self._photometry.used]
        self._redshifts = choose_redshifts(contents, request.redshifts, taken)
        taken += self._redshifts.names if self._redshifts else ()
        check_lengths(contents, taken, self._rows)
        self._check_redshifts()
        chosen_id = choose_id(contents, request.id, self._rows)
        # Ids of further tables are the same, as `check_order` sees to, and would need names of their own.
        repeated = same_ids(contents, chosen_id) if request.id is None else []
        self._columns, left = choose_columns(contents, request.columns, chosen_id, [*taken, *repeated], self._rows)
        if request.id is None:
            together = [*taken, *self._columns.values()]
            check_order(contents, together, self._rows, max(1, BATCH_BYTES // self._images.row_bytes))
        left += self._leave_long_texts(request.columns)
        self.id = next((label for label, name in self._columns.items() if name == chosen_id), None)
        scale = self._check_scale(request.pixel_scale)
        if chosen_id is not None and contents.arrays[chosen_id].dtype.startswith("float"):
            self.warnings.append(
                f"{chosen_id} holds floating-point numbers, which round long ids, and no catalogue is joined by them: "
                "save it as whole numbers or text, or name another column with --id"
            )
        self.missing_integers: dict[str, int] = {}
        self.lines = [
            f"{contents.name}: {contents.kind}, {counted(self._rows, 'galaxy', 'galaxies')}",
            _line("images", self._images.described, [*self._images.notes, unit_in_words]),
            _line(
                "fluxes" if request.photometry.fluxes else "magnitudes",
                self._photometry.described,
                self._photometry.notes,
            ),
            _line("redshifts", *self._redshifts_in_words(request.redshifts)),
            _line(
                "columns", self._columns_in_words(), [f"{chosen_id} is the id"] if chosen_id else ["no id was found"]
            ),
            _line("pixels", scale, []),
            *(_line("", sentence, []) for sentence in [*told, *left]),
        ]
        self._compare_light()

    def __len__(self) -> int:
        return self._rows

    def read(self, start: int, stop: int) -> Partition:
        """Reads galaxies.

        Args:
            start: The first row.
            stop: The row behind the last.

        Returns:
            The galaxies as a partition has them. Their `rows` count from the beginning of the first file.

        Raises:
            PartitionMalformed: the files cannot be read so far.
        """
        step = max(1, BATCH_BYTES // self._images.row_bytes)
        # All of a galaxy at a time, since a table that has images in a column is read by whole rows.
        ends = self._contents.ends
        bounds = np.union1d([*range(start, stop, step), stop], ends[(start < ends) & (ends < stop)]).tolist()
        pieces = [self._piece(*piece) for piece in pairwise(bounds)]
        if len(pieces) == 1:
            return pieces[0]
        redshifts = [piece.redshifts for piece in pieces if piece.redshifts is not None]
        return Partition(
            np.concatenate([piece.images for piece in pieces]),
            np.concatenate([piece.magnitudes for piece in pieces]),
            np.concatenate(redshifts) if redshifts else None,
            self._contents.name,
            {label: np.concatenate([piece.columns[label] for piece in pieces]) for label in pieces[0].columns},
            np.concatenate([piece.rows for piece in pieces]),
        )

    def told(self) -> list[str]:
        """Makes sentences about what was wrong with images that have been read so far."""
        return self._images.told()

    def _piece(self, start: int, stop: int) -> Partition:
        images = self._images.read(start, stop)
        images *= self._factor
        columns = {label: self._column(label, name, start, stop) for label, name in self._columns.items()}
        rows = columns.pop("row", None)
        return Partition(
            images,
            self._photometry.read(start, stop),
            self._redshifts_of(start, stop),
            self._contents.name,
            columns,
            np.arange(start, stop) if rows is None else rows,
        )

    def _redshifts_of(self, start: int, stop: int) -> Array | None:
        if self._redshifts is None:
            return None
        values = as_numbers(self._contents.arrays[self._redshifts.names[0]].read(start, stop))
        with np.errstate(over="ignore", invalid="ignore"):
            return values.reshape(stop - start).astype(np.float32)

    def _column(self, label: str, name: str, start: int, stop: int) -> Array:
        """Values with the type that they have. A missing number becomes NaN, or the least integer of its type."""
        values = self._contents.arrays[name].read(start, stop)
        data, mask = np.ma.getdata(values), np.ma.getmaskarray(values)
        if mask.any():
            data = data.copy()
            if data.dtype.kind == "f":
                data[mask] = np.nan
            elif data.dtype.kind in "iu":
                info = np.iinfo(data.dtype)
                data[mask] = info.min if data.dtype.kind == "i" else info.max
                self.missing_integers[label] = self.missing_integers.get(label, 0) + int(mask.sum())
            else:
                row = start + int(np.argmax(mask))
                others = shlex.quote(",".join(other for other in self._columns.values() if other != name) or "none")
                raise PartitionMalformed(
                    f"{self._contents.name}: {name} has no value in row {row}: leave it out with --columns {others}",
                    object=self._contents.name,
                )
        return np.ascontiguousarray(data)

    def _check_redshifts(self) -> None:
        """Refuses a guess of redshifts that are none, as the magnitude in z would be."""
        if self._redshifts is None or not self._redshifts.guessed:
            return
        values = self._redshifts_of(0, min(self._rows, SAMPLE_ROWS))
        finite = values[np.isfinite(values) & (values > -1)] if values is not None else np.empty(0)
        if finite.size and np.median(finite) > MOST_LIKELY_Z:
            name, median = self._redshifts.label, float(np.median(finite))
            raise UsageError(
                f"{name} of {self._contents.name} holds no redshifts, as their median is {median:.4g}: name others "
                "with --redshifts, or none"
            )

    def _leave_long_texts(self, given: str | None) -> list[str]:
        told = []
        for label, name in list(self._columns.items()):
            if self._contents.arrays[name].dtype == TEXT:
                width = self._contents.arrays[name].read(0, min(self._rows, SAMPLE_ROWS)).dtype.itemsize
                if width > MAX_TEXT_BYTES and given in (None, "all"):
                    del self._columns[label]
                    told.append(f"{name} stays behind, since its texts have {width:,} bytes and {MAX_TEXT_BYTES} can")
        return told

    def _check_scale(self, given: float | None) -> str:
        told = self._images.pixel_scale
        scale = given if given is not None else told
        if other := next(iter(self._contents.other_scales.values()), None):
            self.warnings.append(f"{other} has pixels of another width than the files before: import them one by one")
        if given is not None and told is not None and abs(told / given - 1) > SCALE_TOLERANCE:
            self.warnings.append(
                f'the file says {told:.3f}" per pixel, and --pixel-scale says {given:.3f}", which counts'
            )
        if scale is None:
            return f'the file does not say how large they are; the shipped weights expect {PIXEL_SCALE}"'
        if abs(scale / PIXEL_SCALE - 1) > SCALE_TOLERANCE:
            self.warnings.append(
                f'the pixels are {scale:.3f}" wide, and the shipped weights were trained on {PIXEL_SCALE}": resample '
                "the images, or use weights that were trained on such ones"
            )
        return f'{scale:.3f}" wide'

    def _redshifts_in_words(self, given: str | None) -> tuple[str, list[str]]:
        if self._redshifts is None:
            texts = texts_named_redshifts(self._contents)
            why = f"{texts[0]} holds text" if texts else "no column has a name of true redshifts"
            return "none", [] if given else [why]
        return self._contents.listed(list(self._redshifts.names)), []

    def _columns_in_words(self) -> str:
        return (
            ", ".join(f"{label} {self._contents.arrays[name].dtype}" for label, name in self._columns.items()) or "none"
        )

    def _compare_light(self) -> None:
        """Warns if the first images hold other amounts of light than their magnitudes say: a unit is likely wrong."""
        if self.wanted.bands != PUBLISHED.bands:
            return  # whose noise is known
        first = self.read(0, min(self._rows, SAMPLE_ROWS))
        self.missing_integers.clear()
        flags = judge_inputs(first.images, first.magnitudes)
        judged = (flags & ~np.int32(Quality.FLUX_CONTRADICTS)) == 0
        contradicting = int(np.count_nonzero(flags & Quality.FLUX_CONTRADICTS))
        if judged.any() and contradicting > judged.sum() / 2:
            self.warnings.append(
                f"the images of {contradicting} of the first {len(first)} galaxies hold several times more or less "
                "light than their magnitudes say: is the unit right (--unit)?"
            )
        elif not judged.any():
            self.warnings.append(
                f"none of the first {len(first)} galaxies can be judged, because pixels or magnitudes are missing or "
                "implausible: look at what was chosen above"
            )


def _line(label: str, what: str, notes: list[str]) -> str:
    text = f"  {label:<11}{'; '.join([what, *notes])}"
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False)


def _images(request: Request, contents: Contents) -> tuple[Images, tuple[str, ...]]:
    """The source of images, and the arrays of the catalogue that it uses."""
    given = request.images
    if given is not None:
        path, array = with_array(given) if not Path(given).is_file() else (given, None)
        if Path(path).is_file():
            other = open_file(Path(path))
            return ArrayImages(other, _single(other, array, request.pixels.wanted), request.pixels), ()
        if is_pattern(given):
            if given.replace(PLACE, "").count("{") == 0:
                return _cubes(given, request.pixels), ()
            folder = request.sources[0] if request.sources[0].is_dir() else request.sources[0].parent
            rows = max((column.shape[0] for column in contents.arrays.values() if len(column.shape) == 1), default=0)
            return CutoutImages(contents, given, folder, rows, request.pixels, request.unit), ()
        if "/" in path or Path(path).suffix.lower() in (".fits", ".npy", ".npz", ".h5", ".hdf5", ".fz", ".gz"):
            check_there("--images", Path(path), "a file of images, or an array")
    choice = choose_images(contents, given, request.pixels.wanted)
    return ArrayImages(contents, choice, request.pixels), choice.names


def _single(contents: Contents, array: str | None, wanted: Wanted) -> Choice:
    """The images of a file that was named for them."""
    if array is None and len(contents.arrays) == 1:
        array = next(iter(contents.arrays))
    return choose_images(contents, array, wanted)


def _cubes(pattern: str, flags: PixelFlags) -> Images:
    """Images in a file for each band, each with an array [N, rows, columns]."""
    arrays: dict[str, Column] = {}
    units: dict[str, str] = {}
    scales: dict[str, float] = {}
    for band in flags.wanted.bands:
        paths = [Path(pattern.replace(PLACE, letter)) for letter in (band, band.upper())]
        found = [path for path in paths if path.is_file()]
        if not found:
            check_there("--images", paths[0], "a file for each band")
        contents = open_file(found[0])
        cubes = [name for name, column in contents.arrays.items() if len(column.shape) == 3]
        if len(cubes) != 1:
            raise UsageError(f"{found[0]} has no single array [N, rows, columns]; found: {contents.listed()}")
        name = pattern.replace(PLACE, band)
        arrays[name] = contents.arrays[cubes[0]]
        if cubes[0] in contents.units:
            units[name] = contents.units[cubes[0]]
        if cubes[0] in contents.pixel_scales:
            scales[name] = contents.pixel_scales[cubes[0]]
    whole = Contents(pattern, "files", arrays, {}, units, scales)
    return ArrayImages(whole, Choice(pattern, tuple(arrays), guessed=False), flags)
