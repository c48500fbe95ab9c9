"""VOTables: read by astropy, and written with its headers around rows that Arrow makes, 100 times as fast."""

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import compute, types

from scripts.catalogue.numpy_columns import from_astropy
from scripts.catalogue.table import Catalogue, Meaning, Notes

ROWS_AT_A_TIME = 1 << 16
PARQUET_VERSION, PARQUET_CONTENT = b"IVOA.VOTable-Parquet.version", b"IVOA.VOTable-Parquet.content"
DATATYPES = {  # of VOTable 1.4; it has no other unsigned integers
    pa.bool_(): "boolean",
    pa.uint8(): "unsignedByte",
    pa.int8(): "short",
    pa.int16(): "short",
    pa.uint16(): "int",
    pa.int32(): "int",
    pa.uint32(): "long",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
}
INT64_MAX = 2**63 - 1
ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
FORBIDDEN = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"  # in XML, even as a reference
ASCII = r"^[\x00-\x7f]*$"


def read_votable(path: Path) -> tuple[Catalogue, Notes]:
    """Reads the first table of a VOTable."""
    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about other units and identifiers than the standard has
        parsed = votable.parse(str(path), verify="ignore")
        tables = list(parsed.iter_tables())
        if not tables:
            raise ValueError("it holds no table")
        catalogue, notes = from_astropy(tables[0].to_table(use_names_over_ids=True))
    if len(tables) > 1:
        notes.append(f"the first of {len(tables)} tables of {path.name} is read")
    meanings = _meanings(tables[0])
    return Catalogue(catalogue.table, meanings), notes


def meanings_in(header: BinaryIO) -> dict[str, Meaning]:
    """Reads what a VOTable says of its columns; nothing if it is no VOTable."""
    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = votable.parse(header, verify="ignore")
            return _meanings(next(iter(parsed.iter_tables())))
        except (ValueError, IndexError, StopIteration, OSError):
            return {}


def _meanings(table: Any) -> dict[str, Meaning]:
    return {
        field.name: Meaning(str(field.unit or ""), str(field.ucd or ""), " ".join(str(field.description or "").split()))
        for field in table.fields
    }


def write_votable(catalogue: Catalogue, out: BinaryIO) -> None:
    """Writes a VOTable 1.4 whose rows are text.

    Args:
        catalogue: its columns are of types that `plain` gives.
        out: gets the file.
    """
    table = _storable(catalogue.table)
    head, tail = header(Catalogue(table, catalogue.meanings, catalogue.text))
    out.write(head + b"   <DATA>\n    <TABLEDATA>\n")
    out.writelines(_rows(table))
    out.write(b"    </TABLEDATA>\n   </DATA>\n" + tail)


def header(catalogue: Catalogue) -> tuple[bytes, bytes]:
    """Makes a VOTable without its data.

    Returns:
        What comes before the data, and what comes behind.
    """
    from astropy.io.votable import tree
    from astropy.io.votable.xmlutil import fix_id

    file = tree.VOTableFile(version="1.4")
    resource = tree.Resource(type="results")
    file.resources.append(resource)
    table = tree.TableElement(file, name="predictions")
    resource.tables.append(table)
    if catalogue.text:
        table.description = _allowed(catalogue.text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about units of the user's that the standard does not have
        ids: set[str] = set()
        for number, name in enumerate(catalogue.table.column_names, start=1):
            id_ = fix_id(name)  # what astropy calls a column that it reads
            ids.add(id_ := f"{id_}_{number}" if id_ in ids else id_)
            meaning = catalogue.meaning(name)
            column = catalogue.table[name]
            field = tree.Field(
                file,
                ID=id_,
                name=_allowed(name),
                unit=_allowed(meaning.unit) or None,
                ucd=_allowed(meaning.ucd) or None,
                **_datatype(column),
            )
            if meaning.text:
                field.description = _allowed(meaning.text)
            table.fields.append(field)
        written = io.BytesIO()
        file.to_xml(written)
    head, end, tail = written.getvalue().partition(b"  </TABLE>")
    return head, end + tail


def parquet_header(catalogue: Catalogue) -> dict[bytes, bytes]:
    """Makes the metadata by which VOParquet says what the columns of a Parquet file mean."""
    head, tail = header(catalogue)
    return {PARQUET_VERSION: b"1.0", PARQUET_CONTENT: head + b'   <PARQUET type="Parquet-local-XML"/>\n' + tail}


def _allowed(text: str) -> str:
    """The letters that XML has."""
    return re.sub(FORBIDDEN, "", text)


def _datatype(column: pa.ChunkedArray) -> dict[str, str]:
    kind = column.type
    if types.is_fixed_size_list(kind):
        return {"datatype": DATATYPES[kind.value_type], "arraysize": str(kind.list_size)}
    if kind in DATATYPES:
        return {"datatype": DATATYPES[kind]}
    ascii_only = (
        types.is_string(kind) and compute.all(compute.match_substring_regex(column, ASCII)).as_py() is not False
    )
    longest = compute.max(compute.utf8_length(column)).as_py() if types.is_string(kind) else None
    # A size, and not *, since astropy makes Python's objects of texts without one.
    return {"datatype": "char" if ascii_only else "unicodeChar", "arraysize": str(longest or 1)}


def _storable(table: pa.Table) -> pa.Table:
    """The table with unsigned 64-bit numbers, which VOTables lack, as int64, or as text where they are too large."""
    for index, field in enumerate(table.schema):
        if field.type == pa.uint64():
            column = table[field.name]
            fits = (compute.max(column).as_py() or 0) <= INT64_MAX
            table = table.set_column(index, field.name, column.cast(pa.int64() if fits else pa.string()))
    return table


def _rows(table: pa.Table) -> Iterator[bytes]:
    """The rows as XML, many at a time."""
    for batch in table.to_batches(max_chunksize=ROWS_AT_A_TIME):
        cells = [_cells(column) for column in batch.columns]
        parts: list[Any] = ["     <TR><TD>"]
        for cell in cells:
            parts += [cell, "</TD><TD>"]
        parts[-1] = "</TD></TR>\n"
        lines = compute.binary_join_element_wise(*parts, "")
        _, offsets, text = lines.buffers()  # the texts follow one another without a gap
        first, last = np.frombuffer(offsets, np.int32)[[lines.offset, lines.offset + len(lines)]]
        yield bytes(memoryview(text)[first:last])


def _cells(values: pa.Array) -> pa.Array:
    """The texts of a column's values; empty where they are null."""
    if types.is_fixed_size_list(values.type):
        size = values.type.list_size
        flat = _cells(values.flatten())
        return compute.binary_join(pa.FixedSizeListArray.from_arrays(flat, size).cast(pa.list_(pa.string())), " ")
    text = values.cast(pa.string())
    if types.is_floating(values.type):
        for ours, theirs in (("nan", "NaN"), ("-inf", "-Inf"), ("inf", "+Inf")):
            text = compute.if_else(compute.equal(text, ours), theirs, text)
    elif types.is_string(values.type):
        for sign, escape in ESCAPES:
            text = compute.replace_substring(text, sign, escape)
        text = compute.replace_substring_regex(text, FORBIDDEN, "")
    return compute.fill_null(text, "")
