"""Partitions are files of galaxies. They are read safely: whole, by rows or in batches, from a path, bytes or a file.

A file holds images [N, bands, side, side] in nanomaggies per pixel, or [N, side, side, bands]. Its magnitudes are
[N, M] or absent, and its redshifts are [N] or [N, 1] or absent. A reader says which sizes it needs, or takes those of
the file. The published network takes 5 bands u, g, r, i, z, a side of 32 and as many magnitudes. Images with the bands
last that are wider than needed are cut to their centre. Where nothing is asked for, that is done with [N, 64, 64, 5] of
the published documents only. Any floating-point type is read. What comes out is float32. Values that are not finite
come out as they are, and one beyond float32 becomes infinite.

Further tensors are columns of the user, see columns. One that is called `row` says which row of the original dataset
each galaxy was.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lambda_image.atomic_file import atomic_file
from lambda_image.data.byte_source import ByteSource, Readable, TruncatedError, byte_source
from lambda_image.data.columns import Columns, read_column, stored_column
from lambda_image.data.file_content import Column, ForeignFormat, FormatError
from lambda_image.data.formats import read_columns
from lambda_image.data.partition_shapes import check_shapes
from lambda_image.data.safetensors_format import write_safetensors
from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import PartitionMalformed, PartitionMissing

ROW_BYTES = PUBLISHED.row_bytes
FileFormat = Literal["safetensors", "pt"]
NAMELESS = "partition"  # as messages call bytes


@dataclass(frozen=True, eq=False)
class Partition:
    """Holds N galaxies; `len()` gives N.

    Attributes:
        images: Float32 [N, bands, side, side] in nanomaggies per pixel, of the published sizes [N, 5, 32, 32] in the
            bands u, g, r, i, z.
        magnitudes: Float32 [N, M], in the same bands. M is 0 where there are none.
        redshifts: Float32 [N], or None where none are known.
        name: Where the galaxies come from, as messages call it.
        columns: The user's columns by name, each [N]. Text has numpy's type `S`. In a column that only some files of a
            folder have, missing values are masked (`numpy.ma.MaskedArray`).
        rows: Int64 [N], the row of each galaxy in the dataset that the file was cut from, or in the file itself. The
            default counts from 0.
    """

    images: np.ndarray
    magnitudes: np.ndarray
    redshifts: np.ndarray | None
    name: str = "partition"
    columns: Columns = field(default_factory=dict)
    rows: np.ndarray = None  # type: ignore[assignment]  # made below, since it depends on how many there are

    def __post_init__(self) -> None:
        if self.rows is None:
            object.__setattr__(self, "rows", np.arange(len(self.images)))

    def __len__(self) -> int:
        return len(self.images)


class PartitionStream:
    """Gives the rows [start, stop) of an opened partition: all but the images at once, images in batches.

    Attributes:
        name: The partition's name in messages.
        total_rows: Galaxies in the whole partition.
        start: First of the rows that were asked for.
        stop: Row behind the last of them.
        sizes: Bands and side of the images as they are read, and the number of magnitudes.
        magnitudes: Float32 [stop - start, M].
        redshifts: Float32 [stop - start], or None where the partition has none.
        columns: The user's columns by name, each [stop - start], with the types that they have in the file. Text has
            numpy's type `S`.
        rows: Int64 [stop - start], rows of the dataset that the partition was cut from where the partition says so, or
            else rows of the partition.
    """

    def __init__(
        self, columns: Mapping[str, Column], name: str, rows: Sequence[int] | None, wanted: Sizes | None = None
    ) -> None:
        self.name = name
        self.total_rows, self.sizes = check_shapes(columns, wanted)
        self.start, self.stop = (0, self.total_rows) if rows is None else rows
        if not 0 <= self.start <= self.stop <= self.total_rows:
            raise FormatError(
                f"rows {self.start} to {self.stop} were asked for; it has {self.total_rows} that can be read"
            )
        self._images = columns["images"]
        self.magnitudes: np.ndarray = np.empty((len(self), 0), np.float32)
        self.redshifts: np.ndarray | None = None
        self.columns: Columns = {}
        for label, column in columns.items():  # in the order of the file, whose bytes may be on their way
            if label == "magnitudes":
                if self.sizes.magnitudes:
                    self.magnitudes = _read(column, self.start, self.stop)
            elif label == "redshifts":
                self.redshifts = _read(column, self.start, self.stop).reshape(-1)
            elif label != "images":
                self.columns[label] = read_column(label, column, self.start, self.stop)
        rows_given = self.columns.pop("row", None)
        self.rows = np.arange(self.start, self.stop) if rows_given is None else rows_given.astype(np.int64)

    def __len__(self) -> int:
        return self.stop - self.start

    def images(self, batch_size: int) -> Iterator[np.ndarray]:
        """Reads the images in row order.

        Args:
            batch_size: Galaxies in a batch. The last batch may have fewer.

        Yields:
            Float32 [n, bands, side, side] in nanomaggies per pixel, with values that are not finite where the file has
            them.

        Raises:
            PartitionMalformed: A batch cannot be read.
        """
        for first in range(self.start, self.stop, batch_size):
            with _faults_named(self.name):
                batch = _read_images(self._images, first, min(first + batch_size, self.stop), self.sizes)
            yield batch


def open_partition(
    readable: Readable, name: str | None = None, rows: Sequence[int] | None = None, sizes: Sizes | None = None
) -> PartitionStream:
    """Opens a partition and reads all but its images.

    Args:
        readable: A path, bytes, or a binary file object that can seek.
        name: What messages call the partition. The default is its path.
        rows: Start and stop of the rows that are wanted. None means all.
        sizes: What a network takes. None means what the file has.

    Returns:
        The rows, whose images are read batch by batch.

    Raises:
        PartitionMissing: There is no file at the path.
        PartitionMalformed: Anything else is wrong with the partition.
    """
    name = name or _name_of(readable)
    with _faults_named(name):
        return PartitionStream(read_columns(_open(readable, name)), name, rows, sizes)


def read_partition(
    readable: Readable, name: str | None = None, rows: Sequence[int] | None = None, sizes: Sizes | None = None
) -> Partition:
    """Reads a partition with its images.

    Args:
        readable: A path, bytes, or a binary file object that can seek.
        name: What messages call the partition. The default is its path.
        rows: Start and stop of the rows that are wanted. None means all.
        sizes: What a network takes. None means what the file has.

    Returns:
        The galaxies, N of them. Arrays may view the file's or the caller's memory.

    Raises:
        PartitionMissing: There is no file at the path.
        PartitionMalformed: Anything else is wrong with the partition.
    """
    stream = open_partition(readable, name, rows, sizes)
    batches = list(stream.images(max(1, len(stream))))
    images = batches[0] if batches else np.empty((0, *stream.sizes.image), np.float32)
    return Partition(images, stream.magnitudes, stream.redshifts, stream.name, stream.columns, stream.rows)


def count_rows(readable: Readable, name: str | None = None, sizes: Sizes | None = None) -> int:
    """Counts a partition's galaxies. Only its headers are read.

    Args:
        readable: A path, bytes, or a binary file object that can seek.
        name: What messages call the partition. The default is its path.
        sizes: What a network takes. None means what the file has.

    Returns:
        N.

    Raises:
        PartitionMissing: There is no file at the path.
        PartitionMalformed: Anything else is wrong with the headers.
    """
    name = name or _name_of(readable)
    with _faults_named(name):
        return check_shapes(read_columns(_open(readable, name)), sizes)[0]


def write_partition(
    path: str | os.PathLike[str],
    images: np.ndarray,
    magnitudes: np.ndarray,
    redshifts: np.ndarray | None = None,
    *,
    file_format: FileFormat = "safetensors",
    columns: Mapping[str, np.ndarray] | None = None,
    rows: np.ndarray | None = None,
) -> None:
    """Writes galaxies as float32, and columns with the types that they have. The file appears whole or not at all.

    Args:
        path: The file to write or to replace.
        images: [N, bands, side, side], or with the bands last as they are, in nanomaggies per pixel.
        magnitudes: [N, M], where M may be 0.
        redshifts: [N], or None where none are known.
        file_format: `safetensors`, or `pt` for the published format.
        columns: Columns of the user by name, each [N]: integers, floating-point numbers, bool or text.
        rows: Integers [N], the rows of the galaxies in the dataset that they are cut from, or None to leave them out.

    Raises:
        PartitionMalformed: The shapes do not fit, there are no galaxies, or a column cannot be read again.
    """
    given = {"magnitudes": magnitudes, "redshifts": redshifts, "images": images}
    with _faults_named(os.fspath(path)), np.errstate(over="ignore", invalid="ignore"):
        arrays = {name: np.ascontiguousarray(array, "<f4") for name, array in given.items() if array is not None}
        if rows is not None:
            arrays["row"] = np.ascontiguousarray(rows, "<i8")
        for name, values in (columns or {}).items():
            if name in arrays:
                raise FormatError(f"its column {name!r} has the name of another part of the partition: rename it")
            arrays[name] = stored_column(name, values)
        arrays["images"] = arrays.pop("images")  # last
        stored = {name: Column(array.dtype.name, array.shape, _never) for name, array in arrays.items()}
        if not check_shapes(stored, None)[0]:
            raise FormatError("it holds no galaxies")
    with atomic_file(path) as partial:
        if file_format == "pt":
            from lambda_image.data.torch_format import write_tensor_dataset  # late, as in formats.read_columns

            write_tensor_dataset(partial, arrays)
        else:
            write_safetensors(partial, arrays)


@contextmanager
def _faults_named(name: str) -> Iterator[None]:
    try:
        yield
    except ForeignFormat as error:
        raise PartitionMalformed(f"{name}: {_with_remedy(error, name)}", object=name) from error
    except TruncatedError as error:
        raise PartitionMalformed(f"{name}: {error}: fetch it again", object=name) from error
    except FormatError as error:
        raise PartitionMalformed(f"{name}: {error}", object=name) from error


def _with_remedy(error: ForeignFormat, name: str) -> str:
    """What is wrong, and the command that makes partitions of the file. It needs the file on one's own machine."""
    from lambda_image.data.foreign import Foreign, foreign_format, import_command  # late: a run needs none of it

    name = name.rpartition("/")[2] if "://" in name else "FILE" if name == NAMELESS else name
    if error.flags is not None:
        return f"{error}: {import_command(name, Foreign('', 'both', error.flags))}"
    foreign = foreign_format(error.beginning)
    return f"it is {foreign.kind} and no partition: {import_command(name, foreign)}" if foreign else str(error)


def _name_of(readable: Readable) -> str:
    name = readable if isinstance(readable, (str, os.PathLike)) else getattr(readable, "name", None)
    return os.fspath(name) if isinstance(name, (str, os.PathLike)) else NAMELESS


def _open(readable: Readable, name: str) -> ByteSource:
    try:
        return byte_source(readable)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise PartitionMissing(f"{name}: there is no such file", object=name) from error


def _read_images(column: Column, start: int, stop: int, sizes: Sizes) -> np.ndarray:
    """Rows of images as float32 [n, bands, side, side]."""
    if column.shape[1:] == sizes.image:
        return _read(column, start, stop)
    margin = (column.shape[1] - sizes.side) // 2
    centre = slice(margin, margin + sizes.side)
    return _float32(column.read(start, stop)[:, centre, centre].transpose(0, 3, 1, 2))


def _read(column: Column, start: int, stop: int) -> np.ndarray:
    """Rows as float32, where they lie if they can be used there."""
    return _float32(column.read(start, stop))


def _float32(raw: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.require(raw, np.float32, ["C", "A"])  # a column of bytes before may shift what follows


def _never(_start: int, _stop: int) -> np.ndarray:
    raise AssertionError("only shapes are looked at")
