"""Columns of the user travel from a partition into the table of predictions, with their names, types and bytes.

A column has one value for each galaxy, for example an object's id or its position. In a file it is a tensor [N] of
integers, floating-point numbers or truth values, or a uint8 tensor [N, W] of UTF-8 text that is padded with zeros. In
memory text has numpy's type `S<W>`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.distributions import IN_CATALOGUES
from lambda_image.data.file_content import Column, FormatError
from lambda_image.data.sizes import BANDS, magnitude_columns

Columns = dict[str, NDArray[Any]]  # by name, each [N]; a numpy.ma.MaskedArray where values are missing

MAX_COLUMNS = 64  # what a file says must not make a rank hold any number of arrays
MAX_NAME_LENGTH = 100
MAX_TEXT_BYTES = 256  # of one value; ids and names are shorter, and every value takes this much in memory
TABLE_COLUMNS = (
    "source",
    "row",
    *magnitude_columns(len(BANDS)),
    "redshift",
    "redshift_err",
    "redshift_true",
    "quality",
)
NUMBERED_MAGNITUDE = re.compile(r"mag_\d{1,4}")  # where the magnitudes are not the published bands', see sizes
# `row` is not among them, because a partition may say which rows of the original dataset it has. The mode of p(z) and
# its quantiles are what `cosmicai infer` and `cosmicai results` add to the table.
RESERVED = frozenset({*TABLE_COLUMNS, "z_mode", *IN_CATALOGUES, "images", "magnitudes", "redshifts"} - {"row"})
ROW_DTYPES = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"}  # all fit int64
DTYPES = ROW_DTYPES | {"uint64", "float16", "bfloat16", "float32", "float64", "bool"}
MIXED = np.dtype("S32")  # text of any number, where no type of numbers holds what several partitions have


def check_columns(columns: Mapping[str, Column], rows: int, magnitudes: int = len(BANDS)) -> None:
    """Checks what a file says of its further columns, before their values are read.

    Args:
        columns: The columns by name, `row` among them where the file has it.
        rows: Galaxies in the file.
        magnitudes: How many magnitudes the table of predictions will have.

    Raises:
        FormatError: A column cannot travel. The message names it.
    """
    if len(columns) > MAX_COLUMNS:
        raise FormatError(
            f"it has {len(columns)} columns beside images, magnitudes and redshifts; {MAX_COLUMNS} can be"
        )
    for name, column in columns.items():
        if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
            raise FormatError(f"its column {name[:MAX_NAME_LENGTH]!r} needs a printable name of at most 100 characters")
        if name in RESERVED or (magnitudes != len(BANDS) and NUMBERED_MAGNITUDE.fullmatch(name)):
            raise FormatError(f"its column {name!r} has a name that the table of predictions uses itself: rename it")
        text = column.dtype == "uint8" and len(column.shape) == 2
        if column.dtype not in (ROW_DTYPES if name == "row" else DTYPES):
            needed = "whole numbers (int64)" if name == "row" else "integers, floating-point numbers, bool or text"
            raise FormatError(f"its column {name!r} is {column.dtype}; {needed} are needed")
        if column.shape[:1] != (rows,) or (len(column.shape) != 1 and not (text and name != "row")):
            raise FormatError(
                f"its column {name!r} has the shape {list(column.shape)}; "
                f"[{rows}], or for text uint8 [{rows}, W], is needed"
            )
        if text and not 0 < column.shape[1] <= MAX_TEXT_BYTES:
            raise FormatError(
                f"its column {name!r} has texts of {column.shape[1]} bytes; 1 to {MAX_TEXT_BYTES} are allowed"
            )


def read_column(name: str, column: Column, start: int, stop: int) -> NDArray[Any]:
    """Reads rows of a column.

    Args:
        name: The column's name, for messages.
        column: A column that has been checked.
        start: The first row.
        stop: The row behind the last.

    Returns:
        [stop - start], of the type in the file. Text has the type `S<W>`, and bfloat16 becomes float32.

    Raises:
        FormatError: A text is not UTF-8.
    """
    raw = column.read(start, stop)
    values = np.require(raw, raw.dtype.newbyteorder("="), ["C", "A"])
    if values.ndim == 1:
        return values
    texts: NDArray[Any] = values.view(f"S{values.shape[1]}").reshape(-1)
    if (values > 127).any():
        for row, text in enumerate(texts.tolist(), start=start):
            try:
                text.decode()
            except UnicodeDecodeError as error:
                raise FormatError(
                    f"its column {name!r} holds text that is not UTF-8 in row {row}: write it as UTF-8"
                ) from error
    return texts


def stored_column(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Brings a column into the form that files have.

    Args:
        name: The column's name, for messages.
        values: [N], of any type that a column can have. Text may have numpy's types `S` or `U`.

    Returns:
        [N], C-contiguous and little-endian, or uint8 [N, W] for text.

    Raises:
        FormatError: Values are missing.
    """
    if np.ma.is_masked(values):
        raise FormatError(f"its column {name!r} lacks values in some rows, which a partition cannot say")
    values = np.ascontiguousarray(values)
    if values.dtype.kind == "U":
        values = np.char.encode(values, "utf-8")
    if values.dtype.kind == "S":
        return values.view(np.uint8).reshape(len(values), -1)
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def join_columns(parts: Sequence[tuple[int, Mapping[str, NDArray[Any]]]]) -> Columns:
    """Joins the columns of tables that follow one another.

    A column has the type that it has in every part. Where its types differ, it gets the smallest type of the same kind
    that holds all values, or else their text.

    Args:
        parts: Each table's number of rows and its columns.

    Returns:
        Every column that some part has. One that others lack is a `numpy.ma.MaskedArray` whose mask says where.
    """
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    return {name: _join([(rows, columns.get(name)) for rows, columns in parts]) for name in names}


def _join(pieces: list[tuple[int, NDArray[Any] | None]]) -> NDArray[Any]:
    dtype = common_dtype({piece.dtype for _, piece in pieces if piece is not None})
    values, masks = [], []
    for rows, piece in pieces:
        values.append(np.zeros(rows, dtype) if piece is None else np.ma.getdata(piece).astype(dtype, copy=False))
        masks.append(np.ones(rows, np.bool_) if piece is None else np.ma.getmaskarray(piece))
    joined, mask = np.concatenate(values), np.concatenate(masks)
    return np.ma.MaskedArray(joined, mask) if mask.any() else joined


def common_dtype(dtypes: Iterable[np.dtype]) -> np.dtype:
    """Finds the smallest type of the same kind that holds the values of all types, or else their text.

    Args:
        dtypes: One at least.
    """
    dtypes = list(dtypes)
    common = np.result_type(*dtypes)
    kinds = {"integer" if dtype.kind in "iu" else dtype.kind for dtype in dtypes}
    same = len(kinds) == 1 and (common.kind in "iu") == (kinds == {"integer"})
    return common if same or common.kind == "S" else MIXED
