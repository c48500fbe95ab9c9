"""A catalogue to a file, in the format that its name says."""

import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, parquet, types

from lambda_image.atomic_file import atomic_file
from lambda_image.data.arrow import pandas_metadata
from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts.catalogue.numpy_columns import plain
from scripts.catalogue.reading import format_of
from scripts.catalogue.table import Catalogue, Notes
from scripts.catalogue.votable import parquet_header, write_votable
from scripts.catalogue.writing_fits import write_fits
from scripts.user_files import check_new

WRITABLE = ".csv, .ecsv, .fits, .vot, .xml or .parquet, all but the last also with .gz behind"
GZIP_LEVEL = 5  # of 9: within 2% of the smallest file in half its time


def write_catalogue(catalogue: Catalogue, path: Path) -> Notes:
    """Writes a catalogue, which appears whole or not at all, and in the place of a file that is there.

    Args:
        catalogue: what is written.
        path: a file whose name says its format; see `check_out`.

    Returns:
        What the format could not hold.
    """
    kind, notes = format_of(path), Notes()
    if kind != ".parquet":
        catalogue, notes = _plain(catalogue, lists=kind not in (".csv", ".ecsv"))
    with atomic_file(path) as partial, _opened(partial, path.suffix.lower() == ".gz") as out:
        notes += WRITERS[kind](catalogue, out) or []
    return notes


def check_out(path: Path, *, overwrite: bool, read: Sequence[Path | None] = ()) -> None:
    """Checks that a catalogue can be written to a file.

    Raises:
        UsageError: its name says no format, or `check_new` refuses it.
    """
    shown = f"--out {printable(path)}"
    if format_of(path) not in WRITERS or path.name.lower().endswith(".parquet.gz"):
        raise UsageError(f"{shown} must end in {WRITABLE}")
    check_new({"--out": path}, overwrite=overwrite, read=read)


@contextmanager
def _opened(path: Path, compressed: bool) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        if not compressed:
            yield file
            return
        with gzip.GzipFile(
            "", "wb", GZIP_LEVEL, file, mtime=0
        ) as packed:  # without its time, the same rows are the same bytes
            yield packed  # type: ignore[misc]


def _plain(catalogue: Catalogue, *, lists: bool) -> tuple[Catalogue, Notes]:
    """The columns in types that every format has, and which have none."""
    table, lost = catalogue.table, []
    for name in catalogue.table.column_names:
        column = plain(table[name])
        if column is None or (types.is_fixed_size_list(column.type) and not lists):
            lost.append(name)
        else:
            table = table.set_column(table.column_names.index(name), name, column)
    notes = [f"the column {name} is left out, as the format has no {catalogue.table[name].type}" for name in lost]
    return Catalogue(table, catalogue.meanings, catalogue.text).without(lost), notes


def _write_csv(catalogue: Catalogue, out: BinaryIO) -> None:
    csv.write_csv(_without_nan(catalogue.table), out, csv.WriteOptions(quoting_style="needed"))


def _without_nan(table: pa.Table) -> pa.Table:
    """NaN as null, which is an empty field."""
    for index, field in enumerate(table.schema):
        if types.is_floating(field.type):
            column = table[field.name]
            table = table.set_column(index, field.name, compute.if_else(compute.is_nan(column), None, column))
    return table


def _write_ecsv(catalogue: Catalogue, out: BinaryIO) -> None:
    """Writes astropy's header of an empty table, and Arrow's rows below."""
    from astropy.table import Column, Table

    empty = Table()
    for field in catalogue.table.schema:
        meaning = catalogue.meaning(field.name)
        dtype = "str" if types.is_string(field.type) else field.type.to_pandas_dtype()
        meta = {"ucd": meaning.ucd} if meaning.ucd else None
        column = Column([], field.name, dtype, description=meaning.text or None, meta=meta)
        if meaning.unit:
            column.unit = meaning.unit
        empty.add_column(column)
    if catalogue.text:
        empty.meta["comments"] = [catalogue.text]
    head = io.StringIO()
    empty.write(head, format="ascii.ecsv", delimiter=",")
    out.write(head.getvalue().encode())
    table = _without_nan(catalogue.table)
    for index, field in enumerate(table.schema):
        if types.is_boolean(field.type):
            table = table.set_column(index, field.name, compute.if_else(table[field.name], "True", "False"))
    csv.write_csv(table, out, csv.WriteOptions(include_header=False, quoting_style="needed"))


def _write_parquet(catalogue: Catalogue, out: BinaryIO) -> None:
    table = catalogue.table
    nullable = {
        field.name: np.dtype(field.type.to_pandas_dtype())
        for field in table.schema
        if table[field.name].null_count and (types.is_integer(field.type) or types.is_boolean(field.type))
    }
    described, _ = _plain(catalogue, lists=True)
    metadata = {key.encode(): value.encode() for key, value in pandas_metadata(nullable).items()}
    metadata |= parquet_header(described)
    for field in described.table.schema:
        if types.is_string(field.type):  # astropy asks for it, and makes a slow search where it is not said
            longest = compute.max(compute.utf8_length(described.table[field.name])).as_py()
            metadata[f"table::len::{field.name}".encode()] = str(longest or 1).encode()
    parquet.write_table(table.replace_schema_metadata(metadata), out, compression="zstd")


WRITERS: dict[str, Callable[[Catalogue, BinaryIO], Notes | None]] = {
    ".csv": _write_csv,
    ".ecsv": _write_ecsv,
    ".fits": write_fits,
    ".fit": write_fits,
    ".vot": write_votable,
    ".votable": write_votable,
    ".xml": write_votable,
    ".parquet": _write_parquet,
}
