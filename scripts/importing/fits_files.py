"""FITS files by astropy: images, tables, compressed or not, of which only the rows that are asked for are in memory.

astropy applies BSCALE, BZERO, BLANK, TSCAL, TZERO and byte order. What is done here is to hand it few rows at a time:
an image gives its `section`, and a table is read by the bytes of its rows, because astropy reads tables whole.
"""

import gzip
import shutil
import tempfile
import warnings
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import TEXT, Array, Contents, dtype_name, first_line

GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 2880  # of which a FITS file consists
MAX_BANDS = 100  # of keywords BAND0, BAND1, ...
ARCSEC = 3600.0
# Keywords by which a mask of Rubin's pipelines, which are HSC's, tells the bits of pixels without good data: MP_ and
# the name of a plane (https://dp1.lsst.io/tutorials/notebook/202/notebook-202-6.html). Detected sources have bits, too.
BITS = range(63)  # that an integer of a mask may have
BAD_PLANES = ("MP_BAD", "MP_SAT", "MP_NO_DATA")
SCALE_KEYWORDS = ("PIXSCALE", "PIXSCAL", "PIXELSCL", "PIXSCAL1", "SECPIX", "SECPIX1")  # arcsec per pixel


def open_fits(path: Path) -> Contents:
    """Opens a FITS file.

    A file that gzip has packed is unpacked into the folder for temporary files first, since it cannot be read by rows.

    Raises:
        PartitionMalformed: it cannot be read. The message names it.
    """
    from astropy.io import fits

    kept = _unpacked(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that are not quite standard; what cannot be read is an error
            hdus = fits.open(path if kept is None else kept.name, memmap=False)
            _check_whole(path if kept is None else Path(kept.name), path, hdus)
            parts = [(index, hdu) for index, hdu in enumerate(hdus) if hdu.header.get("NAXIS", 0) or hdu.is_image]
            found = Contents(str(path), "FITS", {})
            labels = _labels(parts)
            tables = [hdu for _, hdu in parts if isinstance(hdu, fits.BinTableHDU)]
            for (_, hdu), label in zip(parts, labels, strict=True):
                if isinstance(hdu, fits.BinTableHDU):
                    _add_table(found, hdu, "" if len(tables) == 1 else f"{label}.", hdus.filename())
                elif hdu.is_image and getattr(hdu, "shape", ()) and hasattr(hdu, "section"):
                    _add_image(found, hdu, label, path)
    except PartitionMalformed:
        raise
    except Exception as error:  # astropy meets some damage by an AttributeError, or an exception that derives from none
        raise PartitionMalformed(f"{path} cannot be read as FITS: {first_line(error)}", object=str(path)) from error
    if not found.arrays:
        raise PartitionMalformed(f"{path} holds no image and no table, or is cut off before one", object=str(path))
    if kept is not None:
        found.arrays.update({name: _keeping(column, kept) for name, column in found.arrays.items()})
    return found


def _unpacked(path: Path) -> Any:
    with path.open("rb") as packed:
        if packed.read(2) != GZIP_MAGIC:
            return None
        packed.seek(0)
        kept = tempfile.NamedTemporaryFile(prefix="cosmicai-", suffix=".fits")  # noqa: SIM115 - lives with the columns
        try:
            with gzip.open(packed) as unpacked:
                shutil.copyfileobj(unpacked, kept, 1 << 20)
        except (OSError, EOFError) as error:
            kept.close()
            raise PartitionMalformed(f"{path} cannot be unpacked: {first_line(error)}", object=str(path)) from error
    kept.flush()
    return kept


def _keeping(column: Column, kept: object) -> Column:
    """The column, which also keeps the unpacked file alive."""

    def read(start: int, stop: int, _kept: object = kept) -> Array:
        return column.read(start, stop)

    return Column(column.dtype, column.shape, read)


def _check_whole(file: Path, path: Path, hdus: Any) -> None:
    """Refuses a file that was cut off, which astropy only warns of. Padding at the end may be missing."""
    if not hasattr(hdus[-1], "fileinfo"):  # as astropy's stand-in for what it could not read
        raise PartitionMalformed(
            f"{path} is damaged in the header of HDU {len(hdus) - 1}: fetch it again", object=str(path)
        )
    info = hdus[-1].fileinfo()
    end, size = info["datLoc"] + info["datSpan"], file.stat().st_size
    if size <= end - BLOCK_BYTES:
        raise PartitionMalformed(
            f"{path} is cut off, as it needs {end:,} bytes and has {size:,}: fetch it again", object=str(path)
        )


def _labels(parts: list[tuple[int, Any]]) -> list[str]:
    """Names of HDUs: as the file says where that is one of a kind, or else by their number."""
    names = [str(hdu.name or hdu.header.get("EXTTYPE", "")) for _, hdu in parts]
    kinds = [str(hdu.header.get("IMAGETYP", "")) for _, hdu in parts]  # all that the Legacy Surveys' cut-outs have
    if len({kind for kind in kinds if kind}) == len(kinds) > 1:
        names = [name or kind for name, kind in zip(names, kinds, strict=True)]
    return [
        name if name and names.count(name) == 1 else f"HDU{index}"
        for name, (index, _) in zip(names, parts, strict=True)
    ]


def _add_image(found: Contents, hdu: Any, label: str, path: Path) -> None:
    def read(start: int, stop: int) -> Array:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                raw = np.asarray(hdu.section[start:stop])
        except Exception as error:  # a tile that is damaged, of which astropy's C code raises what derives from none
            told = f"{path}: {label} is damaged: {first_line(error)}"
            raise PartitionMalformed(told, object=str(path)) from error
        return raw.astype(raw.dtype.newbyteorder("="), copy=False)

    dtype = hdu.section.dtype if hasattr(hdu.section, "dtype") else np.dtype("float32")
    found.arrays[label] = Column(dtype_name(np.dtype(dtype)), tuple(map(int, hdu.shape)), read)
    header = hdu.header
    if bands := bands_of(header):
        found.bands[label] = bands
    if "BUNIT" in header and str(header["BUNIT"]).strip():
        found.units[label] = str(header["BUNIT"]).strip()
    if (scale := pixel_scale_of(header)) is not None:
        found.pixel_scales[label] = scale
    if planes := {header[plane] for plane in BAD_PLANES if header.get(plane) in BITS}:
        found.bad_bits[label] = sum(1 << int(plane) for plane in planes)


def bands_of(header: Any) -> tuple[str, ...]:
    """The bands that a header names along the axis of bands.

    They are in BAND0, BAND1, ... or BAND1, BAND2, ... (or FILTER...), or in BANDS as "ugriz" or "u,g,r,i,z", as the
    Legacy Surveys' cut-outs have both. FILTER alone names a single one.
    """
    for stem in ("BAND", "FILTER"):
        for first in (0, 1):
            cards = (header.get(f"{stem}{number}") for number in range(first, first + MAX_BANDS))
            numbered = list(takewhile(lambda band: band is not None, cards))  # each is a search of the header
            if len(numbered) > 1:
                return tuple(str(band).strip() for band in numbered)
    if given := str(header.get("BANDS", "")).strip():
        words = given.replace(",", " ").split()
        return tuple(words) if len(words) > 1 else tuple(given)
    for key in ("FILTER", "BAND", "FILTER1", "BAND0"):
        if given := str(header.get(key, "")).strip():
            return (given,)
    return ()


def pixel_scale_of(header: Any) -> float | None:
    """Arcseconds per pixel: by the WCS of the first two axes, or by a keyword that gives it.

    The scale is the root of the area of a pixel, |det CD|, or |CDELT1 · CDELT2| with a rotation that changes no area.
    """
    celestial = str(header.get("CTYPE1", "")).upper().startswith(("RA", "DEC", "GLON", "GLAT"))
    if celestial:
        try:
            if "CD1_1" in header or "CD1_2" in header:
                cd = [float(header.get(f"CD{i}_{j}", 0)) for i, j in ((1, 1), (1, 2), (2, 1), (2, 2))]
                area = abs(cd[0] * cd[3] - cd[1] * cd[2])
            else:
                pc = [float(header.get(f"PC{i}_{j}", i == j)) for i, j in ((1, 1), (1, 2), (2, 1), (2, 2))]
                rotated = abs(pc[0] * pc[3] - pc[1] * pc[2])
                area = abs(float(header["CDELT1"]) * float(header["CDELT2"])) * rotated
        except (KeyError, ValueError, TypeError):
            area = 0.0
        if area > 0:
            return float(np.sqrt(area)) * ARCSEC
    for key in SCALE_KEYWORDS:
        if isinstance(header.get(key), (int, float)) and header[key] > 0:
            return float(header[key])
    return None


def _add_table(found: Contents, hdu: Any, prefix: str, filename: str) -> None:
    columns, rows = hdu.columns, int(hdu.header["NAXIS2"])
    raw_dtype = columns.dtype
    reader = _TableReader(filename, hdu)
    for column in columns:
        name = f"{prefix}{column.name}"
        if column.format.lstrip("0123456789").startswith(("P", "Q")):
            found.arrays[name] = Column("of variable length", (rows,), _never)
            continue
        shape = _shape_of(column, raw_dtype[column.name])
        dtype = TEXT if column.format.lstrip("0123456789").startswith("A") else _dtype_of(column, raw_dtype)
        found.arrays[name] = Column(dtype, (rows, *shape), reader.reads(column.name))
        if column.unit:
            found.units[name] = str(column.unit)
    if bands := bands_of(hdu.header):
        found.bands.update({name: bands for name, array in found.arrays.items() if len(bands) in array.shape[1:]})
    if (scale := pixel_scale_of(hdu.header)) is not None:
        found.pixel_scales.update({name: scale for name, array in found.arrays.items() if len(array.shape) > 2})


def _shape_of(column: Any, dtype: np.dtype[Any]) -> tuple[int, ...]:
    if column.format.lstrip("0123456789").startswith("A"):
        return ()
    if column.dim:
        return tuple(reversed([int(size) for size in str(column.dim).strip("() ").split(",")]))
    return tuple(dtype.shape)


def _dtype_of(column: Any, dtype: np.dtype[Any]) -> str:
    letter = column.format.lstrip("0123456789")[:1]
    if letter in "LX":
        return "bool"
    base = dtype[column.name].base
    if column.bzero not in (None, "", 0) and base.kind in "iu" and column.bscale in (None, "", 1):
        unsigned = {1 << 15: "uint16", 1 << 31: "uint32", 1 << 63: "uint64"}.get(int(column.bzero))
        return unsigned or "float64"
    if column.bscale not in (None, "", 1) or column.bzero not in (None, "", 0):
        return "float64"
    return dtype_name(base)


class _TableReader:
    """Reads rows of a binary table: their bytes, with the table's header, are a small table to astropy."""

    def __init__(self, filename: str, hdu: Any) -> None:
        self._filename, self._header = filename, hdu.header.copy()
        self._start, self._row_bytes = int(hdu.fileinfo()["datLoc"]), int(hdu.header["NAXIS1"])
        self._latest: tuple[tuple[int, int], Any, Array] | None = None

    def reads(self, name: str) -> Callable[[int, int], Array]:
        """A function that reads rows of a column, masked where an integer is the table's TNULL."""

        def read(start: int, stop: int) -> Array:
            table, raw = self._rows(start, stop)
            null, values = table.columns[name].null, np.asarray(table.data[name])
            if values.dtype.kind == "U":
                return np.char.encode(values, "utf-8")
            native = values.astype(values.dtype.newbyteorder("="), copy=False)
            if null in (None, "") or raw[name].dtype.kind not in "iu":
                return native
            missing = (raw[name] == int(null)).reshape(native.shape)
            if native.dtype.kind == "u":  # of which astropy writes TNULL as it shows it, and not as it is stored
                missing |= native == int(null)
            return np.ma.MaskedArray(native, missing) if missing.any() else native

        return read

    def _rows(self, start: int, stop: int) -> tuple[Any, Array]:
        """The rows as a table of their own, and as they are stored; kept, since other columns are asked for next."""
        from astropy.io import fits

        if self._latest is None or self._latest[0] != (start, stop):
            size = (stop - start) * self._row_bytes
            with open(self._filename, "rb") as file:
                file.seek(self._start + start * self._row_bytes)
                data = file.read(size)
            if len(data) < size:
                raise PartitionMalformed(f"{self._filename} is cut off within its table", object=self._filename)
            header = self._header.copy()
            header["NAXIS2"], header["PCOUNT"] = stop - start, 0
            header.remove("THEAP", ignore_missing=True)
            text = header.tostring(sep="", endcard=True, padding=True).encode("ascii", "replace")
            table = fits.BinTableHDU.fromstring(text + data + bytes(-size % 2880), uint=True)
            raw = np.frombuffer(data, table.columns.dtype.newbyteorder(">"))
            self._latest = (start, stop), table, raw
        return self._latest[1:]


def _never(_start: int, _stop: int) -> Array:
    raise AssertionError("what has a variable length is listed only")
