"""CSV files. Every column is read as text first, since 20-digit ids must not become floating-point numbers."""

import codecs
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, csv

from scripts.catalogue.table import Catalogue, Notes, distinct_names

MISSING = ["", "null", "NULL", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "None", "--"]  # among numbers
BLOCK_BYTES = 1 << 24  # what is parsed at a time
HEAD_BYTES = 1 << 20  # within which the header must end
CHANGED = r"^[+-]?([0-9]{16,}|0[0-9]+)$"  # whole numbers that float64 may not give back


def read_csv(path: Path) -> tuple[Catalogue, Notes]:
    """Reads a CSV file with a header. Lines before it that begin with # are skipped, and fields may stand in blanks.

    A column is of int64, uint64 or float64 where all its values are that, and of text otherwise. Whole numbers that a
    number would not give back, such as 007, stay text.

    Raises:
        ValueError: there is no header, or a row has other fields than it.
    """
    with pa.input_stream(str(path), compression="detect") as stream:
        skipped, header = _header(stream.read(HEAD_BYTES))
    delimiter = next((sign for sign in (",", "\t", ";", "|") if sign in header), ",")
    table = _texts(path, skipped, delimiter)
    if header.startswith("#"):
        table = table.rename_columns([table.column_names[0].lstrip("# "), *table.column_names[1:]])
    names = [name.strip() for name in table.column_names]
    columns = [_typed(table.column(index)) for index in range(table.num_columns)]
    return Catalogue(pa.table(columns, names=names)), []


def _header(head: bytes) -> tuple[int, str]:
    """How many lines come before the header, and the header."""
    try:
        lines = codecs.getincrementaldecoder("utf-8-sig")().decode(head).splitlines()  # the end may be within a letter
    except UnicodeDecodeError as error:
        raise ValueError("its text is not UTF-8: save it as CSV in UTF-8") from error
    for number, line in enumerate(lines):
        after = lines[number + 1] if number + 1 < len(lines) else ""
        # `# objid,ra` is a header, and `#Table1` is not: the line that follows has as many fields.
        fields = line.count(",")
        if line.strip() and (
            not line.startswith("#") or (fields and not after.startswith("#") and after.count(",") == fields)
        ):
            return number, line
    raise ValueError("it is empty, without even a header")


def _texts(path: Path, skipped: int, delimiter: str) -> pa.Table:
    reading = csv.ReadOptions(block_size=BLOCK_BYTES, skip_rows=skipped)
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with pa.input_stream(str(path), compression="detect") as stream:
        names = csv.open_csv(stream, reading, parsing).schema.names
    if len(set(names)) < len(names):  # what a column's type is, is said by its name
        names = distinct_names(names)
        reading = csv.ReadOptions(block_size=BLOCK_BYTES, skip_rows=skipped + 1, column_names=names)
    converting = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, null_values=[]
    )
    with pa.input_stream(str(path), compression="detect") as stream:
        return csv.read_csv(stream, reading, parsing, converting)


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The numbers that a column of texts holds, or else the texts."""
    trimmed = compute.utf8_trim_whitespace(column)
    given = compute.if_else(compute.is_in(trimmed, pa.array(MISSING)), None, trimmed)
    texts = compute.if_else(compute.equal(trimmed, ""), None, trimmed)
    if given.null_count == len(given):
        return texts
    for kind in (pa.int64(), pa.uint64(), pa.float64()):
        try:
            numbers = given.cast(kind)
        except pa.ArrowInvalid:
            continue
        if kind == pa.float64():
            return texts if compute.any(compute.match_substring_regex(given, CHANGED)).as_py() else numbers
        if compute.all(compute.equal(numbers.cast(pa.string()), given)).as_py():
            return numbers
    return texts
