"""Binary tables in FITS files, by astropy."""

import textwrap
import warnings
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lambda_image.errors import InvalidEvent
from scripts.catalogue.numpy_columns import to_numpy
from scripts.catalogue.table import Catalogue, Notes, distinct_names

FORMATS = {"b1": "L", "u1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}
UNSIGNED = {"u2": ("I", 1 << 15), "u4": ("J", 1 << 31), "u8": ("K", 1 << 63)}  # kept as signed, less TZEROn
WIDER = {"b1": "i2", "u1": "i2", "i1": "i2", "u2": "i4", "u4": "i8"}  # which has room for a null
COMMENT_WIDTH = 72
MAX_COLUMNS = 999
NAME_LENGTH = 60  # that fits into a card, with quotes doubled and with what makes it differ from another


def write_fits(catalogue: Catalogue, out: BinaryIO) -> Notes:
    """Writes a FITS file with one binary table.

    NaN stands for a missing floating-point number, TNULLn says what stands for a missing integer, and a missing text is
    empty. TUNITn, TUCDn and TCOMMn say what the columns mean.

    Args:
        catalogue: its columns are of types that `plain` gives.
        out: gets the file.

    Returns:
        What the file lacks, because FITS does.
    """
    from astropy.io import fits

    if catalogue.table.num_columns > MAX_COLUMNS:
        raise InvalidEvent(f"FITS holds {MAX_COLUMNS} columns, and there are {catalogue.table.num_columns:,}")
    columns, notes = [], Notes()
    given = catalogue.table.column_names
    names = distinct_names([_ascii_text(name, "_")[:NAME_LENGTH] for name in given])
    for name, new in zip(given, names, strict=True):
        values, missing = to_numpy(catalogue.table[name].combine_chunks())
        if values.dtype.kind == "S" and (changed := _ascii(values)) is not values:
            notes.append(f"letters of the column {name} that are not ASCII became ?, as FITS has no others")
            values = changed
        if new != name:
            notes.append(f"the column {name} is called {new}, as FITS has no such name")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names such as q0.16, which the standard allows but does not advise
            columns.append(fits.Column(new, unit=_unit(catalogue.meaning(name).unit), **_stored(values, missing)))
    unit = fits.BinTableHDU.from_columns(columns, name="PREDICTIONS")
    for number, name in enumerate(given, start=1):
        meaning = catalogue.meaning(name)
        for key, said in (("TUCD", meaning.ucd), ("TCOMM", meaning.text)):
            if said:
                unit.header[f"{key}{number}"] = _ascii_text(said)
    for line in textwrap.wrap(_ascii_text(catalogue.text), COMMENT_WIDTH):
        unit.header["COMMENT"] = line
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(out)
    return notes


def _ascii_text(text: str, instead: str = "?") -> str:
    """What a header can hold: the text, with another letter for what is not printable ASCII."""
    return "".join(letter if " " <= letter <= "~" else instead for letter in text)


def _unit(text: str) -> str | None:
    """A unit in the words of FITS, as uJy is for µJy, where astropy knows it."""
    from astropy.units import Unit

    if not text or text.isascii():
        return _ascii_text(text) or None
    try:
        return str(Unit(text).to_string("fits"))
    except ValueError:
        return _ascii_text(text)


def _ascii(values: NDArray[Any]) -> NDArray[Any]:
    """Texts in ASCII, which are `values` themselves where they are."""
    letters = np.ascontiguousarray(values).view(np.uint8)
    if letters.size == 0 or letters.max() < 128:
        return values
    return np.char.encode(np.char.decode(values, "utf-8"), "ascii", "replace")


def _stored(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> dict[str, Any]:
    """How FITS keeps the values: the arguments of a Column."""
    kind = values.dtype.str[1:]
    if kind[0] == "S":
        width = max(values.dtype.itemsize, 1)
        return {"format": f"{width}A", "array": values}
    if values.dtype.kind == "f":
        return {"format": _repeat(values) + FORMATS[kind], "array": values}
    if missing is None:
        if kind in UNSIGNED:
            form, zero = UNSIGNED[kind]
            return {"format": _repeat(values) + form, "bzero": zero, "array": values}
        values = values.astype("i2") if kind == "i1" else values
        return {"format": _repeat(values) + FORMATS[values.dtype.str[1:]], "array": values}
    if kind == "u8":
        known = values[~missing]
        if known.size and int(known.max()) > np.iinfo(np.int64).max:
            texts = values.astype(np.bytes_)
            texts[missing] = b""
            return {"format": f"{texts.dtype.itemsize}A", "array": texts}
        kind, values = "i8", values.astype("i8")
    values = values.astype(WIDER.get(kind, kind))  # a copy, for the nulls
    null = int(np.iinfo(values.dtype).min)
    while (values == null).any():
        null += 1
    values[missing] = null
    return {"format": FORMATS[values.dtype.str[1:]], "null": null, "array": values}


def _repeat(values: NDArray[Any]) -> str:
    return str(values.shape[1]) if values.ndim > 1 else ""
