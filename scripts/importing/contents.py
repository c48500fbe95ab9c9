"""What a file of the field holds: arrays by name, each of which is read by rows, before it's known what is what."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import UsageError

Array = np.ndarray[Any, Any]

TEXT = "text"  # the dtype of a Column of text; its values have numpy's type S, in UTF-8
NOTHING = "null"  # the dtype of a Column of Parquet that has no value at all, whose values are all masked
NUMBERS = "iufb"  # numpy's kinds of what can be an image, a magnitude or a column
SHOWN_ARRAYS = 12  # in a refusal; the others are counted


@dataclass(frozen=True)
class Contents:
    """Holds what a file, or several alike, offers.

    Attributes:
        name: The file or folder, as messages call it.
        kind: Its format, in a word.
        arrays: Every array by its name. What its `read` gives may be masked where values are missing.
        bands: The bands along an array's axis of bands, for arrays whose bands the file names.
        units: The unit that the file gives for an array.
        pixel_scales: Arcseconds per pixel of an array of images, where the file says so.
        more_units: The other units of an array, and None for no unit, where it comes from files that differ in this.
        other_scales: The first file whose images have other pixels than those of the first file, for such an array.
        bad_bits: The bits of a mask that stand for bad pixels, where the file names what its bits stand for.
        nameless: The first file that does not name the bands of an array, where others name them.
        ends: The rows at which files end, where there are several. Who reads many arrays should not go beyond one with
            each of them, since few files are open at a time.
    """

    name: str
    kind: str
    arrays: dict[str, Column]
    bands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    pixel_scales: dict[str, float] = field(default_factory=dict)
    more_units: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    other_scales: dict[str, Path] = field(default_factory=dict)
    nameless: dict[str, Path] = field(default_factory=dict)
    bad_bits: dict[str, int] = field(default_factory=dict)
    ends: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    def units_of(self, names: Iterable[str]) -> tuple[str | None, ...]:
        """All units that arrays have by what the files say, and None where one says nothing."""
        every = [(self.units.get(name), *self.more_units.get(name, ())) for name in names]
        return tuple(dict.fromkeys(unit for units in every for unit in units))

    def without_bands(self, name: str, flag: str) -> UsageError:
        """Makes the refusal of an array whose bands nothing names.

        Args:
            name: The array.
            flag: What names them in their order, as an example.
        """
        file = self.nameless.get(name, self.name)
        return UsageError(
            f"{file} does not name the bands of {self.listed([name])}: give them in their order, as in {flag}"
        )

    def listed(self, names: Sequence[str] | None = None) -> str:
        """Lists arrays with their types and shapes, for a message."""
        chosen = list(self.arrays) if names is None else list(names)
        shown = [described(name, self.arrays[name]) for name in chosen[:SHOWN_ARRAYS]]
        if len(chosen) > SHOWN_ARRAYS:
            shown.append(f"{len(chosen) - SHOWN_ARRAYS} more")
        return ", ".join(shown) or "nothing"


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its name where it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def is_readable(dtype: str) -> bool:
    """Whether values of a column of this type can be read, which others are listed without."""
    return dtype in (TEXT, "bool") or is_number(dtype)


def is_number(dtype: str) -> bool:
    """Whether a column of this type can be an image, a magnitude or a redshift."""
    return bool(re.fullmatch(r"(u?int|b?float)(8|16|32|64)", dtype))


def described(name: str, column: Column) -> str:
    """An array's name, type and shape."""
    return f"{name} {column.dtype} {list(column.shape)}"


def split_name(name: str) -> tuple[str, str]:
    """The table or group in which an array lies, or nothing, and its name in there."""
    table, _, last = name.replace("/", ".").rstrip(".").rpartition(".")
    return table, last


def last_name(name: str) -> str:
    """The name of an array within its table or group, in lower case."""
    return split_name(name)[1].lower()


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Each name without the table or group that it lies in, where that is enough to tell it from the others."""
    last = {name: split_name(name)[1] for name in names}
    return {name: short if list(last.values()).count(short) == 1 else name for name, short in last.items()}


def joined(first: Column, lengths: Sequence[int], part: Callable[[int], Column]) -> Column:
    """Columns that follow one another as one.

    Args:
        first: The first of them, with the type of all. Where that is text, numbers become their digits.
        lengths: The rows of each.
        part: Gives one by its number, when its rows are read.
    """
    ends = np.cumsum(lengths)

    def read(start: int, stop: int) -> Array:
        pieces = []
        for index in range(int(np.searchsorted(ends, start, side="right")), len(ends)):
            begin = int(ends[index]) - lengths[index]
            if begin >= stop:
                break
            if lengths[index]:
                piece = part(index).read(max(start - begin, 0), min(stop - begin, lengths[index]))
                pieces.append(_of_type(piece, first.dtype))
        return concatenated(pieces) if pieces else first.read(0, 0)

    return Column(first.dtype, (int(ends[-1]), *first.shape[1:]), read)


def _of_type(piece: Array, dtype: str) -> Array:
    """Rows of one file in the type of all: numbers as text, which is empty where one is masked, and nothing as any.

    Of integers, the type tells which stands for a missing one. Others become floating-point numbers only where they
    meet, since that rounds long ids.
    """
    mask = np.ma.getmaskarray(piece)
    if dtype == TEXT and piece.dtype.kind in NUMBERS:
        return np.where(mask, b"", np.ma.getdata(piece).astype(np.bytes_))
    integers = piece.dtype.kind in "iu" and "int" in dtype
    if integers or (is_number(dtype) and mask.all() and dtype != "bfloat16"):
        return piece.astype(dtype, copy=False)
    return piece


def concatenated(pieces: Sequence[Array]) -> Array:
    """Rows that follow one another, masked if some of them are."""
    if len(pieces) == 1:
        return pieces[0]
    if any(isinstance(piece, np.ma.MaskedArray) for piece in pieces):
        joined_mask = np.concatenate([np.ma.getmaskarray(piece) for piece in pieces])
        return np.ma.MaskedArray(np.concatenate([np.ma.getdata(piece) for piece in pieces]), joined_mask)
    return np.concatenate(pieces)


def fields_of(name: str, dtype: np.dtype[Any], rows: int, read: Callable[[int, int], Array]) -> dict[str, Column]:
    """An array as columns, which are its fields where it is structured.

    Args:
        name: The array's name. Fields stand behind it and a dot, or alone where it has none.
        dtype: Its type.
        rows: How many rows it has.
        read: Reads rows of the whole array.
    """

    def field_reader(label: str) -> Callable[[int, int], Array]:
        return lambda start, stop: read(start, stop)[label]

    prefix = f"{name}." if name else ""
    return {
        f"{prefix}{label}": Column(dtype_name(dtype[label].base), (rows, *dtype[label].shape), field_reader(label))
        for label in dtype.names or ()
    }


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The type's name in its native byte order, or `text`."""
    return TEXT if dtype.kind in "SU" else dtype.newbyteorder("=").name


def as_numbers(values: Array) -> Array:
    """Float64 of the same shape, with NaN where a value is masked."""
    numbers = np.ma.getdata(values).astype(np.float64)
    mask = np.ma.getmaskarray(values)
    if mask.any():
        numbers[mask] = np.nan
    return numbers


def as_texts(values: Array) -> list[str]:
    """Texts of any type of numpy's, without the blanks that pad them."""
    return [
        (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()
        for value in np.ma.getdata(values).ravel().tolist()
    ]


def in_utf8(texts: Array) -> Array:
    """Texts as a Column has them. Bytes that are not UTF-8 count as Latin-1, in which old files are."""
    data = np.ma.getdata(texts)
    if data.dtype.kind == "U":
        encoded = np.char.encode(data, "utf-8")
    elif data.size and data.dtype.itemsize and (np.ascontiguousarray(data).view(np.uint8) > 127).any():
        encoded = np.array([_in_utf8(text) for text in data.ravel().tolist()], np.bytes_).reshape(data.shape)
    else:
        return texts
    return np.ma.MaskedArray(encoded, texts.mask) if isinstance(texts, np.ma.MaskedArray) else encoded


def _in_utf8(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text


def unit_of(attributes: Mapping[str, Any]) -> str | None:
    """The unit among attributes, by the names that it usually has."""
    for key in ("unit", "units", "UNIT", "UNITS", "BUNIT", "bunit"):
        if key in attributes:
            value = attributes[key]
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return None
