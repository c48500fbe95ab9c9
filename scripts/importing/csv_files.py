"""Tables of text by pyarrow, in two passes. The first finds the types of the columns, the second reads rows in order.

A type holds for the whole file, so that an id is never rounded: an integer stays one, up to 64 bits, and what has more
digits or leading zeros stays text.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.catalogue.reading_csv import MISSING
from scripts.importing.contents import TEXT, Array, Contents, concatenated, first_line
from scripts.importing.parquet_files import Cursor

BLOCK_BYTES = 4 << 20
DELIMITERS = ",\t;|"
# Not a number to be rounded: an integer with more digits than float64 holds, or one that begins with a zero.
LONG, ZEROS = r"^[+-]?\d{16,}$", r"^[+-]?0\d+$"
DECIMAL_COMMA = r"^[+-]?\d+,\d+([eE][+-]?\d+)?$"
MAX_TOP_LINES = 10_000  # of comments before the table


class _Layout(NamedTuple):
    """How the text is to be read."""

    names: list[str]
    skipped: int  # lines before the first row
    delimiter: str


def open_csv(path: Path) -> Contents:
    """Opens a table of text, with or without comments (#) above it. A file that gzip has packed is read, too.

    Raises:
        PartitionMalformed: it cannot be read. The message names it.
    """
    import pyarrow as pa

    try:
        layout = _layout(path)
        types = {name: _Narrowing() for name in layout.names}
        rows = 0
        for batch in _batches(path, layout, layout.names):
            rows += len(batch)
            for name in layout.names:
                types[name].see(batch.column(name))
        _check_decimals(types)
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        raise PartitionMalformed(f"{path} cannot be read as CSV: {first_line(error)}", object=str(path)) from error
    arrays = {name: _column(path, layout, name, types[name].result(), rows) for name in layout.names}
    return Contents(str(path), "CSV", arrays)


def _layout(path: Path) -> _Layout:
    import pyarrow as pa

    with pa.input_stream(str(path), compression="detect") as stream:
        top = stream.read(BLOCK_BYTES).decode("utf-8-sig", "replace").splitlines()
    comments = [line for line in top[:MAX_TOP_LINES] if line.startswith("#")]
    skipped = next((index for index, line in enumerate(top) if line.strip() and not line.startswith("#")), None)
    if skipped is None:
        raise ValueError("there is no table in it")
    header = top[skipped]
    delimiter = max(DELIMITERS, key=header.count)
    if not header.count(delimiter):
        delimiter = " "
    names = [name.strip() for name in next(csv.reader([header.strip(" ")], delimiter=delimiter))]
    if delimiter != " ":
        names[0] = names[0] or "index"  # as pandas leaves it without a name
    if comments and all(_is_number(name) for name in names):  # the names stand in a comment above
        above = re.split(r"[\s,;|]+", comments[-1].lstrip("# ").strip())
        if len(above) == len(names):
            return _Layout(above, skipped, delimiter)
    if delimiter == " " and not all(names):
        raise ValueError("its columns are aligned by several blanks: save it with commas between them")
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"its first line names no columns, or one twice: {header[:200]}")
    return _Layout(names, skipped + 1, delimiter)


def _check_decimals(types: Mapping[str, "_Narrowing"]) -> None:
    """Refuses numbers with decimal commas, which would travel as texts."""
    for name, narrowing in types.items():
        if narrowing.result() == TEXT and narrowing.has_commas:
            raise ValueError(f"{name} has decimal commas: save it with decimal points")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _batches(path: Path, layout: _Layout, wanted: list[str]) -> Iterator[Any]:
    """Rows as text, whatever they are."""
    from pyarrow import csv as arrow_csv
    from pyarrow import string

    with arrow_csv.open_csv(
        str(path),
        read_options=arrow_csv.ReadOptions(
            use_threads=False, block_size=BLOCK_BYTES, skip_rows=layout.skipped, column_names=layout.names
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(layout.names, string()), include_columns=wanted, strings_can_be_null=False
        ),
    ) as reader:
        yield from reader


def _column(path: Path, layout: _Layout, name: str, dtype: str, rows: int) -> Column:
    def pieces() -> Iterator[Any]:
        return (batch.column(0) for batch in _batches(path, layout, [name]))

    cursor = Cursor(str(path), pieces)

    def read(start: int, stop: int) -> Array:
        values = [_converted(piece, dtype) for piece in cursor.rows(start, stop)]
        return concatenated(values)

    return Column(dtype, (rows,), read)


def _converted(texts: Any, dtype: str) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if dtype == TEXT:
        values = [text.encode() for text in texts.to_pylist()]
        return np.array(values or [b""], np.bytes_)[: len(values)]
    stripped = pc.utf8_trim_whitespace(texts)
    missing = pc.is_in(stripped, pa.array(MISSING))
    filled = pc.if_else(missing, "false" if dtype == "bool" else "0", stripped)
    values = pc.cast(filled, pa.bool_() if dtype == "bool" else dtype).to_numpy(zero_copy_only=False)
    mask = missing.to_numpy(zero_copy_only=False)
    return np.ma.MaskedArray(values, mask) if mask.any() else values


class _Narrowing:
    """Which types all values of a column have been of so far."""

    def __init__(self) -> None:
        self._possible = ["int64", "uint64", "float64", "bool"]
        self._as_text = False  # because a number would lose digits
        self._seen = False
        self.has_commas = True  # where others have decimal points, as far as anything was seen

    def see(self, texts: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        stripped = pc.utf8_trim_whitespace(texts)
        given = stripped.filter(pc.invert(pc.is_in(stripped, pa.array(MISSING))))
        if not len(given) or not (self._possible or self.has_commas):
            return
        self._seen = True
        self.has_commas &= bool(pc.all(pc.match_substring_regex(given, DECIMAL_COMMA)).as_py())
        for dtype in tuple(self._possible):
            try:
                pc.cast(given, pa.bool_() if dtype == "bool" else dtype)
            except pa.ArrowInvalid:
                self._possible.remove(dtype)
        if pc.any(pc.match_substring_regex(given, ZEROS)).as_py():
            self._possible = []
        self._as_text |= bool(pc.any(pc.match_substring_regex(given, LONG)).as_py())

    def result(self) -> str:
        if not self._seen:
            return "float64"
        first = self._possible[0] if self._possible else TEXT
        return TEXT if first == "float64" and self._as_text else first
